"""Peers that move, over real sockets: RFC 9146 section 6 and RFC 9853 as an endpoint sees them."""

import asyncio
import socket
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest
from live_endpoints import BareClient, Inbox, calling, dtls_config, echo, reach, serving, until
from live_nat import Nat
from small_pki import small_pki

from twoway.dtls import DTLSConfig
from twoway.dtls.timers import Retransmission
from twoway.errors import CallerError
from twoway.net import Limits
from twoway.net.address import packed_network

pki = small_pki()
QUICK = Retransmission(initial=0.3)
"""How long a path has to answer, too: short, since every rebinding waits for the old one."""


def server_config(size: int = 8, **changes: object) -> DTLSConfig:
    return dtls_config(pki.publisher_p256, connection_id_bytes=size, retransmission=QUICK, **changes)


def client_config(size: int | None = 0, credential=None) -> DTLSConfig:
    return dtls_config(credential or pki.subscriber, connection_id_bytes=size, retransmission=QUICK)


@asynccontextmanager
async def behind_a_nat(size: int = 0, **options: object):
    """Client connection, NAT, server endpoint and its connection."""
    accepted = []

    def take(connection):
        accepted.append(connection)
        echo(connection)

    async with serving(accept=server_config(), on_connection=take, **options) as server:
        async with Nat.before(server) as nat, calling() as client:
            async with asyncio.timeout(10):
                connection = await client.connect("127.0.0.1", nat.port, client_config(size))
            await until(lambda: accepted)
            yield connection, nat, server, accepted[0]


async def ask(connection, data: bytes) -> bytes:
    inbox = Inbox.of(connection)
    connection.send(data)
    return await inbox.first()


@pytest.mark.parametrize("size", [0, 8])
async def test_a_client_whose_nat_rebinds_keeps_its_association_and_is_followed(size):
    async with behind_a_nat(size) as (connection, nat, server, accepted):
        assert await ask(connection, b"before") == b"before"
        assert accepted.remote == ("127.0.0.1", nat.outer_port)
        await nat.rebind()
        assert await ask(connection, b"after") == b"after", "answered at once, within the limit"
        await until(lambda: accepted.remote == ("127.0.0.1", nat.outer_port))
        assert server.connections == (accepted,)
        lost = len(nat.lost)
        assert await ask(connection, bytes(1100)) == bytes(1100)
        assert len(nat.lost) == lost, "nothing goes to the old address any more"


async def test_a_client_may_be_rebound_many_times():
    async with behind_a_nat() as (connection, nat, server, accepted):
        for _ in range(3):
            await nat.rebind()
            assert await ask(connection, b"still me") == b"still me"
            await until(lambda: accepted.remote == ("127.0.0.1", nat.outer_port))
        assert len(server.connections) == 1


async def test_a_server_speaks_first_to_a_client_that_has_moved():
    """It follows the client's last record, however long ago that was."""
    async with behind_a_nat() as (connection, nat, _, accepted):
        await nat.rebind()
        assert await ask(connection, b"here") == b"here"
        await until(lambda: accepted.remote == ("127.0.0.1", nat.outer_port))
        inbox = Inbox.of(connection)
        accepted.send(b"news")
        assert await inbox.first() == b"news"


async def test_without_connection_ids_a_rebound_client_is_lost():
    """What the feature is for: the same test without it."""
    async with serving(on_connection=echo) as server, Nat.before(server) as nat, calling() as client:
        async with asyncio.timeout(10):
            connection = await client.connect("127.0.0.1", nat.port, dtls_config(pki.subscriber))
        await nat.rebind()
        connection.send(b"anybody there?")
        await until(lambda: server.counters["dropped: datagram of an unknown address"])


async def test_the_idle_timer_goes_on_where_the_peer_went():
    limits = Limits(idle_timeout=1.2)
    async with behind_a_nat(limits=limits) as (connection, nat, _, accepted):
        for _ in range(4):
            await asyncio.sleep(0.5)
            await nat.rebind()
            assert await ask(connection, b"alive") == b"alive"
        assert accepted.closed is None
        assert "nothing was heard" in (await accepted.wait_closed()).reason


async def test_a_record_that_somebody_forwards_from_elsewhere_moves_nothing():
    async with behind_a_nat() as (connection, nat, server, accepted):
        before = accepted.remote
        nat.is_deaf = True
        connection.send(b"raced")
        await until(lambda: nat.outgoing[-1][0] == 25)
        nat.is_deaf = False
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as attacker:
            attacker.setblocking(False)
            inbox = Inbox.of(connection)
            attacker.sendto(nat.outgoing[-1], ("127.0.0.1", server.address[1]))
            assert await inbox.first() == b"raced", "the answer goes where the peer is"
            await asyncio.sleep(0.7)
            attacker.sendto(nat.outgoing[-1], ("127.0.0.1", server.address[1]))
            await asyncio.sleep(0.1)
            assert accepted.remote == before
            received = 0
            while True:
                try:
                    received += len(attacker.recv(65536))
                except BlockingIOError:
                    break
            assert received <= 3 * len(nat.outgoing[-1])
        assert await ask(connection, b"as ever") == b"as ever"


async def test_a_datagram_with_an_id_that_nobody_has_is_dropped_and_counted():
    async with behind_a_nat() as (connection, nat, server, _):
        assert await ask(connection, b"x") == b"x"
        genuine = nat.outgoing[-1]
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:
            for datagram in (genuine[:11] + bytes(8) + genuine[19:], genuine[:15], b"\x19"):
                stranger.sendto(datagram, ("127.0.0.1", server.address[1]))
            await until(lambda: server.counters["dropped: datagram of an unknown connection ID"] == 3)


async def test_two_peers_may_be_at_one_address_one_after_the_other():
    """A NAT gives a port to somebody else: the former owner has its connection ID and may come back."""
    accepted = []
    async with serving(accept=server_config(), on_connection=accepted.append) as server:
        with await BareClient.at(server, client_config()) as first:
            await first.shake_hands()
            await until(lambda: accepted)
            with await BareClient.at(server, client_config(credential=pki.sink), first.sock) as second:
                await second.shake_hands()
                await until(lambda: len(accepted) == 2)
                assert [connection.closed for connection in accepted] == [None, None]
                assert accepted[0].remote == accepted[1].remote
                inbox, other = Inbox.of(accepted[0]), Inbox.of(accepted[1])
                second.tell(b"the second")
                first.tell(b"the first")
                assert (await inbox.first(), await other.first()) == (b"the first", b"the second")


async def test_a_peer_that_shakes_hands_anew_from_its_address_replaces_its_association():
    accepted = []
    async with serving(accept=server_config(), on_connection=accepted.append) as server:
        with await BareClient.at(server, client_config()) as first:
            await first.shake_hands()
            again = await BareClient.at(server, client_config(), first.sock)
            await again.shake_hands()
            await until(lambda: len(accepted) == 2)
            assert accepted[0].closed.reason == "a newer handshake with this address is complete"
            assert server.connections == (accepted[1],)


async def test_a_peer_that_shakes_hands_anew_from_where_it_moved_replaces_its_association_too():
    async with behind_a_nat() as (connection, nat, server, accepted):
        await nat.rebind()
        assert await ask(connection, b"here") == b"here"
        await until(lambda: accepted.remote == ("127.0.0.1", nat.outer_port))
        async with calling() as rebooted, asyncio.timeout(10):
            await rebooted.connect("127.0.0.1", nat.port, client_config())
            await until(lambda: accepted.closed)
            assert accepted.closed.reason == "a newer handshake with this address is complete"
            assert len(server.connections) == 1


async def test_a_peer_may_move_before_anybody_has_seen_its_connection():
    """Its first record may come right behind its Finished; whoever waits for the connection gets it."""
    async with serving(accept=server_config()) as server, calling() as client:
        switchboard = client._switchboard
        (address,) = await client._resolve("127.0.0.1", server.address[1])
        link = switchboard.start_client(address, client_config())
        link.opened.add_done_callback(lambda _: switchboard.links.move(link, ("192.0.2.1", 5684)))
        assert await client._wait_opened(link, 10) is link.connection
        assert switchboard.links.at(address) == ()


async def test_a_moved_peer_counts_for_the_host_that_it_is_at():
    async with serving(accept=server_config()) as server, calling() as client:
        connection = await reach(client, server, client_config())
        await until(lambda: server.connections)
        table = server._switchboard.links
        (link,) = table
        home, elsewhere = packed_network(link.address), packed_network(("192.0.2.1", 5684))
        assert table._accepted_by_network == {home: 1}
        table.move(link, ("192.0.2.1", 5684))
        assert table._accepted_by_network == {elsewhere: 1}
        connection.close()
        await until(lambda: not server.connections)
        assert table._accepted_by_network == {}


async def test_all_ids_of_an_endpoint_have_one_length():
    async with serving(accept=server_config(8)) as server, serving(accept=server_config(4)) as other:
        with pytest.raises(CallerError, match="8 bytes, not 4"):
            await reach(server, other, client_config(4))
        connection = await reach(server, other, client_config(8))
        assert connection.closed is None
        assert (await reach(server, other, replace(client_config(0)))).closed is None


async def test_ids_so_short_that_they_run_out_are_refused_in_plain_words():
    async with serving(
        accept=server_config(1), limits=Limits(half_open=1000, half_open_per_host=1000)
    ) as server:
        table = server._switchboard.links
        for number in range(128):
            table._by_connection_id[bytes([number])] = None
        with await BareClient.at(server, client_config()) as bare:
            await bare.bring_cookie()
            why = "dropped: hello, too many associations for connection IDs so short"
            await until(lambda: server.counters[why])
        table._by_connection_id.clear()


async def test_an_id_is_free_again_when_its_association_is_over():
    async with serving(accept=server_config()) as server, calling() as client:
        for _ in range(3):
            connection = await reach(client, server, client_config())
            await until(lambda: server.connections)
            assert len(server._switchboard.links._by_connection_id) == 1
            connection.close()
            await until(lambda: not server.connections)
            assert len(server._switchboard.links._by_connection_id) == 0
