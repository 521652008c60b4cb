"""The socket of the plain door: datagrams in, answers out.

It owns a UDP port without DTLS. It must never decide anything, and never queue: what comes while too much is
under way is dropped, as the network might have done.
"""

from __future__ import annotations

import asyncio
from typing import Self, cast

from twoway.configuration import Address
from twoway.errors import ConfigurationError
from twoway.publisher.plain_bodies import Sender
from twoway.publisher.plain_door import PlainDoor
from twoway.trace import Fault, Trace, TraceEvent

DATAGRAMS_AT_ONCE = 64
"""Datagrams being answered; almost all are answered before the next one is read."""
EVERY_ADDRESS = "0.0.0.0"  # noqa: S104  # what an operator asks for who writes no host
"""IPv4 alone: write ``[::]`` for IPv6."""
MAX_DATAGRAM_BYTES = 1280
"""Larger ones are dropped unread: a block of 1024 bytes with its options fits, and so does a usual ticket."""


class PlainListener(asyncio.DatagramProtocol):
    """One UDP port; made by :meth:`open`."""

    def __init__(self, door: PlainDoor, trace: Trace) -> None:
        self._door = door
        self._trace = trace
        self._tasks: set[asyncio.Task[None]] = set()
        self._transport: asyncio.DatagramTransport | None = None

    @classmethod
    async def open(cls, address: Address, door: PlainDoor, *, trace: Trace) -> Self:
        """Bind the port.

        Raises:
            ConfigurationError: it is taken, or the host is none of this machine's.
        """
        loop = asyncio.get_running_loop()
        try:
            _, listener = await loop.create_datagram_endpoint(
                lambda: cls(door, trace), local_addr=(address.host or EVERY_ADDRESS, address.port)
            )
        except OSError as error:
            raise ConfigurationError(
                f"the plain port cannot be opened ({error.strerror or error})",
                where=f"{address.host}:{address.port}",
                remedy="choose another one in [plain]",
            ) from None
        host, port = listener._socket_name()
        trace(TraceEvent("plain port open", "publisher", {"host": host, "port": port}))
        return listener

    async def close(self) -> None:
        """Stop answering and release the port."""
        if self._transport is not None:
            self._transport.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the transport from the loop."""
        self._transport = cast(asyncio.DatagramTransport, transport)

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        """Take a datagram from the loop."""
        if len(data) > MAX_DATAGRAM_BYTES or len(self._tasks) >= DATAGRAMS_AT_ONCE:
            return
        task = asyncio.get_running_loop().create_task(self._answer(data, addr))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def error_received(self, exc: Exception) -> None:
        """Hear of an ICMP error; anybody can forge one, so it means nothing."""

    def _socket_name(self) -> Sender:
        assert self._transport is not None
        host, port = self._transport.get_extra_info("sockname")[:2]
        return host, port

    async def _answer(self, data: bytes, addr: tuple[str, int]) -> None:
        try:
            datagram = await self._door.answer_untrusted(data, (addr[0], addr[1]))
        except Exception as error:  # noqa: BLE001  # a fault of ours costs this datagram and no other
            self._trace(Fault("plain door failed", "publisher", {"because": type(error).__name__}))
            return
        if datagram is not None and self._transport is not None and not self._transport.is_closing():
            self._transport.sendto(datagram, addr)
