"""The notifications of an observation: all of them, in order, and why there are no more."""

from __future__ import annotations

import asyncio
import gc

import aiocoap
import pytest
from aiocoap.error import NetworkError as CoAPNetworkError
from aiocoap.error import ObservationCancelled
from aiocoap.protocol import ClientObservation

from twoway.errors import NetworkError
from twoway.sink.notifications import QUEUE_LIMIT, Notifications


def message(number: int) -> aiocoap.Message:
    return aiocoap.Message(code=aiocoap.CONTENT, payload=str(number).encode())


async def arrive(observation: ClientObservation, *numbers: int) -> None:
    """Let notifications arrive as datagrams do: a turn of the loop apart."""
    for number in numbers:
        observation.callback(message(number))
        await asyncio.sleep(0)


async def test_what_arrives_while_the_disk_works_is_kept_in_order():
    observation = ClientObservation()
    async with Notifications(observation) as notifications:
        await asyncio.sleep(0)
        await arrive(observation, *range(20))
        taken = [(await notifications.next(1.0)).payload for _ in range(20)]
    assert taken == [str(number).encode() for number in range(20)]
    assert observation.cancelled


async def test_what_arrived_before_anybody_asked_is_not_lost():
    observation = ClientObservation()
    notifications = Notifications(observation)
    observation.callback(message(7))
    async with notifications:
        assert (await notifications.next(1.0)).payload == b"7"


async def test_an_end_by_the_publisher_is_told_after_what_came_before():
    observation = ClientObservation()
    async with Notifications(observation) as notifications:
        await asyncio.sleep(0)
        await arrive(observation, 1)
        observation.error(ObservationCancelled())
        assert (await notifications.next(1.0)).payload == b"1"
        for _ in range(2):
            with pytest.raises(NetworkError, match="ended the observation"):
                await notifications.next(1.0)


async def test_a_lost_connection_is_told_as_such():
    observation = ClientObservation()
    async with Notifications(observation) as notifications:
        observation.error(CoAPNetworkError("gone"))
        with pytest.raises(CoAPNetworkError):
            await notifications.next(1.0)


async def test_a_loss_that_nobody_asked_about_is_forgotten_without_noise():
    complaints: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _loop, context: complaints.append(context))
    observation = ClientObservation()
    async with Notifications(observation):
        observation.error(CoAPNetworkError("gone"))
        await asyncio.sleep(0)
    del observation
    gc.collect()
    assert complaints == []


async def test_silence_is_told_and_ends_nothing():
    observation = ClientObservation()
    async with Notifications(observation) as notifications:
        with pytest.raises(TimeoutError):
            await notifications.next(0.01)
        await arrive(observation, 1)
        assert (await notifications.next(1.0)).payload == b"1"


async def test_a_flood_takes_bounded_memory_and_ends_the_observation():
    """What does not fit was not acknowledged either: its publisher still has it."""
    observation = ClientObservation()
    async with Notifications(observation) as notifications:
        await asyncio.sleep(0)
        await arrive(observation, *range(QUEUE_LIMIT + 5))
        await asyncio.sleep(0)
        taken = [(await notifications.next(1.0)).payload for _ in range(QUEUE_LIMIT)]
        assert taken == [str(number).encode() for number in range(QUEUE_LIMIT)]
        with pytest.raises(NetworkError, match="faster than they can be stored"):
            await notifications.next(1.0)
