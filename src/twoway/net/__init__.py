"""The network under asyncio: one UDP socket, many associations, one timer, limits.

It owns sockets, addresses, timers, listeners and the bounds on what the network may take. It never looks
into a record and never decides about trust: that is :mod:`twoway.dtls`'s, which it drives.

    endpoint = await Endpoint.open(port=5684, accept=config, on_connection=greet)
    connection = await endpoint.connect("meter.example", 5684, config)
"""

from twoway.net.connection import Connection
from twoway.net.endpoint import Endpoint
from twoway.net.failure import HandshakeBroken, HandshakeRefused, connection_ended, handshake_failed
from twoway.net.limits import Limits
from twoway.net.traffic import Traffic

__all__ = [
    "Connection",
    "Endpoint",
    "HandshakeBroken",
    "HandshakeRefused",
    "Limits",
    "Traffic",
    "connection_ended",
    "handshake_failed",
]
