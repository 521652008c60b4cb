"""The AC over real sockets: coaps, the token endpoint, the audit; attacks first."""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import aiocoap
import pytest
from ac_world import METER, ACWorld, request_for, rsa_key, scope
from running_ac import TIMEOUT, RunningAC, ask, client_of, running_ac, write_config
from small_pki import PrivateKey, ed25519_key, p384_key

from twoway.ac import (
    Outcome,
    load_config,
    serve,
)
from twoway.ac.live import LEDGERS_INTERVAL
from twoway.ac.resources.bodies import BodyRefused, body_of
from twoway.errors import ConfigurationError, NetworkError, TwowayError
from twoway.pki import Role
from twoway.tickets import (
    CONTENT_FORMAT_ACE,
    Confirmation,
    ErrorCode,
    Method,
    Scope,
    TokenError,
    TokenRequest,
    TokenResponse,
)

POWER = scope(("/power", Method.GET))


@pytest.fixture
def world(tmp_path: Path) -> ACWorld:
    return ACWorld.make(tmp_path / "world")


def post(ac: RunningAC, payload: bytes, **options: object) -> aiocoap.Message:
    options = {"content_format": CONTENT_FORMAT_ACE} | options
    return aiocoap.Message(code=aiocoap.POST, uri=ac.token_uri, payload=payload, **options)


def error_of(response: aiocoap.Message) -> TokenError:
    assert response.opt.content_format == CONTENT_FORMAT_ACE
    return TokenError.parse_untrusted(response.payload)


async def test_a_ticket_is_obtained_over_coaps_and_is_in_the_audit(world: ACWorld) -> None:
    async with running_ac(world) as ac, client_of(world.tenant) as client:
        request = request_for(world.tenant, scope=POWER, ace_profile_asked=True)
        response = await ask(client, post(ac, request.encode()))
        assert response.code == aiocoap.CREATED
        assert response.opt.content_format == CONTENT_FORMAT_ACE
        answer = TokenResponse.parse_untrusted(response.payload)
        assert answer.rs_cnf_spki == world.meter.spki
        assert answer.expires_in <= 300
        assert response.opt.max_age <= answer.expires_in
        ticket = world.verify(answer.access_token, now=datetime.now(UTC))
        ticket.require_holder(world.tenant.spki)
        assert ticket.scope == Scope((("/power", Method.GET),))
        (entry,) = ac.decisions()
    assert entry.outcome is Outcome.GRANTED
    assert entry.requester == world.tenant.uri
    assert entry.audience == METER
    assert entry.policies == ("same-region",)
    assert entry.ticket_id == ticket.ticket_id
    assert world.ledger.exists()


async def test_a_ticket_for_anothers_key_is_refused_and_audited(world: ACWorld) -> None:
    async with running_ac(world) as ac, client_of(world.tenant) as client:
        response = await ask(client, post(ac, request_for(world.rival, scope=POWER).encode()))
        assert response.code == aiocoap.BAD_REQUEST
        assert error_of(response).code is ErrorCode.INVALID_REQUEST
        (entry,) = ac.decisions()
    assert (entry.outcome, entry.requester) == (Outcome.REFUSED, world.tenant.uri)
    assert "ticket refused" in {event.name for event in ac.events}


async def test_the_wrong_region_is_told_the_policy(world: ACWorld) -> None:
    async with running_ac(world) as ac, client_of(world.distant) as client:
        response = await ask(client, post(ac, request_for(world.distant, scope=POWER).encode()))
        assert response.code == aiocoap.BAD_REQUEST
        assert error_of(response) == TokenError(ErrorCode.INVALID_SCOPE, "refused by policy: default-deny")
        (entry,) = ac.decisions()
    assert entry.policies == ("default-deny",)


@pytest.mark.parametrize("content_format", [None, 0, 40, 50, 60, 61])
async def test_another_content_format_is_not_read(world: ACWorld, content_format: int | None) -> None:
    async with running_ac(world) as ac, client_of(world.tenant) as client:
        message = post(ac, request_for(world.tenant, scope=POWER).encode(), content_format=content_format)
        response = await ask(client, message)
        assert response.code == aiocoap.UNSUPPORTED_CONTENT_FORMAT
        assert ac.decisions() == []


async def test_who_accepts_another_format_only_gets_no_ticket(world: ACWorld) -> None:
    async with running_ac(world) as ac, client_of(world.tenant) as client:
        message = post(ac, request_for(world.tenant, scope=POWER).encode(), accept=50)
        assert (await ask(client, message)).code == aiocoap.NOT_ACCEPTABLE


@pytest.mark.parametrize("method", [aiocoap.GET, aiocoap.PUT, aiocoap.DELETE, aiocoap.FETCH])
async def test_other_methods_than_post_are_not_allowed(world: ACWorld, method: aiocoap.Code) -> None:
    async with running_ac(world) as ac, client_of(world.tenant) as client:
        response = await ask(client, aiocoap.Message(code=method, uri=ac.token_uri))
        assert response.code == aiocoap.METHOD_NOT_ALLOWED


@pytest.mark.parametrize("path", ["/", "/token/", "/token/x", "/Token", "//token", "/x/token"])
async def test_there_is_one_token_endpoint(world: ACWorld, path: str) -> None:
    async with running_ac(world) as ac, client_of(world.tenant) as client:
        payload = request_for(world.tenant, scope=POWER).encode()
        message = aiocoap.Message(
            code=aiocoap.POST, uri=ac.uri + path, payload=payload, content_format=CONTENT_FORMAT_ACE
        )
        assert (await ask(client, message)).code == aiocoap.NOT_FOUND


@pytest.mark.parametrize("payload", [b"", b"\xff" * 60, b"\xa2\x05\x61a\x05\x61b", b"\x9f" * 500])
async def test_garbage_is_answered_with_an_error_and_nobody_is_disturbed(
    world: ACWorld, payload: bytes
) -> None:
    async with running_ac(world) as ac, client_of(world.tenant) as client:
        response = await ask(client, post(ac, payload))
        assert response.code == aiocoap.BAD_REQUEST
        assert error_of(response).code is ErrorCode.INVALID_REQUEST
        good = await ask(client, post(ac, request_for(world.tenant, scope=POWER).encode()))
        assert good.code == aiocoap.CREATED
        assert [entry.outcome for entry in ac.decisions()] == [Outcome.GRANTED, Outcome.REFUSED]


@pytest.mark.parametrize("size", [4097, 70_000])
async def test_an_oversized_request_is_refused_unread(world: ACWorld, size: int) -> None:
    async with running_ac(world) as ac, client_of(world.tenant) as client:
        response = await ask(client, post(ac, b"\x00" * size))
        assert response.code == aiocoap.REQUEST_ENTITY_TOO_LARGE
        assert ac.decisions() == []
        good = await ask(client, post(ac, request_for(world.tenant, scope=POWER).encode()))
        assert good.code == aiocoap.CREATED


def test_an_oversized_request_in_one_datagram_is_refused_unread() -> None:
    message = aiocoap.Message(code=aiocoap.POST, payload=b"\x00" * 4097, content_format=CONTENT_FORMAT_ACE)
    with pytest.raises(BodyRefused) as caught:
        body_of(message, limit=4096)
    assert caught.value.to_message().code == aiocoap.REQUEST_ENTITY_TOO_LARGE


async def test_a_certificate_of_another_ca_does_not_get_through_the_handshake(world: ACWorld) -> None:
    outsider = world.pki.outsider
    async with running_ac(world) as ac:
        async with client_of(outsider) as client:
            with pytest.raises((TwowayError, aiocoap.error.Error)):
                await ask(client, post(ac, request_for(outsider, scope=POWER).encode()))
        assert ac.decisions() == []


async def test_somebody_of_no_ledger_is_refused_until_the_ca_has_issued_to_them(world: ACWorld) -> None:
    async with running_ac(world) as ac, client_of(world.unknown) as client:
        payload = request_for(world.unknown, scope=POWER).encode()
        assert error_of(await ask(client, post(ac, payload))).code is ErrorCode.INVALID_CLIENT
        world.certify(world.unknown, Role.SUBSCRIBER, {"organisation": "House", "region": "north"})
        await asyncio.sleep(LEDGERS_INTERVAL)
        assert (await ask(client, post(ac, payload))).code == aiocoap.CREATED


async def test_what_cannot_be_audited_is_not_answered_with_a_ticket(world: ACWorld) -> None:
    async with running_ac(world) as ac, client_of(world.tenant) as client:
        with closing(sqlite3.connect(ac.database)) as other, other:
            other.execute("ALTER TABLE audit RENAME TO stolen")
        payload = request_for(world.tenant, scope=POWER).encode()
        response = await ask(client, post(ac, payload))
        assert response.code == aiocoap.SERVICE_UNAVAILABLE
        assert response.payload == b""
        assert "ticket not issued" in {event.name for event in ac.events}
        with closing(sqlite3.connect(ac.database)) as other, other:
            other.execute("ALTER TABLE stolen RENAME TO audit")
        other.close()
        assert (await ask(client, post(ac, payload))).code == aiocoap.CREATED


async def test_beyond_a_bound_requesters_are_told_to_come_back(
    world: ACWorld,
) -> None:
    async with (
        running_ac(world, more="[limits]\npending = 1") as ac,
        client_of(world.tenant) as tenant,
        client_of(world.rival) as rival,
    ):
        for client in (tenant, rival):  # so that both are connected, and what follows takes no handshake
            await ask(client, aiocoap.Message(code=aiocoap.GET, uri=ac.token_uri))
        other = sqlite3.connect(ac.database, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")  # a disk that is slow: nothing can be written for a while
        both = {
            asyncio.create_task(ask(client, post(ac, request_for(who, scope=POWER).encode())))
            for client, who in ((tenant, world.tenant), (rival, world.rival))
        }
        done, waiting = await asyncio.wait(both, timeout=TIMEOUT, return_when=asyncio.FIRST_COMPLETED)
        other.execute("ROLLBACK")
        other.close()
        (refused,) = (task.result() for task in done)
        assert (refused.code, refused.opt.max_age) == (aiocoap.SERVICE_UNAVAILABLE, 2)
        assert "ticket not issued" not in {event.name for event in ac.events}, "it did wait"
        (answered,) = await asyncio.gather(*waiting)
        assert answered.code == aiocoap.CREATED
        again = await ask(rival, post(ac, request_for(world.rival, scope=POWER).encode()))
        assert again.code == aiocoap.CREATED


async def test_many_ask_at_once_and_each_gets_their_own(world: ACWorld) -> None:
    async with running_ac(world) as ac, client_of(world.tenant) as tenant, client_of(world.rival) as rival:
        waiting = [
            ask(client, post(ac, request_for(who, scope=POWER).encode()))
            for _ in range(10)
            for client, who in ((tenant, world.tenant), (rival, world.rival))
        ]
        answers = await asyncio.gather(*waiting)
        now = datetime.now(UTC)
        tickets = [
            world.verify(TokenResponse.parse_untrusted(answer.payload).access_token, now=now)
            for answer in answers
        ]
        for number, ticket in enumerate(tickets):
            ticket.require_holder((world.rival if number % 2 else world.tenant).spki)
        audited = {entry.ticket_id for entry in ac.decisions()}
    assert audited == {ticket.ticket_id for ticket in tickets}
    assert len(audited) == 20


async def test_the_token_endpoint_is_found_by_discovery(world: ACWorld) -> None:
    async with running_ac(world) as ac, client_of(world.tenant) as client:
        response = await ask(client, aiocoap.Message(code=aiocoap.GET, uri=f"{ac.uri}/.well-known/core"))
        assert response.code == aiocoap.CONTENT
        assert b"</token>" in response.payload


async def test_a_request_bound_to_a_large_rsa_key_comes_through_in_blocks(world: ACWorld) -> None:
    holder = world.pki.ca.mint("rsa-tenant", key=rsa_key())
    world.certify(holder, Role.SUBSCRIBER, {"organisation": "House", "region": "north"})
    asked = scope(("/power", Method.GET), *((f"/{'x' * 60}{number}", Method.GET) for number in range(30)))
    request = TokenRequest(audience=METER, scope=asked, req_cnf=Confirmation.of_key(holder.spki))
    async with running_ac(world) as ac, client_of(holder) as client:
        response = await ask(client, post(ac, request.encode()))
        assert response.code == aiocoap.CREATED
        assert TokenResponse.parse_untrusted(response.payload).scope == POWER


class TestStarting:
    async def start(self, path: Path) -> None:
        await asyncio.wait_for(serve(load_config(path), ready=lambda uri: None), TIMEOUT)

    @pytest.mark.parametrize(
        "key", [rsa_key(), p384_key("ac"), ed25519_key("ac")], ids=["rsa", "p-384", "ed25519"]
    )
    async def test_an_identity_that_cannot_sign_tickets_is_refused(
        self, world: ACWorld, key: PrivateKey
    ) -> None:
        identity = world.pki.ca.mint("other-ac", key=key)
        with pytest.raises(ConfigurationError, match="issue the AC's identity with --key p-256"):
            await self.start(write_config(world, identity=identity))

    async def test_a_busy_port_is_one_sentence(self, world: ACWorld, tmp_path: Path) -> None:
        async with running_ac(world) as ac:
            other = ACWorld.make(tmp_path / "other")
            path = write_config(other, listen=ac.uri.removeprefix("coaps://"))
            with pytest.raises((ConfigurationError, NetworkError)) as caught:
                await self.start(path)
            assert "\n" not in str(caught.value)

    async def test_a_policy_that_does_not_fit_the_schema_is_refused(self, tmp_path: Path) -> None:
        world = ACWorld.make(
            tmp_path / "w",
            policies='@id("x") permit(principal, action, resource) when { principal.regoin == "n" };',
        )
        with pytest.raises(ConfigurationError, match="regoin"):
            await self.start(write_config(world))

    async def test_a_missing_ledger_is_refused(self, world: ACWorld) -> None:
        path = write_config(world)
        world.ledger.unlink()
        with pytest.raises(ConfigurationError, match="ledger"):
            await self.start(path)

    async def test_an_expired_identity_is_refused(self, world: ACWorld) -> None:
        identity = world.pki.ca.mint("old-ac", not_after=datetime(2021, 1, 1, tzinfo=UTC))
        with pytest.raises(ConfigurationError, match="expired"):
            await self.start(write_config(world, identity=identity))

    async def test_after_a_restart_the_audit_goes_on(self, world: ACWorld) -> None:
        payload = request_for(world.tenant, scope=POWER).encode()
        for _ in range(2):
            async with running_ac(world) as ac, client_of(world.tenant) as client:
                assert (await ask(client, post(ac, payload))).code == aiocoap.CREATED
        assert len(ac.decisions()) == 2
