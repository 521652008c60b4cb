"""A publisher with nothing but a shared secret follows its AC: both run, and talk over sockets."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import aiocoap
import pytest
from answers_only import AnswersOnly
from deployment import NORTH, Deployment, until
from publisher_running import Client, client
from token_client import obtain

from twoway.coap import TransportFailed, open_context
from twoway.dtls import CertificateCredential, DTLSConfig, PSKCredential
from twoway.identity import PSKIdentity, identity_uri
from twoway.net import Endpoint
from twoway.pki import Role
from twoway.publisher.ac_link import ACLink, ACUnavailable
from twoway.subscriber import KeyedPublisher
from twoway.tickets import CONTENT_FORMAT_TRL, KeyName, SharedSecret, token_hash

HOST = identity_uri("host")
END_TIMEOUT = 2.0
"""Seconds from the notification to the end of what was revoked."""
RARELY = 3600.0
"""A poll interval that no test lasts."""


@pytest.fixture
async def deployment(tmp_path: Path) -> AsyncIterator[Deployment]:
    """An AC that runs, and shares a secret with the "host"."""
    async with Deployment(tmp_path) as deployment:
        deployment.issue("second", Role.SUBSCRIBER, attributes=NORTH)
        deployment.write_ac_toml(("host", "meter"))
        deployment.share_secret("host")
        await deployment.start_ac(publishers=("host", "meter"))
        yield deployment


@dataclass(frozen=True)
class Held:
    """A ticket for the host, as its holder has it."""

    ticket: bytes
    by_ticket: PSKCredential
    by_name: PSKCredential


async def held_by(deployment: Deployment, who: str) -> Held:
    async with client(deployment.identity(who)) as asking:
        granted = await obtain(deployment.token_uri, asking, HOST, "/count")
    assert granted.cnf.key is not None
    return Held(
        granted.access_token,
        PSKCredential(granted.access_token, granted.cnf.key),
        PSKCredential(KeyName(granted.cnf.kid).encode(), granted.cnf.key),
    )


async def revoke(deployment: Deployment, held: Held) -> None:
    revoked = await deployment.records(
        lambda records: records.revoke_by_hash(token_hash(held.ticket), reason="lost", now=deployment.now())
    )
    assert len(revoked) == 1


async def read(holder: Client, host: KeyedPublisher) -> aiocoap.Code:
    return (await holder.get(f"{host.uri}/count")).code


async def last_of(request: aiocoap.protocol.Request) -> aiocoap.Message:
    """The notification that ends an observation."""
    async for notification in request.observation:
        if not notification.code.is_successful():
            return notification
    raise AssertionError("the observation ended without a word")


async def assert_refused(deployment: Deployment, host: KeyedPublisher, held: Held) -> None:
    for way_in in (held.by_ticket, held.by_name):
        async with client(way_in) as holder:
            with pytest.raises(TransportFailed, match="decrypt_error"):
                await read(holder, host)


async def until_followed(deployment: Deployment, held: Held) -> None:
    """Wait for a revocation to arrive, after which notifications are known to."""
    await revoke(deployment, held)
    await until(lambda: len(deployment.told("tickets revoked")) == 1)


async def test_a_notification_ends_observation_and_association_within_two_seconds(deployment: Deployment):
    host = await deployment.start_keyed_publisher(poll_interval=RARELY)
    await until_followed(deployment, await held_by(deployment, "reader"))
    held, others = [await held_by(deployment, name) for name in ("reader", "second")]
    async with client(held.by_ticket) as holder, client(others.by_ticket) as bystander:
        request = holder.observe(f"{host.uri}/count")
        assert (await request.response).code is aiocoap.CONTENT
        assert await read(bystander, host) is aiocoap.CONTENT
        connection, ending = holder.connection, asyncio.create_task(last_of(request))
        await revoke(deployment, held)
        await until(lambda: len(deployment.told("tickets revoked")) == 2)
        notified_at = time.monotonic()
        last, closed = await ending, await connection.wait_closed()
        assert time.monotonic() - notified_at < END_TIMEOUT
        assert await read(bystander, host) is aiocoap.CONTENT
    assert (last.code, last.opt.observe) == (aiocoap.UNAUTHORIZED, None)
    assert closed.alert.label == "close_notify"
    await assert_refused(deployment, host, held)


async def test_asking_finds_what_a_suppressed_notification_hides(deployment: Deployment):
    async with AnswersOnly.before(deployment.ports["ac"]) as path:
        host = await deployment.start_keyed_publisher(
            token_uri=f"coaps://127.0.0.1:{path.port}/token", poll_interval=3.0
        )
        await until_followed(deployment, await held_by(deployment, "second"))
        held = await held_by(deployment, "reader")
        async with client(held.by_ticket) as holder:
            assert await read(holder, host) is aiocoap.CONTENT
            path.is_closed, asked = True, path.asked
            await until(lambda: path.asked > asked)
            await asyncio.sleep(0.5)  # between two questions, when nothing is taken for an answer
            await revoke(deployment, held)
            await until(lambda: path.lost > 0)
            assert len(deployment.told("tickets revoked")) == 1
            await holder.connection.wait_closed()
        await assert_refused(deployment, host, held)


async def test_while_the_ac_is_down_running_tickets_go_on(deployment: Deployment):
    host = await deployment.start_keyed_publisher(poll_interval=0.2)
    await until_followed(deployment, await held_by(deployment, "second"))
    held, unused = [await held_by(deployment, "reader") for _ in range(2)]
    async with client(held.by_ticket) as holder:
        assert await read(holder, host) is aiocoap.CONTENT
        await deployment.stop("ac")
        await until(lambda: bool(deployment.told("revocation list question failed")))
        assert await read(holder, host) is aiocoap.CONTENT
        async with client(unused.by_ticket) as other:
            assert await read(other, host) is aiocoap.CONTENT
    assert not deployment.told("signing keys question failed"), "it has no use for them"


async def test_where_the_list_has_to_be_fresh_tickets_end_while_the_ac_is_down(deployment: Deployment):
    host = await deployment.start_keyed_publisher(poll_interval=0.2, more="require_fresh_trl = 1.0")
    await until_followed(deployment, await held_by(deployment, "second"))
    held = await held_by(deployment, "reader")
    async with client(held.by_ticket) as holder:
        assert await read(holder, host) is aiocoap.CONTENT
        await deployment.stop("ac")
        await holder.connection.wait_closed()
    await assert_refused(deployment, host, held)


async def test_an_ac_that_comes_back_is_followed_again(deployment: Deployment):
    host = await deployment.start_keyed_publisher(poll_interval=0.5)
    await until_followed(deployment, await held_by(deployment, "second"))
    held = await held_by(deployment, "reader")
    async with client(held.by_ticket) as holder:
        assert await read(holder, host) is aiocoap.CONTENT
        await deployment.stop("ac")
        await until(lambda: bool(deployment.told("revocation list question failed")))
        await deployment.start_ac(publishers=("host", "meter"))
        await revoke(deployment, held)
        await holder.connection.wait_closed()


async def test_after_a_restart_without_the_ac_a_revoked_ticket_is_refused_still(deployment: Deployment):
    await deployment.start_keyed_publisher(poll_interval=RARELY)
    held, other = await held_by(deployment, "reader"), await held_by(deployment, "second")
    await revoke(deployment, held)
    await until(lambda: bool(deployment.told("revoked tickets recorded")))
    await deployment.stop("host")
    await deployment.stop("ac")
    host = await deployment.start_keyed_publisher(poll_interval=RARELY)
    await assert_refused(deployment, host, held)
    async with client(other.by_ticket) as holder:
        assert await read(holder, host) is aiocoap.CONTENT


async def test_a_publisher_whose_secret_was_replaced_learns_nothing_more(deployment: Deployment):
    """It asks on the association that it made with the former one, and by new ones."""
    await deployment.start_keyed_publisher(poll_interval=0.2)
    await until_followed(deployment, await held_by(deployment, "second"))
    held = await held_by(deployment, "reader")
    (deployment.folder / "host.secret").rename(deployment.folder / "host.former")
    deployment.share_secret("host")

    def reasons() -> str:
        return str(deployment.told("revocation list question failed"))

    await until(lambda: "4.03" in reasons())
    await revoke(deployment, held)
    failed = len(deployment.told("revocation list question failed"))
    await until(lambda: len(deployment.told("revocation list question failed")) > failed + 2)
    assert len(deployment.told("tickets revoked")) == 1
    await deployment.stop("host")
    await deployment.start_keyed_publisher(poll_interval=0.2)
    await until(lambda: len(deployment.told("tickets revoked")) == 2)


class TestWhoAnswers:
    """The AC is known by our key, and with a certificate of ours by its certificate; never the other way."""

    SECRET = SharedSecret(bytes(range(16)))
    OURS = PSKIdentity(SECRET.association_name(HOST))
    PSK = DTLSConfig(psk=PSKCredential(OURS.psk_identity, SECRET.association_key()))

    async def test_an_ac_with_another_key_is_asked_nothing(self):
        other = SharedSecret(bytes(range(1, 17)))
        failure = await self.ask(self.PSK, DTLSConfig(psk_lookup=lambda name: other.association_key()))
        assert "decrypt_error" in failure or "bad_record_mac" in failure

    async def test_a_certificate_is_not_taken_for_the_shared_key(self, deployment: Deployment):
        by_certificate = self.certified(deployment, "meter")
        failure = await self.ask(by_certificate, self.certified(deployment, "ac"))
        assert f"the peer proved to be {identity_uri('ac')}, not psk:{HOST}" in failure

    async def test_a_shared_key_is_not_taken_for_a_certificate(self):
        server = DTLSConfig(psk_lookup=lambda name: self.SECRET.association_key())
        failure = await self.ask(self.PSK, server, identity=identity_uri("ac"))
        assert f"the peer proved to be psk:{HOST}" in failure

    async def test_a_key_by_another_name_is_not_taken_for_ours(self):
        server = DTLSConfig(psk_lookup=lambda name: self.SECRET.association_key())
        failure = await self.ask(self.PSK, server, identity=PSKIdentity(b"another"))
        assert f"the peer proved to be psk:{HOST}" in failure

    def certified(self, deployment: Deployment, name: str) -> DTLSConfig:
        identity = deployment.identity(name)
        credential = CertificateCredential(identity.chain, identity.private_key)
        return DTLSConfig(certificate=credential, trust=identity.trust)

    async def ask(self, own: DTLSConfig, servers: DTLSConfig, identity: str | PSKIdentity = OURS) -> str:
        """Return why a question to a server fails; it must not have come in there."""
        seen: list[bytes] = []

        def listen(connection):
            connection.on_data = seen.append

        async with (
            await Endpoint.open(host="127.0.0.1", accept=servers, on_connection=listen) as server,
            await Endpoint.open(host="127.0.0.1") as endpoint,
        ):
            context = await open_context(endpoint, client_config=lambda host, port: own)
            token_uri = f"coaps://127.0.0.1:{server.address[1]}/token"
            link = ACLink(context, token_uri=token_uri, identity=identity, answer_timeout=2.0)
            try:
                with pytest.raises(ACUnavailable) as failed:
                    await link.get("/revoke/trl", content_format=CONTENT_FORMAT_TRL)
            finally:
                await context.shutdown()
        assert seen == []
        return str(failed.value)
