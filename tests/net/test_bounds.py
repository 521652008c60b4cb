"""What the network may take: nothing before an address is verified, and a bounded share after that."""

import asyncio
import random
from contextlib import ExitStack

import pytest
from live_endpoints import BareClient, Inbox, calling, dtls_config, echo, reach, serving, until
from small_pki import small_pki

from twoway.errors import CallerError
from twoway.net import Limits
from twoway.net.limits import Limits as SameLimits
from twoway.net.table import LinkTable

pki = small_pki()


async def test_a_hello_without_a_cookie_costs_no_memory():
    async with serving() as server:
        with ExitStack() as stack:
            for _ in range(50):
                bare = stack.enter_context(await BareClient.at(server))
                bare.say_hello()
                assert len(await bare.hear()) < len(bare.sent[0])
            assert server.counters["cookies sent"] == 50
            assert len(server._switchboard.links) == 0


async def test_a_cookie_of_another_address_opens_nothing():
    async with serving() as server:
        with await BareClient.at(server) as honest, await BareClient.at(server) as thief:
            await honest.bring_cookie()
            await until(lambda: server.half_open == 1)
            thief.send(honest.sent[-1])
            # The thief is asked for a cookie of its own.
            assert (await thief.hear())[13] == 3
            assert server.half_open == 1


async def test_hellos_beyond_the_half_open_bound_are_dropped_and_counted():
    limits = Limits(half_open=3)
    async with serving(limits=limits, on_connection=echo) as server, calling() as client:
        with ExitStack() as stack:
            holders = [stack.enter_context(await BareClient.at(server)) for _ in range(5)]
            for bare in holders:
                await bare.bring_cookie()
            await until(lambda: server.counters["dropped: hello, too many half-open handshakes"] == 2)
            assert server.half_open == 3
            # As soon as one of them is done, there is room again.
            while not holders[0].association.established:
                await holders[0].step()
            await until(lambda: server.half_open == 2)
            connection = await reach(client, server)
            connection.send(b"room")
            assert await Inbox.of(connection).first() == b"room"


async def test_one_host_cannot_take_all_half_open_places():
    limits = Limits(half_open=8, half_open_per_host=2)
    async with serving(limits=limits) as server:
        with ExitStack() as stack:
            for _ in range(4):
                await stack.enter_context(await BareClient.at(server)).bring_cookie()
            await until(
                lambda: server.counters["dropped: hello, too many half-open handshakes of one host"] == 2
            )
            assert server.half_open == 2


async def test_a_half_open_handshake_is_given_up_after_its_time():
    accept = dtls_config(pki.publisher_p256, handshake_timeout=0.2)
    async with serving(accept=accept) as server:
        with await BareClient.at(server) as bare:
            await bare.bring_cookie()
            await until(lambda: server.half_open == 1)
            await until(lambda: server.half_open == 0)
            assert server.counters["handshakes failed"] == 1
            assert len(server._switchboard.links) == 0


async def test_associations_beyond_the_bound_are_dropped_and_counted():
    async with serving(limits=Limits(associations=2)) as server, calling() as first, calling() as second:
        kept = [await reach(client, server) for client in (first, second)]
        with await BareClient.at(server) as third:
            await third.bring_cookie()
            await until(lambda: server.counters["dropped: hello, too many associations"] == 1)
            kept[0].close()
            await until(lambda: len(server.connections) == 1)
        async with calling() as fourth:
            await reach(fourth, server)


async def test_datagrams_of_unknown_addresses_are_dropped_whatever_they_are():
    noise = random.Random(1)
    shapes = [
        b"",
        b"\x16",
        b"\x17\xfe\xfd\0\1" + bytes(40),
        b"\x16\xfe\xfd\0\0\0\0\0\0\0\0\0\x05\x01\0\0\0\0",
    ]
    shapes += [noise.randbytes(noise.randrange(200)) for _ in range(200)]
    shapes += [b"\x16\xfe\xff\0\0\0\0\0\0\0\0" + noise.randbytes(80) for _ in range(50)]
    async with serving(on_connection=echo) as server, calling() as client:
        with await BareClient.at(server) as bare:
            for datagram in shapes:
                bare.send(datagram)
            await until(lambda: sum(server.counters.values()) == len(shapes))
        assert len(server._switchboard.links) == 0
        connection = await reach(client, server)
        connection.send(b"alive")
        assert await Inbox.of(connection).first() == b"alive"


async def test_an_endpoint_that_accepts_nobody_answers_nobody():
    async with calling(host="127.0.0.1") as client:
        with await BareClient.at(client) as bare:
            bare.say_hello()
            await until(lambda: client.counters["dropped: datagram of an unknown address"])
            with pytest.raises(BlockingIOError):
                bare.sock.recv(1)


async def test_garbage_between_the_records_of_a_connection_is_dropped():
    noise = random.Random(2)
    async with serving(on_connection=echo) as server:
        with await BareClient.at(server) as bare:
            await bare.shake_hands()
            bare.tell(b"first")
            await bare.step()
            for _ in range(300):
                # Forgeries of a good record, and mere noise, from the peer's own address.
                forged = bytearray(bare.sent[-1])
                forged[noise.randrange(len(forged))] ^= 1 << noise.randrange(8)
                bare.send(bytes(forged))
                bare.send(noise.randbytes(noise.randrange(1, 100)))
            bare.tell(b"last")
            await bare.step()
            assert [event.data for event in bare.events[1:]] == [b"first", b"last"]
            assert len(server.connections) == 1


async def test_ten_thousand_idle_associations_cost_a_datagram_nothing():
    """Each datagram must touch its own association alone; here a walk through all of them would show."""
    async with serving(on_connection=echo, limits=Limits(idle_timeout=1000)) as server, calling() as client:
        connection = await reach(client, server)
        inbox = Inbox.of(connection)
        links = server._switchboard.links
        [busy] = links
        walked = []

        class Watched(dict):
            def values(self):
                walked.append("values")
                return super().values()

            def __iter__(self):
                walked.append("iter")
                return super().__iter__()

        links._links = Watched(links._links)
        alarm = server._switchboard._alarm
        for number in range(10_000):
            alarm.need(number, 2e9 + number)
        before = len(alarm._deadlines._heap)
        for _ in range(100):
            connection.send(b"x")
        await until(lambda: len(inbox.received) == 100)
        assert walked == []
        assert len(alarm._deadlines._heap) - before <= 1
        assert not busy.over


def ciphers(link):
    """What a link has at hand to read and to write with."""
    epochs = (link.association._receiver._epochs[1], link.association._sender._epochs[1])
    return [epoch._protection._aead for epoch in epochs]


async def test_only_the_connections_used_last_keep_their_ciphers():
    async with serving(on_connection=echo, limits=Limits(awake=2)) as server, calling() as client:
        async with calling() as second, calling() as third:
            callers = [await reach(each, server) for each in (client, second, third)]
            inboxes = [Inbox.of(connection) for connection in callers]
            links = list(server._switchboard.links)
            for number in (0, 1, 2, 0):
                had = len(inboxes[number].received)
                callers[number].send(b"x")
                await until(lambda inbox=inboxes[number], had=had: len(inbox.received) == had + 1)
            assert [None in ciphers(link) for link in links] == [False, True, False]
            assert len(server._switchboard._awake) == 2
        await until(lambda: len(server._switchboard.links) == 1)
        assert len(server._switchboard._awake) == 1


def test_a_limit_of_nothing_is_the_callers_fault():
    assert SameLimits is Limits
    for wrong in (
        {"half_open": 0},
        {"half_open_per_host": 0},
        {"associations": -1},
        {"idle_timeout": 0.0},
        {"awake": 0},
    ):
        with pytest.raises(CallerError):
            Limits(**wrong)


async def test_counts_return_to_nothing_when_everybody_has_gone():
    async with serving() as server, calling() as client:
        for _ in range(5):
            (await reach(client, server)).close()
        with pytest.raises(Exception, match="unknown_ca"):
            await reach(client, server, dtls_config(pki.outsider))
        await until(lambda: not len(server._switchboard.links))
        table: LinkTable = server._switchboard.links
        assert (table.half_open, table._links, table._half_open_by_network) == (0, {}, {})
        await asyncio.sleep(0)
        assert len(server._switchboard._alarm._deadlines) == 0
