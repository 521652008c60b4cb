"""The commands put together, and the one place where an error becomes a sentence and an exit status."""

from __future__ import annotations

import os
import sys
from typing import Annotated

import typer

from twoway.cli import access, authority, demo, reading, servers, tickets, upkeep
from twoway.cli.console import complain, package_version
from twoway.errors import TwowayError

app = typer.Typer(
    name="twoway",
    help="Two-way authentication for the Internet of Things.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.add_typer(authority.app, name="ca")
app.add_typer(servers.ac, name="ac")
servers.ac.command("check")(access.check)
servers.ac.command("grant")(access.grant)
servers.ac.command("revoke")(access.revoke)
servers.ac.command("list")(access.list_grants)
servers.ac.add_typer(access.policy, name="policy")
servers.ac.command("reload")(upkeep.reload)
servers.ac.command("rotate")(upkeep.rotate)
servers.ac.add_typer(upkeep.secret, name="secret")
servers.ac.add_typer(tickets.app, name="tickets")
app.add_typer(servers.publisher, name="publisher")
app.add_typer(servers.sink, name="sink")
app.command("get")(reading.get)
app.command("observe")(reading.observe)
app.command("demo")(demo.demo)


def _print_version(wanted: bool) -> None:
    if wanted:
        print(f"twoway {package_version()}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Two-way authentication for the Internet of Things.

    Everybody proves who they are, and a publisher hands out readings only against a ticket.

    Example:  [bold]twoway demo[/bold]
    """


def main() -> None:
    """Run the command that the arguments name; never lets a traceback through."""
    try:
        app()
    except TwowayError as error:
        complain(str(error))
        sys.exit(error.exit_status)
    except BaseExceptionGroup as group:
        sys.exit(_explain_group(group))
    except BrokenPipeError:
        # Whoever read our output has gone. Python would complain once more when it flushes at the end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(1)
    except Exception as error:  # noqa: BLE001 # the outermost place: a fault of ours still gets one sentence
        sys.exit(_explain_fault(error))


def _explain_group(group: BaseExceptionGroup[BaseException]) -> int:
    """Tasks that ran together failed together: the first of our own errors explains them."""
    ours, _ = group.split(TwowayError)
    if ours is None:
        return _explain_fault(group)
    error: BaseException = ours
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    assert isinstance(error, TwowayError)
    complain(str(error))
    return error.exit_status


def _explain_fault(error: BaseException) -> int:
    if os.environ.get("TWOWAY_TRACEBACK"):
        raise error
    complain(
        f"a fault in twoway itself ({type(error).__name__}); "
        "run it again with TWOWAY_TRACEBACK=1 and report what it prints"
    )
    return 1
