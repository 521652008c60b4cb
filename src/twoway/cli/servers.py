"""``twoway ac``, ``twoway publisher`` and ``twoway sink``: the actors that run for long."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

import twoway.ac
import twoway.publisher
import twoway.sink
from twoway.cli.console import say_json, say_table
from twoway.cli.daemon import run_until_signalled
from twoway.cli.figures import figure, figure_text

ac = typer.Typer(help="Run the access control server.", no_args_is_help=True)
publisher = typer.Typer(help="Run a publisher.", no_args_is_help=True)
sink = typer.Typer(help="Run a sink.", no_args_is_help=True)

Config = Annotated[Path, typer.Argument(metavar="CONFIG", help="A TOML file.")]
Verbose = Annotated[bool, typer.Option("--verbose", "-v", help="Say on standard error what happens.")]
EventsAsJSON = Annotated[bool, typer.Option("--json", help="Print events as lines of JSON.")]
AsJSON = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]


@ac.command("serve")
def serve_ac(config: Config, verbose: Verbose = False, as_json: EventsAsJSON = False) -> None:
    """Issue tickets by policy until Ctrl-C. Prints `ready URI` when it listens.

    Example:  [bold]twoway ac serve ac.toml[/bold]
    """
    settings = twoway.ac.load_config(config)
    run_until_signalled(
        lambda ready, trace: twoway.ac.serve(settings, ready=ready, trace=trace),
        verbose=verbose,
        as_json=as_json,
    )


@ac.command("audit")
def audit(
    config: Config,
    count: Annotated[int, typer.Option(min=1, help="How many of the latest decisions.")] = 20,
    as_json: AsJSON = False,
) -> None:
    """Print the latest decisions, newest first, each with the policies that decided.

    Example:  [bold]twoway ac audit ac.toml --count 5[/bold]
    """
    entries = twoway.ac.read_audit(twoway.ac.load_config(config).database, count)
    if as_json:
        say_json(
            [
                {
                    "at": entry.at.isoformat(),
                    "requester": entry.requester,
                    "audience": entry.audience,
                    "requested": entry.requested,
                    "granted": entry.granted,
                    "decision": entry.outcome.value,
                    "policies": list(entry.policies),
                    "reason": entry.reason,
                    "ticket_id": entry.ticket_id.hex() if entry.ticket_id else None,
                }
                for entry in entries
            ]
        )
        return
    say_table(
        None,
        ("at", "requester", "audience", "decision", "policies", "reason"),
        (
            (
                f"{entry.at:%Y-%m-%d %H:%M:%S}",
                entry.requester or "",
                entry.audience or "",
                entry.outcome.value,
                ", ".join(entry.policies),
                entry.reason or "",
            )
            for entry in entries
        ),
    )


@publisher.command("serve")
def serve_publisher(config: Config, verbose: Verbose = False, as_json: EventsAsJSON = False) -> None:
    """Publish readings until Ctrl-C, to default subscribers and ticket holders alone. Prints `ready URI`.

    Example:  [bold]twoway publisher serve meter.toml[/bold]
    """
    settings = twoway.publisher.load_config(config)
    run_until_signalled(
        lambda ready, trace: twoway.publisher.serve(settings, ready=ready, trace=trace),
        verbose=verbose,
        as_json=as_json,
    )


@sink.command("serve")
def serve_sink(config: Config, verbose: Verbose = False, as_json: EventsAsJSON = False) -> None:
    """Follow publishers as their default subscriber and store each reading once, until Ctrl-C.

    Example:  [bold]twoway sink serve sink.toml[/bold]
    """
    settings = twoway.sink.load_config(config)
    run_until_signalled(
        lambda ready, trace: twoway.sink.serve(settings, ready=ready, trace=trace),
        verbose=verbose,
        as_json=as_json,
    )


@sink.command("readings")
def readings(config: Config, as_json: AsJSON = False) -> None:
    """Print what a sink has stored: for each publisher how many readings, and the latest of each name.

    Example:  [bold]twoway sink readings sink.toml --json[/bold]
    """
    with twoway.sink.ReadingStore.open_existing(twoway.sink.load_config(config).database) as store:
        counts = store.counts()
        latest = {count.publisher: store.latest(count.publisher) for count in counts}
    if as_json:
        say_json(
            [
                {
                    "publisher": count.publisher,
                    "readings": count.readings,
                    "latest": [
                        {"name": row.name, "unit": row.unit, "time": row.time, "value": figure(row)}
                        for row in latest[count.publisher]
                    ],
                }
                for count in counts
            ]
        )
        return
    for count in counts:
        say_table(
            f"{count.publisher}: {count.readings} readings, the latest of each name",
            ("name", "value", "unit"),
            ((row.name, figure_text(row), row.unit or "") for row in latest[count.publisher]),
        )
