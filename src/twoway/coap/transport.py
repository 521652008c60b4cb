"""The transport: connections of an endpoint as aiocoap's message interface.

It owns the way of a message between a connection and aiocoap's message layer, and tells that layer when a
connection is lost. It never looks into a message further than it must to refuse it. This module,
:mod:`~twoway.coap.context` and :mod:`~twoway.coap.blocks` are the only ones that know aiocoap from inside.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from functools import partial
from typing import Final
from weakref import WeakKeyDictionary

import aiocoap.error
from aiocoap import ACK, CON, EMPTY, INTERNAL_SERVER_ERROR, Message
from aiocoap.interfaces import EndpointAddress, MessageInterface
from aiocoap.messagemanager import MessageManager
from aiocoap.numbers.constants import TransportTuning
from aiocoap.tokenmanager import TokenManager
from aiocoap.util import hostportsplit

from twoway.coap.acknowledging import Acknowledgements
from twoway.coap.decoding import MalformedMessage, decode_untrusted
from twoway.coap.failure import TransportFailed
from twoway.coap.pool import ConnectionPool
from twoway.coap.remote import COAPS_PORT, SecureRemote
from twoway.dtls import Closed
from twoway.errors import NetworkError, PeerError, TwowayError
from twoway.net import Connection, connection_ended

MAX_RESPONSE_BYTES: Final = 2**20
"""The largest body that a server may send us in blocks; aiocoap puts them together without a bound."""

LAST_WORDS_TIMEOUT: Final = 3.0
"""Seconds that a connection which is to be ended may take to acknowledge what was said last: the first
retransmission of RFC 7252 section 4.8 comes after at most 3."""


class ConnectionTuning(TransportTuning):  # type: ignore[misc]  # aiocoap ships no types
    """What aiocoap assumes about messages that came by one of our connections."""

    EXCHANGE_LIFETIME = 20.0
    """Seconds that a message ID is remembered. RFC 7252's 247 allow for datagrams that are on their way for
    100 seconds; over DTLS such a late one would have fallen out of the replay window. What remains are
    retransmissions, of which 20 seconds cover the first three. With 247 a client stalls after 65,536
    requests at more than 265 a second, each remembered request costing 2 kB; with 20 the wall stands at
    3,276 a second."""


TUNING: Final = ConnectionTuning()

_transports: WeakKeyDictionary[Connection, SecureTransport] = WeakKeyDictionary()
"""Which transport carries a connection."""


class SecureTokenManager(TokenManager):  # type: ignore[misc]  # aiocoap ships no types
    """aiocoap's token layer; it ends the connection to a peer that acknowledges nothing any more."""

    def dispatch_error(self, exception: Exception, remote: SecureRemote) -> None:
        """Fail whatever waits for a peer. A restarted peer has forgotten the association and cannot say so:
        without a new handshake every later request would fail as slowly."""
        if not isinstance(exception, aiocoap.error.ConRetransmitsExceeded):
            super().dispatch_error(exception, remote)
            return
        silent = NetworkError(
            "nothing that was sent was acknowledged",
            where=remote.hostinfo,
            remedy="check that the peer is running",
        )
        super().dispatch_error(TransportFailed(silent), remote)
        remote.connection.close()


class SecureTransport(MessageInterface):  # type: ignore[misc]  # aiocoap ships no types
    """Carries CoAP messages over the connections of one endpoint.

    Args:
        manager: aiocoap's message layer.
        pool: opens connections for requests of ours.
    """

    def __init__(self, manager: MessageManager, pool: ConnectionPool) -> None:
        self.counters: Counter[str] = Counter()
        """What was dropped, by reason."""
        self._manager = manager
        self._pool = pool
        self._remotes: dict[Connection, SecureRemote] = {}
        self._ending: dict[SecureRemote, asyncio.Event] = {}
        self._acknowledgements: dict[Connection, Acknowledgements] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._is_shut = False

    @property
    def tokens(self) -> TokenManager:
        """The token layer above, of aiocoap."""
        return self._manager.token_manager

    def adopt(self, connection: Connection) -> SecureRemote:
        """Carry CoAP over a connection, whoever opened it; return its remote."""
        remote = self._remotes.get(connection)
        if remote is None:
            remote = SecureRemote(connection)
            if connection.closed is None and not self._is_shut:
                self._remotes[connection] = remote
                _transports[connection] = self
                connection.on_data = partial(self._receive, remote)
                connection.add_closed_listener(partial(self._lose, remote))
        return remote

    # --- what aiocoap asks for ------------------------------------------------------------------

    def send(self, message: Message) -> None:
        """Send a message; one whose connection is over is dropped, its waiters have been told already."""
        connection = message.remote.connection
        if connection.closed is not None or self._is_shut:
            return
        held_back = self._acknowledgements.get(connection)
        is_acknowledgement = message.mtype is ACK and message.code is EMPTY
        if held_back is None or not is_acknowledgement or not held_back.holds(message):
            self._transmit(message)

    def _transmit(self, message: Message) -> None:
        try:
            message.remote.connection.send(_encode(message))
        except TwowayError:
            self.counters["not sent"] += 1

    async def recognize_remote(self, remote: EndpointAddress) -> bool:
        """Tell whether a remote is one of ours.

        Raises:
            TransportFailed: it is, and its connection is over. A new one would be another security context,
                which whoever names the old one does not expect.
        """
        if not isinstance(remote, SecureRemote):
            return False
        closed = remote.connection.closed
        if closed is not None:
            raise TransportFailed(connection_ended(closed, remote.hostinfo))
        return True

    async def determine_remote(self, message: Message) -> SecureRemote | None:
        """Return the remote for a request to a coaps URI, after a handshake if need be; None for others.

        Raises:
            TransportFailed: the peer cannot be reached, or one side refused the other.
        """
        if message.requested_scheme != SecureRemote.scheme:
            return None
        try:
            host, port = _destination(message)
            remote = self.adopt(await self._pool.connection(host, port))
        except TwowayError as error:
            raise TransportFailed(error) from error
        remote.maximum_block_size_exp = min(
            remote.maximum_block_size_exp, message.remote.maximum_block_size_exp
        )
        return remote

    async def shutdown(self) -> None:
        """Stop carrying; the connections themselves are the endpoint's to close."""
        self._is_shut = True
        for connection in self._remotes:
            connection.on_data = None
        self._remotes.clear()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(self._pool.close(), *self._tasks, return_exceptions=True)

    # --- what a connection brings ---------------------------------------------------------------

    def _receive(self, remote: SecureRemote, data: bytes) -> None:
        try:
            message = decode_untrusted(data, remote)
        except MalformedMessage as malformed:
            self.counters["malformed"] += 1
            if malformed.reset is not None:
                remote.connection.send(malformed.reset)
            return
        message.transport_tuning = TUNING
        if _exceeds_response_bound(message):
            what = f"it sent a body of more than {MAX_RESPONSE_BYTES} bytes"
            self._manager.dispatch_error(TransportFailed(PeerError(what, where=remote.hostinfo)), remote)
            remote.connection.close()
            return
        if message.mtype is CON and message.code.is_response():
            held_back = self._acknowledgements.get(remote.connection)
            if held_back is not None:
                held_back.expect(message)
        self._manager.dispatch_message(message)
        if self._ending and not self._awaits_acknowledgement(remote) and remote in self._ending:
            self._ending[remote].set()

    def _lose(self, remote: SecureRemote, closed: Closed) -> None:
        self._remotes.pop(remote.connection, None)
        self._acknowledgements.pop(remote.connection, None)
        if (ending := self._ending.get(remote)) is not None:
            ending.set()
        if not self._is_shut:
            failure = TransportFailed(connection_ended(closed, remote.hostinfo))
            self._manager.dispatch_error(failure, remote)

    # --- acknowledgements by hand ---------------------------------------------------------------

    def hold_acknowledgements(self, connection: Connection) -> None:
        """Leave it to :meth:`acknowledge` to acknowledge confirmable responses on a connection."""
        if connection in self._remotes and connection not in self._acknowledgements:
            self._acknowledgements[connection] = Acknowledgements(self._transmit)

    def acknowledge(self, response: Message) -> None:
        """Acknowledge a response that was held; any other one has been acknowledged already."""
        held_back = self._acknowledgements.get(response.remote.connection)
        if held_back is not None:
            held_back.give(response)

    # --- the end of a connection ----------------------------------------------------------------

    def end(self, connection: Connection, patience: float) -> None:
        """Close a connection once the peer has acknowledged what was sent, or after ``patience`` seconds."""
        remote = self._remotes.get(connection)
        if remote is None or not self._awaits_acknowledgement(remote):
            connection.close()
        elif remote not in self._ending:
            self._ending[remote] = asyncio.Event()
            task = asyncio.get_running_loop().create_task(self._close_acknowledged(remote, patience))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _close_acknowledged(self, remote: SecureRemote, patience: float) -> None:
        try:
            async with asyncio.timeout(patience):
                await self._ending[remote].wait()
        except TimeoutError:
            self.counters["last words not acknowledged"] += 1
        finally:
            del self._ending[remote]
            remote.connection.close()

    def _awaits_acknowledgement(self, remote: SecureRemote) -> bool:
        # aiocoap keeps a backlog, empty or not, for as long as a confirmable message is under way.
        return remote in self._manager._backlogs


def transport_of(connection: Connection) -> SecureTransport | None:
    """Return the transport that carries a connection, or None."""
    return _transports.get(connection)


def _encode(message: Message) -> bytes:
    try:
        encoded: bytes = message.encode()
    except Exception:  # aiocoap's encoder raises whatever a resource's values made Python raise
        if not message.code.is_response():
            raise
        # What a resource made cannot be written. Whoever asked shall not wait for it.
        substitute = Message(code=INTERNAL_SERVER_ERROR, _mtype=message.mtype, _mid=message.mid)
        substitute.token = message.token
        encoded = substitute.encode()
    return encoded


def _destination(message: Message) -> tuple[str, int]:
    """Return where a request of ours goes: RFC 7252 section 6.4.

    Raises:
        NetworkError: it says nothing about where.
    """
    try:
        host, port = hostportsplit(message.unresolved_remote)
    except (ValueError, TypeError):
        host, port = None, None
    if not host:
        raise NetworkError("the request has no host and port to go to", remedy="give a whole coaps:// URI")
    return host, port or COAPS_PORT


def _exceeds_response_bound(message: Message) -> bool:
    block = message.opt.block2
    return block is not None and message.code.is_response() and block.start > MAX_RESPONSE_BYTES
