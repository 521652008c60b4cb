"""What operators do by the commands they type is in the audit: who, when, what; and nothing that failed."""

from __future__ import annotations

import asyncio
import json
import os
import pwd
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest
from ac_world import METER, ACWorld
from issuing import issue_one
from running_ac import running_ac, write_config
from sqlalchemy import text
from typer.testing import CliRunner

import twoway.ac
from twoway.ac import AuditLog, Database, Outcome, TicketRecord, TicketRecords, load_config
from twoway.cli.app import app
from twoway.clock import SystemClock
from twoway.errors import ConfigurationError, StorageError, TwowayError

ME = pwd.getpwuid(os.geteuid()).pw_name
UNTIL = "2099-01-01T00:00:00+00:00"


@dataclass
class Desk:
    """An AC's configuration and database, and an operator who types."""

    world: ACWorld
    config: Path
    ticket: TicketRecord

    def type(self, *words: object) -> str:
        result = CliRunner().invoke(app, ["ac", *map(str, words)])
        if result.exception is not None:
            raise result.exception
        return result.stdout

    def rows(self) -> list[dict[str, object]]:
        """The audit, oldest first; its chain is checked with it."""
        self.type("audit", "verify", self.config)
        return json.loads(self.type("audit", "show", self.config, "--count", "100", "--json"))[::-1]

    def sql(self, statement: str) -> None:
        database = Database.existing(load_config(self.config).database)
        database.transact(lambda connection: connection.execute(text(statement)))
        database.close()


@pytest.fixture
async def desk(tmp_path: Path) -> Desk:
    world = ACWorld.make(tmp_path / "world")
    config = write_config(world, top='sealing_key = "sealing.key"')
    database = Database(load_config(config).database)
    records = TicketRecords(database, AuditLog(database))
    now = SystemClock().now()
    ticket = await issue_one(records, now=now, issued_at=now, requester=world.tenant.uri)
    database.close()
    world.pki.folder(world.tenant, tmp_path / "tenant")
    return Desk(world, config, ticket)


def grant(desk: Desk) -> None:
    words = ("--subscriber", desk.world.tenant.uri, "--publisher", METER, "--resource", "/power")
    desk.type("grant", desk.config, *words, "--until", UNTIL, "--name", "repair")


def revoke_grant(desk: Desk) -> None:
    grant(desk)
    desk.type("revoke", desk.config, "repair")


def revoke_ticket(desk: Desk) -> None:
    desk.type("tickets", "revoke", desk.config, "--ticket", desk.ticket.ticket_id.hex(), "--reason", "lost")


def revoke_holder(desk: Desk) -> None:
    desk.type("tickets", "revoke", desk.config, "--subscriber", desk.world.tenant.uri, "--reason", "lost")


def revoke_certificate(desk: Desk) -> None:
    path = desk.world.folder.parent / "tenant" / "cert.pem"
    desk.type("tickets", "revoke", desk.config, "--certificate", path, "--reason", "stolen")


def add_secret(desk: Desk) -> None:
    desk.type("secret", "add", desk.config, "--publisher", METER, "--file", desk.world.folder / "s")


def remove_secret(desk: Desk) -> None:
    add_secret(desk)
    desk.type("secret", "remove", desk.config, "--publisher", METER)


def rotate(desk: Desk) -> None:
    desk.type("rotate", desk.config)


Act = Callable[[Desk], None]
ACTS: dict[Act, tuple[str, str, str | None, str | None]] = {
    grant: ("changed", f"the grant repair was given until {UNTIL}", "tenant", METER),
    revoke_grant: ("revoked", "the grant repair was taken back", "tenant", METER),
    revoke_ticket: ("revoked", "lost", "tenant", METER),
    revoke_holder: ("revoked", "lost", "tenant", METER),
    add_secret: ("changed", "the secret that the AC and the publisher share was stored", None, METER),
    remove_secret: ("changed", "the secret that the AC and the publisher share was removed", None, METER),
}
"""Of each act the last row: its kind, its reason, about whom it is."""


@pytest.mark.parametrize("act", ACTS, ids=lambda act: act.__name__)
def test_each_act_leaves_a_row_that_says_who_when_and_what(desk: Desk, act: Act) -> None:
    kind, reason, requester, audience = ACTS[act]
    before = datetime.now(UTC)
    act(desk)
    row = desk.rows()[-1]
    assert (row["decision"], row["reason"], row["audience"]) == (kind, reason, audience)
    assert row["requester"] == (desk.world.tenant.uri if requester else None)
    assert row["operator"] == ME
    assert before <= datetime.fromisoformat(str(row["at"])) <= datetime.now(UTC)
    assert ME in desk.type("audit", "show", desk.config, "--count", "1")


def test_a_grant_is_there_with_what_it_permits_when_it_is_given_and_when_it_is_taken_back(desk: Desk) -> None:
    revoke_grant(desk)
    given, taken, revoked = desk.rows()[-3:]
    assert given["granted"] == taken["granted"] == "GET /power"
    assert (taken["decision"], taken["reason"]) == ("changed", "the grant repair was taken back")
    assert revoked["ticket_id"] == desk.ticket.ticket_id.hex()


def test_a_certificate_that_is_revoked_is_there_with_its_holder_once(desk: Desk) -> None:
    revoke_certificate(desk)
    revoke_certificate(desk)
    (row,) = [row for row in desk.rows() if row["decision"] == "changed"]
    assert str(row["reason"]).startswith("no ticket is issued any more to the certificate or key ")
    assert str(row["reason"]).endswith(": stolen")
    assert (row["requester"], row["operator"]) == (desk.world.tenant.uri, ME)


def test_a_rotation_is_there_with_the_key_and_when_it_signs(desk: Desk) -> None:
    told = json.loads(desk.type("rotate", desk.config, "--json"))
    row = desk.rows()[-1]
    assert row["reason"] == f"the key {told['key_id']} is announced; it signs from {told['signs_from']}"
    assert (row["decision"], row["operator"], row["requester"], row["audience"]) == (
        "changed",
        ME,
        None,
        None,
    )


def test_no_secret_is_in_a_row(desk: Desk) -> None:
    add_secret(desk)
    rotate(desk)
    shown = json.dumps(desk.rows())
    for file in (desk.world.folder / "s", desk.world.folder / "sealing.key"):
        assert file.read_text().strip() not in shown


def again(act: Act) -> Act:
    def twice(desk: Desk) -> None:
        act(desk)
        act(desk)

    return twice


def unknown_grant(desk: Desk) -> None:
    desk.type("revoke", desk.config, "nothing")


def grant_to_a_stranger(desk: Desk) -> None:
    desk.type("grant", desk.config, "--subscriber", "nobody", "--publisher", METER)


def remove_no_secret(desk: Desk) -> None:
    desk.type("secret", "remove", desk.config, "--publisher", METER)


def short_secret(desk: Desk) -> None:
    (desk.world.folder / "s").write_text("ab")
    (desk.world.folder / "s").chmod(0o600)
    add_secret(desk)


def reload_nobody(desk: Desk) -> None:
    desk.type("reload", desk.config)


@pytest.mark.parametrize(
    ("act", "rows"),
    [
        (again(grant), 1),
        (again(rotate), 1),
        (unknown_grant, 0),
        (grant_to_a_stranger, 0),
        (remove_no_secret, 0),
        (short_secret, 0),
        (reload_nobody, 0),
    ],
    ids=["name taken", "rotation under way", "no such grant", "stranger", "no secret", "short", "no AC"],
)
def test_an_act_that_fails_leaves_no_row(desk: Desk, act: Act, rows: int) -> None:
    with pytest.raises(TwowayError):
        act(desk)
    assert len([row for row in desk.rows() if row["decision"] == "changed"]) == rows


@pytest.mark.parametrize(
    ("act", "table"),
    [
        (grant, "linked_grant"),
        (rotate, "signing_key"),
        (add_secret, "publisher_secret"),
        (revoke_certificate, "revoked_credential"),
    ],
    ids=lambda value: getattr(value, "__name__", value),
)
def test_an_act_that_cannot_be_recorded_is_not_done(desk: Desk, act: Act, table: str) -> None:
    desk.sql("ALTER TABLE audit RENAME TO gone")
    with pytest.raises(StorageError):
        act(desk)
    database = Database.existing(load_config(desk.config).database)
    left = database.read(lambda connection: connection.execute(text(f"SELECT * FROM {table}")).all())
    database.close()
    assert left == []


def test_a_grant_whose_taking_back_cannot_be_recorded_stays_with_its_tickets(desk: Desk) -> None:
    grant(desk)
    desk.sql("ALTER TABLE audit RENAME TO gone")
    with pytest.raises(StorageError):
        desk.type("revoke", desk.config, "repair")
    assert len(json.loads(desk.type("list", desk.config, "--json"))) == 1
    assert len(json.loads(desk.type("tickets", "list", desk.config, "--json"))) == 1


async def reload(config: Path) -> None:
    await asyncio.to_thread(twoway.ac.ask_ac, load_config(config).control, "reload")


async def test_a_start_and_a_reload_are_there_with_who_asked(tmp_path: Path) -> None:
    world = ACWorld.make(tmp_path / "world")
    async with running_ac(world) as ac:
        started = twoway.ac.read_audit(ac.database)[0]
        assert (started.operator, started.outcome) == (ME, Outcome.CHANGED)
        assert started.reason.startswith("the AC was started with 3 policies; registered: ")

        (world.policies / "bad.cedar").write_text("permit (")
        with pytest.raises(ConfigurationError, match="bad.cedar"):
            await reload(ac.config)
        assert len(twoway.ac.read_audit(ac.database)) == 1

        (world.policies / "bad.cedar").write_text('@id("all") permit (principal, action, resource);')
        ac.config.write_text(f'{ac.config.read_text()}\n[[subscriber]]\nidentity = "guest"\n')
        await reload(ac.config)
        taken = twoway.ac.read_audit(ac.database)[0]
        assert (taken.operator, taken.outcome) == (ME, Outcome.CHANGED)
        guest = "urn:dev:org:32473-guest"
        assert taken.reason == f"the files were taken anew, with 4 policies; registered: {guest}"
