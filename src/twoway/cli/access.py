"""``twoway ac check``, ``policy``, ``grant``, ``revoke`` and ``list``: rights, asked for and given."""

from __future__ import annotations

import os
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Annotated, Any

import typer

import twoway.ac
from twoway.ac.config import MethodName
from twoway.ac.expectations import Outcome
from twoway.cli.console import say_json, say_table
from twoway.clock import SystemClock
from twoway.configuration import parse_resource_path
from twoway.errors import ConfigurationError, RefusedError
from twoway.identity import identity_uri
from twoway.policy import ACTIONS, LinkedGrant
from twoway.policy.conditions import spelt
from twoway.policy.explanation import Explanation, PolicyFindings
from twoway.policy.lint import lint_files
from twoway.terminal import printable

policy = typer.Typer(help="Test policies, and look for what is wrong with them.", no_args_is_help=True)

Config = Annotated[Path, typer.Argument(metavar="CONFIG", help="The AC's TOML file.")]
AsJSON = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]

DENIED = RefusedError.exit_status
FAILED = 1


def check(
    config: Config,
    subscriber: Annotated[str, typer.Option(help="Who would ask: a short name, or a whole urn:.")],
    publisher: Annotated[str, typer.Option(help="Who would be asked.")],
    resource: Annotated[str, typer.Option(help="The path, /power; or path and query.")],
    action: Annotated[MethodName, typer.Option(help="The method.")] = "GET",
    at: Annotated[str | None, typer.Option(metavar="TIME", help="When.  [default: now]")] = None,
    address: Annotated[
        str | None, typer.Option("--from", metavar="ADDRESS", help="From which address.")
    ] = None,
    purpose: Annotated[str | None, typer.Option(metavar="WORD", help="For which claimed purpose.")] = None,
    as_json: AsJSON = False,
) -> None:
    """Say whether somebody may do something, which policies decide it, and for a denial what it takes.

    Reads files and grants as they are, as an AC that starts now would. Exit status 0: allowed, 3: denied.

    Example:  [bold]twoway ac check ac.toml --subscriber alice --publisher meter --resource /power[/bold]
    """
    settings = twoway.ac.load_config(config)
    desk = twoway.ac.InquiryDesk.open(settings, _grants(settings))
    explanation = desk.answer(
        twoway.ac.Inquiry(
            subscriber=identity_uri(subscriber),
            publisher=identity_uri(publisher),
            resource=twoway.ac.asked_target(resource),
            action=action,
            at=twoway.ac.parse_time(at) if at else SystemClock().now(),
            address=address,
            purpose=purpose,
        )
    )
    if as_json:
        say_json(_plain(explanation))
    else:
        for sentence in explanation.sentences():
            print(printable(sentence))
    if not explanation.decision.allowed:
        raise typer.Exit(DENIED)


@policy.command("test")
def run_tests(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A TOML file with [[case]] tables.")],
    as_json: AsJSON = False,
) -> None:
    """Hold decisions against those that a file expects; say each that differs, and why.

    Exit status 0: all as expected, 1: some are not.

    Example:  [bold]twoway ac policy test expected.toml[/bold]
    """
    expectations = twoway.ac.load_expectations(file)
    desk = twoway.ac.InquiryDesk.open(twoway.ac.load_config(expectations.config))
    outcomes = twoway.ac.compare(expectations, desk)
    differing = [outcome for outcome in outcomes if not outcome.is_as_expected]
    if as_json:
        say_json([_case(outcome) for outcome in outcomes])
    else:
        for outcome in outcomes:
            print(printable(f"{'as expected' if outcome.is_as_expected else 'DIFFERS'}: {outcome.case.says}"))
            if not outcome.is_as_expected:
                print(printable(f"  expected: {_expected(outcome)}"))
                for sentence in outcome.explanation.sentences():
                    print(printable(f"  {sentence}"))
        print(f"{len(outcomes) - len(differing)} of {len(outcomes)} as expected")
    if differing:
        raise typer.Exit(FAILED)


@policy.command("lint")
def run_lint(config: Config, as_json: AsJSON = False) -> None:
    """Look for faults in policies, and for policies that never apply to anybody in the registry.

    Exit status 0: nothing to remark, 1: something.

    Example:  [bold]twoway ac policy lint ac.toml[/bold]
    """
    settings = twoway.ac.load_config(config)
    remarks = lint_files(settings.policies) or twoway.ac.InquiryDesk.open(settings).lint()
    if as_json:
        say_json([{"where": remark.where, "what": remark.what} for remark in remarks])
    elif remarks:
        for remark in remarks:
            print(printable(f"{remark.where}: {remark.what}"))
    else:
        print("nothing to remark")
    if remarks:
        raise typer.Exit(FAILED)


def grant(
    config: Config,
    subscriber: Annotated[str, typer.Option(help="Who may: a short name, or a whole urn:.")],
    publisher: Annotated[str, typer.Option(help="Where.")],
    resource: Annotated[
        str | None, typer.Option(help="The path, /power.  [default: all that it offers]")
    ] = None,
    action: Annotated[
        list[str] | None, typer.Option(help="A method; may be repeated.  [default: GET]")
    ] = None,
    until: Annotated[str | None, typer.Option(metavar="TIME", help="When it ends.  [default: never]")] = None,
    name: Annotated[str | None, typer.Option(help="What to call it.  [default: made up]")] = None,
    as_json: AsJSON = False,
) -> None:
    """Give a right by hand. Policies that forbid still do; every replica of the AC follows within a second.

    Example:  [bold]twoway ac grant ac.toml --subscriber alice --publisher meter --resource /power[/bold]
    """
    given = LinkedGrant(
        grant_id=name or os.urandom(4).hex(),
        principal=identity_uri(subscriber),
        publisher=identity_uri(publisher),
        path=None if resource is None else twoway.ac.resource_target(parse_resource_path(resource)),
        methods=frozenset(map(_method, action or ["GET"])),
        until=None if until is None else twoway.ac.parse_time(until),
    )
    with _book(twoway.ac.load_config(config)) as book:
        book.give(given, now=SystemClock().now())
    if as_json:
        say_json(_grant(given))
    else:
        print(printable(f"granted as {given.grant_id}"))


def revoke(
    config: Config,
    name: Annotated[str, typer.Argument(metavar="NAME", help="What the grant is called.")],
    as_json: AsJSON = False,
) -> None:
    """Take a right back that was given by hand, and revoke the tickets of its subscriber at its publisher.

    What they may do by policies they get a new ticket for.

    Example:  [bold]twoway ac revoke ac.toml inspection[/bold]
    """
    with _book(twoway.ac.load_config(config)) as book:
        revoked = book.take_back(name, now=SystemClock().now())
    if as_json:
        say_json({"grant": name, "revoked_tickets": [record.ticket_id.hex() for record in revoked]})
    else:
        print(printable(f"{name} is taken back; {len(revoked)} tickets were revoked with it"))


def list_grants(config: Config, as_json: AsJSON = False) -> None:
    """List the rights that were given by hand.

    Example:  [bold]twoway ac list ac.toml[/bold]
    """
    with _book(twoway.ac.load_config(config)) as book:
        rows = [_grant(each) for each in book.grants()]
    if as_json:
        say_json(rows)
        return
    say_table(
        None,
        ("name", "subscriber", "publisher", "resource", "actions", "until"),
        (
            (
                row["name"],
                row["subscriber"],
                row["publisher"],
                row["resource"] or "all",
                ", ".join(row["actions"]),
                row["until"] or "",
            )
            for row in rows
        ),
    )


def _method(text: str) -> str:
    if text not in ACTIONS:
        raise ConfigurationError(f"{text!r} is not a method", remedy=f"known: {', '.join(ACTIONS)}")
    return text


def _grants(settings: twoway.ac.ACConfig) -> list[LinkedGrant]:
    """Return the grants by hand; an AC that has not run yet has none."""
    if isinstance(settings.database, Path) and not settings.database.exists():
        return []
    with _book(settings) as book:
        return book.grants()


def _book(settings: twoway.ac.ACConfig) -> AbstractContextManager[twoway.ac.GrantBook]:
    return twoway.ac.GrantBook.open(settings, operator=twoway.ac.this_user())


def _grant(grant: LinkedGrant) -> dict[str, Any]:
    return {
        "name": grant.grant_id,
        "subscriber": grant.principal,
        "publisher": grant.publisher,
        "resource": grant.path,
        "actions": sorted(grant.methods),
        "until": None if grant.until is None else grant.until.isoformat(),
    }


def _expected(outcome: Outcome) -> str:
    by = f" by {', '.join(outcome.case.by)}" if outcome.case.by is not None else ""
    return outcome.case.expect + by


def _case(outcome: Outcome) -> dict[str, Any]:
    return {
        "says": outcome.case.says,
        "as_expected": outcome.is_as_expected,
        "expected": outcome.case.expect,
        **_plain(outcome.explanation),
    }


def _plain(explanation: Explanation) -> dict[str, Any]:
    return {
        "decision": "allow" if explanation.decision.allowed else "deny",
        "policies": list(explanation.decision.policies),
        "errors": list(explanation.decision.errors),
        "decided_by_claim": explanation.claim_decided,
        "deciding": [_policy(each) for each in explanation.deciding],
        "nearest": [_policy(each) for each in explanation.nearest],
        "grants": list(explanation.grants),
    }


def _policy(findings: PolicyFindings) -> dict[str, Any]:
    return {
        "policy": findings.policy,
        "description": findings.description,
        "advice": findings.advice,
        "findings": [
            {
                "demand": each.demand,
                "condition": each.condition,
                "values": {spelt(path): value for path, value in each.values.items()},
            }
            for each in findings.findings
        ],
    }
