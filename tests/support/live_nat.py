"""A NAT between real endpoints: a relay whose outer port changes when a test says so.

async with Nat.before(server) as nat:
    connection = await client.connect("127.0.0.1", nat.port, config)
    await nat.rebind()                  # the server sees the client at another port from here on
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from twoway.net import Endpoint

Address = tuple[str, int]


class _Port(asyncio.DatagramProtocol):
    def __init__(self, take: Callable[[bytes, Address], None]) -> None:
        self._take = take

    def datagram_received(self, data: bytes, addr: Address) -> None:
        self._take(data, addr)


async def _open(take: Callable[[bytes, Address], None]) -> asyncio.DatagramTransport:
    loop = asyncio.get_running_loop()
    transport, _ = await loop.create_datagram_endpoint(lambda: _Port(take), local_addr=("127.0.0.1", 0))
    return transport


class Nat:
    """One client behind it, one server before it."""

    def __init__(self, server: Address) -> None:
        self.outgoing: list[bytes] = []
        """What the client sent, in order."""
        self.lost: list[bytes] = []
        """What the server sent to ports that are the client's no more."""
        self.is_deaf = False
        """Whether what the client sends is kept back, and only recorded."""
        self._server = server
        self._client: Address | None = None
        self._inner: asyncio.DatagramTransport
        self._outer: asyncio.DatagramTransport
        self._former: list[asyncio.DatagramTransport] = []

    @classmethod
    @asynccontextmanager
    async def before(cls, server: Endpoint) -> AsyncIterator[Nat]:
        nat = cls(("127.0.0.1", server.address[1]))
        nat._inner = await _open(nat._leave)
        nat._outer = await _open(nat._enter)
        try:
            yield nat
        finally:
            for port in (nat._inner, nat._outer, *nat._former):
                port.close()
            await asyncio.sleep(0)

    @property
    def port(self) -> int:
        """Where the client takes the server to be."""
        return self._inner.get_extra_info("sockname")[1]

    @property
    def outer_port(self) -> int:
        """Where the server sees the client."""
        return self._outer.get_extra_info("sockname")[1]

    async def rebind(self) -> None:
        """Show the client at another port; what is sent to the old one is lost."""
        self._former.append(self._outer)
        self._outer = await _open(self._enter)
        former = self._former[-1]
        former.get_protocol()._take = lambda data, _: self.lost.append(data)  # type: ignore[attr-defined]

    def _leave(self, data: bytes, client: Address) -> None:
        self._client = client
        self.outgoing.append(data)
        if not self.is_deaf:
            self._outer.sendto(data, self._server)

    def _enter(self, data: bytes, _server: Address) -> None:
        assert self._client is not None
        self._inner.sendto(data, self._client)
