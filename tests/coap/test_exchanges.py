"""Requests and responses between real contexts."""

import asyncio
from contextlib import AsyncExitStack

import aiocoap
import pytest
from aiocoap import Message
from aiocoap.resource import Resource, Site, WKCResource
from live_coap import Note, Party, Slow, WhoAmI, coap_client, coap_server, site_of
from live_endpoints import serving, until
from small_pki import small_pki

from twoway.coap import SecureRemote, connection_of, open_context, peer_of
from twoway.coap.transport import TUNING
from twoway.dtls import DTLSConfig, PSKCredential
from twoway.errors import CallerError
from twoway.identity import PSKIdentity
from twoway.net import Endpoint

pki = small_pki()


@pytest.mark.parametrize("host", ["127.0.0.1", "[::1]", "localhost"])
async def test_get_and_put_over_either_family(host):
    note = Note()
    async with coap_server(site_of(note=note), endpoint={"host": ""}) as server, coap_client() as client:
        uri = server.uri("note", host)
        assert (await client.put(uri, b"21.5")).code == aiocoap.CHANGED
        response = await client.get(uri)
        assert (response.code, response.payload) == (aiocoap.CONTENT, b"21.5")
        assert response.get_request_uri() == uri


async def test_a_resource_learns_who_is_asking_and_the_client_who_answers():
    async with coap_server(site_of(whoami=WhoAmI())) as server:
        for credential in (pki.subscriber, pki.sink):
            async with coap_client(credential) as client:
                response = await client.get(server.uri("whoami"))
                assert response.payload.decode() == credential.uri
                assert peer_of(response) == pki.publisher_p256.identity
                assert response.remote.authenticated_claims == (pki.publisher_p256.identity,)
                assert connection_of(response) is client.endpoint.connections[0]


async def test_a_peer_with_a_pre_shared_key_has_a_name_too():
    key = bytes(16)
    accept = DTLSConfig(psk_lookup={b"sink": key}.get)
    async with (
        coap_server(site_of(whoami=WhoAmI()), endpoint={"accept": accept}) as server,
        await Endpoint.open() as endpoint,
    ):
        config = DTLSConfig(psk=PSKCredential(b"sink", key))
        context = await open_context(endpoint, client_config=lambda _host, _port: config)
        client = Party(endpoint, context)
        response = await client.get(server.uri("whoami"))
        assert response.payload == b"psk:sink"
        assert peer_of(response) == PSKIdentity(b"sink")
        await context.shutdown()


async def test_a_message_that_did_not_come_by_us_has_no_peer():
    with pytest.raises(CallerError):
        peer_of(Message(code=aiocoap.GET, uri="coaps://127.0.0.1/"))


@pytest.mark.parametrize("size", [1024, 1025, 50_000, 2**17])
async def test_large_bodies_travel_in_blocks_both_ways(size):
    note, content = Note(), bytes(number % 251 for number in range(size))
    async with coap_server(site_of(note=note)) as server, coap_client() as client:
        assert (await client.put(server.uri("note"), content)).code == aiocoap.CHANGED
        assert note.content == content
        assert len(note.requests) == 1
        assert (await client.get(server.uri("note"))).payload == content
        # Rendered once, not once a block.
        assert len(note.requests) == 2


async def test_blocks_fit_the_smallest_link_that_ipv6_allows():
    async with coap_server(site_of(note=Note(bytes(10_240)))) as server, coap_client() as client:
        await client.get(server.uri("note"))
        connection = client.endpoint.connections[0]
        handshake, all_in_all = connection.handshake_traffic, connection.traffic
        blocks = all_in_all.datagrams_received - handshake.datagrams_received
        size = (all_in_all.bytes_received - handshake.bytes_received) / blocks
        assert blocks == 10
        # 1280 bytes less the headers of IPv6 and UDP.
        assert 1024 < size <= 1280 - 48


async def test_many_clients_are_served_at_once():
    async with coap_server(site_of(whoami=WhoAmI())) as server, AsyncExitStack() as stack:
        credentials = [pki.subscriber, pki.sink, pki.ac] * 10
        clients = [await stack.enter_async_context(coap_client(each)) for each in credentials]
        responses = await asyncio.gather(*(client.get(server.uri("whoami")) for client in clients))
        assert [each.payload.decode() for each in responses] == [each.uri for each in credentials]


async def test_many_requests_of_one_client_share_one_handshake():
    note = Note()
    async with coap_server(site_of(note=note)) as server, coap_client() as client:
        responses = await asyncio.gather(*(client.get(server.uri("note")) for _ in range(40)))
        assert {response.payload for response in responses} == {b"nothing yet"}
        assert len(server.endpoint.connections) == len(client.endpoint.connections) == 1
        assert server.endpoint.counters["cookies sent"] == 1


async def test_both_sides_of_a_connection_may_ask():
    """A publisher that is reached through a NAT is asked on the connection that it opened itself."""
    async with (
        coap_client(pki.sink, site=site_of(whoami=WhoAmI())) as caller,
        coap_server(site_of(whoami=WhoAmI())) as server,
    ):
        first = await caller.get(server.uri("whoami"))
        assert first.payload.decode() == pki.sink.uri
        [accepted] = server.endpoint.connections
        message = Message(code=aiocoap.GET)
        message.opt.uri_path = ("whoami",)
        message.remote = SecureRemote(accepted)
        async with asyncio.timeout(5):
            response = await server.context.request(message).response
        assert response.payload.decode() == pki.publisher_p256.uri


async def test_a_slow_resource_answers_separately_and_delays_nobody():
    slow, note = Slow(), Note()
    async with (
        coap_server(site_of(slow=slow, note=note)) as server,
        coap_client() as patient,
        coap_client() as other,
    ):
        waiting = asyncio.create_task(patient.get(server.uri("slow")))
        await slow.asked.wait()
        assert (await other.get(server.uri("note"))).payload == b"nothing yet"
        await asyncio.sleep(0.15)
        slow.release.set()
        assert (await waiting).payload == b"at last"


async def test_errors_of_resources_become_responses():
    class Faulty(Resource):
        async def render_get(self, request):
            raise ZeroDivisionError

        async def render_post(self, request):
            return Message(code=aiocoap.CREATED, location_path=["x" * 70_000])

    async with coap_server(site_of(faulty=Faulty())) as server, coap_client() as client:
        assert (await client.get(server.uri("faulty"))).code == aiocoap.INTERNAL_SERVER_ERROR
        response = await client.request(aiocoap.POST, server.uri("faulty"))
        assert response.code == aiocoap.INTERNAL_SERVER_ERROR
        assert (await client.put(server.uri("faulty"), b"")).code == aiocoap.METHOD_NOT_ALLOWED
        assert (await client.get(server.uri("missing"))).code == aiocoap.NOT_FOUND


async def test_a_context_without_a_site_has_nothing():
    async with coap_server(None) as server, coap_client() as client:
        assert (await client.get(server.uri("note"))).code == aiocoap.NOT_FOUND


async def test_the_librarys_own_resources_work_unchanged():
    site = Site()
    site.add_resource([".well-known", "core"], WKCResource(site.get_resources_as_linkheader))
    site.add_resource(["deep", "er"], site_of(note=Note(b"down here")))
    async with coap_server(site) as server, coap_client() as client:
        links = (await client.get(server.uri(".well-known/core"))).payload
        assert b"</deep/er/note>" in links
        assert (await client.get(server.uri("deep/er/note"))).payload == b"down here"


async def test_what_must_not_be_ignored_is_refused():
    async with coap_server(site_of(note=Note())) as server, coap_client() as client:
        uri = server.uri("note")
        for critical in ({"uri_path_abbrev": 0}, {"oscore": b"\x00"}):
            assert (await client.get(uri, **critical)).code == aiocoap.BAD_OPTION
        elsewhere = await client.get(uri, proxy_scheme="coap")
        assert elsewhere.code == aiocoap.PROXYING_NOT_SUPPORTED


async def test_the_remote_names_both_ends_in_uris():
    note = Note()
    async with coap_server(site_of(note=note), endpoint={"host": "::1"}) as server, coap_client() as client:
        response = await client.get(server.uri("note", "[::1]"))
        port, remote = server.endpoint.address[1], note.requests[0].remote
        assert response.remote.uri_base == remote.uri_base_local == f"coaps://[::1]:{port}"
        assert remote.uri_base == f"coaps://[::1]:{client.endpoint.address[1]}"
        assert remote.hostinfo_local == f"[::1]:{port}"
        assert (remote.scheme, remote.is_multicast, remote.is_multicast_locally) == ("coaps", False, False)
        assert repr(remote) == f"<SecureRemote {connection_of(note.requests[0]).number}>"


async def test_remotes_are_equal_if_they_are_one_connection():
    async with coap_server(site_of(note=Note())) as server, coap_client() as one, coap_client() as other:
        first, again = [(await one.get(server.uri("note"))).remote for _ in range(2)]
        stranger = (await other.get(server.uri("note"))).remote
        view = first.uncut()
        assert first == again == view
        assert len({first, again, view, stranger}) == 2
        assert first != stranger
        accepted = [SecureRemote(each) for each in server.endpoint.connections]
        assert len({each.blockwise_key for each in accepted}) == 2


async def test_the_default_port_is_left_out_of_uris():
    class Connected:
        number, peer, local, remote = 1, None, ("fe80::1%2", 5685), ("2001:db8::1", 5684)

    remote = SecureRemote(Connected())
    assert remote.uri_base == "coaps://[2001:db8::1]"
    assert remote.uri_base_local == "coaps://[fe80::1%252]:5685"


async def test_message_ids_are_remembered_for_seconds_not_minutes():
    """With RFC 7252's 247 seconds a client stalls after 65,536 requests at more than 265 a second. Sending
    so many takes minutes; what the message layer goes by is the tuning that each message arrives with."""
    note = Note()
    async with coap_server(site_of(note=note)) as server, coap_client() as client:
        response = await client.get(server.uri("note"))
        for message in (note.requests[0], response):
            assert message.transport_tuning is TUNING
        assert 65_536 / TUNING.EXCHANGE_LIFETIME > 3000
        # Long enough for a first and a second retransmission, 2 + 4 seconds times at most 1.5, to be known.
        assert TUNING.EXCHANGE_LIFETIME > (2 + 4) * TUNING.ACK_RANDOM_FACTOR


async def test_an_earlier_listener_for_connections_is_still_called():
    met = []
    options = {"on_connection": met.append}
    async with coap_server(site_of(note=Note()), endpoint=options) as server, coap_client() as client:
        assert (await client.get(server.uri("note"))).payload == b"nothing yet"
        assert [connection.peer for connection in met] == [pki.subscriber.identity]


async def test_connections_older_than_the_context_reach_the_site():
    async with serving() as endpoint, coap_client() as client:
        server = Party(endpoint, None)
        waiting = asyncio.create_task(client.get(server.uri("note")))
        await until(lambda: endpoint.connections)
        server.context = await open_context(endpoint, site=site_of(note=Note()))
        assert (await waiting).payload == b"nothing yet"
        await server.context.shutdown()
