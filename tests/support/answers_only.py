"""Somebody on the path to a server who holds back what it says unasked: notifications, above all.

They cannot read what they hold back; they see who spoke last, and pass on what comes at once after it.

async with AnswersOnly.before(5684) as path:
    ...                                 # clients speak with port path.port
    path.is_closed = True               # from here on the server's notifications are lost
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

Address = tuple[str, int]

ANSWER_WINDOW = 0.3
"""Seconds after a client's datagram in which what the server sends is taken for its answer."""


class AnswersOnly(asyncio.DatagramProtocol):
    """The clients' side of the path."""

    def __init__(self, server: Address) -> None:
        self.is_closed = False
        """Whether notifications are held back."""
        self.lost = 0
        """Datagrams that were."""
        self.asked = 0
        """Datagrams that clients sent."""
        self._server = server
        self._sides: dict[Address, _ServerSide] = {}
        self._opening: dict[Address, asyncio.Task[None]] = {}

    @classmethod
    @asynccontextmanager
    async def before(cls, port: int) -> AsyncIterator[AnswersOnly]:
        loop = asyncio.get_running_loop()
        path = cls(("127.0.0.1", port))
        path._clients, _ = await loop.create_datagram_endpoint(lambda: path, local_addr=("127.0.0.1", 0))
        try:
            yield path
        finally:
            await asyncio.gather(*path._opening.values())
            for side in path._sides.values():
                side.transport.close()
            path._clients.close()
            await asyncio.sleep(0)

    @property
    def port(self) -> int:
        """Where clients take the server to be."""
        return self._clients.get_extra_info("sockname")[1]

    def datagram_received(self, data: bytes, addr: Address) -> None:
        self.asked += 1
        side = self._sides.get(addr)
        if side is not None:
            side.ask(data)
        elif addr not in self._opening:
            self._opening[addr] = asyncio.create_task(self._open(addr, data))

    async def _open(self, client: Address, first: bytes) -> None:
        side = _ServerSide(self, client)
        loop = asyncio.get_running_loop()
        side.transport, _ = await loop.create_datagram_endpoint(lambda: side, remote_addr=self._server)
        self._sides[client] = side
        side.ask(first)

    def answer(self, data: bytes, client: Address, *, asked_at: float) -> None:
        if self.is_closed and asyncio.get_running_loop().time() - asked_at > ANSWER_WINDOW:
            self.lost += 1
        else:
            self._clients.sendto(data, client)


class _ServerSide(asyncio.DatagramProtocol):
    """The port by which the server knows one client."""

    transport: asyncio.DatagramTransport

    def __init__(self, path: AnswersOnly, client: Address) -> None:
        self._path, self._client = path, client
        self._asked_at = 0.0

    def ask(self, data: bytes) -> None:
        self._asked_at = asyncio.get_running_loop().time()
        self.transport.sendto(data)

    def datagram_received(self, data: bytes, addr: Address) -> None:
        self._path.answer(data, self._client, asked_at=self._asked_at)
