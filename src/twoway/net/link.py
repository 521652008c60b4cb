"""A link: one association and what the endpoint keeps beside it, from its first datagram to its last."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

from twoway.dtls import Association, DTLSConfig
from twoway.net.address import SocketAddress
from twoway.net.connection import Connection
from twoway.net.traffic import Traffic


@dataclass(eq=False, slots=True)
class Link:
    """Compared and hashed by identity."""

    association: Association
    address: SocketAddress
    """Where the peer is."""
    config: DTLSConfig
    connection_id: bytes = b""
    """What the peer was asked to write into its records; empty: nothing."""
    hello_random: bytes | None = field(default=None, repr=False)
    """The random of the hello that the peer opened with; None if we opened."""
    opened: asyncio.Future[Connection] | None = field(default=None, repr=False)
    """Waits for the handshake that we opened."""
    connection: Connection | None = None
    """Set when the handshake is complete."""
    heard_at: float = 0.0
    """When the peer last proved to be there: monotonic seconds."""
    traffic: Traffic = field(default_factory=Traffic)
    draining: bool = False
    """Whether the outputs are being drained: what a listener adds meanwhile is drained by the same loop."""
    over: bool = False

    @property
    def outgoing(self) -> bool:
        """Whether we opened it."""
        return self.hello_random is None
