"""The association: one DTLS connection with one peer, without a socket, a clock or a thread.

This module is what a caller meets: how an association is made, what goes in, what comes out and what may be
asked. What becomes of the records is :class:`~twoway.dtls.record_layer.RecordLayer`'s.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from datetime import datetime

from twoway.dtls.alerts import AlertDescription, AlertLevel
from twoway.dtls.config import DTLSConfig
from twoway.dtls.cookie import AcceptedHello
from twoway.dtls.events import (
    ClosedBy,
    Connected,
    DecryptionRequest,
    Event,
    SignatureRequest,
)
from twoway.dtls.handshake import Surroundings
from twoway.dtls.paths import Path
from twoway.dtls.record import split_datagram_untrusted
from twoway.dtls.record_layer import RecordLayer
from twoway.dtls.reservation import Reservation
from twoway.dtls.saving import RECEIPTS_AHEAD, SENDS_AHEAD, Saving
from twoway.dtls.sealing import SnapshotKey
from twoway.dtls.session import HeldSession
from twoway.dtls.snapshot import SavedAssociation, Snapshot, require_admitted
from twoway.dtls.states import State
from twoway.errors import CallerError
from twoway.identity import Identity
from twoway.trace import Trace, ignore


class Association(RecordLayer):
    """One DTLS association, sans-IO.

    Make it with :meth:`client` or, from a hello that passed the
    :class:`~twoway.dtls.cookie.HelloGate`, with :meth:`server`. Then:

    ========================================  ====================================================
    inputs                                    outputs, drained by the caller after *each* input
    ========================================  ====================================================
    ``start(now)``                            ``datagrams_to_send()``, or with their paths
    ``receive_datagram(data, now, path)``     ``routed_datagrams_to_send()``
    ``handle_timer(now)``                     ``next_event()`` until it returns None
    ``send(data)``                            ``next_deadline()``
    ``answer(request, result, now)``
    ``use_path(path)``
    ``close()``
    ========================================  ====================================================

    ``now`` is monotonic seconds. A path is whatever tells the caller where a datagram came from or goes to,
    an address for instance; the engine only compares it. Whoever has one path alone leaves it out.

    Bad network input is dropped and counted in :attr:`counters`, never raised. A broken rule ends this
    association alone: the peer gets an alert and the caller a :class:`~twoway.dtls.events.Closed` event,
    after which every input is ignored.
    """

    __slots__ = ()

    @classmethod
    def client(
        cls,
        config: DTLSConfig,
        *,
        entropy: Callable[[int], bytes],
        wall_clock: Callable[[], datetime],
        connection_id: bytes | None = None,
        path: Path = None,
        trace: Trace = ignore,
        name: str = "client",
        session: HeldSession | None = None,
    ) -> Association:
        """Make the side that speaks first.

        Args:
            config: credentials and limits.
            entropy: returns that many random bytes, like ``os.urandom``.
            wall_clock: the time by which certificates are judged, aware.
            connection_id: what the peer is to write into its records, ``config.connection_id_bytes`` long.
                Whoever tells associations apart by it gives one that no other has; without, it is random.
            path: where the peer is.
            trace: sees what happens.
            name: what the trace calls this association.
            session: the :attr:`session` of an earlier association with this server, to be offered. If it
                cannot be resumed, the handshake is a full one.

        Raises:
            CallerError: the configuration has nothing that a client could prove itself with, or does not
                admit resumption, or the connection ID has another length than it says.
        """
        if not config.usable_suites(is_client=True):
            raise CallerError("this configuration has no credential for a client")
        if session is not None and config.resumption is None:
            raise CallerError("this configuration does not resume sessions", remedy="set its resumption")
        connection_id = _own_connection_id(config, connection_id, entropy)
        surroundings = Surroundings(config, entropy, wall_clock, connection_id, session)
        return cls(surroundings, path=path, trace=trace, name=name)

    @classmethod
    def server(
        cls,
        config: DTLSConfig,
        accepted: AcceptedHello,
        *,
        entropy: Callable[[int], bytes],
        wall_clock: Callable[[], datetime],
        connection_id: bytes | None = None,
        path: Path = None,
        trace: Trace = ignore,
        name: str = "server",
    ) -> Association:
        """Make the side that answers, from a hello whose cookie was good; arguments as for :meth:`client`."""
        connection_id = _own_connection_id(config, connection_id, entropy)
        surroundings = Surroundings(config, entropy, wall_clock, connection_id)
        return cls(surroundings, path=path, trace=trace, name=name, accepted=accepted)

    @classmethod
    def restore(
        cls,
        data: bytes,
        key: SnapshotKey,
        config: DTLSConfig,
        *,
        entropy: Callable[[int], bytes],
        wall_clock: Callable[[], datetime],
        path: Path = None,
        trace: Trace = ignore,
        name: str = "restored",
    ) -> Association:
        """Make an association of a snapshot, without a handshake; it is connected, and there is no ``start``.

        It can neither send nor receive before it has been saved again and that was confirmed
        (:meth:`confirm_stored`), or the deletion of the snapshot was (:meth:`confirm_deleted`): the same
        bytes could be restored once more. What the peer sends until then is dropped.

        Args:
            data: the snapshot's bytes.
            key: what it was sealed with.
            config: as for a handshake. Whatever it does not admit any more does not come back.
            entropy: as for :meth:`client`.
            wall_clock: as for :meth:`client`.
            path: where the peer was when the association was saved, or is known to be now.
            trace: as for :meth:`client`.
            name: as for :meth:`client`.

        Raises:
            SnapshotRejected: the bytes are not a snapshot of this key and version; or the suite, the kind of
                handshake or the peer's raw key are not admitted any more; or the peer's certificate has
                expired, or the peer was revoked.
        """
        saved = SavedAssociation.open_untrusted(data, key, config.suites)
        require_admitted(saved, config, wall_clock())
        surroundings = Surroundings(config, entropy, wall_clock, saved.connection_ids.ours)
        return cls(surroundings, path=path, trace=trace, name=name, saved=saved)

    # --- what a caller may ask ------------------------------------------------------------------

    @property
    def peer(self) -> Identity | None:
        """Who the peer proved to be; None until connected."""
        return self._connected.peer if self._connected else None

    @property
    def suite(self) -> str | None:
        """The negotiated suite's name; None until connected."""
        return self._connected.suite if self._connected else None

    @property
    def session(self) -> HeldSession | None:
        """What a client can offer when it connects to this server again; it outlives :meth:`close`.

        None before the handshake is complete, if the server gives none or ``resumption`` is not configured,
        and after a fatal alert (RFC 5246 section 7.2.2). A server has none to offer.
        """
        return self._held if self._is_client else None

    @property
    def established(self) -> bool:
        """Whether the handshake is complete and the association still open."""
        return self._connected is not None and self._closed is None

    @property
    def state(self) -> State | None:
        """What the handshake waits for; None before it starts, and where there was none."""
        return self._handshaking.state if self._handshaking is not None else self._state

    @property
    def connected(self) -> Connected | None:
        """What the handshake came to; None until connected."""
        return self._connected

    @property
    def counters(self) -> Counter[str]:
        """How often each kind of thing happened: ``"dropped: replayed"``, ``"flights resent"``..."""
        return self._journal.counters

    @property
    def round_trip(self) -> float | None:
        """The link's smoothed round trip in seconds, the peer's computing included, as the handshake measured
        it (RFC 6298); before that what the configuration says; None if nothing is known."""
        return self._sender.round_trip

    @property
    def connection_id(self) -> bytes:
        """What the peer writes into its protected records; empty if it writes none."""
        return self._agreement.connection_ids.ours

    @property
    def path(self) -> Path:
        """By which path data goes."""
        return self._sender.path if self._paths is None else self._paths.path

    def datagrams_to_send(self) -> list[bytes]:
        """Return what to send now, in order, and forget it."""
        return self._sender.collect()

    def routed_datagrams_to_send(self) -> list[tuple[bytes, Path]]:
        """Return what to send now, in order, each with its path, and forget it. While it is not clear where
        the peer is, a datagram may be there twice, with two paths; the peer takes one of them."""
        return self._sender.collect_routed()

    def next_event(self) -> Event | None:
        """Return the oldest event not yet returned, or None."""
        events = self._journal.events
        return events.pop(0) if events else None

    def next_deadline(self) -> float | None:
        """Return when :meth:`handle_timer` is due, in monotonic seconds, or None."""
        if self._closed:
            return None
        if self._handshaking is not None:
            return self._handshaking.deadline
        return None if self._paths is None else self._paths.deadline

    # --- inputs ---------------------------------------------------------------------------------

    def start(self, now: float) -> None:
        """Begin: a client sends its hello, a server answers the one that it was made from."""
        if self._handshaking is None or self._handshaking.is_started:
            raise CallerError("an association starts once")
        if self._closed:
            return
        self.now = now
        self._handshaking.start()

    def receive_datagram(self, data: bytes, now: float, path: Path = None) -> None:
        """Take a datagram that may be the peer's.

        Args:
            data: the UDP payload.
            now: monotonic seconds.
            path: where it came from.
        """
        self.now = now
        self._came_by = path
        records, trailing_bytes = split_datagram_untrusted(data, self._connection_id_bytes)
        if trailing_bytes:
            self._journal.drop("malformed record")
        for record in records:
            if self._closed:
                return
            self.receive_record(record)
        if self._saving is not None and not self._closed:
            self._saving.look()

    def handle_timer(self, now: float) -> None:
        """Do what is due at ``now``; too early a call does nothing."""
        self.now = now
        deadline = self.next_deadline()
        if deadline is None or now < deadline:
            return
        if self._handshaking is not None:
            self._handshaking.handle_timer()
        elif self._paths is not None:
            self._paths.expire(now)

    def send(self, data: bytes) -> None:
        """Send one record of application data.

        Args:
            data: at most 2**14 bytes, one less with a connection ID, or what the peer allows; one call is one
                record is one datagram.

        Raises:
            CallerError: not connected, closed, or too long; NumbersUsedUp, which is one, if there is no
                sequence number that may be used.
        """
        if self._connected is None or self._closed is not None:
            raise CallerError("the association is not connected")
        self._sender.send_data(data)
        if self._saving is not None:
            self._saving.look()

    def answer(self, request: SignatureRequest | DecryptionRequest, result: bytes | None, now: float) -> None:
        """Answer a :class:`~twoway.dtls.events.SignatureRequest` or
        :class:`~twoway.dtls.events.DecryptionRequest`.

        Args:
            request: the very event.
            result: the signature or the plaintext. None if the key could not be used: for a signature that
                ends the association; a decryption that failed is never told to the peer, who cannot go on.
            now: monotonic seconds.
        """
        if self._closed:
            return
        if self._handshaking is None:
            raise CallerError("this was not asked for, or has been answered")
        self.now = now
        self._handshaking.answer(request, result)

    def use_path(self, path: Path) -> None:
        """Speak by another path from here on, because we have moved by ourselves (RFC 9853 section 5.2): to
        another interface, say. The peer finds that out by our next record."""
        self._follow().use(path)

    def close(self) -> None:
        """End the association with close_notify (RFC 5246 section 7.2.1)."""
        if self._closed:
            return
        if self._handshaking is None or self._handshaking.is_started:
            level = AlertLevel.WARNING
            if not self._connected:
                self._send_alert(level, AlertDescription.USER_CANCELED)
            self._send_alert(level, AlertDescription.CLOSE_NOTIFY)
        self._end(ClosedBy.US, AlertDescription.CLOSE_NOTIFY, "closed")

    def rest(self) -> None:
        """Let go of what can be made again when it is needed: worth a call when nothing happens for a while.

        The ciphers take about as much memory as all the rest of an idle association.
        """
        self._sender.rest()
        self._receiver.rest()

    # --- saving ---------------------------------------------------------------------------------

    def save(
        self, key: SnapshotKey, *, sends_ahead: int = SENDS_AHEAD, receipts_ahead: int = RECEIPTS_AHEAD
    ) -> Snapshot:
        """Make a snapshot from which the association can be restored, in another process as well.

        From now on only so many records are sent and received as the arguments say, until a later snapshot
        has been stored and confirmed: :class:`~twoway.dtls.events.SaveDue` says when it is time. When all are
        used, :meth:`send` refuses and what arrives is dropped. :mod:`twoway.dtls.reservation` says why, and
        what whoever stores snapshots has to see to.

        To hand an association over, give 0 for both: nothing is sent or received here any more, and nothing
        is lost there. The last flight of a handshake is not saved: if it did not reach the peer, the peer
        begins anew.

        Args:
            key: what to seal it with.
            sends_ahead: how many records may still be sent. They cost nothing: the numbers that are left over
                are skipped.
            receipts_ahead: how far above the highest one so far the numbers of records that come in may lie.
                As many of the peer's next records are lost when the snapshot is restored after a crash.

        Raises:
            CallerError: not connected, or closed; or there are not as many numbers left.
        """
        agreed = self._agreement
        if not self.established or agreed.keys is None or self._connected is None:
            raise CallerError("only an association that is connected can be saved")
        saving = self._saving or Saving(self._sender, self._receiver, self._journal, Reservation())
        generation, cut = saving.reserve(sends_ahead=sends_ahead, receipts_ahead=receipts_ahead)
        self._saving = saving
        saved = SavedAssociation(
            generation=generation,
            cut=cut,
            is_client=self._is_client,
            keys=agreed.keys,
            group=self._connected.group,
            kind=self._connected.kind,
            sent_limit=agreed.sent_limit,
            received_limit=agreed.received_limit,
            connection_ids=agreed.connection_ids,
            checks_paths=agreed.checks_paths,
            peer=self._connected.peer,
        )
        return Snapshot(saved.seal(key, entropy=self._entropy), generation)

    def confirm_stored(self, snapshot: Snapshot) -> None:
        """Say that a snapshot of ours is stored for good, in the place of the one before.

        Raises:
            CallerError: it is not of the generation that waits to be confirmed.
        """
        if self._saving is None:
            raise CallerError("the association was not saved")
        self._saving.confirm_stored(snapshot.generation)

    def confirm_deleted(self) -> None:
        """Say that there is no snapshot left from which this association could be restored.

        All numbers are its own again; it is lost if the process ends.
        """
        if self._saving is not None:
            self._saving.confirm_deleted()
            self._saving = None


def _own_connection_id(
    config: DTLSConfig, given: bytes | None, entropy: Callable[[int], bytes]
) -> bytes | None:
    """Return what the peer is to write; None if connection IDs are not spoken."""
    size = config.connection_id_bytes
    if given is None:
        return None if size is None else entropy(size)
    if len(given) != size:
        raise CallerError(f"the connection ID has {len(given)} bytes, and the configuration says {size}")
    return given
