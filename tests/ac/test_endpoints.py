"""The endpoints beside /token over real sockets: introspection, the list of revoked tickets, the keys."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

import aiocoap
import cbor2
import psycopg
import pytest
from ac_world import METER, ACWorld, request_for, scope
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import load_der_x509_certificate
from postgres import PostgreSQL
from running_ac import TIMEOUT, RunningAC, ask, client_of, running_ac, write_config

from twoway.ac import AuditLog, Database, TicketRecords, ask_ac, load_config, rotate_key, serve
from twoway.ac.live import LEDGERS_INTERVAL
from twoway.clock import SystemClock
from twoway.errors import ConfigurationError
from twoway.pki import Role
from twoway.tickets import (
    CONTENT_FORMAT_ACE,
    CONTENT_FORMAT_COSE_KEY_SET,
    CONTENT_FORMAT_PROBLEM_DETAILS,
    CONTENT_FORMAT_TRL,
    FullSet,
    IntrospectionRequest,
    IntrospectionResponse,
    Method,
    SigningKey,
    TokenResponse,
    TRLError,
    TRLErrorID,
    parse_key_set_untrusted,
    parse_trl_untrusted,
    token_hash,
)

POWER = scope(("/power", Method.GET))


@pytest.fixture
def world(tmp_path: Path) -> ACWorld:
    return ACWorld.make(tmp_path / "world")


async def obtain(ac: RunningAC, client: aiocoap.Context, holder) -> bytes:
    """A ticket for the meter."""
    response = await ask(
        client,
        aiocoap.Message(
            code=aiocoap.POST,
            uri=ac.token_uri,
            payload=request_for(holder, scope=POWER).encode(),
            content_format=CONTENT_FORMAT_ACE,
        ),
    )
    assert response.code == aiocoap.CREATED, response
    return TokenResponse.parse_untrusted(response.payload).access_token


async def revoke(ac: RunningAC, ticket: bytes) -> None:
    """Revoke beside the running AC, as another replica or a command does."""
    database = Database.existing(ac.database)
    try:
        records = TicketRecords(database, AuditLog(database))
        revoked = await records.revoke_by_hash(token_hash(ticket), reason="lost", now=datetime.now(UTC))
        assert len(revoked) == 1
    finally:
        database.close()


def get(ac: RunningAC, path: str, **options: object) -> aiocoap.Message:
    return aiocoap.Message(code=aiocoap.GET, uri=f"{ac.uri}/{path}", **options)


@asynccontextmanager
async def observing(client: aiocoap.Context, message: aiocoap.Message) -> AsyncIterator[asyncio.Queue]:
    """What an observation brings, the first answer first."""
    told: asyncio.Queue = asyncio.Queue()
    message.opt.observe = 0
    request = client.request(message)

    async def listen() -> None:
        told.put_nowait(await request.response)
        with suppress(aiocoap.error.Error):
            async for notification in request.observation:
                told.put_nowait(notification)

    listener = asyncio.create_task(listen())
    try:
        yield told
    finally:
        listener.cancel()
        await asyncio.wait({listener})


async def following(told: asyncio.Queue) -> aiocoap.Message:
    return await asyncio.wait_for(told.get(), TIMEOUT)


class TestIntrospection:
    """RFC 9200 section 5.9."""

    async def asked(self, ac: RunningAC, client: aiocoap.Context, payload: bytes) -> aiocoap.Message:
        message = aiocoap.Message(
            code=aiocoap.POST,
            uri=f"{ac.uri}/introspect",
            payload=payload,
            content_format=CONTENT_FORMAT_ACE,
        )
        return await ask(client, message)

    async def test_whoever_is_no_publisher_learns_nothing(self, world: ACWorld) -> None:
        async with running_ac(world) as ac, client_of(world.tenant) as tenant:
            ticket = await obtain(ac, tenant, world.tenant)
            for asker in (world.tenant, world.unknown):
                async with client_of(asker) as client:
                    answer = await self.asked(ac, client, IntrospectionRequest(ticket).encode())
                    assert (answer.code, answer.payload) == (aiocoap.FORBIDDEN, b"")

    async def test_tickets_that_are_unknown_or_changed_are_inactive(self, world: ACWorld) -> None:
        async with running_ac(world) as ac, client_of(world.tenant) as tenant:
            ticket = await obtain(ac, tenant, world.tenant)
            async with client_of(world.meter) as meter:
                for odd in (b"\x00", os.urandom(300), ticket[:-1], ticket + b"\x00"):
                    answer = await self.asked(ac, meter, IntrospectionRequest(odd).encode())
                    assert answer.code == aiocoap.CREATED
                    assert cbor2.loads(answer.payload) == {10: False}

    async def test_anothers_ticket_is_inactive(self, world: ACWorld) -> None:
        more = '[[publisher]]\nidentity = "hidden"\nresources = [{ path = "/power" }]'
        async with running_ac(world, more=more) as ac, client_of(world.tenant) as tenant:
            ticket = await obtain(ac, tenant, world.tenant)
            boiler = world.pki.ca.mint("hidden", key=ec.generate_private_key(ec.SECP256R1()))
            world.certify(boiler, Role.PUBLISHER, {"organisation": "House", "region": "north"})
            await asyncio.sleep(LEDGERS_INTERVAL)
            await obtain(ac, tenant, world.tenant)  # by which the ledger is read again
            async with client_of(boiler) as client:
                answer = await self.asked(ac, client, IntrospectionRequest(ticket).encode())
                assert answer.code == aiocoap.CREATED
                assert cbor2.loads(answer.payload) == {10: False}

    async def test_an_active_ticket_is_described_until_it_is_revoked(self, world: ACWorld) -> None:
        async with (
            running_ac(world) as ac,
            client_of(world.tenant) as tenant,
            client_of(world.meter) as meter,
        ):
            ticket = await obtain(ac, tenant, world.tenant)
            answer = await self.asked(ac, meter, IntrospectionRequest(ticket).encode())
            assert (answer.code, answer.opt.content_format) == (aiocoap.CREATED, CONTENT_FORMAT_ACE)
            claims = IntrospectionResponse.parse_untrusted(answer.payload).claims
            assert claims is not None
            assert (claims.subject, claims.audience, claims.scope) == (world.tenant.uri, METER, POWER)
            assert cbor2.loads(answer.payload)[8].keys() == {1}
            await revoke(ac, ticket)
            answer = await self.asked(ac, meter, IntrospectionRequest(ticket).encode())
            assert cbor2.loads(answer.payload) == {10: False}

    async def test_a_request_that_cannot_be_read_is_an_error_of_ace(self, world: ACWorld) -> None:
        async with running_ac(world) as ac, client_of(world.meter) as meter:
            for odd in (b"", b"\xff", cbor2.dumps({11: "text"}), cbor2.dumps([1])):
                answer = await self.asked(ac, meter, odd)
                assert answer.code == aiocoap.BAD_REQUEST
                assert cbor2.loads(answer.payload)[30] == 1

    async def test_beyond_a_bound_publishers_are_told_to_come_back(
        self, world: ACWorld, postgresql: PostgreSQL
    ) -> None:
        # On PostgreSQL, where a question can be made to wait: whoever holds the table holds it up.
        address = postgresql.new_database().render_as_string(hide_password=False)
        path = write_config(world, more="[limits]\npending = 1")
        path.write_text(path.read_text().replace('"ac.sqlite"', f'"{address}"'))
        question = IntrospectionRequest(b"\x00").encode()
        async with running_ac(world, path=path) as ac, client_of(world.meter) as meter:
            assert (await self.asked(ac, meter, question)).code == aiocoap.CREATED
            with psycopg.connect(address) as other:
                other.execute("LOCK TABLE ticket")
                both = {asyncio.create_task(self.asked(ac, meter, question)) for _ in range(2)}
                done, waiting = await asyncio.wait(both, timeout=TIMEOUT, return_when=asyncio.FIRST_COMPLETED)
                other.rollback()
            (refused,) = (task.result() for task in done)
            assert (refused.code, refused.opt.max_age) == (aiocoap.SERVICE_UNAVAILABLE, 2)
            assert "introspection failed" not in {event.name for event in ac.events}, "it did wait"
            (answered,) = await asyncio.gather(*waiting)
            assert answered.code == aiocoap.CREATED
            assert (await self.asked(ac, meter, question)).code == aiocoap.CREATED


class TestRevocationList:
    """RFC 9770."""

    async def test_whom_the_ac_does_not_know_gets_no_list(self, world: ACWorld) -> None:
        async with running_ac(world) as ac, client_of(world.unknown) as client:
            answer = await ask(client, get(ac, "revoke/trl"))
            assert (answer.code, answer.payload) == (aiocoap.FORBIDDEN, b"")
            async with observing(client, get(ac, "revoke/trl")) as told:
                first = await following(told)
                assert (first.code, first.opt.observe) == (aiocoap.FORBIDDEN, None)

    async def test_each_sees_its_own_and_administrators_all(self, world: ACWorld) -> None:
        top = f'administrators = ["{world.unknown.uri}"]'
        async with (
            running_ac(world, top=top) as ac,
            client_of(world.tenant) as tenant,
            client_of(world.rival) as rival,
            client_of(world.meter) as meter,
            client_of(world.unknown) as administrator,
        ):
            tickets = [await obtain(ac, tenant, world.tenant), await obtain(ac, rival, world.rival)]
            hashes = [token_hash(ticket) for ticket in tickets]
            async with observing(meter, get(ac, "revoke/trl")) as told:
                assert parse_trl_untrusted((await following(told)).payload) == FullSet(frozenset())
                for ticket in tickets:
                    await revoke(ac, ticket)
                    await following(told)
            for client, wanted in (
                (tenant, {hashes[0]}),
                (rival, {hashes[1]}),
                (meter, set(hashes)),
                (administrator, set(hashes)),
            ):
                answer = await ask(client, get(ac, "revoke/trl"))
                assert answer.opt.content_format == CONTENT_FORMAT_TRL
                assert parse_trl_untrusted(answer.payload).hashes == wanted

    async def test_only_those_whom_it_concerns_are_notified_within_two_seconds(self, world: ACWorld) -> None:
        async with (
            running_ac(world) as ac,
            client_of(world.tenant) as tenant,
            client_of(world.rival) as rival,
            client_of(world.meter) as meter,
        ):
            ticket = await obtain(ac, tenant, world.tenant)
            async with (
                observing(meter, get(ac, "revoke/trl?diff=0")) as at_meter,
                observing(rival, get(ac, "revoke/trl")) as at_rival,
            ):
                await following(at_meter)
                await following(at_rival)
                await revoke(ac, ticket)
                notification = await asyncio.wait_for(at_meter.get(), 2)
                (entry,) = parse_trl_untrusted(notification.payload).entries
                assert entry.added == {token_hash(ticket)}
                await ask(rival, get(ac, "keys"))
                assert at_rival.empty()

    @pytest.mark.parametrize(
        ("query", "error"),
        [
            ("diff=x", TRLError(TRLErrorID.INVALID_PARAMETER_VALUE)),
            ("diff=-1", TRLError(TRLErrorID.INVALID_PARAMETER_VALUE)),
            ("cursor=0", TRLError(TRLErrorID.INVALID_SET_OF_PARAMETERS)),
            ("diff=0&cursor=x", TRLError(TRLErrorID.INVALID_PARAMETER_VALUE, tells_cursor=True)),
        ],
    )
    async def test_a_wrong_query_is_told_why(self, world: ACWorld, query: str, error: TRLError) -> None:
        async with running_ac(world) as ac, client_of(world.meter) as meter:
            answer = await ask(meter, get(ac, f"revoke/trl?{query}"))
            assert (answer.code, answer.opt.content_format) == (
                aiocoap.BAD_REQUEST,
                CONTENT_FORMAT_PROBLEM_DETAILS,
            )
            found = TRLError.parse_untrusted(answer.payload)
            assert (found.error_id, found.tells_cursor, found.cursor) == (
                error.error_id,
                error.tells_cursor,
                error.cursor,
            )

    async def test_it_is_the_same_after_a_restart(self, world: ACWorld) -> None:
        async with running_ac(world) as ac, client_of(world.tenant) as tenant:
            ticket = await obtain(ac, tenant, world.tenant)
            await revoke(ac, ticket)
        async with running_ac(world) as ac, client_of(world.meter) as meter:
            answer = await ask(meter, get(ac, "revoke/trl"))
            assert parse_trl_untrusted(answer.payload) == FullSet(frozenset({token_hash(ticket)}), cursor=0)

    async def test_it_is_only_read(self, world: ACWorld) -> None:
        async with running_ac(world) as ac, client_of(world.meter) as meter:
            for method in (aiocoap.POST, aiocoap.PUT, aiocoap.DELETE):
                answer = await ask(meter, aiocoap.Message(code=method, uri=f"{ac.uri}/revoke/trl"))
                assert answer.code == aiocoap.METHOD_NOT_ALLOWED


class TestKeys:
    async def test_a_rotation_is_announced_to_observers_before_the_new_key_signs(
        self, world: ACWorld
    ) -> None:
        top = 'sealing_key = "sealing.key"'
        async with (
            running_ac(world, top=top) as ac,
            client_of(world.tenant) as tenant,
            client_of(world.meter) as meter,
        ):
            async with observing(meter, get(ac, "keys")) as told:
                first = await following(told)
                assert first.opt.content_format == CONTENT_FORMAT_COSE_KEY_SET
                identity_key = SigningKey(world.ac.private_key.public_key())
                assert parse_key_set_untrusted(first.payload) == (identity_key,)
                new = await asyncio.to_thread(
                    rotate_key,
                    load_config(ac.config),
                    operator="olga",
                    clock=SystemClock(),
                    entropy=os.urandom,
                )
                announced = parse_key_set_untrusted((await following(told)).payload)
            assert [key.key_id for key in announced] == [identity_key.key_id, new.key_id]
            world.verify(await obtain(ac, tenant, world.tenant), now=datetime.now(UTC))

    async def test_after_the_overlap_the_new_key_signs(self, world: ACWorld) -> None:
        top = 'sealing_key = "sealing.key"'
        async with running_ac(world, top=top, more="[signing]\noverlap_seconds = 10") as ac:
            config = load_config(ac.config)
        past = PastClock(11)
        new = rotate_key(config, operator="olga", clock=past, entropy=os.urandom)
        async with running_ac(world, path=ac.config) as ac, client_of(world.tenant) as tenant:
            ticket = await obtain(ac, tenant, world.tenant)
        assert new.key_id in ticket

    async def test_without_its_sealing_key_an_ac_with_such_keys_does_not_start(self, world: ACWorld) -> None:
        async with running_ac(world, top='sealing_key = "sealing.key"') as ac:
            rotate_key(load_config(ac.config), operator="olga", clock=SystemClock(), entropy=os.urandom)
        with pytest.raises(ConfigurationError, match="sealing_key"):
            await serve(load_config(write_config(world)), ready=lambda uri: None)


class PastClock(SystemClock):
    """The time of some seconds ago."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds

    def now(self) -> datetime:
        return datetime.fromtimestamp(super().now().timestamp() - self._seconds, UTC)


class TestBounds:
    async def test_who_asks_too_often_is_told_when_to_come_back_and_others_are_not(
        self, world: ACWorld
    ) -> None:
        more = "[limits]\nburst_per_identity = 3\nrate_per_identity = 0.1"
        async with (
            running_ac(world, more=more) as ac,
            client_of(world.tenant) as tenant,
            client_of(world.rival) as rival,
        ):
            for _ in range(3):
                assert (await ask(tenant, get(ac, "keys"))).code == aiocoap.CONTENT
            answer = await ask(tenant, get(ac, "keys"))
            assert answer.code == aiocoap.TOO_MANY_REQUESTS
            assert 1 <= answer.opt.max_age <= 10
            assert (await ask(rival, get(ac, "keys"))).code == aiocoap.CONTENT

    async def test_notifications_are_not_requests(self, world: ACWorld) -> None:
        more = "[limits]\nburst_per_identity = 1\nrate_per_identity = 0.001"
        async with (
            running_ac(world, more=more) as ac,
            client_of(world.tenant) as tenant,
            client_of(world.meter) as meter,
        ):
            ticket = await obtain(ac, tenant, world.tenant)
            async with observing(meter, get(ac, "revoke/trl")) as told:
                await following(told)
                await revoke(ac, ticket)
                assert (await following(told)).code == aiocoap.CONTENT

    async def test_more_observations_than_the_bound_are_answered_once(self, world: ACWorld) -> None:
        async with (
            running_ac(world, more="[limits]\nobservations_per_connection = 1") as ac,
            client_of(world.meter) as meter,
        ):
            async with observing(meter, get(ac, "revoke/trl")) as first:
                assert (await following(first)).opt.observe is not None
                second = await ask(meter, get(ac, "keys", observe=0))
                assert (second.code, second.opt.observe) == (aiocoap.CONTENT, None)


class TestReload:
    async def test_a_bad_file_is_refused_in_one_sentence_and_the_old_one_stays(self, world: ACWorld) -> None:
        async with running_ac(world) as ac, client_of(world.tenant) as tenant:
            control = load_config(ac.config).control
            good = ac.config.read_text()
            rights = world.policies / "rights.cedar"
            for spoil, mend in (
                (lambda: ac.config.write_text("ticket_lifetime = "), lambda: ac.config.write_text(good)),
                (
                    lambda: ac.config.write_text(good.replace("127.0.0.1:0", "127.0.0.1:9")),
                    lambda: ac.config.write_text(good),
                ),
                (
                    lambda: rights.rename(rights.with_suffix(".old")) and rights.write_text("permit ("),
                    lambda: rights.with_suffix(".old").rename(rights),
                ),
                (
                    lambda: world.ledger.rename(world.folder / "away"),
                    lambda: (world.folder / "away").rename(world.ledger),
                ),
                (
                    lambda: (world.folder / "identity" / "key.pem").chmod(0o644),
                    lambda: (world.folder / "identity" / "key.pem").chmod(0o600),
                ),
            ):
                spoil()
                with pytest.raises(ConfigurationError) as caught:
                    await asyncio.to_thread(ask_ac, control, "reload")
                assert "\n" not in str(caught.value)
                mend()
                await obtain(ac, tenant, world.tenant)

    async def test_policies_certificates_and_limits_are_taken_without_losing_an_association(
        self, world: ACWorld
    ) -> None:
        async with (
            running_ac(world) as ac,
            client_of(world.tenant) as tenant,
            client_of(world.distant) as distant,
            client_of(world.meter) as meter,
        ):
            await obtain(ac, tenant, world.tenant)
            async with observing(meter, get(ac, "revoke/trl")) as told:
                await following(told)
                with pytest.raises(AssertionError):
                    await obtain(ac, distant, world.distant)
                (world.policies / "more.cedar").write_text(
                    '@id("everybody") permit (principal, action, resource);'
                )
                ac.config.write_text(
                    ac.config.read_text().replace("ticket_lifetime = 300", "ticket_lifetime = 60")
                )
                taken = await asyncio.to_thread(ask_ac, load_config(ac.config).control, "reload")
                assert "4 policies" in taken
                ticket = await obtain(ac, distant, world.distant)
                now = datetime.now(UTC)
                assert (world.verify(ticket, now=now).expires_at - now).total_seconds() <= 60
                await revoke(ac, ticket)
                assert (await following(told)).code == aiocoap.CONTENT

    async def test_a_rate_is_taken(self, world: ACWorld) -> None:
        more = "[limits]\nburst_per_identity = 1000"
        async with running_ac(world, more=more) as ac, client_of(world.tenant) as tenant:
            for _ in range(3):
                assert (await ask(tenant, get(ac, "keys"))).code == aiocoap.CONTENT
            ac.config.write_text(ac.config.read_text().replace("1000", "1\nrate_per_identity = 0.001"))
            await asyncio.to_thread(ask_ac, load_config(ac.config).control, "reload")
            assert (await ask(tenant, get(ac, "keys"))).code == aiocoap.CONTENT
            assert (await ask(tenant, get(ac, "keys"))).code == aiocoap.TOO_MANY_REQUESTS

    @pytest.mark.parametrize(
        "name",
        ["pending", "request_bytes", "observations", "observations_per_connection", "associations"],
    )
    async def test_a_bound_on_what_was_let_in_is_refused_by_its_name(self, world: ACWorld, name: str) -> None:
        async with running_ac(world) as ac:
            good = ac.config.read_text()
            changed = "burst_per_identity = 1\nrate_per_identity = 0.001"
            ac.config.write_text(f"{good}\n[limits]\n{name} = 600\n{changed}")
            with pytest.raises(ConfigurationError, match=f"^the value of '{name}' cannot change") as caught:
                await asyncio.to_thread(ask_ac, load_config(ac.config).control, "reload")
            assert "\n" not in str(caught.value)
            async with client_of(world.tenant) as tenant:  # and nothing else of the file was taken
                for _ in range(2):
                    assert (await ask(tenant, get(ac, "keys"))).code == aiocoap.CONTENT

    async def test_a_new_certificate_is_shown_to_those_who_come_later(self, world: ACWorld) -> None:
        async with running_ac(world) as ac, client_of(world.tenant) as tenant:
            await obtain(ac, tenant, world.tenant)
            renewed = world.pki.ca.mint("ac", key=world.ac.private_key, hosts=["127.0.0.1"])
            (world.folder / "identity" / "cert.pem").write_bytes(
                b"".join(load_der_x509_certificate(der).public_bytes(Encoding.PEM) for der in renewed.chain)
            )
            await asyncio.to_thread(ask_ac, load_config(ac.config).control, "reload")
            await obtain(ac, tenant, world.tenant)
            async with client_of(world.rival) as rival:
                await obtain(ac, rival, world.rival)
