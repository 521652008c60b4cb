"""``twoway ac reload``, ``rotate`` and ``secret``: what an operator does to an AC while it runs."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

import twoway.ac
from twoway.cli.console import say_json
from twoway.clock import SystemClock
from twoway.identity import identity_uri

secret = typer.Typer(
    help="Keep what the AC shares with publishers that have no certificate.", no_args_is_help=True
)

Config = Annotated[Path, typer.Argument(metavar="CONFIG", help="The AC's TOML file.")]
AsJSON = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]
Publisher = Annotated[str, typer.Option(help="The publisher: a short name, or a whole urn:.")]


def reload(config: Config, as_json: AsJSON = False) -> None:
    """Have the running AC take its configuration, certificate, policies and ledgers anew, all or none.

    No association ends. What cannot be taken is said, and the AC goes on with what it had.

    Example:  [bold]twoway ac reload ac.toml[/bold]
    """
    taken = twoway.ac.ask_ac(twoway.ac.load_config(config).control, "reload")
    _say({"taken": taken}, taken, as_json=as_json)


def rotate(config: Config, as_json: AsJSON = False) -> None:
    """Announce a new key for tickets. It signs after the overlap of the configuration; all replicas follow.

    Example:  [bold]twoway ac rotate ac.toml[/bold]
    """
    key = twoway.ac.rotate_key(
        twoway.ac.load_config(config),
        operator=twoway.ac.this_user(),
        clock=SystemClock(),
        entropy=os.urandom,
    )
    begins = f"{key.signs_from:%Y-%m-%d %H:%M:%S}"
    _say(
        {"key_id": key.key_id.hex(), "signs_from": key.signs_from.isoformat()},
        f"key {key.key_id.hex()} is announced and signs from {begins} UTC",
        as_json=as_json,
    )


@secret.command("add")
def add(
    config: Config,
    publisher: Publisher,
    file: Annotated[
        Path, typer.Option(help="The secret in hexadecimal digits; made if there is no such file.")
    ],
    as_json: AsJSON = False,
) -> None:
    """Store what a publisher was preloaded with, sealed. The file is the publisher's; the AC keeps none.

    Example:  [bold]twoway ac secret add ac.toml --publisher meter --file meter.secret[/bold]
    """
    uri = identity_uri(publisher)
    is_new = twoway.ac.add_secret(
        twoway.ac.load_config(config),
        uri,
        file,
        operator=twoway.ac.this_user(),
        clock=SystemClock(),
        entropy=os.urandom,
    )
    how = "made and stored" if is_new else "stored"
    _say({"publisher": uri, "made": is_new}, f"the secret of {uri} is {how}", as_json=as_json)


@secret.command("remove")
def remove(config: Config, publisher: Publisher, as_json: AsJSON = False) -> None:
    """Forget what the AC shares with a publisher: it issues no more symmetric keys for it.

    Example:  [bold]twoway ac secret remove ac.toml --publisher meter[/bold]
    """
    uri = identity_uri(publisher)
    twoway.ac.drop_secret(
        twoway.ac.load_config(config), uri, operator=twoway.ac.this_user(), clock=SystemClock()
    )
    _say({"publisher": uri}, f"the secret of {uri} is removed", as_json=as_json)


def _say(document: dict[str, object], sentence: str, *, as_json: bool) -> None:
    if as_json:
        say_json(document)
    else:
        print(sentence)
