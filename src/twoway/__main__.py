"""``python -m twoway`` is the ``twoway`` command."""

from twoway.cli import main

main()
