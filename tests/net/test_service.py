"""`twoway.connect` and `twoway.serve`: what a program begins with."""

import asyncio

import pytest
from live_endpoints import PATIENCE, BareClient, dtls_config, until
from small_pki import USAGES, small_pki

import twoway
from twoway.dtls import Closed, DTLSConfig, PSKCredential
from twoway.errors import CallerError, NetworkError, PeerError
from twoway.net import ANYBODY, Connection, Limits
from twoway.net.connection import RECORDS_HELD
from twoway.net.expectation import require_peer
from twoway.pki import Role

pki = small_pki()
SERVER = dtls_config(pki.publisher_p256)
CLIENT = dtls_config(pki.subscriber)


@pytest.fixture(autouse=True)
async def patience():
    async with asyncio.timeout(PATIENCE):
        yield


async def echo(connection):
    async for data in connection:
        connection.send(data)


def serving(handler=echo, config=SERVER, **options):
    return twoway.serve(handler, config, host="127.0.0.1", **options)


async def reach(server, config=CLIENT, peer=ANYBODY):
    return await twoway.connect("127.0.0.1", server.address[1], config, peer=peer)


async def test_what_is_sent_comes_back_and_leaving_the_block_closes():
    async with serving() as server:
        async with await reach(server) as connection:
            connection.send(b"one")
            connection.send(b"two")
            assert [await connection.receive(), await connection.receive()] == [b"one", b"two"]
        assert isinstance(connection.closed, Closed)
        await until(lambda: server.endpoint.connections == ())


async def test_the_port_of_a_connection_is_released_with_it():
    released = []
    async with serving() as server:
        connection = await reach(server)
        release = connection._release
        connection._release = None
        connection.release_with(lambda: released.append(True) or release())
        connection.close()
        await until(lambda: released)
        async with await reach(server) as other:
            other.send(b"still served")
            assert await other.receive() == b"still served"


async def test_a_refused_handshake_leaves_no_port_open(monkeypatch):
    closed = []
    original = twoway.net.Endpoint.close

    async def close(self):
        closed.append(True)
        await original(self)

    async with serving() as server:
        monkeypatch.setattr(twoway.net.Endpoint, "close", close)
        with pytest.raises(PeerError):
            await reach(server, peer="urn:dev:org:32473-somebody-else")
        assert closed


async def test_iteration_ends_with_an_orderly_end():
    async def three(connection):
        for data in (b"a", b"b", b"c"):
            connection.send(data)

    async with serving(three) as server, await reach(server) as connection:
        assert [data async for data in connection] == [b"a", b"b", b"c"]
        with pytest.raises(NetworkError, match="the peer closed the connection"):
            await connection.receive()


async def test_iteration_does_not_hide_a_disorderly_end():
    async with serving() as server, await reach(server) as connection:
        link = next(iter(server.endpoint._switchboard.links))
        server.endpoint._switchboard._lose(link, RuntimeError("a fault of the engine"))
        connection.end(Closed(twoway.dtls.ClosedBy.TIMEOUT, None, "the peer did not answer in time", True))
        with pytest.raises(NetworkError):
            async for _ in connection:
                pass


async def test_only_one_may_wait_for_records():
    async with serving() as server, await reach(server) as connection:
        waiting = asyncio.create_task(connection.receive())
        await asyncio.sleep(0)
        with pytest.raises(CallerError, match="already"):
            await connection.receive()
        connection.send(b"x")
        assert await waiting == b"x"
        connection.on_data = lambda data: None
        with pytest.raises(CallerError, match="already"):
            await connection.receive()


async def test_a_reader_that_gave_up_does_not_keep_the_next_one_out():
    async with serving() as server, await reach(server) as connection:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(connection.receive(), 0.01)
        connection.send(b"x")
        assert await connection.receive() == b"x"


async def test_records_that_nobody_takes_are_bounded_and_counted():
    async def flood(connection):
        for number in range(RECORDS_HELD + 10):
            connection.send(number.to_bytes(2, "big"))
        await connection.wait_closed()

    async with serving(flood) as server, await reach(server) as connection:
        await until(lambda: connection.records_dropped == 10)
        taken = [await connection.receive() for _ in range(RECORDS_HELD)]
        assert taken == [number.to_bytes(2, "big") for number in range(RECORDS_HELD)]


async def test_a_handler_that_fails_costs_its_connection_alone():
    async def fail_at(connection):
        async for data in connection:
            if data == b"fail":
                raise RuntimeError("a fault of the handler")
            connection.send(data)

    happened = []
    async with serving(fail_at, trace=happened.append) as server:
        async with await reach(server) as good, await reach(server) as bad:
            bad.send(b"fail")
            await bad.wait_closed()
            good.send(b"still here")
            assert await good.receive() == b"still here"
        assert server.endpoint.counters["handlers failed"] == 1
        assert any(event.name == "handler failed" for event in happened)


async def test_leaving_the_server_closes_every_connection_and_ends_every_handler():
    cancelled = []

    async def wait(connection):
        try:
            await connection.wait_closed()
        except asyncio.CancelledError:
            cancelled.append(connection)
            raise

    async with serving(wait) as server:
        connections = [await reach(server) for _ in range(3)]
    for connection in connections:
        assert (await connection.wait_closed()).alert is twoway.dtls.AlertDescription.CLOSE_NOTIFY
    assert len(cancelled) == 3


async def test_a_server_has_an_address_only_inside_its_block():
    server = serving()
    with pytest.raises(CallerError, match="async with"):
        _ = server.address
    async with server:
        assert server.address[1]
        with pytest.raises(CallerError, match="once"):
            async with server:
                pass


async def test_a_stalled_client_delays_nobody():
    async with serving() as server:
        with await BareClient.at(server.endpoint) as stalled:
            await stalled.bring_cookie()
            async with await reach(server) as connection:
                connection.send(b"at once")
                assert await connection.receive() == b"at once"


async def test_one_host_cannot_take_all_associations():
    limits = Limits(associations_per_host=2)
    async with serving(limits=limits) as server:
        first, second = await reach(server), await reach(server)
        impatient = dtls_config(pki.subscriber, handshake_timeout=0.3)
        with pytest.raises(NetworkError):
            await reach(server, impatient)
        assert server.endpoint.counters["dropped: hello, too many associations of one host"] >= 1
        first.close()
        await until(lambda: len(server.endpoint.connections) == 1)
        async with await reach(server) as third:
            third.send(b"room")
            assert await third.receive() == b"room"
        second.close()


# --- who was meant ----------------------------------------------------------------------------------------


def meant(host="meter.example", expected=None, hosts=("meter.example", "192.0.2.7")):
    identity = pki.publisher_p256.identity
    from dataclasses import replace

    require_peer(replace(identity, hosts=hosts), host=host, expected=expected)


@pytest.mark.parametrize("host", ["meter.example", "METER.example.", "192.0.2.7"])
def test_a_certificate_that_names_the_host_will_do(host):
    meant(host)


@pytest.mark.parametrize("host", ["other.example", "example", "192.0.2.8", "sub.meter.example", ""])
def test_a_certificate_that_names_another_host_will_not_do(host):
    with pytest.raises(PeerError, match="not this host"):
        meant(host)


def test_a_wildcard_in_a_certificate_names_no_host():
    with pytest.raises(PeerError):
        meant("meter.example", hosts=("*.example",))


def test_an_identity_that_is_asked_for_must_be_the_one():
    meant("anything", expected=pki.publisher_p256.identity.uri)
    with pytest.raises(PeerError, match="somebody-else"):
        meant("meter.example", expected="urn:dev:org:32473-somebody-else")


def test_anybody_will_do_where_that_is_asked_for():
    meant("other.example", expected=ANYBODY)


async def test_a_host_that_the_certificate_does_not_name_is_not_connected_to():
    elsewhere = pki.ca.mint("elsewhere", hosts=["meter.example"], usages=USAGES[Role.PUBLISHER])
    async with serving(config=dtls_config(elsewhere)) as server:
        with pytest.raises(PeerError, match="not this host"):
            await reach(server, peer=None)
    async with serving() as server, await reach(server, peer=None) as connection:
        connection.send(b"x")
        assert await connection.receive() == b"x"


async def test_a_pre_shared_key_needs_no_name():
    key = bytes(range(16))
    async with serving(config=DTLSConfig(psk_lookup={b"node": key}.get)) as server:
        async with await reach(server, DTLSConfig(psk=PSKCredential(b"node", key)), peer=None) as connection:
            connection.send(b"x")
            assert await connection.receive() == b"x"


def test_the_package_offers_both_calls_and_nothing_else():
    assert twoway.connect is twoway.net.connect
    assert twoway.serve is twoway.net.serve
    assert isinstance(Connection, type)
    with pytest.raises(AttributeError, match="nothing"):
        _ = twoway.nothing
