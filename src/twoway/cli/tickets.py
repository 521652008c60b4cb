"""``twoway ac tickets``: what tickets there are, and the end of those that should not be out there."""

from __future__ import annotations

import asyncio
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Annotated

import typer

import twoway.ac
from twoway.cli.console import say_json, say_table
from twoway.clock import SystemClock
from twoway.errors import ConfigurationError
from twoway.identity import identity_uri
from twoway.tickets import Scope

app = typer.Typer(help="List and revoke tickets.", no_args_is_help=True)

Config = Annotated[Path, typer.Argument(metavar="CONFIG", help="The AC's TOML file.")]
AsJSON = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]


@app.command("list")
def list_tickets(config: Config, as_json: AsJSON = False) -> None:
    """List the tickets that are in force: neither expired nor revoked.

    Example:  [bold]twoway ac tickets list ac.toml[/bold]
    """
    with _book(config) as book:
        rows = [_row(record) for record in book.live(SystemClock().now())]
    if as_json:
        say_json(rows)
    else:
        headings = ("ticket", "subscriber", "publisher", "rights", "expires")
        say_table(None, headings, ([row[name] for name in headings] for row in rows))


@app.command("revoke")
def revoke(
    config: Config,
    ticket: Annotated[str | None, typer.Option(metavar="HEX", help="This ticket.")] = None,
    subscriber: Annotated[str | None, typer.Option(help="All tickets of this subscriber...")] = None,
    publisher: Annotated[str | None, typer.Option(help="...for this publisher alone.")] = None,
    certificate: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="All of this certificate, which gets none again."),
    ] = None,
    reason: Annotated[str, typer.Option(help="Why, for the audit.")] = "revoked by the operator",
    as_json: AsJSON = False,
) -> None:
    """Revoke tickets, for ever. What runs by them at a publisher that hears the AC ends within two seconds.

    Whoever has the right may get a new ticket, unless a certificate is revoked: take the right back as well.

    Example:  [bold]twoway ac tickets revoke ac.toml --subscriber alice --publisher meter[/bold]
    """
    if sum(each is not None for each in (ticket, subscriber, certificate)) != 1:
        raise ConfigurationError(
            "it is not said which tickets", remedy="give one of --ticket, --subscriber and --certificate"
        )
    if publisher is not None and subscriber is None:
        raise ConfigurationError("--publisher narrows --subscriber", remedy="give both")
    now = SystemClock().now()
    with _book(config) as book:
        if ticket is not None:
            revoking = book.revoke(_ticket_id(ticket), reason=reason, now=now)
        elif certificate is not None:
            revoking = book.revoke_certificate(certificate, reason=reason, now=now)
        else:
            assert subscriber is not None
            audience = None if publisher is None else identity_uri(publisher)
            revoking = book.revoke_of(identity_uri(subscriber), audience, reason=reason, now=now)
        revoked = asyncio.run(revoking)
    if as_json:
        say_json([_row(record) for record in revoked])
    else:
        print(f"{len(revoked)} tickets were revoked")


def _book(config: Path) -> AbstractContextManager[twoway.ac.TicketBook]:
    return twoway.ac.TicketBook.open(twoway.ac.load_config(config), operator=twoway.ac.this_user())


def _ticket_id(text: str) -> bytes:
    try:
        return bytes.fromhex(text)
    except ValueError:
        raise ConfigurationError(
            f"{text!r} is no ticket", remedy="take its number from: twoway ac tickets list"
        ) from None


def _row(record: twoway.ac.TicketRecord) -> dict[str, str]:
    return {
        "ticket": record.ticket_id.hex(),
        "subscriber": record.requester,
        "publisher": record.audience,
        "rights": str(Scope.parse_untrusted(record.scope)),
        "expires": record.expires_at.isoformat(timespec="seconds"),
    }
