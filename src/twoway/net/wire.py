"""The UDP socket under asyncio: datagrams in, datagrams out, and what the network says about them.

On Linux the socket asks for the ICMP errors of its datagrams (``IP_RECVERR``), so that a port where
nobody listens is known at once instead of after a minute of silence. Anybody on the path can forge such
an error: it is reported as a hint, and whoever gets it must believe it only where nothing can be lost.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import socket
import struct
import sys
from collections.abc import Callable
from typing import Final, cast

from twoway.net.address import SocketAddress

# <linux/in.h>, <linux/in6.h> and <linux/errqueue.h>; the socket module has no names for them.
IP_RECVERR: Final = 11
IPV6_RECVERR: Final = 25
EXTENDED_ERROR: Final = struct.Struct("=IBBBxII")
ORIGINS_ICMP: Final = frozenset({2, 3})
ANCILLARY_BYTES: Final = 512

OnDatagram = Callable[[bytes, SocketAddress], None]
OnUnreachable = Callable[[SocketAddress, OSError], None]


class Wire(asyncio.DatagramProtocol):
    """One bound UDP socket.

    Args:
        sock: bound and not blocking; the wire owns it from now on.
        on_datagram: takes each datagram and its sender; must not raise.
        on_unreachable: takes the hint that datagrams to an address do not arrive; must not raise.
    """

    def __init__(self, sock: socket.socket, on_datagram: OnDatagram, on_unreachable: OnUnreachable) -> None:
        self.socket = sock
        self._on_datagram = on_datagram
        self._on_unreachable = on_unreachable
        self._transport: asyncio.DatagramTransport | None = None
        self._error: Exception | None = None
        self._lost: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def start(self) -> None:
        """Begin to receive."""
        _ask_for_errors(self.socket)
        await asyncio.get_running_loop().create_datagram_endpoint(lambda: self, sock=self.socket)

    def send(self, datagram: bytes, address: SocketAddress) -> Exception | None:
        """Send a datagram; return what the operating system said against it."""
        if self._transport is None or self._transport.is_closing():
            return None
        if self._attempt(self._transport, datagram, address) is None:
            return None
        # The system reports a pending error of *another* address by refusing this datagram, once.
        return self._attempt(self._transport, datagram, address)

    def _attempt(
        self, transport: asyncio.DatagramTransport, datagram: bytes, address: SocketAddress
    ) -> Exception | None:
        self._error = None
        transport.sendto(datagram, address)
        return self._error

    async def close(self) -> None:
        """Stop receiving and release the port."""
        if self._transport is None:
            self.socket.close()
            return
        self._transport.close()
        await asyncio.shield(self._lost)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Called by asyncio: the socket is ours to use."""
        self._transport = cast(asyncio.DatagramTransport, transport)

    def datagram_received(self, data: bytes, addr: SocketAddress) -> None:
        """Called by asyncio: a datagram arrived."""
        self._on_datagram(data, addr)

    def error_received(self, exc: Exception) -> None:
        """Called by asyncio: sending or receiving failed."""
        self._error = exc
        # An error queue that is not emptied would wake the loop for ever.
        while (reported := _queued_error(self.socket)) is not None:
            address, fault = reported
            if fault is not None:
                self._on_unreachable(address, fault)

    def connection_lost(self, exc: Exception | None) -> None:
        """Called by asyncio: the socket is closed."""
        if not self._lost.done():
            self._lost.set_result(None)


def _ask_for_errors(sock: socket.socket) -> None:
    if sys.platform != "linux":
        return
    # A dual-stack socket gets the errors of its IPv4 datagrams by the IPv4 option alone.
    with contextlib.suppress(OSError):
        sock.setsockopt(socket.IPPROTO_IP, IP_RECVERR, 1)
    if sock.family == socket.AF_INET6:
        with contextlib.suppress(OSError):
            sock.setsockopt(socket.IPPROTO_IPV6, IPV6_RECVERR, 1)


def _queued_error(sock: socket.socket) -> tuple[SocketAddress, OSError | None] | None:
    """Take an entry of the error queue: where a datagram went and, if the network said so, why it did not."""
    if sys.platform != "linux":
        return None
    try:
        _, ancillary, _, address = sock.recvmsg(0, ANCILLARY_BYTES, socket.MSG_ERRQUEUE)
    except OSError:
        return None
    for level, kind, data in ancillary:
        if (level, kind) not in ((socket.IPPROTO_IP, IP_RECVERR), (socket.IPPROTO_IPV6, IPV6_RECVERR)):
            continue
        number, origin, *_ = EXTENDED_ERROR.unpack_from(data)
        if origin in ORIGINS_ICMP and number != errno.EMSGSIZE:
            return address, OSError(number, os.strerror(number))
    return address, None
