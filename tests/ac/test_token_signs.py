"""An AC whose signing key is in a token (PKCS#11): tickets like any other's, and nobody waits for it."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import threading
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import aiocoap
import hsm
import pytest
from ac_world import METER, NOW, ACWorld, request_for, scope
from cryptography.hazmat.primitives.asymmetric import ec
from foreign import program
from issuing import NOON, made
from running_ac import ServedAC, ask, client_of, running_ac, served_ac, write_config

from twoway.ac import Asking, AuditLog, Database, TokenService
from twoway.ac.audit import verify_audit
from twoway.ac.signing_keys import PrivateSigningKey, SigningKeys
from twoway.ac.ticket_orders import HolderRevoked
from twoway.ac.tickets import TicketRecords, read_live
from twoway.errors import ConfigurationError, StorageError
from twoway.pki.hardware import HardwareECKey
from twoway.tickets import CONTENT_FORMAT_ACE, Method, SharedSecret, TokenResponse

PATIENCE = 20.0


def move_into_token(identity: Path, environment: dict[str, str]) -> None:
    """Take the key out of an identity folder and put it into a token."""
    token = hsm.Token(hsm.module_path(), "signing", identity / "pin")
    token.pin_file.write_text(hsm.PIN)
    token.pin_file.chmod(0o600)
    key = identity / "key.pem"
    util, pin = program("softhsm2-util"), ("--pin", hsm.PIN)
    for words in (
        ("--init-token", "--free", "--label", token.label, "--so-pin", "9999", *pin),
        ("--import", str(key), "--token", token.label, "--label", "k", "--id", "01", *pin),
    ):
        subprocess.run([util, *words], env=os.environ | environment, check=True, capture_output=True)
    key.unlink()
    (identity / "key.uri").write_text(token.uri("k"))


class TestWithAToken:
    """A real one, in software."""

    pytestmark = pytest.mark.peers

    @pytest.fixture
    async def ac(self, tmp_path: Path) -> AsyncIterator[tuple[ACWorld, ServedAC]]:
        environment = {"SOFTHSM2_CONF": str(hsm.configuration(tmp_path))}
        world = ACWorld.make(tmp_path / "world")
        config = write_config(world)
        move_into_token(world.folder / "identity", environment)
        async with served_ac(config, **environment) as served:
            yield world, served

    async def test_its_tickets_are_like_those_of_a_key_in_a_file(self, ac):
        world, served = ac
        async with client_of(world.tenant) as client:
            answers = await asyncio.gather(*(ask(client, self.message(world, served)) for _ in range(4)))
        tickets = [
            world.verify(TokenResponse.parse_untrusted(answer.payload).access_token, now=datetime.now(UTC))
            for answer in answers
        ]
        assert len({ticket.sequence for ticket in tickets}) == 4
        assert {ticket.subject for ticket in tickets} == {world.tenant.uri}

    async def test_while_it_does_not_sign_requests_are_put_off(self, ac, tmp_path):
        world, served = ac
        async with client_of(world.tenant) as client:
            assert (await ask(client, self.message(world, served))).code is aiocoap.CREATED
            shutil.rmtree(tmp_path / "tokens")
            refused = await ask(client, self.message(world, served))
            assert refused.code is aiocoap.SERVICE_UNAVAILABLE

    def message(self, world: ACWorld, served: ServedAC) -> aiocoap.Message:
        return aiocoap.Message(
            code=aiocoap.POST,
            uri=served.token_uri,
            payload=request_for(world.tenant, scope=scope(("/power", Method.GET))).encode(),
            content_format=CONTENT_FORMAT_ACE,
        )


class SlowToken:
    """Stands in for a token: signs with a key in memory when it is told to, and counts who waits at once."""

    def __init__(self) -> None:
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.may_sign = threading.Event()
        self.asked = threading.Semaphore(0)
        self.waiting = 0
        self.waited_at_once = 0

    def make(self, **changes: object):
        """A maker of tickets that waits for this token."""

        def make(number: int):
            self.waiting += 1
            self.waited_at_once = max(self.waited_at_once, self.waiting)
            self.asked.release()
            assert self.may_sign.wait(PATIENCE)
            self.waiting -= 1
            return made()(number)

        return make


@pytest.fixture
def records(database: Database) -> TicketRecords:
    return TicketRecords(database, AuditLog(database))


async def test_nobody_waits_for_a_token_but_who_asked(database, records):
    token = SlowToken()
    slow = asyncio.ensure_future(records.issue(token.make(), now=NOON, is_slow=True))
    await asyncio.to_thread(token.asked.acquire)
    quick = await asyncio.wait_for(records.issue(made(), now=NOON), PATIENCE)
    assert database.read(lambda connection: read_live(connection, NOON)) == [quick]
    token.may_sign.set()
    signed = await slow
    assert signed.ticket_id < quick.ticket_id, "its number was drawn before"
    assert len(database.read(lambda connection: read_live(connection, NOON))) == 2
    assert database.read(verify_audit).rows == 2


async def test_a_token_is_asked_for_one_signature_after_the_other(records):
    token = SlowToken()
    waiting = [asyncio.ensure_future(records.issue(token.make(), now=NOON, is_slow=True)) for _ in range(5)]
    await asyncio.to_thread(token.asked.acquire)
    token.may_sign.set()
    tickets = await asyncio.gather(*waiting)
    assert token.waited_at_once == 1
    assert [ticket.ticket_id for ticket in tickets] == sorted(ticket.ticket_id for ticket in tickets)


async def test_what_is_revoked_while_a_token_signs_gets_no_ticket(database, records):
    token = SlowToken()
    slow = asyncio.ensure_future(records.issue(token.make(), now=NOON, is_slow=True))
    await asyncio.to_thread(token.asked.acquire)
    holder_key = made()(1)[0].holder_key
    await records.revoke_by_key(holder_key, reason="lost", now=NOON)
    token.may_sign.set()
    with pytest.raises(HolderRevoked):
        await slow
    assert database.read(lambda connection: read_live(connection, NOON)) == []


async def test_what_a_token_does_not_sign_leaves_nothing(database, records):
    def fails(number):
        raise ConfigurationError("the key's token did not sign")

    with pytest.raises(ConfigurationError):
        await records.issue(fails, now=NOON, is_slow=True)
    assert database.read(lambda connection: read_live(connection, NOON)) == []
    assert database.read(verify_audit).rows == 0


async def test_no_token_is_asked_while_there_is_no_room(database):
    records = TicketRecords(database, AuditLog(database), capacity=1)
    await records.issue(made(), now=NOON)

    def never(number):
        raise AssertionError("asked")

    with pytest.raises(StorageError, match="no room"):
        await records.issue(never, now=NOON, is_slow=True)


@pytest.mark.parametrize("is_slow", [False, True])
async def test_the_endpoint_lets_nobody_wait_for_a_slow_key(tmp_path, monkeypatch, is_slow):
    asked = []
    issue = TicketRecords.issue

    async def told(records, make, **given):
        asked.append(given["is_slow"])
        return await issue(records, make, **given)

    monkeypatch.setattr(TicketRecords, "issue", told)
    monkeypatch.setattr(PrivateSigningKey, "is_slow", is_slow)
    world = ACWorld.make(tmp_path / "world")
    async with running_ac(world) as ac, client_of(world.tenant) as client:
        message = aiocoap.Message(
            code=aiocoap.POST,
            uri=ac.token_uri,
            payload=request_for(world.tenant).encode(),
            content_format=CONTENT_FORMAT_ACE,
        )
        assert (await ask(client, message)).code is aiocoap.CREATED
    assert asked == [is_slow]


@pytest.mark.parametrize("in_token", [False, True])
def test_a_ticket_is_slow_where_a_token_signs_it(tmp_path, in_token):
    world = ACWorld.make(tmp_path / "world")
    key = HardwareECKey(None, world.ac.private_key.public_key()) if in_token else world.ac.private_key
    secrets = {METER: SharedSecret(bytes(range(32)))}
    picture = replace(world.picture(secrets=secrets), signing_keys=SigningKeys.of_identity(key))
    service, asking = TokenService(picture, entropy=os.urandom), Asking(world.tenant.identity, "::1", NOW)
    signed = service.decide(request_for(world.tenant), asking)
    assert signed.is_slow is in_token
    encrypted = service.decide(replace(request_for(world.tenant), req_cnf=None), asking)
    assert not encrypted.is_slow, "a ticket for a symmetric key is not signed"
