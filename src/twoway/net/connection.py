"""A connection: what a user of the endpoint meets once a handshake is complete.

It never decides anything about the protocol. It names the peer, passes data both ways and says when it
is over; after that it holds no keys and no association.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from twoway.dtls.events import Closed, Connected
from twoway.identity import Identity
from twoway.net.address import written
from twoway.net.failure import connection_ended
from twoway.net.traffic import Traffic

EARLY_RECORDS: Final = 16
"""Records kept for a listener that is not there yet: the peer may speak first, and :meth:`Endpoint.connect`
returns a turn of the loop after the handshake. What comes beyond is dropped, as a datagram may be."""

OnData = Callable[[bytes], None]
OnClosed = Callable[[Closed], None]


@dataclass(frozen=True)
class Carrier:
    """What a connection asks its endpoint to do."""

    send: Callable[[bytes], None]
    close: Callable[[], None]
    fault: Callable[[Exception], None]
    """Takes what a listener raised."""


class Connection:
    """An authenticated association with one peer; made by :class:`~twoway.net.Endpoint` alone.

    Listeners are called from the event loop and must not block. One that raises costs its connection,
    never the endpoint.
    """

    def __init__(
        self,
        connected: Connected,
        *,
        number: int,
        remote: tuple[str, int],
        local: tuple[str, int],
        outgoing: bool,
        traffic: Traffic,
        carrier: Carrier,
    ) -> None:
        self.peer: Identity = connected.peer
        """Who the peer proved to be."""
        self.suite = connected.suite
        """The suite's IANA name."""
        self.group = connected.group
        """The group of the key exchange, None for plain PSK."""
        self.kind = connected.kind
        """The kind of handshake: ``x509 mutual`` or ``psk``."""
        self.number = number
        """Tells the connections of one endpoint apart; never used twice."""
        self.remote = remote
        """The peer's host and port."""
        self.local = local
        """The host and port that the endpoint is bound to; a wildcard if it is bound to one."""
        self.outgoing = outgoing
        """Whether we opened it."""
        self.traffic = traffic
        """What travelled so far. The cookie exchange is counted by the opening side alone."""
        self.handshake_traffic = traffic.snapshot()
        """What had travelled when the handshake was complete."""
        self.closed: Closed | None = None
        """Why it is over, or None while it is open."""
        self._carrier: Carrier | None = carrier
        self._on_data: OnData | None = None
        self._early: list[bytes] = []
        self._closed_listeners: list[OnClosed] = []
        self._over = asyncio.Event()

    def __repr__(self) -> str:
        state = "open" if self.closed is None else "closed"
        return f"<Connection {self.number} with {written(*self.remote)}, {state}>"

    @property
    def on_data(self) -> OnData | None:
        """Takes each record's plaintext. Records that came before it was set are handed over at once."""
        return self._on_data

    @on_data.setter
    def on_data(self, listener: OnData | None) -> None:
        self._on_data = listener
        while self._early and self._on_data is not None:
            self.deliver(self._early.pop(0))

    def add_closed_listener(self, listener: OnClosed) -> None:
        """Have ``listener`` called with the reason of the end; at once if it is over already."""
        if self.closed is not None:
            self._tell(listener, self.closed)
        else:
            self._closed_listeners.append(listener)

    def send(self, data: bytes) -> None:
        """Send one record of application data: one datagram, which may be lost on its way.

        Raises:
            NetworkError: if the connection is over.
            CallerError: if ``data`` does not fit into a record.
        """
        if self._carrier is None:
            assert self.closed is not None
            raise connection_ended(self.closed, written(*self.remote))
        self._carrier.send(data)

    def close(self) -> None:
        """Say close_notify and forget the keys; nothing happens if it is over already."""
        if self._carrier is not None:
            self._carrier.close()

    async def wait_closed(self) -> Closed:
        """Wait for the end and return its reason."""
        await self._over.wait()
        assert self.closed is not None
        return self.closed

    def deliver(self, data: bytes) -> None:
        """Hand a record to the listener; called by the endpoint."""
        if self._on_data is None:
            if len(self._early) < EARLY_RECORDS:
                self._early.append(data)
            return
        carrier = self._carrier
        try:
            self._on_data(data)
        except Exception as fault:  # noqa: BLE001 a user's fault costs this connection and no other
            if carrier is not None:
                carrier.fault(fault)

    def end(self, closed: Closed) -> None:
        """Tell everybody that it is over; called by the endpoint, once."""
        self.closed = closed
        for listener in self._closed_listeners:
            self._tell(listener, closed)
        self._carrier = None
        self._closed_listeners.clear()
        self._early.clear()
        self._on_data = None
        self._over.set()

    def _tell(self, listener: OnClosed, closed: Closed) -> None:
        try:
            listener(closed)
        except Exception as fault:  # noqa: BLE001 the other listeners must hear of it all the same
            if self._carrier is not None:
                self._carrier.fault(fault)
