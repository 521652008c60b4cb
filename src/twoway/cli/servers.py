"""``twoway ac``, ``twoway publisher`` and ``twoway sink``: the actors that run for long."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Annotated

import typer

import twoway.ac
import twoway.publisher
import twoway.sink
from twoway.cli.console import say_json, say_table
from twoway.cli.daemon import run_until_signalled
from twoway.cli.figures import figure, figure_text
from twoway.errors import ConfigurationError

ac = typer.Typer(help="Run the access control server.", no_args_is_help=True)
audit = typer.Typer(help="Read and check what the AC decided and operators did.", no_args_is_help=True)
ac.add_typer(audit, name="audit")
publisher = typer.Typer(help="Run a publisher.", no_args_is_help=True)
sink = typer.Typer(help="Run a sink.", no_args_is_help=True)

Config = Annotated[Path, typer.Argument(metavar="CONFIG", help="A TOML file.")]
Verbose = Annotated[bool, typer.Option("--verbose", "-v", help="Say on standard error what happens.")]
EventsAsJSON = Annotated[bool, typer.Option("--json", help="Print events as lines of JSON.")]
AsJSON = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]


@ac.command("serve")
def serve_ac(config: Config, verbose: Verbose = False, as_json: EventsAsJSON = False) -> None:
    """Issue tickets by policy until Ctrl-C. Prints `ready URI` when it listens. SIGHUP is `twoway ac reload`.

    Example:  [bold]twoway ac serve ac.toml[/bold]
    """
    settings = twoway.ac.load_config(config)
    run_until_signalled(
        lambda ready, trace: twoway.ac.serve(
            settings, ready=ready, reread=lambda: twoway.ac.load_config(config), trace=trace
        ),
        verbose=verbose,
        as_json=as_json,
        hung_up=lambda: twoway.ac.ask_ac(settings.control, "reload"),
    )


@audit.command("show")
def show_audit(
    config: Config,
    count: Annotated[int, typer.Option(min=1, help="How many of the latest rows.")] = 20,
    as_json: AsJSON = False,
) -> None:
    """Print the latest decisions, newest first, each with the policies that decided; and what operators did.

    Example:  [bold]twoway ac audit show ac.toml --count 5[/bold]
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
                    "operator": entry.operator,
                }
                for entry in entries
            ]
        )
        return
    say_table(
        None,
        ("at", "operator", "requester", "audience", "decision", "policies", "reason"),
        (
            (
                f"{entry.at:%Y-%m-%d %H:%M:%S}",
                entry.operator or "",
                entry.requester or "",
                entry.audience or "",
                entry.outcome.value,
                ", ".join(entry.policies),
                entry.reason or "",
            )
            for entry in entries
        ),
    )


@audit.command("verify")
def verify_audit(
    config: Config,
    noted: Annotated[
        str | None, typer.Option("--noted", metavar="HASH", help="The hash that an earlier run printed.")
    ] = None,
    as_json: AsJSON = False,
) -> None:
    """Check that no row of the audit was changed, removed or inserted, and print the hash of the last one.

    Keep that hash where nobody can change it who may write to the database, and give it the next time.
    Exit status 1: the audit was changed; the first row that does not fit is named.

    Example:  [bold]twoway ac audit verify ac.toml[/bold]
    """
    wanted = None if noted is None else _hash(noted)
    with twoway.ac.reading_audit(twoway.ac.load_config(config).database) as connection:
        end = twoway.ac.verify_audit(connection, noted=wanted)
    if as_json:
        say_json({"rows": end.rows, "last": end.row_id, "hash": end.hash.hex()})
        return
    print(f"{end.rows} rows follow one from another; the last is number {end.row_id}, its hash")
    print(end.hash.hex())


@audit.command("export")
def export_audit(
    config: Config,
    as_json: Annotated[bool, typer.Option("--json", help="As without it: lines of JSON.")] = False,
) -> None:
    """Print all rows that are kept as lines of JSON, oldest first, each with its hash.

    Example:  [bold]twoway ac audit export ac.toml > decisions.jsonl[/bold]
    """
    with twoway.ac.reading_audit(twoway.ac.load_config(config).database) as connection:
        for line in twoway.ac.export_audit(connection):
            print(line)


def _hash(text: str) -> bytes:
    try:
        digest = bytes.fromhex(text)
    except ValueError:
        digest = b""
    if len(digest) != hashlib.sha256().digest_size:
        raise ConfigurationError(
            "this is not the hash of a row", where="--noted", remedy="give the 64 digits that were printed"
        )
    return digest


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
