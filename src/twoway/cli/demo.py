"""``twoway demo``: the main job, played on this machine."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Annotated

import typer

from twoway.cli.daemon import run_until_cancelled
from twoway.clock import SystemClock
from twoway.demo import JSONNarrator, PlainNarrator, perform


def demo(
    keep: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Leave the deployment in this new or empty folder.")
    ] = None,
    hold: Annotated[
        bool, typer.Option("--hold", help="Keep everything running until Ctrl-C, and write DIR/demo.json.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Tell it as lines of JSON.")] = False,
) -> None:
    """Play the main job: an AC, three publishers, a sink and four subscribers, with real sockets.

    Shows a reading that is two-way authenticated and paid for with a ticket, and every refusal on the way.

    Example:  [bold]twoway demo --hold --keep deployment[/bold]
    """
    narrator = JSONNarrator() if as_json else PlainNarrator()
    with tempfile.TemporaryDirectory(prefix="twoway-") as folder:
        run_until_cancelled(perform(keep or Path(folder), narrator=narrator, clock=SystemClock(), hold=hold))
    if keep:
        narrator.say(f"the deployment stays in {keep}")
