"""The door to all resources: each request is counted here before anybody reads it.

It owns the answer 4.29 (RFC 8516) and the bound on observations. A notification is not a request: it comes
from us, and passes the resource's own question who may have it each time it is sent.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from aiocoap import Code, Message
from aiocoap.pipe import Pipe
from aiocoap.resource import Site

from twoway.ac.rate import RequestRate, TooManyRequests
from twoway.clock import Clock
from twoway.coap import connection_of, peer_of
from twoway.net import Connection


class Door(Site):  # type: ignore[misc]  # aiocoap ships no types
    """A site whose every request is counted.

    Args:
        rate: how many requests each identity and each network has left; may be replaced.
        observations: how many observations there may be, of all and of one connection.
        clock: where time comes from.
    """

    def __init__(self, rate: RequestRate, observations: Observations, *, clock: Clock) -> None:
        super().__init__()
        self.rate = rate
        self._observations = observations
        self._clock = clock

    async def render_to_pipe(self, pipe: Pipe) -> None:
        """Count a request and let its resource answer; one that is too much is told when to come back."""
        request = pipe.request
        connection = connection_of(request)
        try:
            self.rate.take(peer_of(request).uri, connection.remote[0], self._clock.monotonic())
        except TooManyRequests as refused:
            pipe.add_response(Message(code=Code.TOO_MANY_REQUESTS, max_age=refused.retry_after), is_last=True)
            return
        if request.opt.observe != 0:
            await super().render_to_pipe(pipe)
            return
        with self._observations.one_more(connection) as is_taken:
            if not is_taken:
                request.opt.observe = None  # answered once and not notified: RFC 7641 section 4.1
            await super().render_to_pipe(pipe)


class Observations:
    """How many observations run.

    Args:
        total: of all connections together.
        per_connection: of one.
    """

    def __init__(self, *, total: int, per_connection: int) -> None:
        self._total = total
        self._per_connection = per_connection
        self._running: Counter[Connection] = Counter()

    @contextmanager
    def one_more(self, connection: Connection) -> Iterator[bool]:
        """Count an observation for as long as the context lasts, and say whether there was room for it."""
        is_taken = self._running.total() < self._total and self._running[connection] < self._per_connection
        if not is_taken:
            yield False
            return
        self._running[connection] += 1
        try:
            yield True
        finally:
            self._running[connection] -= 1
            if not self._running[connection]:
                del self._running[connection]
