"""The notifications of one observation, in order, kept while the disk works.

aiocoap hands over the newest notification and forgets what nobody was waiting for. A sink wants each. So
they are moved into a queue as they arrive, from the moment of the request on: the first ones may come
while the answer to the registration is still being stored.
"""

from __future__ import annotations

import asyncio
from types import TracebackType
from typing import Self

import aiocoap

from twoway.errors import NetworkError

QUEUE_LIMIT = 256
"""Notifications that may wait. A disk that falls further behind does not catch up: the observation is given
up, and what was not stored was not acknowledged either."""


class Notifications:
    """Collects the notifications of an observation while its context lasts.

    Args:
        observation: of a request that has just been made.
    """

    def __init__(self, observation: aiocoap.protocol.ClientObservation) -> None:
        self._observation = observation
        self._waiting: asyncio.Queue[aiocoap.Message | None] = asyncio.Queue()
        self._arriving = aiter(observation)

    async def __aenter__(self) -> Self:
        self._pump = asyncio.create_task(self._run())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._pump.cancel()
        await asyncio.gather(self._pump, return_exceptions=True)
        if not self._observation.cancelled:
            self._observation.cancel()

    async def next(self, patience: float) -> aiocoap.Message:
        """Return the next notification.

        Raises:
            TimeoutError: none came for ``patience`` seconds.
            NetworkError: the publisher ended the observation, or the disk does not keep up; aiocoap's own,
                if the connection is lost.
        """
        async with asyncio.timeout(patience):
            notification = await self._waiting.get()
        if notification is None:
            self._waiting.put_nowait(None)
            await self._pump
            raise NetworkError("the publisher ended the observation")
        return notification

    async def _run(self) -> None:
        try:
            while True:
                notification = await anext(self._arriving)
                if self._waiting.qsize() >= QUEUE_LIMIT:
                    raise NetworkError("notifications come faster than they can be stored")
                self._waiting.put_nowait(notification)
        except StopAsyncIteration:
            pass  # The publisher ended it.
        finally:
            self._waiting.put_nowait(None)
