"""Publishers that share a secret with the AC and have no certificate: what it opens there, and what not."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import aiocoap
import cbor2
import pytest
from ac_world import BARE, HIDDEN, METER, ACWorld
from hypothesis import HealthCheck, assume, given, settings
from hypothesis.strategies import binary, text
from publisher_running import Client, client
from running_ac import RunningAC, running_ac, write_config
from token_client import obtain

from twoway.ac import (
    AuditLog,
    Database,
    Picture,
    TicketRecords,
    add_secret,
    drop_secret,
    load_config,
)
from twoway.ac.keyed_publisher import association_key_untrusted, keyed_publisher
from twoway.ac.requester import NotAdmitted
from twoway.clock import SystemClock
from twoway.coap import TransportFailed
from twoway.dtls import DTLSConfig, PSKCredential
from twoway.errors import RefusedError
from twoway.identity import PSKIdentity
from twoway.net import Endpoint
from twoway.tickets import (
    CONTENT_FORMAT_ACE,
    ErrorCode,
    IntrospectionRequest,
    SharedSecret,
    TokenError,
    TokenRequest,
    token_hash,
)

FULL_SET = 0
SECRETS = {
    METER: SharedSecret(b"the secret of the meter"),
    BARE: SharedSecret(b"the secret of the bare one"),
}
BARE_TABLE = (
    f'[[publisher]]\nidentity = "{BARE}"\nresources = [{{ path = "/x" }}]\n'
    'organisation = "House"\nregion = "north"\n'
)
"""The meter is in the world's configuration already; this one has no certificate."""


@pytest.fixture
def world(tmp_path: Path) -> ACWorld:
    return ACWorld.make(tmp_path / "world")


def configure(world: ACWorld, *, more: str = "") -> Path:
    top = f'sealing_key = "sealing.key"\nadministrators = ["{world.unknown.uri}"]'
    path = write_config(world, top=top, more=BARE_TABLE + more)
    Database(load_config(path).database).close()
    return path


def share(path: Path, publisher: str, secret: SharedSecret) -> None:
    """Let the AC share a secret with somebody, as a command does."""
    file = path.with_name("shared.hex")
    file.write_text(secret.secret.hex())
    file.chmod(0o600)
    clock = SystemClock()
    add_secret(load_config(path), publisher, file, operator="test", clock=clock, entropy=os.urandom)


@pytest.fixture
async def ac(world: ACWorld) -> AsyncIterator[RunningAC]:
    """An AC that shares a secret with both publishers."""
    path = configure(world)
    for publisher, secret in SECRETS.items():
        share(path, publisher, secret)
    async with running_ac(world, path=path) as ac:
        yield ac


def credential(publisher: str, secret: SharedSecret | None = None) -> PSKCredential:
    secret = secret or SECRETS[publisher]
    return PSKCredential(secret.association_name(publisher), secret.association_key())


async def issue(ac: RunningAC, world: ACWorld, audience: str, path: str) -> bytes:
    """A ticket of the tenant's with a symmetric key."""
    async with client(world.tenant) as asking:
        return (await obtain(ac.token_uri, asking, audience, path)).access_token


async def revoke(ac: RunningAC, *tickets: bytes) -> None:
    database = Database.existing(ac.database)
    try:
        for ticket in tickets:
            records = TicketRecords(database, AuditLog(database))
            await records.revoke_by_hash(token_hash(ticket), reason="lost", now=datetime.now(UTC))
    finally:
        database.close()


async def list_of(asking: Client, ac: RunningAC) -> set[bytes]:
    answer = await asking.get(f"{ac.uri}/revoke/trl")
    assert answer.code is aiocoap.CONTENT
    return set(cbor2.loads(answer.payload)[FULL_SET])


async def until_listed(asking: Client, ac: RunningAC, hashes: set[bytes]) -> None:
    async with asyncio.timeout(10):
        while await list_of(asking, ac) != hashes:
            await asyncio.sleep(0.2)


async def failure_of(ac: RunningAC, who: PSKCredential) -> str:
    """Return how a handshake fails."""
    async with client(who) as peer:
        with pytest.raises(TransportFailed) as failed:
            await peer.get(f"{ac.uri}/revoke/trl")
    return str(failed.value)


class TestTheList:
    async def test_each_publisher_gets_exactly_its_own_part(self, ac: RunningAC, world: ACWorld) -> None:
        meters, bares = await issue(ac, world, METER, "/power"), await issue(ac, world, BARE, "/x")
        await revoke(ac, meters, bares)
        async with client(credential(METER)) as meter, client(credential(BARE)) as bare:
            await until_listed(meter, ac, {token_hash(meters)})
            await until_listed(bare, ac, {token_hash(bares)})

    async def test_it_is_notified_of_its_own_part_alone(self, ac: RunningAC, world: ACWorld) -> None:
        meters, bares = await issue(ac, world, METER, "/power"), await issue(ac, world, BARE, "/x")
        async with client(credential(BARE)) as bare:
            request = bare.observe(f"{ac.uri}/revoke/trl")
            assert cbor2.loads((await request.response).payload)[FULL_SET] == []
            await revoke(ac, meters)
            await revoke(ac, bares)
            notification = await anext(aiter(request.observation))
        assert cbor2.loads(notification.payload)[FULL_SET] == [token_hash(bares)]

    async def test_the_association_has_forward_secrecy(self, ac: RunningAC) -> None:
        async with client(credential(BARE)) as bare:
            await list_of(bare, ac)
            assert bare.connection.suite.startswith("TLS_ECDHE_PSK_WITH_")
            assert bare.connection.kind.name == "FULL"


class TestNothingElse:
    async def test_no_ticket_is_issued_to_it(self, ac: RunningAC) -> None:
        """RFC 9200 section 5.8.3: it is authenticated, and must not ask for tickets."""
        payload = TokenRequest(audience=METER, scope=None, req_cnf=None).encode()
        async with client(credential(BARE)) as bare:
            answer = await bare.ask(
                aiocoap.POST, ac.token_uri, payload=payload, content_format=CONTENT_FORMAT_ACE
            )
        assert answer.code is aiocoap.BAD_REQUEST
        assert TokenError.parse_untrusted(answer.payload).code is ErrorCode.UNAUTHORIZED_CLIENT

    async def test_no_ticket_is_introspected_for_it(self, ac: RunningAC, world: ACWorld) -> None:
        ticket = await issue(ac, world, BARE, "/x")
        async with client(credential(BARE)) as bare:
            answer = await bare.ask(
                aiocoap.POST,
                f"{ac.uri}/introspect",
                payload=IntrospectionRequest(ticket).encode(),
                content_format=CONTENT_FORMAT_ACE,
            )
        assert (answer.code, answer.payload) == (aiocoap.FORBIDDEN, b"")

    async def test_the_public_keys_are_told_to_it_as_to_everybody(self, ac: RunningAC) -> None:
        async with client(credential(BARE)) as bare:
            assert (await bare.get(f"{ac.uri}/keys")).code is aiocoap.CONTENT

    async def test_it_meets_its_own_limit_and_nobody_elses(self, world: ACWorld) -> None:
        path = configure(world, more="[limits]\nburst_per_identity = 2\nrate_per_identity = 0.001\n")
        for publisher, secret in SECRETS.items():
            share(path, publisher, secret)
        async with running_ac(world, path=path) as ac:
            async with client(credential(BARE)) as bare, client(credential(METER)) as meter:
                codes = [(await bare.get(f"{ac.uri}/revoke/trl")).code for _ in range(3)]
                assert codes == [aiocoap.CONTENT, aiocoap.CONTENT, aiocoap.TOO_MANY_REQUESTS]
                assert (await meter.get(f"{ac.uri}/revoke/trl")).code is aiocoap.CONTENT
            async with client(credential(BARE)) as anew:
                assert (await anew.get(f"{ac.uri}/revoke/trl")).code is aiocoap.TOO_MANY_REQUESTS


class TestTheHandshake:
    async def test_a_wrong_key_a_wrong_name_and_nobodys_name_look_alike(self, ac: RunningAC) -> None:
        key = SECRETS[BARE].association_key()
        names = {
            "its own, and the key of another": SECRETS[METER].association_name(METER),
            "its URI alone": BARE.encode(),
            "of a former secret": SharedSecret(bytes(16)).association_name(BARE),
            "of a publisher that is not registered": SECRETS[BARE].association_name("urn:dev:org:32473-no"),
            "no text": b"\xff\xfe",
            "none": b"",
            "long": b"x" * 2_000,
        }
        failures = {what: await failure_of(ac, PSKCredential(name, key)) for what, name in names.items()}
        assert all("decrypt_error" in failure for failure in failures.values()), failures

    async def test_the_secret_itself_and_its_other_keys_open_nothing(
        self, ac: RunningAC, world: ACWorld
    ) -> None:
        secret, ticket = SECRETS[BARE], await issue(ac, world, BARE, "/x")
        name = secret.association_name(BARE)
        for key in (secret.secret, secret.token_key(), secret.key_derivation_key(), secret.pop_key(ticket)):
            assert "decrypt_error" in await failure_of(ac, PSKCredential(name, key))

    async def test_an_ac_that_shares_nothing_takes_no_keys_at_all(self, world: ACWorld) -> None:
        async with running_ac(world, path=configure(world)) as ac:
            assert "handshake_failure" in await failure_of(ac, credential(BARE))

    async def test_a_secret_that_is_shared_later_opens_the_running_ac(self, world: ACWorld) -> None:
        path = configure(world)
        async with running_ac(world, path=path) as ac:
            share(path, BARE, SECRETS[BARE])
            port = int(ac.uri.rpartition(":")[2])
            async with asyncio.timeout(10), await Endpoint.open(host="127.0.0.1") as endpoint:
                while True:
                    try:
                        await endpoint.connect("127.0.0.1", port, DTLSConfig(psk=credential(BARE)))
                        break
                    except RefusedError:
                        await asyncio.sleep(0.2)
            async with client(credential(BARE)) as bare:
                assert await list_of(bare, ac) == set()


class TestAnotherSecret:
    @pytest.mark.parametrize("is_replaced", [True, False])
    async def test_who_proved_the_former_one_hears_nothing_more(
        self, ac: RunningAC, world: ACWorld, is_replaced: bool
    ) -> None:
        """Neither by a question nor by the observation that runs, nor by an association anew."""
        ticket = await issue(ac, world, BARE, "/x")
        async with client(credential(BARE)) as bare:
            request = bare.observe(f"{ac.uri}/revoke/trl")
            await request.response
            if is_replaced:
                share(ac.config, BARE, SharedSecret(b"another secret of the bare one"))
            else:
                drop_secret(load_config(ac.config), BARE, operator="test", clock=SystemClock())
            async with asyncio.timeout(10):
                while (answer := await bare.get(f"{ac.uri}/revoke/trl")).code is aiocoap.CONTENT:
                    await asyncio.sleep(0.2)
            assert (answer.code, answer.payload) == (aiocoap.FORBIDDEN, b"")
            await revoke(ac, ticket)
            last = await anext(aiter(request.observation))
            assert (last.code, last.payload, last.opt.observe) == (aiocoap.FORBIDDEN, b"", None)
        assert "decrypt_error" in await failure_of(ac, credential(BARE))


class TestWhoIsNamed:
    """By publisher alone, whatever secrets there are; and by what is known now."""

    def test_a_publisher_is_named_by_its_uri_and_its_secret(self, world: ACWorld) -> None:
        picture, name = world.picture(secrets=SECRETS), SECRETS[BARE].association_name(BARE)
        assert keyed_publisher(PSKIdentity(name), picture) == BARE
        assert association_key_untrusted(name, picture) == SECRETS[BARE].association_key()

    def test_a_secret_makes_nobody_else_a_publisher(self, world: ACWorld) -> None:
        """Not a subscriber, an administrator, a publisher without an offer, the AC, nor a stranger."""
        secret = SECRETS[BARE]
        others = [world.tenant.uri, world.unknown.uri, HIDDEN, world.ac.uri, "urn:dev:org:32473-no", ""]
        picture = world.picture(secrets=dict.fromkeys(others, secret))
        for uri in others:
            for name in (uri.encode(), secret.association_name(uri)):
                self.assert_nobody(name, picture)

    @pytest.mark.parametrize("end", ["", "#", "#00", "#" + "0" * 16, "##"])
    def test_the_uri_with_anything_else_is_nobodys_name(self, world: ACWorld, end: str) -> None:
        self.assert_nobody(BARE.encode() + end.encode(), world.picture(secrets=SECRETS))

    def test_a_publisher_that_shares_nothing_is_not_named(self, world: ACWorld) -> None:
        name = SECRETS[BARE].association_name(BARE)
        self.assert_nobody(name, world.picture(secrets={METER: SECRETS[METER]}))
        self.assert_nobody(name, world.picture())

    def test_the_secret_of_one_publisher_names_no_other(self, world: ACWorld) -> None:
        name = SECRETS[METER].association_name(BARE)
        self.assert_nobody(name, world.picture(secrets=SECRETS))

    @given(name=binary() | text().map(str.encode) | text().map(lambda end: f"{BARE}#{end}".encode()))
    @settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=200)
    def test_any_other_bytes_are_nobodys_name_and_nothing_worse(self, world: ACWorld, name: bytes) -> None:
        assume(name != SECRETS[BARE].association_name(BARE))
        self.assert_nobody(name, world.picture(secrets=SECRETS))

    def assert_nobody(self, name: bytes, picture: Picture) -> None:
        with pytest.raises(NotAdmitted):
            keyed_publisher(PSKIdentity(name), picture)
        with pytest.raises(NotAdmitted):
            association_key_untrusted(name, picture)
