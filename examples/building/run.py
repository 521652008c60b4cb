"""A building with two tenants, played: real processes, real tickets, real refusals, each with its reason.

    python examples/building/run.py                   # or `make building`
    python examples/building/run.py --folder DIR      # leave the deployment there
    python examples/building/run.py --json            # for programs: a JSON object a line

Exit status 0: every story came out; 1: one did not, or it was stopped; 2: it could not begin.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from stage import perform

from twoway.cli.daemon import run_until_cancelled
from twoway.demo import JSONNarrator, PlainNarrator
from twoway.errors import TwowayError


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--folder", type=Path, metavar="DIR", help="a new or empty folder, which stays")
    parser.add_argument("--json", action="store_true", help="tell it as lines of JSON")
    options = parser.parse_args()
    narrator = JSONNarrator() if options.json else PlainNarrator()
    came_out = False

    async def play() -> None:
        nonlocal came_out
        await perform(options.folder or Path(temporary), narrator)
        came_out = True

    with tempfile.TemporaryDirectory(prefix="twoway-") as temporary:
        try:
            run_until_cancelled(play())
        except TwowayError as error:
            print(f"the building: {error}", file=sys.stderr)
            return error.exit_status
    if options.folder:
        narrator.say(f"the deployment stays in {options.folder}")
    return 0 if came_out else 1


if __name__ == "__main__":
    sys.exit(main())
