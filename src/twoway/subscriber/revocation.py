"""Following which of our own tickets the AC has revoked (RFC 9770 section 11).

It owns when the AC is asked: by an observation, which is quick, and again and again, since whoever can drop
packets can suppress notifications (RFC 9770 section 14.3). Both ask for the whole list, so that nothing that
was missed stays unknown. What becomes of a ticket that is listed, its user decides.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Set
from contextlib import contextmanager

from twoway.errors import TwowayError
from twoway.subscriber.ac import ACClient
from twoway.subscriber.grant import revoked_untrusted
from twoway.trace import Trace, TraceEvent


class RevocationWatch:
    """Tells which tickets are revoked, as long as anybody wants to know.

    Args:
        ac: whom to ask.
        interval: seconds from one question to the next, and before an observation that ended is begun anew.
        take: told the token hashes of all revoked tickets of ours, each time that the AC said them.
        trace: told of questions that failed.
    """

    def __init__(
        self, ac: ACClient, *, interval: float, take: Callable[[Set[bytes]], None], trace: Trace
    ) -> None:
        self._ac = ac
        self._interval = interval
        self._take = take
        self._trace = trace
        self._followers = 0
        self._task: asyncio.Task[None] | None = None

    @contextmanager
    def following(self) -> Iterator[None]:
        """Follow the list as long as anybody is inside; an AC that does not answer is asked again later."""
        if self._task is None:
            self._task = asyncio.create_task(self._run())
        self._followers += 1
        try:
            yield
        finally:
            self._followers -= 1
            if not self._followers:
                self._task.cancel()
                self._task = None

    async def _run(self) -> None:
        async with asyncio.TaskGroup() as both:
            both.create_task(self._poll())
            both.create_task(self._observe())

    async def _poll(self) -> None:
        while True:
            try:
                self._take(await self._ac.revoked())
            except TwowayError as error:
                self._failed(error)
            await asyncio.sleep(self._interval)

    async def _observe(self) -> None:
        while True:
            try:
                observation = await self._ac.observe_revoked()
                try:
                    async for answer in observation.notifications():
                        self._take(
                            revoked_untrusted(
                                answer.payload,
                                answer.content_format,
                                answer.code_text,
                                ac=self._ac.reference,
                            )
                        )
                finally:
                    observation.cancel()
            except TwowayError as error:
                self._failed(error)
            await asyncio.sleep(self._interval)

    def _failed(self, error: TwowayError) -> None:
        self._trace(TraceEvent("list of revoked tickets not read", "subscriber", {"reason": str(error)}))
