"""Symmetric keys of tickets with everything real: an AC, publishers that share a secret with it, subscribers.

RFC 9202 section 3.3, over sockets: the AC makes the key, the publisher derives it from the ticket, and both
forms of ``psk_identity`` lead to it.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing
from dataclasses import dataclass, replace
from pathlib import Path

import aiocoap
import pytest
from deployment import NORTH, Deployment, until
from publisher_running import client
from token_client import ask_for_ticket, obtain

from twoway.coap import TransportFailed
from twoway.dtls import DTLSConfig, PSKCredential
from twoway.errors import TwowayError
from twoway.identity import identity_uri
from twoway.net import Endpoint
from twoway.pki import Role
from twoway.subscriber import (
    Handshake,
    KeyedPublisher,
    Step,
    Subscriber,
    TicketObtained,
    TicketPresented,
    TicketRevoked,
)
from twoway.tickets import (
    ErrorCode,
    KeyName,
    KeyReference,
    SymmetricConfirmation,
    TokenError,
    TokenResponse,
    token_hash,
)

HOST, METER = identity_uri("host"), identity_uri("meter")


@pytest.fixture
async def deployment(tmp_path: Path) -> AsyncIterator[Deployment]:
    """An AC with two publishers that share a secret with it; the "host" has nothing else."""
    async with Deployment(tmp_path) as deployment:
        deployment.issue("second", Role.SUBSCRIBER, attributes=NORTH)
        deployment.write_ac_toml(("host", "meter"))
        deployment.share_secret("host")
        deployment.share_secret("meter")
        yield deployment


@pytest.fixture(params=["by the name of its key", "by the ticket itself"])
def form(request: pytest.FixtureRequest) -> str:
    """How a ticket's key is named in the handshake (RFC 9202 section 3.3.2)."""
    return request.param


def reader_of(
    deployment: Deployment, publisher: KeyedPublisher, form: str, steps: list[Step], **options: object
) -> Subscriber:
    if form == "by the ticket itself":
        publisher = replace(publisher, upload=None)
    ac = replace(deployment.ac_reference, keyed_publishers=(publisher,))
    return Subscriber(deployment.identity("reader"), ac=ac, steps=steps.append, **options)


class TestReading:
    async def test_a_subscriber_reads_and_widens_its_rights_on_one_association(
        self, deployment: Deployment, form: str
    ):
        await deployment.start_ac(publishers=("host", "meter"))
        host = await deployment.start_keyed_publisher()
        steps: list[Step] = []
        async with reader_of(deployment, host, form, steps) as reader:
            reading = await reader.read(f"{host.uri}/count")
            assert [record.name for record in reading.records] == [f"{HOST}/count/count"]
            await reader.read(f"{host.uri}/other")
        assert len([step for step in steps if isinstance(step, Handshake)]) == 2, "one with each"
        obtained = [step for step in steps if isinstance(step, TicketObtained)]
        assert [step.audience for step in obtained] == [HOST, HOST]
        presented = [step for step in steps if isinstance(step, TicketPresented)]
        assert len(presented) == (2 if form == "by the name of its key" else 1)

    async def test_an_observation_outlives_its_first_ticket(self, deployment: Deployment, form: str):
        await deployment.start_ac(lifetime=3, publishers=("host", "meter"))
        host = await deployment.start_keyed_publisher()
        steps: list[Step] = []
        async with (
            reader_of(deployment, host, form, steps) as reader,
            aclosing(reader.observe(f"{host.uri}/count")) as readings,
        ):
            await anext(readings)
            ends_at = asyncio.get_running_loop().time() + 3
            while asyncio.get_running_loop().time() < ends_at + 1:
                await anext(readings)
        assert len([step for step in steps if isinstance(step, Handshake)]) == 2
        assert any(step.renewal for step in steps if isinstance(step, TicketObtained))


@dataclass(frozen=True)
class Held:
    """A ticket with its key, as its holder has it."""

    granted: TokenResponse

    @property
    def ticket(self) -> bytes:
        return self.granted.access_token

    @property
    def confirmation(self) -> SymmetricConfirmation:
        assert isinstance(self.granted.cnf, SymmetricConfirmation)
        return self.granted.cnf

    @property
    def key(self) -> bytes:
        assert self.confirmation.key is not None
        return self.confirmation.key

    @property
    def name(self) -> bytes:
        return KeyName(self.confirmation.kid).encode()


async def held_by(deployment: Deployment, who: str, audience: str, *paths: str) -> Held:
    async with client(deployment.identity(who)) as asking:
        return Held(await obtain(deployment.token_uri, asking, audience, *paths))


async def is_refused(publisher: KeyedPublisher, psk_identity: bytes, key: bytes) -> bool:
    """Whether the handshake fails because the publisher has another key under this name, or none."""
    async with client(PSKCredential(psk_identity, key)) as peer:
        with pytest.raises(TransportFailed) as failed:
            await peer.get(f"{publisher.uri}/count")
    return "decrypt_error" in str(failed.value)


class TestTwoSubscribers:
    """T22."""

    @pytest.fixture
    async def host(self, deployment: Deployment) -> KeyedPublisher:
        await deployment.start_ac(publishers=("host", "meter"))
        return await deployment.start_keyed_publisher()

    async def test_each_gets_a_key_of_its_own_and_neither_is_the_secret(
        self, deployment: Deployment, host: KeyedPublisher
    ):
        one = await held_by(deployment, "reader", HOST, "/count")
        two = await held_by(deployment, "second", HOST, "/count")
        elsewhere = await held_by(deployment, "reader", METER, "/count")
        secret = bytes.fromhex((deployment.folder / "host.secret").read_text())
        keys = {one.key, two.key, elsewhere.key}
        assert len(keys) == 3
        assert len({one.name, two.name, elsewhere.name}) == 3
        assert not any(key in secret or key in held.ticket for key in keys for held in (one, two, elsewhere))

    async def test_neither_key_opens_the_session_of_the_other(
        self, deployment: Deployment, host: KeyedPublisher
    ):
        one = await held_by(deployment, "reader", HOST, "/count")
        two = await held_by(deployment, "second", HOST, "/count")
        for mine, others in ((one, two), (two, one)):
            assert await is_refused(host, others.ticket, mine.key)
            async with client(PSKCredential(mine.ticket, mine.key)) as holder:
                assert (await holder.get(f"{host.uri}/count")).code is aiocoap.CONTENT
                assert await is_refused(host, mine.name, others.key)
            async with client(PSKCredential(mine.name, mine.key)) as holder:
                assert (await holder.get(f"{host.uri}/count")).code is aiocoap.CONTENT

    async def test_the_ticket_of_one_is_of_no_use_to_the_other(
        self, deployment: Deployment, host: KeyedPublisher
    ):
        """Kept for its holder, as any valid ticket is, it widens nobody else's rights."""
        one = await held_by(deployment, "reader", HOST, "/count")
        two = await held_by(deployment, "second", HOST, "/other")
        async with client(PSKCredential(two.ticket, two.key)) as thief:
            assert (await thief.get(f"{host.uri}/other")).code is aiocoap.CONTENT
            brought = await thief.ask(
                aiocoap.POST, f"{host.uri}/authz-info", payload=one.ticket, content_format=61
            )
            assert brought.code is aiocoap.CREATED
            assert deployment.told("ticket stored")[-1]["is_bringers"] is False
            assert (await thief.get(f"{host.uri}/count")).code is aiocoap.FORBIDDEN
            assert (await thief.get(f"{host.uri}/other")).code is aiocoap.CONTENT

    async def test_the_name_of_ones_key_gets_the_other_no_ticket(
        self, deployment: Deployment, host: KeyedPublisher
    ):
        one = await held_by(deployment, "reader", HOST, "/count")
        named = KeyReference(one.confirmation.kid)
        async with client(deployment.identity("second")) as thief:
            answer = await ask_for_ticket(deployment.token_uri, thief, HOST, "/count", req_cnf=named)
        assert isinstance(answer, TokenError)
        assert answer.code is ErrorCode.UNSUPPORTED_POP_KEY
        async with client(deployment.identity("reader")) as holder:
            renewed = Held(await obtain(deployment.token_uri, holder, HOST, "/count", req_cnf=named))
        assert renewed.name == one.name

    async def test_another_publisher_can_do_nothing_with_a_ticket(
        self, deployment: Deployment, host: KeyedPublisher
    ):
        meter = await deployment.start_keyed_publisher("meter")
        held = await held_by(deployment, "reader", HOST, "/count")
        assert await is_refused(meter, held.ticket, held.key)

    async def test_one_cannot_play_the_publisher_to_the_other(
        self, deployment: Deployment, host: KeyedPublisher
    ):
        """It knows a key of the publisher's, but not the one that the other shakes hands with."""
        own = await held_by(deployment, "second", HOST, "/count")
        shown: list[bytes] = []

        def answer_with_own_key(psk_identity: bytes) -> bytes:
            shown.append(psk_identity)
            return own.key

        steps: list[Step] = []
        impostor = DTLSConfig(psk_lookup=answer_with_own_key)
        async with await Endpoint.open(host="127.0.0.1", accept=impostor) as endpoint:
            there = KeyedPublisher(HOST, f"coaps://127.0.0.1:{endpoint.address[1]}")
            async with reader_of(deployment, there, "by the ticket itself", steps) as reader:
                with pytest.raises(TwowayError):
                    await reader.read(f"{there.uri}/count")
        assert shown
        assert own.ticket not in shown
        assert len([step for step in steps if isinstance(step, Handshake)]) == 1, "with the AC alone"


class TestRevocation:
    async def test_it_ends_observation_and_association_and_the_key_opens_no_other(
        self, deployment: Deployment
    ):
        """The meter has a certificate beside, with which it follows the AC."""
        await deployment.start_ac(publishers=("host", "meter"))
        meter = await deployment.start_keyed_publisher("meter")
        held = await held_by(deployment, "reader", METER, "/count")
        other = await held_by(deployment, "second", METER, "/count")
        async with (
            client(PSKCredential(held.ticket, held.key)) as holder,
            client(PSKCredential(other.ticket, other.key)) as bystander,
        ):
            request = holder.observe(f"{meter.uri}/count")
            assert (await request.response).code is aiocoap.CONTENT
            assert (await bystander.get(f"{meter.uri}/count")).code is aiocoap.CONTENT
            connection = holder.connection
            (revoked,) = await deployment.records(
                lambda records: records.revoke_by_hash(
                    token_hash(held.ticket), reason="lost", now=deployment.now()
                )
            )
            assert revoked.kid == held.confirmation.kid
            async for notification in request.observation:
                last = notification
                if not last.code.is_successful():
                    break
            assert (last.code, last.opt.observe) == (aiocoap.UNAUTHORIZED, None)
            assert (await connection.wait_closed()).alert.label == "close_notify"
            assert (await bystander.get(f"{meter.uri}/count")).code is aiocoap.CONTENT
        assert await is_refused(meter, held.ticket, held.key)
        assert await is_refused(meter, held.name, held.key)

    async def test_where_the_publisher_does_not_follow_the_ac_its_subscriber_does(
        self, deployment: Deployment, form: str
    ):
        """Whoever is honest stops, whatever the publisher knows."""
        await deployment.start_ac(publishers=("host", "meter"))
        host = await deployment.start_keyed_publisher(follow=False)
        steps: list[Step] = []
        async with (
            reader_of(deployment, host, form, steps, revocation_interval=0.5) as reader,
            aclosing(reader.observe(f"{host.uri}/count")) as readings,
            asyncio.timeout(20),
        ):
            await anext(readings)
            await deployment.records(
                lambda records: records.revoke_by_holder(
                    identity_uri("reader"), reason="lost", now=deployment.now()
                )
            )
            await until(lambda: TicketRevoked(HOST) in steps)
            seen = len([step for step in steps if isinstance(step, Handshake)])
            await anext(readings)
            await until(lambda: len([step for step in steps if isinstance(step, Handshake)]) > seen)
        assert len([step for step in steps if isinstance(step, TicketObtained)]) == 2
