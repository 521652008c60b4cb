"""Real endpoints on loopback, and a client of a bare socket and a bare engine for what they must survive.

async with serving() as server, calling() as client:
    connection = await reach(client, server)

bare = await BareClient.at(server)
await bare.shake_hands()               # or stop half-way: bare.say_hello(), bare.bring_cookie()
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Self

from small_pki import Credential, small_pki

from twoway.dtls import Association, CertificateCredential, DTLSConfig, Event
from twoway.net import Connection, Endpoint

PATIENCE = 10.0
"""Seconds after which whatever is awaited counts as never coming."""


def dtls_config(credential: Credential, **changes: object) -> DTLSConfig:
    """What this party shakes hands with, on either side."""
    certificate = CertificateCredential(credential.chain, credential.private_key)
    return DTLSConfig(**{"certificate": certificate, "trust": credential.trust, **changes})


@asynccontextmanager
async def serving(**options: object) -> AsyncIterator[Endpoint]:
    """An endpoint that accepts, with the publisher's certificate unless told otherwise."""
    defaults = {"host": "127.0.0.1", "accept": dtls_config(small_pki().publisher_p256)}
    async with await Endpoint.open(**{**defaults, **options}) as endpoint:
        yield endpoint


@asynccontextmanager
async def calling(**options: object) -> AsyncIterator[Endpoint]:
    """An endpoint that only connects."""
    async with await Endpoint.open(**options) as endpoint:
        yield endpoint


async def reach(
    client: Endpoint, server: Endpoint, config: DTLSConfig | None = None, host: str = "127.0.0.1"
) -> Connection:
    """Connect to a server, as the subscriber unless told otherwise."""
    config = config or dtls_config(small_pki().subscriber)
    async with asyncio.timeout(PATIENCE):
        return await client.connect(host, server.address[1], config)


async def until(condition: Callable[[], object]) -> None:
    """Wait until something is so."""
    async with asyncio.timeout(PATIENCE):
        while not condition():
            await asyncio.sleep(0.005)


@dataclass
class Inbox:
    """Collects what a connection brings."""

    received: list[bytes] = field(default_factory=list)
    _arrived: asyncio.Event = field(default_factory=asyncio.Event)

    @classmethod
    def of(cls, connection: Connection) -> Inbox:
        inbox = cls()
        connection.on_data = inbox.take
        return inbox

    def take(self, data: bytes) -> None:
        self.received.append(data)
        self._arrived.set()

    async def first(self) -> bytes:
        async with asyncio.timeout(PATIENCE):
            await self._arrived.wait()
        return self.received[0]


def echo(connection: Connection) -> None:
    """Be a server that sends back what it gets."""
    connection.on_data = connection.send


@dataclass
class BareClient:
    """An engine on a plain socket, which sends just what a test lets it."""

    sock: socket.socket
    association: Association
    events: list[Event] = field(default_factory=list)
    sent: list[bytes] = field(default_factory=list)

    @classmethod
    async def at(
        cls, server: Endpoint, config: DTLSConfig | None = None, sock: socket.socket | None = None
    ) -> Self:
        """A client towards a server on 127.0.0.1; on the socket of another one, it takes its address."""
        return await cls.to(server.address[1], config, sock)

    @classmethod
    async def to(cls, port: int, config: DTLSConfig | None = None, sock: socket.socket | None = None) -> Self:
        """A client towards a port of 127.0.0.1."""
        if sock is None:
            sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            sock.setblocking(False)
            sock.connect(("127.0.0.1", port))
        config = config or dtls_config(small_pki().subscriber)
        engine = Association.client(config, entropy=os.urandom, wall_clock=lambda: datetime.now(UTC))
        return cls(sock, engine)

    def __enter__(self) -> BareClient:
        return self

    def __exit__(self, *_: object) -> None:
        self.sock.close()

    @property
    def now(self) -> float:
        return asyncio.get_running_loop().time()

    def send(self, datagram: bytes) -> None:
        self.sent.append(datagram)
        self.sock.send(datagram)

    async def hear(self) -> bytes:
        async with asyncio.timeout(PATIENCE):
            return await asyncio.get_running_loop().sock_recv(self.sock, 65536)

    async def forget_what_came(self) -> None:
        """Empty the socket's buffer, as a program does that starts anew."""
        await asyncio.sleep(0.05)
        with contextlib.suppress(BlockingIOError):
            while True:
                self.sock.recv(65536)

    def say_hello(self) -> None:
        """Send the first hello, without a cookie."""
        self.association.start(self.now)
        self.flush()

    async def bring_cookie(self) -> None:
        """Send a hello with a cookie and stop there: the server holds a handshake half open."""
        self.say_hello()
        self.association.receive_datagram(await self.hear(), self.now)
        self.flush()

    async def shake_hands(self) -> None:
        """Complete the handshake."""
        self.say_hello()
        while not self.association.established:
            await self.step()

    async def step(self) -> None:
        """Take one datagram and send what it leads to."""
        self.association.receive_datagram(await self.hear(), self.now)
        self.flush()

    def tell(self, data: bytes) -> None:
        """Send application data."""
        self.association.send(data)
        self.flush()

    def flush(self) -> None:
        for datagram in self.association.datagrams_to_send():
            self.send(datagram)
        while (event := self.association.next_event()) is not None:
            self.events.append(event)
