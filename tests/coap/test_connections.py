"""Client connections: shared, forgotten when dead, and what a request hears when one is lost."""

import asyncio
import socket
import struct

import aiocoap
import aiocoap.error
import pytest
from aiocoap import Message
from aiocoap.numbers.constants import TransportTuning
from live_coap import Note, Party, Slow, coap_client, coap_server, get_bytes, site_of
from live_endpoints import PATIENCE, BareClient, dtls_config, until
from small_pki import small_pki

from twoway.coap import TransportFailed, connection_of, open_context
from twoway.coap.pool import ConnectionPool
from twoway.errors import ConfigurationError, NetworkError, PeerError, RefusedError
from twoway.net import Endpoint

pki = small_pki()


async def failure(awaitable) -> TransportFailed:
    """What a request fails with: always aiocoap's NetworkError, with our sentence and our error."""
    with pytest.raises(aiocoap.error.NetworkError) as caught:
        await awaitable
    assert isinstance(caught.value, TransportFailed)
    assert str(caught.value) == str(caught.value.__cause__)
    assert "\n" not in str(caught.value)
    return caught.value


def mute_port() -> socket.socket:
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.bind(("127.0.0.1", 0))
    return sock


async def test_a_dead_port_is_told_at_once():
    with mute_port() as sock:
        port = sock.getsockname()[1]
    async with coap_client() as client, asyncio.timeout(5):
        failed = await failure(client.get(f"coaps://127.0.0.1:{port}/x"))
        assert isinstance(failed.error, NetworkError)
        assert str(failed).startswith(f"127.0.0.1:{port}: nobody answered (connection refused); check")


async def test_a_client_of_another_authority_is_refused_with_words():
    async with coap_server(site_of(note=Note())) as server, coap_client(pki.outsider) as client:
        failed = await failure(client.get(server.uri("note")))
        assert isinstance(failed.error, RefusedError)
        assert "unknown_ca: the certificate was signed by an authority that is not trusted there" in str(
            failed
        )


async def test_a_server_of_another_authority_is_never_asked():
    note = Note()
    endpoint = {"accept": dtls_config(pki.outsider)}
    async with coap_server(site_of(note=note), endpoint=endpoint) as server, coap_client() as client:
        failed = await failure(client.get(server.uri("note")))
        assert isinstance(failed.error, PeerError)
        assert note.requests == []


async def test_only_coaps_is_carried():
    async with coap_server(site_of(note=Note())) as server, coap_client() as client:
        for scheme in ("coap", "coap+tcp", "coaps+tcp"):
            with pytest.raises(aiocoap.error.NoRequestInterface):
                await client.get(server.uri("note").replace("coaps", scheme))
        assert server.endpoint.counters == {}


async def test_a_uri_that_goes_nowhere_is_told():
    async with coap_client() as client:
        message = Message(code=aiocoap.GET)
        message.remote = aiocoap.message.UndecidedRemote("coaps", "127.0.0.1:no-port")
        await failure(client.context.request(message).response)


async def test_a_context_without_credentials_opens_nothing():
    async with coap_server(site_of(note=Note())) as server, coap_server(None) as mere_server:
        failed = await failure(mere_server.get(server.uri("note")))
        assert "no credentials" in str(failed)


async def test_whoever_chooses_the_credentials_may_refuse():
    def refuse(host, port):
        raise ConfigurationError("nothing is configured for this place", where=f"{host}:{port}")

    async with await Endpoint.open() as endpoint:
        client = Party(endpoint, await open_context(endpoint, client_config=refuse))
        failed = await failure(client.get("coaps://METER.example:5684/power"))
        assert str(failed) == "meter.example:5684: nothing is configured for this place"
        await client.context.shutdown()


async def test_credentials_are_chosen_by_place():
    asked = []

    def choose(host, port):
        asked.append((host, port))
        return dtls_config(pki.sink)

    async with coap_server(site_of(note=Note())) as server, await Endpoint.open() as endpoint:
        client = Party(endpoint, await open_context(endpoint, client_config=choose))
        for _ in range(3):
            await client.get(server.uri("note", "LOCALHOST"))
        assert asked == [("localhost", server.endpoint.address[1])]
        await client.context.shutdown()


async def test_requests_under_way_hear_that_the_peer_has_gone():
    slow = Slow()
    async with (
        coap_client() as client,
        coap_server(site_of(slow=slow)) as server,
    ):
        waiting = [asyncio.create_task(client.get(server.uri("slow"))) for _ in range(3)]
        await slow.asked.wait()
        port = server.endpoint.address[1]
        await server.endpoint.close()
        for request in waiting:
            failed = await failure(request)
            assert str(failed) == f"127.0.0.1:{port}: the peer closed the connection; connect again"
        await until(lambda: slow.cancelled)


async def test_a_connection_that_is_over_is_replaced_by_the_next_request():
    async with coap_server(site_of(note=Note())) as server, coap_client() as client:
        first = await client.get(server.uri("note"))
        connection_of(first).close()
        second = await client.get(server.uri("note"))
        assert connection_of(second) is not connection_of(first)
        assert client.endpoint.connections == (connection_of(second),)


async def test_a_request_bound_to_a_connection_that_is_over_does_not_take_another():
    """Whoever names a connection has checked the peer of that one."""
    async with coap_server(site_of(note=Note())) as server, coap_client() as client:
        first = await client.get(server.uri("note"))
        connection_of(first).close()
        message = Message(code=aiocoap.GET, uri=server.uri("note"))
        message.remote = first.remote
        failed = await failure(client.context.request(message).response)
        assert "the connection is closed: we closed it" in str(failed)
        assert client.endpoint.connections == ()


async def test_a_restarted_server_is_found_again():
    async with coap_client() as client:
        async with coap_server(site_of(note=Note(b"before"))) as server:
            uri, port = server.uri("note"), server.endpoint.address[1]
            assert (await client.get(uri)).payload == b"before"
        endpoint = {"host": "127.0.0.1", "port": port, "accept": dtls_config(pki.publisher_p256)}
        async with coap_server(site_of(note=Note(b"after")), endpoint=endpoint):
            assert (await client.get(uri)).payload == b"after"


async def test_a_server_that_vanished_without_a_word_is_found_again_after_one_failed_request():
    class Impatient(TransportTuning):
        ACK_TIMEOUT = 0.05
        MAX_RETRANSMIT = 2

    async with coap_client() as client:
        async with coap_server(site_of(note=Note(b"before"))) as server:
            uri, port = server.uri("note"), server.endpoint.address[1]
            await client.get(uri)
            # As when the power fails: the port is free, and nobody has said close_notify.
            server.endpoint._switchboard.wire._transport.abort()
            await until(server.endpoint._switchboard.wire._transport.is_closing)
        await asyncio.sleep(0)
        endpoint = {"host": "127.0.0.1", "port": port, "accept": dtls_config(pki.publisher_p256)}
        async with coap_server(site_of(note=Note(b"after")), endpoint=endpoint):
            failed = await failure(client.get(uri, transport_tuning=Impatient()))
            assert "nothing that was sent was acknowledged" in str(failed)
            assert client.endpoint.connections == ()
            assert (await client.get(uri)).payload == b"after"


async def test_everybody_who_waits_for_a_handshake_gets_its_failure():
    async with coap_server(site_of(note=Note())) as server, coap_client(pki.outsider) as client:
        outcomes = await asyncio.gather(
            *(client.get(server.uri("note")) for _ in range(5)), return_exceptions=True
        )
        assert all(isinstance(outcome, TransportFailed) for outcome in outcomes)
        assert server.endpoint.counters["handshakes failed"] == 1


async def test_a_handshake_goes_on_while_anybody_waits_for_it():
    async with coap_server(site_of(note=Note())) as server, coap_client() as client:
        first, second = (asyncio.create_task(client.get(server.uri("note"))) for _ in range(2))
        await asyncio.sleep(0.002)
        first.cancel()
        assert (await second).payload == b"nothing yet"
        assert server.endpoint.counters["cookies sent"] == 1


async def test_a_handshake_nobody_waits_for_any_more_is_given_up():
    with mute_port() as sock:
        uri = f"coaps://127.0.0.1:{sock.getsockname()[1]}/x"
        async with coap_client() as client:
            waiting = [asyncio.create_task(client.get(uri)) for _ in range(2)]
            await until(lambda: len(client.endpoint._switchboard.links))
            for request in waiting:
                request.cancel()
            await until(lambda: not len(client.endpoint._switchboard.links))
            # Whoever asks right after it gets a handshake of its own.
            again = asyncio.create_task(client.get(uri))
            await until(lambda: len(client.endpoint._switchboard.links))
            again.cancel()


async def test_a_handshake_asked_for_in_the_very_moment_of_its_cancellation_is_begun_anew():
    """The attempt that is being cancelled must not be what the next one waits for."""
    with mute_port() as sock:
        async with await Endpoint.open() as endpoint:
            pool = ConnectionPool(endpoint, lambda _host, _port: dtls_config(pki.subscriber))

            async def ask_again_when_cancelled():
                try:
                    await pool.connection(*sock.getsockname())
                except asyncio.CancelledError:
                    await pool.connection(*sock.getsockname())

            asking = asyncio.create_task(ask_again_when_cancelled())
            links = endpoint._switchboard.links
            await until(lambda: len(links))
            [first] = links
            asking.cancel()
            await until(lambda: len(links) and first not in list(links))
            assert not asking.done()
            asking.cancel()
            await asyncio.gather(asking, return_exceptions=True)
            await pool.close()


async def test_shutting_down_ends_a_handshake_that_somebody_waits_for():
    with mute_port() as sock:
        async with coap_client() as client:
            waiting = asyncio.create_task(client.get(f"coaps://127.0.0.1:{sock.getsockname()[1]}/x"))
            await until(lambda: len(client.endpoint._switchboard.links))
            await client.context.shutdown()
            failed = await failure(waiting)
            assert str(failed) == "the CoAP context was shut down"
            await failure(client.get("coaps://127.0.0.1/x"))


async def test_shutting_down_ends_requests_under_way():
    slow = Slow()
    async with coap_server(site_of(slow=slow)) as server, coap_client() as client:
        waiting = asyncio.create_task(client.get(server.uri("slow")))
        await slow.asked.wait()
        await client.context.shutdown()
        with pytest.raises(aiocoap.error.LibraryShutdown):
            await waiting
        await server.context.shutdown()
        await until(lambda: slow.cancelled)


async def test_what_arrives_after_the_shutdown_is_ignored():
    async with coap_server(site_of(note=Note())) as server, coap_client() as client:
        await client.get(server.uri("note"))
        await server.context.shutdown()
        connection = client.endpoint.connections[0]
        connection.send(get_bytes())
        connection.send(b"\xff" * 10)
        [accepted] = server.endpoint.connections
        before = accepted.traffic.datagrams_received
        await until(lambda: accepted.traffic.datagrams_received > before or accepted.closed)
        assert server.endpoint.counters["listeners failed"] == 0


async def test_a_client_that_crashes_and_comes_back_at_its_address_is_served():
    """Its old association is replaced, and with it goes what ran on that one."""
    note = Note()
    async with coap_server(site_of(note=note)) as server:
        with await BareClient.at(server.endpoint) as bare:
            await bare.shake_hands()
            bare.tell(get_bytes("note", options=b""))
            while len(bare.events) < 2:
                await bare.step()
            again = await BareClient.at(server.endpoint, sock=bare.sock)
            await again.shake_hands()
            again.tell(get_bytes("note", mid=1, token=b"\x02"))
            while len(again.events) < 2:
                await again.step()
            # The same message ID is no duplicate on another association.
            answer = again.events[1].data
            assert struct.unpack("!BBH", answer[:4])[2] == 1
            assert answer[4:5] == b"\x02"
            assert len(note.requests) == 2
            assert len(server.endpoint.connections) == 1


async def test_one_stalled_client_does_not_delay_another():
    """It has asked, and acknowledges nothing: not the answer, not the notifications."""
    note = Note()
    async with coap_server(site_of(note=note)) as server, coap_client() as client:
        with await BareClient.at(server.endpoint) as stalled:
            await stalled.shake_hands()
            stalled.tell(b"\x41\x01\x00\x01\x05\x60\x54note")
            await until(lambda: note.observers == 1)
            started = asyncio.get_running_loop().time()
            for number in range(50):
                note.change(b"%d" % number)
                assert (await client.get(server.uri("note"))).payload == b"%d" % number
            assert asyncio.get_running_loop().time() - started < PATIENCE / 2
