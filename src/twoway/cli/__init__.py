"""The ``twoway`` command: a face over the actors. It decides nothing.

Exit status: 0, 1 (failed), 2 (used wrongly), 3 (refused by a policy or by the peer).
"""

from twoway.cli.app import main

__all__ = ["main"]
