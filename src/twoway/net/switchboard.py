"""The switchboard: which engine gets a datagram, and what becomes of what the engine puts out.

Theory of operation. Four things drive it: a datagram, the alarm, a caller, and a signature that a thread
has made. Each of them gives one input to one association's engine; then the engine's outputs are drained
(datagrams to the wire, events to the connection) and its deadline is noted. The engine never sees the
socket, the clock or the event loop; nothing above sees the engine.

Rules that hold here:

- An address that is not known costs no memory: the gate answers it without keeping anything, and only a
  hello with a valid cookie makes an association, if there is room (:class:`~twoway.net.Limits`).
- Of a hello in fragments the gate keeps a little for a short time (:mod:`twoway.dtls.bench`). No association
  sees them one by one, whoever's they are: one that waits for a repeated hello is handed the whole of it.
- A hello from an address that is known goes through the same gate and starts an association beside the
  old one, which goes only when the new one is complete (RFC 6347 section 4.2.8). Meanwhile both get every
  datagram but hellos; what is not protected with an association's keys is nothing to it.
- A record with a connection ID goes to the association that has it, from whatever address it comes. Where
  that one's datagrams go from then on, the engine decides, record by record (:mod:`twoway.dtls.paths`); an
  address that is not the peer's for certain moves nothing here.
- A fault in a listener costs its connection, a fault in an engine costs its association; neither reaches
  the socket or anybody else.
"""

from __future__ import annotations

import asyncio
import itertools
import socket
from collections import Counter
from collections.abc import Callable, Coroutine
from dataclasses import asdict
from functools import partial
from typing import Final, cast

from twoway.clock import Clock
from twoway.dtls import (
    AcceptedHello,
    AlertDescription,
    Association,
    Closed,
    ClosedBy,
    Connected,
    DataReceived,
    DecryptionRequest,
    DTLSConfig,
    Event,
    HelloGate,
    HelloUnfinished,
    HelloVerify,
    PathChanged,
    SaveDue,
    SignatureRequest,
    SnapshotKey,
    SnapshotRejected,
    may_be_client_hello,
)
from twoway.dtls.record import CONNECTION_ID_AT, ContentType
from twoway.errors import CallerError, NetworkError, TwowayError
from twoway.net import handover
from twoway.net.address import SocketAddress, packed, plain, unpacked, written
from twoway.net.alarm import Alarm
from twoway.net.awake import Awake
from twoway.net.connection import Carrier, Connection
from twoway.net.failure import NOBODY_ANSWERED, START_IT, handshake_failed
from twoway.net.limits import Limits
from twoway.net.link import Link
from twoway.net.sessions import SessionCache
from twoway.net.table import LinkTable
from twoway.net.wire import Wire
from twoway.trace import Fault, Trace, TraceEvent

TLS12_CID: Final = bytes([ContentType.TLS12_CID])

OnConnection = Callable[[Connection], None]
Store = Callable[[bytes], None]
"""Puts bytes in the place of what it stored before, in one step and for good, or raises."""


class Switchboard:
    """Drives the associations of one socket; :class:`~twoway.net.Endpoint` is its face.

    Args:
        sock: bound, not blocking.
        accept: how to answer peers that open a handshake; None: nobody is answered.
        on_connection: takes each connection that a peer opened, before any of its data.
        limits: bounds on what the network may take.
        clock: where time comes from.
        entropy: returns that many random bytes.
        trace: takes what happens.
    """

    def __init__(
        self,
        sock: socket.socket,
        *,
        accept: DTLSConfig | None,
        on_connection: OnConnection | None,
        limits: Limits,
        clock: Clock,
        entropy: Callable[[int], bytes],
        trace: Trace,
    ) -> None:
        self.on_connection = on_connection
        self.on_save_due: Callable[[], None] | None = None
        self.counters: Counter[str] = Counter()
        self.clock = clock
        self.links = LinkTable(limits, (accept and accept.connection_id_bytes) or 0)
        self.wire = Wire(sock, self._receive, self._believe_unreachable)
        self.local = plain(sock.getsockname())
        self._source = f"endpoint {written(*self.local)}"
        self._accept = accept
        self._limits = limits
        self._entropy = entropy
        self._trace = trace
        self._gate = HelloGate(entropy=entropy)
        self._sessions = SessionCache(limits.sessions)
        self._alarm: Alarm[Link] = Alarm(clock, self._look_at)
        self._awake = Awake(limits.awake)
        self._numbers = itertools.count(1)
        self._tasks: set[asyncio.Task[None]] = set()
        self._loop = asyncio.get_running_loop()
        self._saving = asyncio.Lock()

    @property
    def accept(self) -> DTLSConfig | None:
        """How peers that open a handshake are answered from now on; those that have begun one go on."""
        return self._accept

    @accept.setter
    def accept(self, config: DTLSConfig | None) -> None:
        before, after = ((one and one.connection_id_bytes) or 0 for one in (self._accept, config))
        if before != after:
            raise CallerError("the length of connection IDs cannot change while an endpoint is open")
        self._accept = config

    async def shut(self, reason: str) -> None:
        """End every association, release the port, leave nothing running."""
        for link in self.links:
            self.end(link, reason)
        self._alarm.stop()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self.wire.close()

    # --- beginnings -----------------------------------------------------------------------------

    def start_client(self, address: SocketAddress, config: DTLSConfig) -> Link:
        """Begin a handshake; its outcome comes by ``link.opened``.

        Raises:
            NetworkError: if there is no room for another association.
            CallerError: if the configuration has nothing that a client could prove itself with, or wants
                connection IDs of another length than others on this socket.
        """
        where = written(*plain(address))
        lack = self.links.lack_of_room(address, config, outgoing=True)
        if lack is not None:
            raise NetworkError(f"this endpoint has too many {lack}", where=where, remedy="close some first")
        connection_id = self._connection_id(config)
        association = Association.client(
            config,
            entropy=self._entropy,
            wall_clock=self.clock.now,
            connection_id=connection_id,
            path=address,
            trace=self._trace,
            name=f"client of {where}",
            session=self._sessions.find(address, config),
        )
        opened: asyncio.Future[Connection] = self._loop.create_future()
        link = Link(association, address, config, connection_id or b"", opened=opened)
        self._admit(link)
        return link

    def _connection_id(self, config: DTLSConfig) -> bytes | None:
        size = config.connection_id_bytes
        return None if size is None else self.links.unused_connection_id(size, self._entropy)

    def _admit(self, link: Link) -> None:
        self.links.add(link)
        self._run(link, partial(link.association.start, self.clock.monotonic()))

    # --- over a restart -------------------------------------------------------------------------

    async def save(self, key: SnapshotKey, store: Store, *, sends_ahead: int, receipts_ahead: int) -> None:
        """Store every complete association; see :meth:`~twoway.net.Endpoint.save`."""
        async with self._saving:
            links = [link for link in self.links if link.connection is not None]
            await self._save(links, key, store, sends_ahead=sends_ahead, receipts_ahead=receipts_ahead)

    async def restore(
        self,
        data: bytes,
        key: SnapshotKey,
        store: Store,
        connect: DTLSConfig | None,
        *,
        sends_ahead: int,
        receipts_ahead: int,
    ) -> int:
        """Take up what was left behind; see :meth:`~twoway.net.Endpoint.restore`."""
        async with self._saving:
            left = handover.open_untrusted(data, key)
            restored = [link for each in left if (link := self._revive(each, key, connect)) is not None]
            living = [link for link in self.links if link.connection is not None]
            await self._save(
                [*living, *restored], key, store, sends_ahead=sends_ahead, receipts_ahead=receipts_ahead
            )
            return sum(self._take_up(link) for link in restored)

    async def leave(self, key: SnapshotKey, store: Store) -> None:
        """Store every complete association as it is, and let go of it without a word to the peer."""
        await self.save(key, store, sends_ahead=0, receipts_ahead=0)
        for link in self.links:
            if link.connection is not None:
                self._finish(link, Closed(ClosedBy.US, None, "it was handed over", established=True))

    async def _save(
        self, links: list[Link], key: SnapshotKey, store: Store, *, sends_ahead: int, receipts_ahead: int
    ) -> None:
        saved = []
        for link in links:
            try:
                snapshot = link.association.save(key, sends_ahead=sends_ahead, receipts_ahead=receipts_ahead)
            except CallerError as error:  # Its numbers are used up. It lives on until it ends, here.
                self._tell("association not saved", link, why=error.what)
            else:
                saved.append((link, snapshot))
        left = [handover.Left(packed(link.address), link.outgoing, one.data) for link, one in saved]
        await asyncio.to_thread(store, handover.seal(left, key, entropy=self._entropy))
        for link, snapshot in saved:
            link.association.confirm_stored(snapshot)

    def _revive(self, left: handover.Left, key: SnapshotKey, connect: DTLSConfig | None) -> Link | None:
        """Make a link of what was left, which nobody sees yet, or say why not."""
        address = unpacked(left.address, self.wire.socket.family)
        config = connect if left.outgoing else self._accept
        if address is None or config is None:
            self.counters["associations not restored"] += 1
            return None
        where = written(*plain(address))
        try:
            association = Association.restore(
                left.snapshot,
                key,
                config,
                entropy=self._entropy,
                wall_clock=self.clock.now,
                path=address,
                trace=self._trace,
                name=f"{'client' if left.outgoing else 'server'} of {where}",
            )
        except SnapshotRejected as rejected:
            self.counters["associations not restored"] += 1
            told = {"address": where, "why": str(rejected)}
            self._trace(Fault("association not restored", self._source, told))
            return None
        # No hello has this random: if the peer begins anew, that is another handshake.
        random = None if left.outgoing else b""
        return Link(association, address, config, association.connection_id, hello_random=random)

    def _take_up(self, link: Link) -> bool:
        """Let a restored association live, unless a newer one or too many others are there."""
        connected = link.association.connected
        assert connected is not None
        is_replaced = any(
            other.connection is not None
            and other.outgoing == link.outgoing
            and not _may_be_elsewhere(other, connected)
            for other in self.links.at(link.address)
        )
        is_findable = self.links.can_find(link.connection_id)
        lack = self.links.lack_of_room(link.address, link.config, outgoing=True)
        if is_replaced or not is_findable or lack is not None:
            self.counters["associations not restored"] += 1
            return False
        self.links.add(link)
        self._complete(link, connected)
        self._run(link, _nothing)
        return True

    # --- what arrives ---------------------------------------------------------------------------

    def _receive(self, datagram: bytes, address: SocketAddress) -> None:
        if datagram[:1] == TLS12_CID:
            self._receive_known(datagram, address)
            return
        links = self.links.at(address)
        if self._accept is not None and may_be_client_hello(datagram):
            self._knock(datagram, address, self._accept)
        elif not links:
            self._drop("datagram of an unknown address", address)
        else:
            for link in links:
                self._feed(link, datagram, address)

    def _receive_known(self, datagram: bytes, address: SocketAddress) -> None:
        """Take a datagram that begins with a connection ID."""
        end = CONNECTION_ID_AT + self.links.connection_id_bytes
        link = self.links.known_as(datagram[CONNECTION_ID_AT:end])
        if link is None:
            self._drop("datagram of an unknown connection ID", address)
        else:
            self._feed(link, datagram, address)

    def _knock(self, datagram: bytes, address: SocketAddress, accept: DTLSConfig) -> None:
        """Judge a hello. Nobody else at the address gets it: a handshake that took another one's hello for
        its own again would answer with a flight that confuses the newcomer."""
        answer = self._gate.receive_untrusted(datagram, packed(address), self.clock.monotonic())
        match answer:
            case None:
                self._drop("malformed hello", address)
            case HelloUnfinished():
                self.counters["pieces of hellos"] += 1
            case HelloVerify():
                self.counters["cookies sent"] += 1
                self.wire.send(answer.datagram, address)
            case AcceptedHello():
                for link in self.links.at(address):
                    if link.hello_random == answer.hello.random:
                        self._feed(link, answer.datagram, address)
                        return
                newcomer = self._welcome(answer, address, accept)
                if newcomer is not None:
                    newcomer.traffic.count_received(datagram)
                    self._admit(newcomer)

    def _welcome(self, hello: AcceptedHello, address: SocketAddress, accept: DTLSConfig) -> Link | None:
        """Make a link of an accepted hello that is not known yet, if there is room."""
        for link in self.links.at(address):
            # Its owner has started anew, and has proved again that the address is its own. It is not told:
            # an alert without keys would be taken to be about the new handshake.
            if not link.outgoing and link.connection is None:
                self._finish(link, _closed_by_us(link, "the peer began another handshake"))
        lack = self.links.lack_of_room(address, accept, outgoing=False)
        if lack is not None:
            self._drop(f"hello, too many {lack}", address)
            return None
        connection_id = self._connection_id(accept)
        association = Association.server(
            accept,
            hello,
            entropy=self._entropy,
            wall_clock=self.clock.now,
            connection_id=connection_id,
            path=address,
            trace=self._trace,
            name=f"server of {written(*plain(address))}",
        )
        return Link(association, address, accept, connection_id or b"", hello_random=hello.hello.random)

    def _feed(self, link: Link, datagram: bytes, address: SocketAddress) -> None:
        link.traffic.count_received(datagram)
        now = self.clock.monotonic()
        self._run(link, partial(link.association.receive_datagram, datagram, now, address))

    def _believe_unreachable(self, address: SocketAddress, fault: OSError) -> None:
        """Give up a handshake that we opened; an association that is complete is not ended by a forgery."""
        for link in self.links.at(address):
            if link.connection is None and link.outgoing:
                self._give_up(link, fault)

    # --- driving one engine ---------------------------------------------------------------------

    def _run(self, link: Link, step: Callable[[], None]) -> None:
        """Give an engine one input and drain its outputs."""
        if link.over:
            return
        try:
            step()
            if not link.draining:
                self._drain(link)
        except Exception as fault:  # noqa: BLE001 an engine's fault costs this association and no other
            self._lose(link, fault)

    def _drain(self, link: Link) -> None:
        link.draining = True
        try:
            while not link.over:
                self._transmit(link)
                event = link.association.next_event()
                if event is None:
                    break
                self._take(link, event)
        finally:
            link.draining = False
        if not link.over:
            self._note_deadline(link)
            if link.connection is not None:
                self._awake.use(link)

    def _transmit(self, link: Link) -> None:
        for datagram, path in link.association.routed_datagrams_to_send():
            link.traffic.count_sent(datagram)
            fault = self.wire.send(datagram, cast(SocketAddress, path))
            if fault is not None:
                self.counters["datagrams not sent"] += 1
                if link.connection is None and link.outgoing:
                    self._give_up(link, fault)
                    return

    def _take(self, link: Link, event: Event) -> None:
        match event:
            case DataReceived():
                link.heard_at = self.clock.monotonic()
                if link.connection is not None:
                    link.connection.deliver(event.data)
            case Connected():
                self._complete(link, event)
            case PathChanged():
                self._move(link, cast(SocketAddress, event.path))
            case SignatureRequest() | DecryptionRequest():
                self._spawn(self._use_key(link, event))
            case SaveDue():
                if self.on_save_due is not None:
                    self.on_save_due()
            case Closed():
                self._finish(link, event)

    def _complete(self, link: Link, connected: Connected) -> None:
        link.heard_at = self.clock.monotonic()
        self.links.complete(link)
        for other in self.links.at(link.address):
            if other is link or other.outgoing != link.outgoing or _may_be_elsewhere(other, connected):
                continue
            self.end(other, "a newer handshake with this address is complete")
        connection = link.connection = Connection(
            connected,
            number=next(self._numbers),
            remote=plain(link.address),
            local=self.local,
            outgoing=link.outgoing,
            traffic=link.traffic,
            carrier=Carrier(
                send=partial(self._send, link),
                close=partial(self.end, link, "we closed it"),
                fault=partial(self._blame_listener, link),
            ),
        )
        self._tell(
            "association complete",
            link,
            peer=connection.peer.uri,
            suite=connection.suite,
            kind=connection.kind.value,
            **asdict(link.traffic),
        )
        self._announce(link, connection)

    def _move(self, link: Link, address: SocketAddress) -> None:
        self._tell("association moved", link, to=written(*plain(address)))
        self.links.move(link, address)
        if link.connection is not None:
            link.connection.remote = plain(address)

    def _announce(self, link: Link, connection: Connection) -> None:
        if link.opened is not None:
            if not link.opened.done():
                link.opened.set_result(connection)
        elif self.on_connection is not None:
            try:
                self.on_connection(connection)
            except Exception as fault:  # noqa: BLE001 a user's fault costs this connection and no other
                self._blame_listener(link, fault)

    def _send(self, link: Link, data: bytes) -> None:
        try:
            link.association.send(data)
        except CallerError:
            raise
        except Exception as fault:  # noqa: BLE001 an engine's fault costs this association and no other
            self._lose(link, fault)
        self._run(link, _nothing)

    async def _use_key(self, link: Link, request: SignatureRequest | DecryptionRequest) -> None:
        """Have a key that lives elsewhere answer, in a thread: it may take seconds."""
        result: bytes | None = None
        try:
            result = await asyncio.to_thread(_ask_key, request)
        except Exception as fault:  # noqa: BLE001 whatever a key's driver raises, the handshake is told no
            self._tell("key failed", link, fault=type(fault).__name__)
        self._run(link, partial(link.association.answer, request, result, self.clock.monotonic()))

    # --- ends -----------------------------------------------------------------------------------

    def end(self, link: Link, reason: str) -> None:
        """End an association on our side, with the alert that its state asks for."""
        if link.over:
            return
        try:
            link.association.close()
            self._transmit(link)
        except Exception as fault:  # noqa: BLE001 it is over in any case
            self._tell("engine failed", link, fault=type(fault).__name__)
        self._finish(link, _closed_by_us(link, reason))

    def _lose(self, link: Link, fault: Exception) -> None:
        self.counters["engines failed"] += 1
        self._tell("engine failed", link, fault=f"{type(fault).__name__}: {fault}")
        self._finish(link, _closed_by_us(link, "our side failed by itself", AlertDescription.INTERNAL_ERROR))

    def _give_up(self, link: Link, fault: Exception) -> None:
        why = str(getattr(fault, "strerror", None) or fault).lower()
        where = written(*plain(link.address))
        error = NetworkError(f"{NOBODY_ANSWERED} ({why})", where=where, remedy=START_IT)
        self._finish(link, Closed(ClosedBy.TIMEOUT, None, why, established=False), error)

    def _finish(self, link: Link, closed: Closed, error: TwowayError | None = None) -> None:
        if link.over:
            return
        link.over = True
        self.links.remove(link)
        self._alarm.forget(link)
        self._awake.forget(link)
        if link.outgoing:
            # A handshake that failed has none: if it was the session that did it, the next one goes without.
            self._sessions.keep(link.address, link.config, link.association.session)
        self._tell(
            "association closed", link, by=closed.by.value, reason=closed.reason, **asdict(link.traffic)
        )
        if link.opened is not None and not link.opened.done():
            link.opened.set_exception(error or handshake_failed(closed, written(*plain(link.address))))
        if link.connection is not None:
            link.connection.end(closed)
        elif not link.outgoing:
            self.counters["handshakes failed"] += 1

    def _blame_listener(self, link: Link, fault: Exception) -> None:
        self.counters["listeners failed"] += 1
        self._tell("listener failed", link, fault=f"{type(fault).__name__}: {fault}")
        self.end(link, "our side failed to handle what came")

    # --- time -----------------------------------------------------------------------------------

    def _note_deadline(self, link: Link) -> None:
        deadline = link.association.next_deadline()
        if link.connection is not None:
            idle_at = self._idle_at(link)
            deadline = idle_at if deadline is None else min(deadline, idle_at)
        if deadline is not None:
            self._alarm.need(link, deadline)

    def _idle_at(self, link: Link) -> float:
        return link.heard_at + self._limits.idle_timeout

    def _look_at(self, link: Link, now: float) -> None:
        # A handshake's patience is the engine's; that of a connection which says nothing is ours.
        self._run(link, partial(link.association.handle_timer, now))
        if not link.over and link.connection is not None and self._idle_at(link) <= now:
            self.end(link, f"nothing was heard for {self._limits.idle_timeout:g} s")

    # --- bookkeeping ----------------------------------------------------------------------------

    def _spawn(self, work: Coroutine[None, None, None]) -> None:
        task = self._loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _drop(self, what: str, address: SocketAddress) -> None:
        self.counters[f"dropped: {what}"] += 1
        self._trace(TraceEvent("dropped", self._source, {"what": what, "address": written(*plain(address))}))

    def _tell(self, name: str, link: Link, **data: object) -> None:
        self._trace(TraceEvent(name, self._source, {"address": written(*plain(link.address)), **data}))


def _closed_by_us(link: Link, reason: str, alert: AlertDescription = AlertDescription.CLOSE_NOTIFY) -> Closed:
    return Closed(ClosedBy.US, alert, reason, established=link.connection is not None)


def _ask_key(request: SignatureRequest | DecryptionRequest) -> bytes | None:
    credential = request.credential
    if isinstance(request, SignatureRequest):
        return None if credential.signer is None else credential.signer.sign(request.data, request.scheme)
    return None if credential.decrypter is None else credential.decrypter.decrypt(request.ciphertext)


def _may_be_elsewhere(link: Link, newcomer: Connected) -> bool:
    """Tell whether the peer of a link has just lost its address to somebody else, as happens behind a NAT:
    it has a connection ID to be known by, and is not the peer who shook hands anew."""
    association = link.association
    if not association.connection_id or association.peer is None:
        return False
    return association.peer.uri != newcomer.peer.uri


def _nothing() -> None:
    """Be the input of an engine that has had its input already."""
