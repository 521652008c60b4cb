"""An endpoint: a UDP port on which associations are accepted, opened and carried.

It owns names, ports and the opening of connections; what runs on the port is the switchboard's.
"""

from __future__ import annotations

import asyncio
import os
import socket
from collections import Counter
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Final, Self

from twoway.clock import Clock, SystemClock
from twoway.dtls import RECEIPTS_AHEAD, SENDS_AHEAD, DTLSConfig, SnapshotKey
from twoway.errors import CallerError, ConfigurationError, NetworkError
from twoway.net.address import ResolvedAddress, SocketAddress, bound_socket, plain, reachable_from, written
from twoway.net.connection import Connection
from twoway.net.failure import NOBODY_ANSWERED, START_IT
from twoway.net.limits import Limits
from twoway.net.link import Link
from twoway.net.switchboard import OnConnection, Store, Switchboard
from twoway.trace import Trace, ignore

MAX_PORT: Final = 65535


class Endpoint:
    """One UDP port with its associations; made by :meth:`open`, an async context manager."""

    def __init__(self, switchboard: Switchboard) -> None:
        self._switchboard = switchboard
        self._opening: dict[SocketAddress, asyncio.Future[Connection]] = {}
        self._closed = False

    @classmethod
    async def open(
        cls,
        *,
        host: str = "",
        port: int = 0,
        accept: DTLSConfig | None = None,
        on_connection: OnConnection | None = None,
        limits: Limits | None = None,
        clock: Clock | None = None,
        entropy: Callable[[int], bytes] = os.urandom,
        trace: Trace = ignore,
    ) -> Self:
        """Bind a UDP port.

        Args:
            host: name or address to bind to; empty for every address, IPv4 and IPv6 on one socket (IPv4
                alone where the system has no IPv6).
            port: UDP port, 0 for a free one.
            accept: how to answer peers that open a handshake; None: nobody is answered.
            on_connection: takes each connection that a peer opened, before any of its data.
            limits: bounds on what the network may take.
            clock: where time comes from.
            entropy: returns that many random bytes.
            trace: takes what happens.

        Raises:
            ConfigurationError: if the port is in use or the host is not an address of this machine.
        """
        switchboard = Switchboard(
            bound_socket(host, await _resolve_own(host, port), port),
            accept=accept,
            on_connection=on_connection,
            limits=limits or Limits(),
            clock=clock or SystemClock(),
            entropy=entropy,
            trace=trace,
        )
        await switchboard.wire.start()
        return cls(switchboard)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.close()

    @property
    def on_connection(self) -> OnConnection | None:
        """Takes each connection that a peer opened, before any of its data; may be set at any time."""
        return self._switchboard.on_connection

    @on_connection.setter
    def on_connection(self, listener: OnConnection | None) -> None:
        self._switchboard.on_connection = listener

    @property
    def accept(self) -> DTLSConfig | None:
        """How peers that open a handshake are answered; may be set at any time, for the handshakes to come.

        Associations and handshakes under way keep what they began with.

        Raises:
            CallerError: when it is set to a configuration with connection IDs of another length.
        """
        return self._switchboard.accept

    @accept.setter
    def accept(self, config: DTLSConfig | None) -> None:
        self._switchboard.accept = config

    @property
    def address(self) -> tuple[str, int]:
        """The host and port that are bound; the host is a wildcard if every address is."""
        return self._switchboard.local

    @property
    def clock(self) -> Clock:
        """Where this endpoint's time comes from."""
        return self._switchboard.clock

    @property
    def counters(self) -> Counter[str]:
        """What was dropped, refused and failed, by name."""
        return self._switchboard.counters

    @property
    def connections(self) -> tuple[Connection, ...]:
        """Every open connection, whoever opened it."""
        return tuple(link.connection for link in self._switchboard.links if link.connection is not None)

    @property
    def half_open(self) -> int:
        """How many handshakes that peers opened are not complete."""
        return self._switchboard.links.half_open

    async def connect(self, host: str, port: int, config: DTLSConfig) -> Connection:
        """Open a connection: resolve the name, try its addresses in order, shake hands.

        The addresses share ``config.handshake_timeout`` equally. If an address has an open connection that
        was opened with an equal configuration, that one is returned: a second association from one socket
        to one address would replace the first at the peer (RFC 6347 section 4.2.8). Opened with another
        configuration, the new one replaces the old.

        With ``config.resumption`` the session that the last connection with the address left is offered, if
        that was opened with an equal configuration.

        Raises:
            NetworkError: if the name is not known or nobody answered.
            RefusedError: if the peer answered and did not want us.
            PeerError: if the peer is not whom we trust, or broke the protocol.
            CallerError: if the endpoint is closed, or the configuration has no credential for a client.
        """
        self._require_open()
        addresses = await self._resolve(host, port)
        patience = config.handshake_timeout / len(addresses)
        silent: list[str] = []
        for address in addresses:
            try:
                return await self._connect_to(address, config, patience)
            except NetworkError as error:
                if len(addresses) == 1:
                    raise
                silent.append(f"{written(*plain(address))}: {error.what}")
        raise NetworkError(", ".join(silent), where=written(host, port), remedy=START_IT)

    @property
    def on_save_due(self) -> Callable[[], None] | None:
        """Called when an association that was saved needs to be saved again (:meth:`save`)."""
        return self._switchboard.on_save_due

    @on_save_due.setter
    def on_save_due(self, listener: Callable[[], None] | None) -> None:
        self._switchboard.on_save_due = listener

    async def leave(self, key: SnapshotKey, store: Store) -> None:
        """Stop like :meth:`close`, but hand all associations over to the next endpoint, unharmed.

        Args:
            key: what to seal them with.
            store: as for :meth:`save`. If it raises, the endpoint is closed all the same.
        """
        self._require_open()
        try:
            await self._switchboard.leave(key, store)
        finally:
            await self.close()

    async def save(
        self,
        key: SnapshotKey,
        store: Store,
        *,
        sends_ahead: int = SENDS_AHEAD,
        receipts_ahead: int = RECEIPTS_AHEAD,
    ) -> None:
        """Store all associations, so that they outlive a crash of this process.

        From the first time on it has to be done again whenever :attr:`on_save_due` is called, or an
        association comes to a stop when what was reserved is used up. :meth:`twoway.dtls.Association.save`
        says more.

        Args:
            key: what to seal them with.
            store: called in a thread with the bytes. It must replace what was stored before in one step, and
                return when that would survive a power cut, like :func:`twoway.pki.files.write_file`. One
                endpoint at a time may use what it writes to.
            sends_ahead: records that each association may send until the next time.
            receipts_ahead: records that each may receive until then. After a crash about as many of what
                the peer sends are lost.
        """
        self._require_open()
        await self._switchboard.save(key, store, sends_ahead=sends_ahead, receipts_ahead=receipts_ahead)

    async def restore(
        self,
        data: bytes,
        key: SnapshotKey,
        store: Store,
        *,
        connect: DTLSConfig | None = None,
        sends_ahead: int = SENDS_AHEAD,
        receipts_ahead: int = RECEIPTS_AHEAD,
    ) -> int:
        """Take up what an endpoint before this one stored, by :meth:`leave` or :meth:`save`.

        Connections that peers had opened are given to :attr:`on_connection`; :meth:`connect` finds those that
        we had opened with an equal configuration. All are saved again before one of them is used, since
        nobody knows how often the same data has been restored.

        Args:
            data: what was stored.
            key: what it was sealed with.
            store: as for :meth:`save`, and to the same place.
            connect: the configuration of associations that we had opened; without one they are left out.
            sends_ahead: as for :meth:`save`.
            receipts_ahead: as for :meth:`save`.

        Returns:
            How many live on. The others are counted as ``associations not restored``, and traced.

        Raises:
            SnapshotRejected: this is not what was stored with this key.
        """
        self._require_open()
        return await self._switchboard.restore(
            data, key, store, connect, sends_ahead=sends_ahead, receipts_ahead=receipts_ahead
        )

    async def close(self) -> None:
        """Say close_notify to everybody, release the port, leave nothing running. May be called twice."""
        self._closed = True
        await self._switchboard.shut("the endpoint was closed")

    async def _resolve(self, host: str, port: int) -> list[SocketAddress]:
        where = written(host, port)
        try:
            resolved = await _look_up(host, port)
        except (OSError, UnicodeError, ValueError):
            what = "this host or port is not known"
            raise NetworkError(what, where=where, remedy="check how it is written") from None
        addresses = reachable_from(self._switchboard.wire.socket, resolved)
        if not addresses:
            raise NetworkError(
                f"no address of it can be reached from {written(*self.address)}",
                where=where,
                remedy="listen on every address or on one of the other family",
            )
        return addresses

    async def _connect_to(self, address: SocketAddress, config: DTLSConfig, patience: float) -> Connection:
        # One handshake at a time to one address: to the peer they would be one client that starts anew.
        while (pending := self._opening.get(address)) is not None:
            await asyncio.wait([pending])
        self._require_open()
        for link in self._switchboard.links.at(address):
            if link.outgoing and link.connection is not None and link.config == config:
                return link.connection
        link = self._switchboard.start_client(address, config)
        return await self._wait_opened(link, patience)

    async def _wait_opened(self, link: Link, patience: float) -> Connection:
        assert link.opened is not None
        address = link.address  # A peer with a connection ID may have moved before we get to see it.
        self._opening[address] = link.opened
        try:
            async with asyncio.timeout(patience):
                return await link.opened
        except TimeoutError:
            where = written(*plain(address))
            raise NetworkError(NOBODY_ANSWERED, where=where, remedy=START_IT) from None
        except asyncio.CancelledError:
            # The caller will never see it, even if it was complete at this very moment.
            self._switchboard.end(link, "the caller gave up")
            raise
        finally:
            del self._opening[address]
            if link.connection is None:
                self._switchboard.end(link, "the handshake was given up")

    def _require_open(self) -> None:
        if self._closed:
            raise CallerError("the endpoint is closed")


async def _resolve_own(host: str, port: int) -> Sequence[ResolvedAddress]:
    """Resolve what an operator wrote to listen on; nothing for the wildcard."""
    if not host:
        return []
    try:
        return await _look_up(host, port, flags=socket.AI_PASSIVE)
    except (OSError, UnicodeError, ValueError):
        raise ConfigurationError(
            "this host or port to listen on is not known",
            where=written(host, port),
            remedy="give an address of this machine and a port below 65536",
        ) from None


async def _look_up(host: str, port: int, *, flags: int = 0) -> Sequence[ResolvedAddress]:
    # The C library takes larger ports modulo 65536.
    if not 0 <= port <= MAX_PORT:
        raise ValueError
    return await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_DGRAM, flags=flags)
