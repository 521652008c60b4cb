"""Endpoints: connections between real sockets on loopback."""

import asyncio
from contextlib import AsyncExitStack

import pytest
from live_endpoints import Inbox, calling, dtls_config, echo, reach, serving, until
from small_pki import small_pki

from twoway.clock import SystemClock
from twoway.dtls import ClosedBy, DTLSConfig, HandshakeKind, PSKCredential
from twoway.errors import CallerError, NetworkError
from twoway.identity import PSKIdentity
from twoway.net import Limits

pki = small_pki()


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "localhost"])
async def test_data_travels_both_ways_over_either_family_of_one_wildcard_socket(host):
    async with serving(host="", on_connection=echo) as server, calling() as client:
        connection = await reach(client, server, host=host)
        connection.send(b"how much?")
        assert await Inbox.of(connection).first() == b"how much?"


async def test_both_sides_learn_who_the_other_is():
    accepted = []
    async with serving(on_connection=accepted.append) as server, calling() as client:
        connection = await reach(client, server)
        await until(lambda: accepted)
        assert connection.peer == pki.publisher_p256.identity
        assert accepted[0].peer == pki.subscriber.identity
        assert connection.suite == accepted[0].suite == "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256"
        assert connection.kind is HandshakeKind.FULL
        assert connection.group == accepted[0].group
        assert (connection.outgoing, accepted[0].outgoing) == (True, False)
        assert connection.remote == server.address
        assert accepted[0].remote == ("127.0.0.1", client.address[1])


async def test_credentials_that_are_replaced_hold_for_the_handshakes_to_come_and_end_no_connection():
    async with serving(on_connection=echo) as server, calling() as client, calling() as later:
        before = await reach(client, server)
        server.accept = dtls_config(pki.publisher_p384)
        after = await reach(later, server)
        assert (before.peer, after.peer) == (pki.publisher_p256.identity, pki.publisher_p384.identity)
        for connection in (before, after):
            connection.send(b"still there?")
            assert await Inbox.of(connection).first() == b"still there?"


async def test_connection_ids_of_another_length_cannot_be_asked_for_later():
    async with serving() as server:
        accepted = server.accept
        with pytest.raises(CallerError, match="connection IDs"):
            server.accept = dtls_config(pki.publisher_p256, connection_id_bytes=8)
        assert server.accept is accepted


async def test_a_pre_shared_key_is_enough():
    key = bytes(range(16))
    accept = DTLSConfig(psk_lookup={b"sink": key}.get)
    async with serving(accept=accept, on_connection=echo) as server, calling() as client:
        connection = await reach(client, server, DTLSConfig(psk=PSKCredential(b"sink", key)))
        assert connection.peer == PSKIdentity(b"sink")
        assert (connection.kind, connection.group) == (HandshakeKind.FULL, "x25519")
        connection.send(b"ping")
        assert await Inbox.of(connection).first() == b"ping"


async def test_records_keep_their_boundaries_and_their_order():
    async with serving(on_connection=echo) as server, calling() as client:
        connection = await reach(client, server)
        inbox = Inbox.of(connection)
        said = [bytes([number]) * (number + 1) for number in range(50)]
        for data in said:
            connection.send(data)
        await until(lambda: len(inbox.received) == 50)
        assert inbox.received == said


async def test_a_peer_may_speak_before_anybody_listens():
    async with (
        serving(on_connection=lambda accepted: accepted.send(b"welcome")) as server,
        calling() as client,
    ):
        connection = await reach(client, server)
        connection.send(b"")
        await asyncio.sleep(0.02)
        assert await Inbox.of(connection).first() == b"welcome"


async def test_traffic_is_counted_alike_on_both_sides_and_the_handshake_apart():
    accepted = []
    async with serving(on_connection=accepted.append) as server, calling() as client:
        connection = await reach(client, server)
        await until(lambda: accepted)
        handshake = connection.handshake_traffic.snapshot()
        inbox = Inbox.of(accepted[0])
        connection.send(bytes(100))
        await inbox.first()
        ours, theirs = connection.traffic, accepted[0].traffic
        assert connection.handshake_traffic == handshake
        assert ours.datagrams_sent == handshake.datagrams_sent + 1
        assert ours.bytes_sent - handshake.bytes_sent == 13 + 8 + 100 + 16
        assert ours.bytes_received == handshake.bytes_received
        # The first hello and the request for a cookie are seen by the client's counts alone.
        assert theirs.datagrams_received == ours.datagrams_sent - 1
        assert theirs.datagrams_sent == ours.datagrams_received - 1
        assert theirs.bytes_received < ours.bytes_sent


async def test_the_peer_hears_that_a_connection_is_closed():
    accepted = []
    async with serving(on_connection=accepted.append) as server, calling() as client:
        connection = await reach(client, server)
        await until(lambda: accepted)
        connection.close()
        connection.close()
        async with asyncio.timeout(5):
            closed = await accepted[0].wait_closed()
        assert closed.by is ClosedBy.PEER
        assert connection.closed.by is ClosedBy.US
        assert server.connections == client.connections == ()
        with pytest.raises(NetworkError, match=r"127\.0\.0\.1:\d+: the connection is closed: we closed it"):
            connection.send(b"too late")
        with pytest.raises(NetworkError, match="the peer closed the connection"):
            accepted[0].send(b"too late")


async def test_every_listener_hears_of_the_end_and_a_late_one_too():
    heard = []
    async with serving() as server, calling() as client:
        connection = await reach(client, server)
        connection.add_closed_listener(lambda closed: heard.append(("first", closed.by)))
        connection.add_closed_listener(lambda closed: heard.append(("second", closed.by)))
        connection.close()
        connection.add_closed_listener(lambda closed: heard.append(("late", closed.by)))
    assert heard == [("first", ClosedBy.US), ("second", ClosedBy.US), ("late", ClosedBy.US)]


async def test_closing_an_endpoint_says_goodbye_to_everybody_and_frees_the_port():
    async with calling() as client:
        async with serving() as server:
            connections = [await reach(client, server)]
            async with calling() as other:
                connections.append(await reach(other, server))
                port = server.address[1]
                await server.close()
                async with asyncio.timeout(5):
                    for connection in connections:
                        assert (await connection.wait_closed()).by is ClosedBy.PEER
        async with serving(port=port):
            pass


async def test_a_closed_endpoint_opens_nothing():
    async with serving() as server, calling() as client:
        await client.close()
        with pytest.raises(CallerError, match="closed"):
            await reach(client, server)


async def test_equal_configurations_share_one_connection_to_an_address():
    """Two associations from one socket to one address would replace each other at the peer."""
    config = dtls_config(pki.subscriber)
    async with serving(host="") as server, calling() as client:
        connections = await asyncio.gather(
            *(reach(client, server, config, host) for host in ("127.0.0.1", "127.0.0.1", "::ffff:127.0.0.1"))
        )
        assert len(set(connections)) == 1
        assert len(server.connections) == 1


async def test_many_clients_at_once_are_each_served():
    async with serving(on_connection=echo) as server, AsyncExitStack() as stack:
        clients = [await stack.enter_async_context(calling()) for _ in range(40)]
        connections = await asyncio.gather(*(reach(client, server) for client in clients))
        inboxes = [Inbox.of(connection) for connection in connections]
        for number, connection in enumerate(connections):
            connection.send(b"%d" % number)
        answers = [await inbox.first() for inbox in inboxes]
        assert answers == [b"%d" % number for number in range(40)]


async def test_a_connection_nobody_speaks_on_is_closed_after_the_idle_timeout():
    accepted = []
    limits = Limits(idle_timeout=1.0)
    async with serving(on_connection=accepted.append, limits=limits) as server, calling() as client:
        connection = await reach(client, server)
        await until(lambda: accepted)
        for _ in range(5):
            await asyncio.sleep(0.25)
            connection.send(b"still here")
        assert accepted[0].closed is None
        accepted[0].send(b"what we say ourselves proves nothing")
        async with asyncio.timeout(5):
            await connection.wait_closed()
        assert accepted[0].closed.reason == "nothing was heard for 1 s"


async def test_the_one_timer_is_not_armed_by_traffic(monkeypatch):
    """Ten thousand idle associations and a busy one: a datagram must not touch the timer."""
    async with serving(on_connection=echo) as server, calling() as client:
        connection = await reach(client, server)
        inbox = Inbox.of(connection)
        connection.send(b"warm up")
        await inbox.first()
        armed = []
        loop = asyncio.get_running_loop()
        call_later = loop.call_later
        monkeypatch.setattr(loop, "call_later", lambda *details: armed.append(1) or call_later(*details))
        for _ in range(20):
            connection.send(b"more")
        connection.send(b"last")
        while b"last" not in inbox.received:
            await asyncio.sleep(0)
        assert armed == []


async def test_time_comes_from_the_clock_that_was_handed_in():
    """A certificate is judged by the clock that was handed in: all of ours have expired in 2100."""

    class Future(SystemClock):
        def now(self):
            return super().now().replace(year=2100)

    async with serving() as server, calling(clock=Future()) as client:
        with pytest.raises(Exception, match="expired"):
            await reach(client, server)
