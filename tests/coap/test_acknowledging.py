"""Notifications that are acknowledged by hand: not before they are safe, and then at once."""

from __future__ import annotations

import asyncio

import aiocoap
import pytest
from aiocoap import ACK, CON, EMPTY, Message
from aiocoap.optiontypes import BlockOption
from live_coap import Note, coap_client, coap_server, site_of
from live_endpoints import PATIENCE, until

from twoway.coap import acknowledge, connection_of, hold_acknowledgements
from twoway.coap.acknowledging import MAX_AWAITED, Acknowledgements
from twoway.coap.transport import transport_of


def response(mid: int, token: bytes = b"t", **options) -> Message:
    message = Message(code=aiocoap.CONTENT, payload=b"x", _mtype=CON, _mid=mid, **options)
    message.token = token
    return message


def empty(mid: int) -> Message:
    return Message(code=EMPTY, _mtype=ACK, _mid=mid)


class Line:
    """Acknowledgements, and what left."""

    def __init__(self) -> None:
        self.sent: list[int] = []
        self.acknowledgements = Acknowledgements(lambda message: self.sent.append(message.mid))

    def arrive(self, mid: int, token: bytes = b"t", **options) -> Message:
        """What happens when a response comes: it is expected, and aiocoap wants to acknowledge it."""
        message = response(mid, token, **options)
        self.acknowledgements.expect(message)
        if not self.acknowledgements.holds(empty(mid)):
            self.sent.append(mid)
        return message


def test_nothing_is_acknowledged_before_it_is_given():
    line = Line()
    first = line.arrive(1)
    assert line.sent == []
    line.acknowledgements.give(first)
    assert line.sent == [1]
    line.acknowledgements.give(first)
    assert line.sent == [1]


def test_those_before_in_the_same_observation_are_superseded():
    line = Line()
    line.arrive(1)
    second = line.arrive(2)
    line.arrive(3)
    line.acknowledgements.give(second)
    assert line.sent == [1, 2]


def test_another_observation_on_the_connection_is_not_acknowledged_with_it():
    line = Line()
    line.arrive(1, b"other")
    line.acknowledgements.give(line.arrive(2, b"mine"))
    assert line.sent == [2]


def test_a_repetition_of_what_was_acknowledged_is_acknowledged_at_once():
    """The acknowledgement was lost; nobody will hand this one over again."""
    line = Line()
    line.acknowledgements.give(line.arrive(1))
    line.arrive(1)
    assert line.sent == [1, 1]


def test_a_repetition_of_what_waits_goes_on_waiting():
    line = Line()
    first = line.arrive(1)
    line.arrive(1)
    assert line.sent == []
    line.acknowledgements.give(first)
    assert line.sent == [1]


@pytest.mark.parametrize("block", [(0, True, 6), (3, False, 6)])
def test_a_response_in_blocks_is_acknowledged_at_once(block):
    line = Line()
    line.arrive(1, block2=BlockOption.BlockwiseTuple(*block))
    assert line.sent == [1]


def test_what_waits_is_bounded_and_the_oldest_goes_unacknowledged():
    line = Line()
    messages = [line.arrive(mid) for mid in range(MAX_AWAITED + 3)]
    line.acknowledgements.give(messages[0])
    assert line.sent == []
    line.acknowledgements.give(messages[-1])
    assert line.sent == list(range(3, MAX_AWAITED + 3))


async def test_a_publisher_keeps_what_was_not_acknowledged():
    note = Note(b"0")
    async with coap_server(site_of(note=note)) as server, coap_client() as client:
        asked = client.context.request(Message(code=aiocoap.GET, uri=server.uri("note"), observe=0))
        async with asyncio.timeout(PATIENCE):
            first = await asked.response
            hold_acknowledgements(connection_of(first))
            note.change(b"1")
            notification = await anext(aiter(asked.observation))
        (served,) = server.endpoint.connections
        transport = transport_of(served)
        assert notification.payload == b"1"
        assert any(remote.connection is served for remote in transport._manager._backlogs)
        acknowledge(notification)
        await until(lambda: not transport._manager._backlogs)
        asked.observation.cancel()


async def test_without_holding_everything_is_acknowledged_by_itself():
    note = Note(b"0")
    async with coap_server(site_of(note=note)) as server, coap_client() as client:
        asked = client.context.request(Message(code=aiocoap.GET, uri=server.uri("note"), observe=0))
        async with asyncio.timeout(PATIENCE):
            await asked.response
            note.change(b"1")
            notification = await anext(aiter(asked.observation))
        (served,) = server.endpoint.connections
        await until(lambda: not transport_of(served)._manager._backlogs)
        acknowledge(notification)
        asked.observation.cancel()
