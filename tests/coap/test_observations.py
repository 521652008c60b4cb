"""Observations: notified, ended with a last word, and forgotten with their connection."""

import asyncio
from contextlib import AsyncExitStack

import aiocoap
import aiocoap.error
import pytest
from aiocoap import Message
from live_coap import Note, PlainSpeaker, Slow, coap_client, coap_server, site_of
from live_endpoints import PATIENCE, calling, dtls_config, until
from small_pki import small_pki

from twoway.coap import connection_of, end_connection
from twoway.dtls import ClosedBy

pki = small_pki()

OBSERVE = b"\x41\x01\x00\x01\x05\x60\x54note"


class Watch:
    """An observation from the client's side."""

    def __init__(self, asked):
        self.asked = asked
        self.iterator = aiter(asked.observation)

    @classmethod
    async def of(cls, client, uri, **options):
        asked = client.context.request(Message(code=aiocoap.GET, uri=uri, observe=0, **options))
        watch = cls(asked)
        async with asyncio.timeout(PATIENCE):
            watch.first = await asked.response
        return watch

    async def next(self):
        async with asyncio.timeout(PATIENCE):
            return await anext(self.iterator)


async def test_each_change_is_notified():
    note = Note(b"0")
    async with coap_server(site_of(note=note)) as server, coap_client() as client:
        watch = await Watch.of(client, server.uri("note"))
        assert (watch.first.payload, watch.first.opt.observe) == (b"0", 0)
        for number in range(1, 6):
            note.change(b"%d" % number)
            assert (await watch.next()).payload == b"%d" % number
        # Whoever stops listening answers one of the next notifications with a Reset.
        watch.asked.observation.cancel()
        await until(lambda: note.change(b"nobody cares") or note.observers == 0)


async def test_a_large_representation_can_be_observed():
    note = Note(b"a" * 5000)
    async with coap_server(site_of(note=note)) as server, coap_client() as client:
        watch = await Watch.of(client, server.uri("note"))
        assert watch.first.payload == b"a" * 5000
        note.change(b"b" * 6000)
        assert (await watch.next()).payload == b"b" * 6000
        note.change(b"small")
        assert (await watch.next()).payload == b"small"


async def test_one_message_for_all_observers_reaches_each_of_them_as_its_own():
    """aiocoap writes token and remote into the message that it is given: with one message for everybody,
    what is sent again to one would go to another."""
    note = Note()
    async with coap_server(site_of(note=note)) as server, AsyncExitStack() as stack:
        clients = [await stack.enter_async_context(coap_client()) for _ in range(4)]
        watches = [await Watch.of(client, server.uri("note")) for client in clients]
        note.updated_state(shared := Message(code=aiocoap.CONTENT, payload=b"to all"))
        notifications = [await watch.next() for watch in watches]
        assert [each.payload for each in notifications] == [b"to all"] * 4
        assert (shared.remote, shared.mid, shared.token) == (None, None, b"")


async def test_observers_go_with_their_connection():
    note = Note()
    async with coap_server(site_of(note=note)) as server, AsyncExitStack() as stack:
        clients = [await stack.enter_async_context(coap_client()) for _ in range(3)]
        watches = [await Watch.of(client, server.uri("note")) for client in clients]
        assert note.observers == 3
        clients[0].endpoint.connections[0].close()
        await until(lambda: note.observers == 2)
        with pytest.raises(aiocoap.error.NetworkError, match="we closed it"):
            await watches[0].next()
        note.change(b"for the others")
        for watch in watches[1:]:
            assert (await watch.next()).payload == b"for the others"


async def test_observers_go_with_an_association_that_is_replaced():
    note = Note()
    async with coap_server(site_of(note=note)) as server, calling() as endpoint:
        for credential in (pki.subscriber, pki.sink):
            address = ("127.0.0.1", server.endpoint.address[1])
            connection = await endpoint.connect(*address, dtls_config(credential))
            connection.send(OBSERVE)
            await until(lambda: note.observers == 1 and len(server.endpoint.connections) == 1)


async def test_a_client_hears_that_its_observation_was_lost():
    async with coap_client() as client:
        async with coap_server(site_of(note=Note())) as server:
            watch = await Watch.of(client, server.uri("note"))
        with pytest.raises(aiocoap.error.NetworkError, match="the peer closed the connection"):
            await watch.next()


async def test_a_client_may_leave_its_observation_by_deregistering():
    note = Note()
    async with coap_server(site_of(note=note)) as server, await PlainSpeaker.towards(server) as peer:
        await peer.answer_to(OBSERVE)
        assert note.observers == 1
        await peer.answer_to(b"\x41\x01\x00\x02\x05\x61\x01\x54note")
        await until(lambda: note.observers == 0)


async def test_the_last_word_reaches_the_observer_before_the_connection_ends():
    note = Note()
    async with coap_server(site_of(note=note)) as server, coap_client() as client:
        watches = [await Watch.of(client, server.uri("note")) for _ in range(3)]
        [accepted] = server.endpoint.connections
        end_connection(accepted, aiocoap.UNAUTHORIZED)
        for watch in watches:
            notification = await watch.next()
            assert (notification.code, notification.opt.observe) == (aiocoap.UNAUTHORIZED, None)
        async with asyncio.timeout(1):
            assert (await accepted.wait_closed()).by is ClosedBy.US
        await until(lambda: note.observers == 0)


async def test_the_last_word_waits_its_turn_behind_what_was_not_acknowledged():
    """One confirmable message is under way at a time; an end that did not wait would swallow the rest."""
    note = Note()
    async with coap_server(site_of(note=note)) as server, coap_client() as client:
        watches = [await Watch.of(client, server.uri("note")) for _ in range(5)]
        note.change(b"several notifications, and at once the end")
        [accepted] = server.endpoint.connections
        await asyncio.sleep(0)
        end_connection(accepted, aiocoap.UNAUTHORIZED)
        end_connection(accepted, aiocoap.UNAUTHORIZED)
        for watch in watches:
            while (notification := await watch.next()).code != aiocoap.UNAUTHORIZED:
                assert notification.payload.startswith(b"several")


async def test_a_request_that_still_runs_is_answered_with_the_last_word():
    slow = Slow()
    async with coap_server(site_of(slow=slow)) as server, coap_client() as client:
        waiting = asyncio.create_task(client.get(server.uri("slow")))
        await slow.asked.wait()
        end_connection(server.endpoint.connections[0], aiocoap.UNAUTHORIZED)
        assert (await waiting).code == aiocoap.UNAUTHORIZED
        await until(lambda: slow.cancelled)


async def test_only_the_connection_that_ends_hears_the_last_word():
    note = Note()
    async with coap_server(site_of(note=note)) as server, coap_client() as one, coap_client() as other:
        ending, staying = [await Watch.of(client, server.uri("note")) for client in (one, other)]
        end_connection(
            next(each for each in server.endpoint.connections if each.remote[1] == one.endpoint.address[1]),
            aiocoap.UNAUTHORIZED,
        )
        assert (await ending.next()).code == aiocoap.UNAUTHORIZED
        note.change(b"for who stays")
        assert (await staying.next()).payload == b"for who stays"


async def test_a_peer_that_does_not_acknowledge_the_last_word_is_not_waited_for_long():
    note = Note()
    async with coap_server(site_of(note=note)) as server, await PlainSpeaker.towards(server) as peer:
        await peer.answer_to(OBSERVE)
        [accepted] = server.endpoint.connections
        end_connection(accepted, aiocoap.UNAUTHORIZED, last_words_timeout=0.1)
        assert accepted.closed is None
        async with asyncio.timeout(2):
            await accepted.wait_closed()
        assert aiocoap.Code(peer.inbox.received[-1][1]) == aiocoap.UNAUTHORIZED


async def test_a_connection_with_nothing_left_to_say_ends_at_once():
    async with coap_server(site_of(note=Note())) as server, coap_client() as client:
        response = await client.get(server.uri("note"))
        [accepted] = server.endpoint.connections
        end_connection(accepted)
        assert accepted.closed.by is ClosedBy.US
        end_connection(accepted)
        await until(lambda: connection_of(response).closed)


async def test_a_connection_that_carries_no_coap_is_ended_all_the_same():
    async with coap_server(site_of(note=Note())) as server, await PlainSpeaker.towards(server) as peer:
        end_connection(peer.connection, aiocoap.UNAUTHORIZED)
        assert peer.connection.closed.by is ClosedBy.US


async def test_a_shutdown_does_not_wait_for_last_words():
    note = Note()
    async with coap_server(site_of(note=note)) as server, await PlainSpeaker.towards(server) as peer:
        await peer.answer_to(OBSERVE)
        end_connection(server.endpoint.connections[0], aiocoap.UNAUTHORIZED)
        async with asyncio.timeout(1):
            await server.context.shutdown()


async def test_an_observer_that_vanished_is_noticed_and_its_connection_closed(monkeypatch):
    """Nothing it was sent is acknowledged: after the last retransmission its association goes too."""
    monkeypatch.setattr("aiocoap.numbers.constants.TransportTuning.ACK_TIMEOUT", 0.02)
    monkeypatch.setattr("aiocoap.numbers.constants.TransportTuning.MAX_RETRANSMIT", 2)
    note = Note()
    async with coap_server(site_of(note=note)) as server, await PlainSpeaker.towards(server) as peer:
        await peer.answer_to(OBSERVE)
        note.change(b"hello?")
        await until(lambda: not server.endpoint.connections)
        await until(lambda: note.observers == 0)
