"""The network under asyncio: one UDP socket, many associations, one timer, limits.

It owns sockets, addresses, timers, listeners and the bounds on what the network may take. It never looks
into a record and never decides about trust: that is :mod:`twoway.dtls`'s, which it drives.

    connection = await connect("meter.example", 5684, config)      # one connection

    async with serve(handler, config, port=5684):                 # a task for each connection
        ...

    endpoint = await Endpoint.open(port=5684, accept=config, on_connection=greet)   # both, and callbacks
    connection = await endpoint.connect("meter.example", 5684, config)
"""

from twoway.net.connection import Connection
from twoway.net.credentials import credential_of
from twoway.net.endpoint import Endpoint
from twoway.net.expectation import ANYBODY, require_peer
from twoway.net.failure import HandshakeBroken, HandshakeRefused, connection_ended, handshake_failed
from twoway.net.key_log import unsafe_key_log_file
from twoway.net.limits import Limits
from twoway.net.service import Server, connect, serve
from twoway.net.traffic import Traffic

__all__ = [
    "ANYBODY",
    "Connection",
    "Endpoint",
    "HandshakeBroken",
    "HandshakeRefused",
    "Limits",
    "Server",
    "Traffic",
    "connect",
    "connection_ended",
    "credential_of",
    "handshake_failed",
    "require_peer",
    "serve",
    "unsafe_key_log_file",
]
