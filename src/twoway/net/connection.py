"""A connection: what a user of the endpoint meets once a handshake is complete.

It never decides anything about the protocol. It names the peer, passes data both ways and says when it
is over; after that it holds no keys and no association.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Final, Self

from twoway.dtls.alerts import AlertDescription
from twoway.dtls.events import Closed, Connected
from twoway.errors import CallerError, NetworkError
from twoway.identity import Identity
from twoway.net.address import written
from twoway.net.failure import connection_ended
from twoway.net.traffic import Traffic

RECORDS_HELD: Final = 64
"""Records kept until somebody takes them. What comes beyond is dropped and counted, as a datagram may be:
whoever is slower than the peer must not take its memory from the others."""

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

    Take what comes by :meth:`receive` or ``async for``, which ends when the connection is over; or set
    :attr:`on_data`. As an async context manager it closes itself.

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
        """The group of the key exchange, None where there was none."""
        self.kind = connected.kind
        """Who has been authenticated; unless a configuration admits less, both sides."""
        self.resumed = connected.resumed
        """Whether the handshake was abbreviated: then the peer had proved who it is in an earlier one."""
        self.number = number
        """Tells the connections of one endpoint apart; never used twice."""
        self.remote = remote
        """The peer's host and port; they change when a peer with a connection ID moves."""
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
        self.records_dropped = 0
        """Records that came when :data:`RECORDS_HELD` of them were waiting already."""
        self._carrier: Carrier | None = carrier
        self._on_data: OnData | None = None
        self._held: deque[bytes] = deque()
        self._reader: asyncio.Future[None] | None = None
        self._release: Callable[[], Awaitable[None]] | None = None
        self._closed_listeners: list[OnClosed] = []
        self._over = asyncio.Event()

    def __repr__(self) -> str:
        state = "open" if self.closed is None else "closed"
        return f"<Connection {self.number} with {written(*self.remote)}, {state}>"

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()
        if self._release is not None:
            await self._release()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        try:
            return await self.receive()
        except NetworkError:
            # An orderly end ends the loop; any other is an error that must not look like one.
            if self.closed is not None and self.closed.alert is AlertDescription.CLOSE_NOTIFY:
                raise StopAsyncIteration from None
            raise

    async def receive(self) -> bytes:
        """Wait for the next record of application data and return its plaintext.

        Raises:
            NetworkError: the connection is over, and everything that came was taken.
            CallerError: somebody else is waiting already, or :attr:`on_data` takes the records.
        """
        if self._on_data is not None or self._reader is not None:
            raise CallerError("the records of this connection are taken by somebody else already")
        while not self._held:
            if self.closed is not None:
                raise connection_ended(self.closed, written(*self.remote))
            self._reader = asyncio.get_running_loop().create_future()
            try:
                await self._reader
            finally:
                self._reader = None
        return self._held.popleft()

    @property
    def on_data(self) -> OnData | None:
        """Takes each record's plaintext. Records that came before it was set are handed over at once."""
        return self._on_data

    @on_data.setter
    def on_data(self, listener: OnData | None) -> None:
        self._on_data = listener
        while self._held and self._on_data is not None:
            self.deliver(self._held.popleft())

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
            if len(self._held) >= RECORDS_HELD:
                self.records_dropped += 1
                return
            self._held.append(data)
            self._wake()
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
        self._on_data = None
        self._wake()
        self._over.set()

    def release_with(self, release: Callable[[], Awaitable[None]]) -> None:
        """Have ``release`` called once the connection is over: it gives back what was opened for it."""
        self._release = release
        loop = asyncio.get_running_loop()

        def when_closed(_: Closed) -> None:
            task = loop.create_task(_await(release))
            _RELEASES.add(task)
            task.add_done_callback(_RELEASES.discard)

        self.add_closed_listener(when_closed)

    def _wake(self) -> None:
        if self._reader is not None and not self._reader.done():
            self._reader.set_result(None)

    def _tell(self, listener: OnClosed, closed: Closed) -> None:
        try:
            listener(closed)
        except Exception as fault:  # noqa: BLE001 the other listeners must hear of it all the same
            if self._carrier is not None:
                self._carrier.fault(fault)


_RELEASES: set[asyncio.Task[None]] = set()
"""The loop itself keeps only weak references to tasks."""


async def _await(release: Callable[[], Awaitable[None]]) -> None:
    await release()
