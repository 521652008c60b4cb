"""Connections that resume: what the endpoint keeps for the next one, and when it does not."""

from __future__ import annotations

import os
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from live_endpoints import Inbox, calling, dtls_config, echo, reach, serving, until
from sessions import SESSION
from small_pki import small_pki

from twoway.dtls import HandshakeKind, HeldSession, MemorySessionStore, Resumption, SessionTickets
from twoway.dtls.record import ContentType
from twoway.errors import CallerError
from twoway.net import HandshakeBroken, Limits
from twoway.net.sessions import SessionCache

pki = small_pki()
CLIENT = dtls_config(pki.subscriber, resumption=Resumption())


def resuming_server(**changes):
    resumption = {
        "ticket": Resumption(tickets=SessionTickets(os.urandom(32), since=datetime.now(UTC))),
        "id": Resumption(store=MemorySessionStore()),
    }[changes.pop("by", "ticket")]
    accept = dtls_config(pki.publisher_p256, resumption=resumption)
    return {"accept": accept, "on_connection": echo, **changes}


async def close(connection, server):
    connection.close()
    await until(lambda: not server.connections)


@pytest.mark.parametrize("by", ["ticket", "id"])
async def test_the_next_connection_is_resumed_and_serves_as_the_first_did(by):
    accepted = []

    def take(connection):
        accepted.append(connection)
        echo(connection)

    async with serving(**resuming_server(by=by, on_connection=take)) as server, calling() as client:
        for resumed in (False, True, True):
            connection = await reach(client, server, CLIENT)
            await until(lambda: server.connections)
            assert (connection.resumed, accepted[-1].resumed) == (resumed, resumed)
            assert connection.peer == pki.publisher_p256.identity
            assert accepted[-1].peer == pki.subscriber.identity
            assert connection.kind is accepted[-1].kind is HandshakeKind.FULL
            inbox = Inbox.of(connection)
            connection.send(b"hello")
            assert await inbox.first() == b"hello"
            await close(connection, server)
        first, last = accepted[0].handshake_traffic, accepted[-1].handshake_traffic
        assert last.bytes_received < first.bytes_received


async def test_nothing_is_resumed_unless_both_configurations_say_so():
    async with serving(**resuming_server()) as server, calling() as client:
        for _ in range(2):
            connection = await reach(client, server)
            await until(lambda: server.connections)
            assert not connection.resumed
            await close(connection, server)
    async with serving() as server, calling() as client:
        for _ in range(2):
            connection = await reach(client, server, CLIENT)
            await until(lambda: server.connections)
            assert not connection.resumed
            await close(connection, server)


async def test_a_session_is_not_offered_under_another_configuration_or_to_another_server():
    async with serving(**resuming_server()) as server, serving(**resuming_server()) as other:
        async with calling() as client:
            await close(await reach(client, server, CLIENT), server)
            assert not (await reach(client, other, CLIENT)).resumed
            assert not (await reach(client, server, replace(CLIENT, mtu_bytes=1000))).resumed


async def test_a_connection_that_ended_with_a_fatal_alert_is_not_resumed():
    async with serving(**resuming_server()) as server, calling() as client:
        connection = await reach(client, server, CLIENT)
        await until(lambda: server.connections)
        (link,) = server._switchboard.links
        link.association._sender.send(ContentType.ALERT, bytes([2, 80]))
        server._switchboard._run(link, lambda: None)
        await connection.wait_closed()
        server._switchboard.end(link, "done")
        assert not (await reach(client, server, CLIENT)).resumed


async def test_a_server_that_started_anew_shakes_hands_in_full():
    async with calling() as client:
        async with serving(**resuming_server()) as server:
            port = server.address[1]
            await close(await reach(client, server, CLIENT), server)
        async with serving(port=port, **resuming_server()) as server:
            connection = await reach(client, server, CLIENT)
            assert not connection.resumed
            await until(lambda: server.connections)
            await close(connection, server)
            assert (await reach(client, server, CLIENT)).resumed


async def test_a_handshake_that_failed_with_a_session_is_tried_without_it():
    async with calling() as client:
        async with serving(**resuming_server()) as server:
            port = server.address[1]
            await close(await reach(client, server, CLIENT), server)
        cache = client._switchboard._sessions
        assert len(cache) == 1
        async with serving(port=port, accept=dtls_config(pki.outsider)) as stranger:
            with pytest.raises(HandshakeBroken):
                await reach(client, stranger, CLIENT)
        assert len(cache) == 0


def test_a_cache_is_bounded_and_lets_go_of_what_was_kept_first():
    cache, held = SessionCache(2), HeldSession(SESSION, ticket=b"ticket")
    for port in (1, 2, 1, 3):
        cache.keep(("192.0.2.1", port), CLIENT, held)
    assert [cache.find(("192.0.2.1", port), CLIENT) for port in (1, 2, 3)] == [held, None, held]
    cache.keep(("192.0.2.1", 3), CLIENT, None)
    assert cache.find(("192.0.2.1", 3), CLIENT) is None


def test_an_endpoint_keeps_at_least_one_session():
    with pytest.raises(CallerError):
        Limits(sessions=0)
