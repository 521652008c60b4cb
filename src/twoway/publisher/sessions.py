"""The end of rights: a ticket that expires or is revoked ends what runs on it, not just the next request.

It owns which connections have used rights and which observations run on them. It must never grant
anything, and never read a clock: it is asked, with the time, whether somebody's rights have ended.

RFC 9200 section 5.10.3, RFC 9202 section 5, RFC 9770 section 11: when the last ticket of a peer has expired
or was revoked, each of its observations gets a final 4.01, and then the association is closed. The same
happens when the peer's certificate expires, which DTLS looks at only once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Protocol

from twoway.net import Connection
from twoway.publisher.refusal import AccessRefused
from twoway.publisher.service import AccessControl
from twoway.trace import Trace, TraceEvent, ignore


class Observation(Protocol):
    """A running observation, as far as ending it goes."""

    def refuse(self, refusal: AccessRefused) -> None:
        """Send the final answer."""


class Sessions:
    """Connections that have used rights, each with the observations that run on it.

    The endpoint bounds the number of connections, the guard that of observations on each; what is closed
    is forgotten at once.

    Args:
        access: knows whether a peer still has rights.
        end_connection: closes a connection after the answers that were given it have been sent.
        trace: hears who was ended, and why.
    """

    def __init__(
        self, access: AccessControl, *, end_connection: Callable[[Connection], None], trace: Trace = ignore
    ) -> None:
        self._access = access
        self._end_connection = end_connection
        self._trace = trace
        self._running: dict[Connection, set[Observation]] = {}

    def note(self, connection: Connection) -> None:
        """Remember that the peer of ``connection`` has rights now, so that their end will be noticed."""
        if connection in self._running:
            return
        self._running[connection] = set()
        connection.add_closed_listener(lambda _closed: self._forget(connection))

    def observations(self, connection: Connection) -> int:
        """Return how many observations run on ``connection``."""
        return len(self._running.get(connection, ()))

    @contextmanager
    def observing(self, connection: Connection, observation: Observation) -> Iterator[None]:
        """Keep ``observation`` among those that run on ``connection`` while the block lasts."""
        running = self._running.get(connection, set())
        running.add(observation)
        try:
            yield
        finally:
            running.discard(observation)

    def end_lost(self, now: datetime) -> None:
        """End every connection whose peer had rights and has none at ``now``."""
        for connection, running in list(self._running.items()):
            try:
                self._access.require_standing(connection.peer, now=now)
            except AccessRefused as refusal:
                self._end(connection, running, refusal)

    def _forget(self, connection: Connection) -> None:
        self._running.pop(connection, None)

    def _end(self, connection: Connection, running: set[Observation], refusal: AccessRefused) -> None:
        self._forget(connection)
        for observation in list(running):
            observation.refuse(refusal)
        data = {
            "peer": str(connection.peer),
            "because": refusal.reason.name.lower(),
            "observations": len(running),
        }
        self._trace(TraceEvent("rights ended", "publisher", data))
        self._end_connection(connection)
