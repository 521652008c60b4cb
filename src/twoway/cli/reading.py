"""``twoway get`` and ``twoway observe``: read a publisher; the ticket comes by itself where one is needed."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Coroutine
from contextlib import aclosing
from pathlib import Path
from typing import Annotated

import typer

from twoway.cli.console import say_json, say_table
from twoway.cli.figures import figure, figure_text, time_text
from twoway.errors import ConfigurationError
from twoway.identity import identity_uri
from twoway.net import unsafe_key_log_file
from twoway.pki import StoredIdentity
from twoway.subscriber import ACReference, Reading, Step, Subscriber
from twoway.subscriber.narration import describe
from twoway.terminal import printable

URI = Annotated[str, typer.Argument(metavar="URI", help="coaps://host:port/path")]
As = Annotated[Path, typer.Option("--as", metavar="DIR", help="The identity folder to read as.")]
AC = Annotated[
    str | None,
    typer.Option("--ac", metavar="URI", help="The AC's token endpoint.  [default: from DIR/ac.toml]"),
]
ACIdentity = Annotated[
    str | None, typer.Option("--ac-identity", metavar="NAME", help="Who the AC must prove to be; with --ac.")
]
Publisher = Annotated[
    str | None,
    typer.Option(
        "--publisher",
        metavar="NAME",
        help="Who must answer.  [default: whoever has a certificate for the URI's host]",
    ),
]
Timeout = Annotated[float, typer.Option(min=1, max=300, help="Seconds to wait for each answer.")]
Verbose = Annotated[bool, typer.Option("--verbose", "-v", help="Say each step on standard error.")]
UnsafeKeyLog = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        help="Append the keys of each association to FILE, for Wireshark: whoever has it reads everything.",
    ),
]
AsJSON = Annotated[bool, typer.Option("--json", help="Print readings as lines of JSON.")]


def get(
    uri: URI,
    folder: As,
    ac: AC = None,
    ac_identity: ACIdentity = None,
    publisher: Publisher = None,
    timeout: Timeout = 30.0,
    verbose: Verbose = False,
    unsafe_key_log: UnsafeKeyLog = None,
    as_json: AsJSON = False,
) -> None:
    """Read a resource once.

    Example:  [bold]twoway get coaps://meter.example/electricity --as identities/alice[/bold]
    """

    async def read(subscriber: Subscriber) -> None:
        _show(await subscriber.read(uri, publisher=_identity(publisher)), as_json=as_json)

    _run(read, _subscriber(folder, ac, ac_identity, timeout, unsafe_key_log, verbose=verbose))


def observe(
    uri: URI,
    folder: As,
    count: Annotated[
        int | None, typer.Option(min=1, help="How many readings.  [default: until Ctrl-C]")
    ] = None,
    ac: AC = None,
    ac_identity: ACIdentity = None,
    publisher: Publisher = None,
    timeout: Timeout = 30.0,
    revocation_interval: Annotated[
        float | None,
        typer.Option(
            min=1,
            metavar="SECONDS",
            help="Follow the AC's list of revoked tickets, and ask for it anew after so long."
            "  [default: ask when a publisher refuses our ticket]",
        ),
    ] = None,
    verbose: Verbose = False,
    unsafe_key_log: UnsafeKeyLog = None,
    as_json: AsJSON = False,
) -> None:
    """Read a resource now and whenever it changes.

    Example:  [bold]twoway observe coaps://meter.example/electricity --as identities/alice --count 3[/bold]
    """

    async def follow(subscriber: Subscriber) -> None:
        async with aclosing(subscriber.observe(uri, count=count, publisher=_identity(publisher))) as readings:
            async for reading in readings:
                _show(reading, as_json=as_json)

    _run(
        follow,
        _subscriber(
            folder,
            ac,
            ac_identity,
            timeout,
            unsafe_key_log,
            verbose=verbose,
            revocation_interval=revocation_interval,
        ),
    )


def _subscriber(
    folder: Path,
    ac: str | None,
    ac_identity: str | None,
    timeout: float,
    unsafe_key_log: Path | None,
    *,
    verbose: bool,
    revocation_interval: float | None = None,
) -> Subscriber:
    return Subscriber(
        StoredIdentity.load(folder),
        ac=_ac_reference(folder, ac, ac_identity),
        steps=_narrate if verbose else _keep_quiet,
        answer_timeout=timeout,
        revocation_interval=revocation_interval,
        unsafe_key_log=None if unsafe_key_log is None else unsafe_key_log_file(unsafe_key_log),
    )


def _ac_reference(folder: Path, uri: str | None, identity: str | None) -> ACReference | None:
    if (uri is None) != (identity is None):
        raise ConfigurationError(
            "--ac and --ac-identity belong together",
            remedy="say where the AC is and who it must prove to be",
        )
    if uri is None or identity is None:
        return ACReference.load(folder)
    return ACReference(uri=uri, identity=identity_uri(identity))


def _identity(name: str | None) -> str | None:
    return None if name is None else identity_uri(name)


def _run(work: Callable[[Subscriber], Coroutine[object, object, None]], subscriber: Subscriber) -> None:
    async def run() -> None:
        async with subscriber:
            await work(subscriber)

    asyncio.run(run())


def _narrate(step: Step) -> None:
    print(printable(describe(step)), file=sys.stderr, flush=True)


def _keep_quiet(step: Step) -> None:
    pass


def _show(reading: Reading, *, as_json: bool) -> None:
    if as_json:
        say_json(
            {
                "uri": reading.uri,
                "peer": reading.peer.uri,
                "records": [
                    {"name": record.name, "unit": record.unit, "time": record.time, "value": figure(record)}
                    for record in reading.records
                ],
            }
        )
        return
    say_table(
        f"{reading.peer}",
        ("name", "value", "unit", "time"),
        (
            (record.name, figure_text(record), record.unit or "", time_text(record.time))
            for record in reading.records
        ),
    )
