"""One publisher, followed for as long as the sink runs.

It owns the life of one observation: connect, check who answers, register, store what arrives, notice
silence and loss, begin again. It never decides what may be stored (:mod:`twoway.sink.service`) and
never lets a fault of its publisher out: whatever goes wrong is traced, counted and tried again.

    connect ── somebody else answers ──► give up the connection, pause
       │
    GET, Observe: 0 ── no answer, or a refusal ──► give up the connection, pause
       │
    store the first reading, then each notification
       │── silence ──► GET again on the same connection
       └── ended, or connection lost ──► pause, connect
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence

import aiocoap
import aiocoap.error

from twoway.clock import Clock
from twoway.coap import acknowledge, connection_of, hold_acknowledgements
from twoway.errors import RefusedError, TwowayError
from twoway.identity import Identity
from twoway.readings import MalformedSenML
from twoway.sink.config import PublisherConfig
from twoway.sink.notifications import Notifications
from twoway.sink.service import (
    DEFAULT_MAX_AGE,
    Pauses,
    Row,
    patience,
    require_publisher,
    take_untrusted,
)
from twoway.trace import Fault, Trace, TraceEvent

Store = Callable[[Sequence[Row]], Awaitable[int]]
"""Stores rows durably and returns how many were new."""


class Follower:
    """Follows one resource of one publisher.

    Args:
        publisher: what to follow and who must answer.
        context: the CoAP context; its connections use the right credential for each host and port.
        store: takes rows, returns when they are on disk.
        clock: says when a reading arrived.
        trace: told what happens.
        answer_timeout: seconds that an answer may take; a handshake has its own limit.
        retry: shortest and longest pause between attempts, in seconds.
    """

    def __init__(
        self,
        publisher: PublisherConfig,
        *,
        context: aiocoap.Context,
        store: Store,
        clock: Clock,
        trace: Trace,
        answer_timeout: float,
        retry: tuple[float, float],
    ) -> None:
        self._publisher = publisher
        self._context = context
        self._store = store
        self._clock = clock
        self._trace = trace
        self._answer_timeout = answer_timeout
        self._retry = retry
        self.counters: Counter[str] = Counter()
        """Readings ``stored``, ``repeated``, ``refused``; payloads ``malformed``; how often the publisher was
        ``silent`` or ``lost``, and how often this follower ``failed``."""

    async def run(self) -> None:
        """Follow until cancelled; nothing that a publisher does ends it."""
        pauses = Pauses(*self._retry)
        while True:
            arrived_before = self._arrived
            try:
                await self._follow()
            except (TwowayError, aiocoap.error.Error, OSError, TimeoutError) as error:
                self.counters["lost"] += 1
                self._complain("publisher lost", _in_words(error))
            except Exception as error:  # noqa: BLE001  # a fault of ours, but it must not cost the other publishers
                self.counters["failed"] += 1
                self._complain("follower failed", f"{type(error).__name__}: {error}")
            else:
                continue
            await asyncio.sleep(pauses.next(progressed=self._arrived > arrived_before))

    @property
    def _arrived(self) -> int:
        return self.counters["stored"] + self.counters["repeated"]

    async def _follow(self) -> None:
        """Observe until the publisher falls silent; what ends an observation otherwise is raised."""
        request = aiocoap.Message(code=aiocoap.GET, uri=self._publisher.uri, observe=0)
        await self._context.find_remote_and_interface(request)
        connection = connection_of(request)
        try:
            self._require_publisher(connection.peer)
            hold_acknowledgements(connection)
            asked = self._context.request(request)
            async with Notifications(asked.observation) as notifications:
                async with asyncio.timeout(self._answer_timeout):
                    response = await asked.response
                max_age = await self._take(response)
                if response.opt.observe is None:
                    # Not observable (any more): poll it as often as its readings go stale.
                    await asyncio.sleep(patience(max_age, self._publisher.max_silence))
                    return
                self._tell("observation started", peer=connection.peer.uri, suite=connection.suite)
                await self._take_all(notifications, max_age)
        except Exception:
            # A restarted publisher does not know the association any more, and a wrong peer shall not
            # keep one: the next attempt begins with a handshake.
            connection.close()
            raise

    async def _take_all(self, notifications: Notifications, max_age: float) -> None:
        """Store each notification until none comes for too long."""
        while True:
            try:
                notification = await notifications.next(patience(max_age, self._publisher.max_silence))
            except TimeoutError:
                self.counters["silent"] += 1
                self._tell("publisher silent")
                return
            max_age = await self._take(notification)

    def _require_publisher(self, peer: Identity) -> None:
        """Check who answers before anything is asked."""
        psk = self._publisher.psk
        require_publisher(
            peer, expected=self._publisher.identity, psk_identity=None if psk is None else psk.identity
        )

    async def _take(self, response: aiocoap.Message) -> float:
        """Store what a response carries, acknowledge it, and return its Max-Age in seconds.

        The publisher keeps a notification until it is acknowledged, so that comes after the commit.

        Raises:
            RefusedError: it is no success.
            StorageError: it could not be stored.
        """
        if not response.code.is_successful():
            raise RefusedError(
                f"the publisher answered {response.code}",
                where=self._publisher.uri,
                remedy="list this sink in the publisher's default_subscribers",
            )
        max_age = DEFAULT_MAX_AGE if response.opt.max_age is None else float(response.opt.max_age)
        try:
            intake = take_untrusted(
                response.payload,
                response.opt.content_format,
                publisher=self._publisher.identity,
                arrived_at=self._clock.now().timestamp(),
            )
        except MalformedSenML as error:
            self.counters["malformed"] += 1
            self._complain("payload refused", str(error))
            acknowledge(response)
            return max_age
        for name in intake.foreign:
            self.counters["refused"] += 1
            self._tell("record refused", name=name, reason="its name is not the publisher's own")
        new = await self._store(intake.rows)
        acknowledge(response)
        self.counters["stored"] += new
        self.counters["repeated"] += len(intake.rows) - new
        self._tell("readings stored", new=new, repeated=len(intake.rows) - new)
        return max_age

    def _complain(self, event: str, reason: str) -> None:
        self._trace(Fault(event, self._publisher.uri, {"reason": reason}))

    def _tell(self, event: str, **data: object) -> None:
        self._trace(TraceEvent(event, self._publisher.uri, data))


def _in_words(error: BaseException) -> str:
    if isinstance(error, TimeoutError):
        return "no answer in time"
    return str(error) or type(error).__name__
