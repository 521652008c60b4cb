"""The record layer of an association: what becomes of every record, and how it all ends.

RFC 6347 section 4.1 and RFC 5246 sections 6.2.1 and 7.2. A record is opened; data goes up to the caller, what
belongs to a handshake goes to the handshaking, alerts and path messages are answered here, and when a rule is
broken the association ends. Nothing here raises because of what the network brought.
"""

from __future__ import annotations

from twoway.dtls.agreement import Agreement
from twoway.dtls.alerts import AlertDescription, AlertLevel
from twoway.dtls.cookie import AcceptedHello
from twoway.dtls.epochs import NumbersUsedUp, Opened
from twoway.dtls.events import (
    Closed,
    ClosedBy,
    Connected,
    DataReceived,
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
from twoway.dtls.record import APPLICATION_DATA, DTLS_1_0, DTLS_1_2, ContentType, Record
from twoway.dtls.reservation import Reservation
from twoway.dtls.return_routability import PathMessage
from twoway.dtls.saving import Saving
from twoway.dtls.sending import Sender
from twoway.dtls.session import HeldSession
from twoway.dtls.snapshot import SavedAssociation
from twoway.dtls.states import State
from twoway.dtls.timers import Due
from twoway.trace import Trace


class RecordLayer:
    """What an association is made of, and what it does with records; the
    :class:`~twoway.dtls.handshaking.Host` of its handshake.

    Args:
        surroundings: configuration, randomness and time.
        path: where the peer is.
        trace: sees what happens.
        name: what the trace calls this association.
        accepted: the hello that a server answers.
        saved: what a snapshot says; with neither of the two it is a client's.
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

    # --- what is asked of it ----------------------------------------------------------------------------

    @property
    def is_closed(self) -> bool:
        """Whether it is over."""
        return self._closed is not None

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
        if kind == APPLICATION_DATA:
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
