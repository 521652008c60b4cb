"""The association: one DTLS connection with one peer, without a socket, a clock or a thread.

This module decides what becomes of every record (RFC 6347 section 4.1): it opens it, hands data up and what
belongs to a handshake on, and ends the association when a rule is broken. It must never raise because of what
the network brought.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from datetime import datetime

from twoway.dtls.agreement import Agreement
from twoway.dtls.alerts import AlertDescription, AlertLevel
from twoway.dtls.config import DTLSConfig
from twoway.dtls.cookie import AcceptedHello
from twoway.dtls.epochs import NumbersUsedUp, Opened
from twoway.dtls.events import (
    Closed,
    ClosedBy,
    Connected,
    DataReceived,
    DecryptionRequest,
    Event,
    SignatureRequest,
)
from twoway.dtls.flights import CHANGE_CIPHER_SPEC_BODY
from twoway.dtls.handshake import Surroundings
from twoway.dtls.handshaking import Handshaking
from twoway.dtls.journal import Journal
from twoway.dtls.messages.handshake import Fragment, HandshakeType, parse_fragments_untrusted
from twoway.dtls.path_messenger import PathMessenger
from twoway.dtls.paths import Path, Paths
from twoway.dtls.protection import RecordRejected, RecordUnreadable
from twoway.dtls.receiving import Receiver, RecordOverflow
from twoway.dtls.record import DTLS_1_0, DTLS_1_2, ContentType, Record, split_datagram_untrusted
from twoway.dtls.reservation import Reservation
from twoway.dtls.return_routability import PathMessage
from twoway.dtls.saving import RECEIPTS_AHEAD, SENDS_AHEAD, Saving
from twoway.dtls.sealing import SnapshotKey
from twoway.dtls.sending import Sender
from twoway.dtls.session import HeldSession
from twoway.dtls.snapshot import SavedAssociation, Snapshot, require_admitted
from twoway.dtls.states import State
from twoway.dtls.timers import Due
from twoway.errors import CallerError
from twoway.identity import Identity
from twoway.trace import Trace, ignore


class Association:
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

    __slots__ = (
        "_agreement",
        "_came_by",
        "_closed",
        "_config",
        "_connected",
        "_connection_id_bytes",
        "_entropy",
        "_handshaking",
        "_held",
        "_is_client",
        "_journal",
        "_paths",
        "_receiver",
        "_saving",
        "_sender",
        "_state",
        "now",
    )

    def __init__(
        self,
        surroundings: Surroundings,
        *,
        path: Path,
        trace: Trace,
        name: str,
        accepted: AcceptedHello | None = None,
        saved: SavedAssociation | None = None,
    ) -> None:
        self._entropy = surroundings.entropy
        self._config = surroundings.config
        self._journal = Journal(trace, name)
        self.now = 0.0
        """Monotonic seconds of the latest input."""
        self._state: State | None = None
        self._connected: Connected | None = None
        self._closed: Closed | None = None
        self._held: HeldSession | None = None
        self._agreement = Agreement()
        self._saving: Saving | None = None
        # Before the hellos have agreed upon it, the length of ours is what a record with an ID has.
        self._connection_id_bytes = len(surroundings.connection_id or b"")
        self._paths: Paths | None = None
        self._came_by = path
        self._sender = Sender(
            self._config,
            path,
            # RFC 6347 section 4.2.1: a server goes on with the sequence number of the hello's record.
            first_sequence=accepted.record.sequence if accepted else 0,
            version=DTLS_1_2 if accepted else DTLS_1_0,
        )
        # The hello that the server was made from had a number of its own.
        self._receiver = Receiver(next_seq=accepted.message.message_seq + 1 if accepted else 0)
        if accepted is not None:
            self._receiver.open_untrusted(accepted.record)  # Seen: the same again is a repetition.
        self._is_client = saved.is_client if saved else accepted is None
        self._handshaking: Handshaking | None = None
        if saved is not None:
            self._go_on(saved)
            return
        self._handshaking = Handshaking(
            surroundings,
            self,
            sender=self._sender,
            receiver=self._receiver,
            journal=self._journal,
            agreement=self._agreement,
            accepted=accepted,
        )

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
    def is_closed(self) -> bool:
        """Whether it is over."""
        return self._closed is not None

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
        if not self.established:
            raise CallerError("the association is not connected")
        if not self._sender.has_room_for_data:
            raise NumbersUsedUp("the association's sequence numbers are used up", remedy="connect again")
        if len(data) > self._sender.limit_bytes:
            raise CallerError(
                f"a record to this peer holds {self._sender.limit_bytes} bytes, not {len(data)}"
            )
        self._sender.send(ContentType.APPLICATION_DATA, data)
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
            raise CallerError("only a handshake asks, and this one is complete")
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

    def _go_on(self, saved: SavedAssociation) -> None:
        """Be what a snapshot says."""
        keys, ids = saved.keys, saved.connection_ids
        self._agreement = Agreement(keys, ids, saved.checks_paths, saved.sent_limit, saved.received_limit)
        self._sender.negotiated()
        self._sender.restore(keys.protection(keys.write, self._entropy), ids.peers, saved.cut.send)
        self._receiver.restore(keys.protection(keys.read, self._entropy), ids.ours, saved.cut.receive)
        self._sender.limit_plaintext(saved.sent_limit)
        self._receiver.limit_plaintext(saved.received_limit)
        self._connected = Connected(saved.peer, keys.suite.name, saved.group, saved.kind)
        reservation = Reservation(saved.generation, saved.cut)
        self._saving = Saving(self._sender, self._receiver, self._journal, reservation)
        self._saving.go_on()
        if self._journal.is_traced:  # Writing the peer's name takes longer than most of the above.
            self._journal.tell("restored", suite=self._connected.suite, peer=saved.peer.uri)

    # --- records in -----------------------------------------------------------------------------

    def receive_record(self, record: Record) -> None:
        """Take one record (see :class:`~twoway.dtls.handshaking.Host`)."""
        try:
            opened = self._receiver.open_untrusted(record)
        except RecordOverflow as overflow:
            self.fail(AlertDescription.RECORD_OVERFLOW, str(overflow))
        except RecordUnreadable as unreadable:
            self._journal.drop(str(unreadable))
            if self._handshaking is not None:
                self._handshaking.suspect_keys()
        except RecordRejected as rejected:
            self._journal.drop(str(rejected))
        else:
            if opened is None:
                self._sender.hear(self.now)  # It belongs to the flight that answers ours.
            else:
                self._take(record, opened)

    def _take(self, record: Record, opened: Opened) -> None:
        kind, plaintext, is_newest = opened
        if record.connection_id and self._connected:
            may_move = is_newest and kind != ContentType.RETURN_ROUTABILITY_CHECK
            if self._paths is not None or (may_move and self._came_by != self._sender.path):
                self._follow().hear(self._came_by, record.wire_bytes, self.now, may_move=may_move)
        if kind == ContentType.APPLICATION_DATA:
            self._receive_data(record, plaintext)
        elif kind == ContentType.HANDSHAKE:
            self._receive_handshake(record, plaintext)
        elif kind == ContentType.CHANGE_CIPHER_SPEC:
            self._receive_change_cipher_spec(plaintext)
        elif kind == ContentType.ALERT:
            self._receive_alert(record, plaintext)
        elif kind == ContentType.RETURN_ROUTABILITY_CHECK and self._agreement.checks_paths:
            self._receive_path_message(record, plaintext)
        else:
            self._journal.drop("unknown content type")

    def _receive_data(self, record: Record, plaintext: bytes) -> None:
        if record.epoch == 0:
            self._journal.drop("unprotected data")
        elif not self._connected:
            # It overtook the Finished, without which nobody has been authenticated.
            self._journal.drop("data before Finished")
        else:
            self._journal.events.append(DataReceived(plaintext))

    def _receive_path_message(self, record: Record, plaintext: bytes) -> None:
        """RFC 9853 section 4: protected like data, and as little to be believed before the Finished."""
        if record.epoch == 0 or not self._connected:
            self._journal.drop("path message out of place")
            return
        try:
            message = PathMessage.parse_untrusted(plaintext)
        except RecordRejected as rejected:
            self._journal.drop(str(rejected))
        else:
            self._follow().answer(message, self._came_by, record.wire_bytes, self.now)

    def _receive_alert(self, record: Record, plaintext: bytes) -> None:
        """RFC 5246 section 7.2. Unprotected alerts count only while nothing better can come."""
        if record.epoch != self._receiver.epoch or len(plaintext) != 2:
            self._journal.drop("alert out of place")
            return
        level, code = plaintext
        try:
            alert = AlertDescription(code)
        except ValueError:
            alert = None
        label = alert.label if alert is not None else f"unknown alert {code}"
        self._journal.tell("alert received", alert=label, level=level)
        if alert is AlertDescription.CLOSE_NOTIFY:
            self._send_alert(AlertLevel.WARNING, AlertDescription.CLOSE_NOTIFY)
            self._end(ClosedBy.PEER, alert, "the peer closed the association")
        elif level == AlertLevel.FATAL:
            meaning = alert.meaning if alert is not None else "which we do not know"
            self._end(ClosedBy.PEER, alert, f"the peer refused with the alert {label}: {meaning}")
        else:
            self._journal.counters["warnings received"] += 1

    def _receive_change_cipher_spec(self, plaintext: bytes) -> None:
        if plaintext != CHANGE_CIPHER_SPEC_BODY or self._receiver.epoch != 0 or self._handshaking is None:
            self._journal.drop("ChangeCipherSpec out of place")
        else:
            self._handshaking.receive_change_cipher_spec()

    def _receive_handshake(self, record: Record, plaintext: bytes) -> None:
        for fragment in parse_fragments_untrusted(plaintext):
            if self._handshaking is None:
                self._receive_late_fragment(record, fragment)
            else:
                self._handshaking.receive_fragment(fragment, record.epoch)
        if self._handshaking is not None:
            self._handshaking.advance()

    def _receive_late_fragment(self, record: Record, fragment: Fragment) -> None:
        """A handshake message after the handshake: a repetition, or an attempt to renegotiate."""
        is_ours_to_refuse = HandshakeType.HELLO_REQUEST if self._is_client else HandshakeType.CLIENT_HELLO
        if record.epoch > 0 and fragment.type == is_ours_to_refuse:
            self._journal.tell("renegotiation refused")
            self._send_alert(AlertLevel.WARNING, AlertDescription.NO_RENEGOTIATION)
        elif record.epoch == self._receiver.epoch and fragment.type == HandshakeType.FINISHED:
            self._repeat_last_flight(fragment)
        else:
            self._journal.drop("handshake message after the handshake")

    def _repeat_last_flight(self, fragment: Fragment) -> None:
        if not self._sender.is_repetition(fragment):
            return
        try:
            self._sender.resend()
        except NumbersUsedUp:
            self._journal.drop("flight without a number to resend it under")
        else:
            self._journal.resent(Due.FLIGHT, "the peer repeated its flight")

    # --- paths ----------------------------------------------------------------------------------

    def _follow(self) -> Paths:
        """Return the paths. As long as nobody moves there is but the one that the sender knows."""
        if self._paths is None:
            messenger = PathMessenger(self._sender, self._journal, self._config.retransmission)
            self._paths = Paths(messenger, self._entropy, self._sender.path)
            self._paths.is_checked = self._agreement.checks_paths
            self._sender.route_by(self._paths.route)
        return self._paths

    # --- records out ----------------------------------------------------------------------------

    def _send_alert(self, level: AlertLevel, alert: AlertDescription) -> None:
        try:
            self._sender.send(ContentType.ALERT, bytes([level, alert]))
        except NumbersUsedUp:
            # Silence is what is left; under a number that somebody else may use nothing must be sent.
            self._journal.tell("alert not sent", alert=alert.label, level=level.value)
            self._journal.counters["alerts not sent"] += 1
            return
        self._journal.tell("alert sent", alert=alert.label, level=level.value)

    # --- Host: how it goes on, and ends -------------------------------------------------------------

    def complete(self, connected: Connected, held: HeldSession | None) -> None:
        """The handshake is good (see :class:`~twoway.dtls.handshaking.Host`)."""
        assert self._handshaking is not None
        self._state = self._handshaking.state
        self._handshaking = None
        self._connected = connected
        self._held = held
        if self._paths is not None:
            self._paths.is_checked = self._agreement.checks_paths
        self._sender.complete()
        self._receiver.complete()
        self._journal.events.append(connected)
        self._journal.tell(
            "connected", suite=connected.suite, peer=connected.peer.uri, resumed=connected.resumed
        )

    def fail(self, alert: AlertDescription, reason: str) -> None:
        """End it for a rule that was broken (see :class:`~twoway.dtls.handshaking.Host`)."""
        self._send_alert(AlertLevel.FATAL, alert)
        self._end(ClosedBy.US, alert, reason)

    def give_up(self) -> None:
        """End it because nobody answers (see :class:`~twoway.dtls.handshaking.Host`)."""
        self._end(ClosedBy.TIMEOUT, None, "the peer did not answer in time")

    def _invalidate_session(self) -> None:
        """RFC 5246 section 7.2.2: what ended with a fatal alert must not be resumed.

        That holds for an association that was complete. One that was not says nothing about a session:
        anybody can send a hello with somebody else's ticket.
        """
        held, self._held = self._held, None
        if held is not None and not self._is_client:
            assert self._config.resumption is not None
            self._config.resumption.invalidate(held)

    def _end(self, by: ClosedBy, alert: AlertDescription | None, reason: str) -> None:
        self._closed = Closed(by, alert, reason, self._connected is not None)
        if by is not ClosedBy.TIMEOUT and alert is not AlertDescription.CLOSE_NOTIFY:
            self._invalidate_session()
        self._sender.forget_flight()
        self._receiver.forget()
        self._journal.events.append(self._closed)
        self._journal.tell("closed", by=by.value, reason=reason)


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
