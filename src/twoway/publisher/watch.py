"""A resource of the AC, followed in two ways at once: by observation and by asking now and then.

It owns the rhythm. A notification is fast and can be held back by whoever is on the path, for nobody misses
what never came; asking is slow and finds it all the same (RFC 9770 wants both). It must never let
a fault of the AC's end either of them.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing

from twoway.errors import TwowayError
from twoway.publisher.ac_link import Reply
from twoway.trace import Fault, Trace

FIRST_PAUSE = 1.0
"""Seconds until an observation that could not be begun or has ended is begun again; doubled each time."""
LONGEST_PAUSE = 60.0
"""Seconds between two such attempts at most."""


class Watch:
    """Follows one resource.

    Args:
        name: what it is called in the trace.
        observe: begins an observation.
        take: takes the representation that an observation brings; raises a ``TwowayError`` if it is unusable.
        ask: asks for the representation and takes it.
        interval: seconds between two questions.
        first_question: seconds until the first one.
        trace: hears what fails.
    """

    def __init__(
        self,
        name: str,
        *,
        observe: Callable[[], AsyncGenerator[Reply, None]],
        take: Callable[[Reply], Awaitable[None]],
        ask: Callable[[], Awaitable[None]],
        interval: float,
        first_question: float,
        trace: Trace,
    ) -> None:
        self._name = name
        self._observe = observe
        self._take = take
        self._ask = ask
        self._interval = interval
        self._first_question = first_question
        self._trace = trace

    async def run(self) -> None:
        """Follow until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._keep_observing())
            tasks.create_task(self._keep_asking())

    async def _keep_observing(self) -> None:
        pause = FIRST_PAUSE
        while True:
            try:
                async with aclosing(self._observe()) as replies:
                    async for reply in replies:
                        await self._take(reply)
                        if reply.is_observed:
                            pause = FIRST_PAUSE
            except TwowayError as error:
                self._tell("observation failed", str(error))
            except Exception as error:  # noqa: BLE001  # a fault of ours, but it must not cost the readings
                self._tell("observation failed", type(error).__name__)
            await asyncio.sleep(pause)
            pause = min(2 * pause, LONGEST_PAUSE, max(self._interval, FIRST_PAUSE))

    async def _keep_asking(self) -> None:
        pause = self._first_question
        while True:
            await asyncio.sleep(pause)
            pause = self._interval
            try:
                await self._ask()
            except TwowayError as error:
                self._tell("question failed", str(error))
            except Exception as error:  # noqa: BLE001  # as above
                self._tell("question failed", type(error).__name__)

    def _tell(self, what: str, because: str) -> None:
        self._trace(Fault(f"{self._name} {what}", "publisher", {"because": because}))
