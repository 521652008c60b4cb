"""How commands speak: results on standard output, everything else on standard error."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Iterable, Mapping, Sequence
from importlib.metadata import version

from rich.console import Console
from rich.table import Table

from twoway.clock import Clock
from twoway.rate import Buckets
from twoway.terminal import printable
from twoway.trace import Fault, Trace, TraceEvent

REPEAT_INTERVAL = 600.0
"""Seconds until the same fault is said again."""
FAULTS_AT_ONCE, FAULTS_PER_SECOND = 20, 0.1
"""How many faults are said: so many at once, and so many a second in the long run."""
PIPE_COLUMNS = 1000
"""In a pipe nothing is folded: whoever searches for a name finds it on one line."""


def package_version() -> str:
    """Return the installed version."""
    return version("twoway")


def complain(sentence: str) -> None:
    """Say on standard error what went wrong."""
    print(f"twoway: {printable(sentence)}", file=sys.stderr, flush=True)


def say_json(value: object) -> None:
    """Print one JSON document on a line of its own, at once."""
    print(json.dumps(value, ensure_ascii=False), flush=True)


def say_table(title: str | None, columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Print a table; in a pipe, where nobody looks at borders, it has none."""
    console = Console(highlight=False)
    if not console.is_terminal:
        console.width = PIPE_COLUMNS
    table = Table(title=title, title_justify="left", box=None, pad_edge=False, header_style="bold")
    for column in columns:
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(*(printable(cell) for cell in row))
    console.print(table)


def trace_to_json() -> Trace:
    """Return a trace that prints each event as a line of JSON on standard output."""

    def tell(event: TraceEvent) -> None:
        say_json({"event": event.name, "source": event.source, **_plain(event.data)})

    return tell


def trace_to_stderr(clock: Clock) -> Trace:
    """Return a trace that prints each event as a line for people on standard error."""

    def tell(event: TraceEvent) -> None:
        details = " ".join(f"{key}={value}" for key, value in _plain(event.data).items())
        line = f"{clock.now():%H:%M:%S} {event.source}: {event.name} {details}"
        print(printable(line.rstrip()), file=sys.stderr, flush=True)

    return tell


def faults_to_stderr(clock: Clock) -> Trace:
    """Return a trace that says on standard error what an operator should look at, and nothing else.

    The same is said again after :data:`REPEAT_INTERVAL` at the earliest, and no more than the bucket holds: a
    peer can cause some faults as often as it likes.
    """
    said: dict[str, float] = {}
    bucket = Buckets(burst=FAULTS_AT_ONCE, per_second=FAULTS_PER_SECOND, remembered=1)

    def tell(event: TraceEvent) -> None:
        if not isinstance(event, Fault):
            return
        now = clock.monotonic()
        sentence = ": ".join([event.source, event.name, *map(str, _plain(event.data).values())])
        if now - said.get(sentence, -math.inf) < REPEAT_INTERVAL or bucket.wait("", now) > 0:
            return
        bucket.take("")
        for old in [each for each, at in said.items() if now - at >= REPEAT_INTERVAL]:
            del said[old]
        said[sentence] = now
        complain(sentence)

    return tell


def _plain(data: Mapping[str, object]) -> dict[str, object]:
    return {
        key: value if isinstance(value, str | int | float | bool | None) else str(value)
        for key, value in data.items()
    }
