"""The association: one DTLS connection with one peer, without a socket, a clock or a thread.

This module decides what becomes of every record (RFC 6347 sections 4.1 and 4.2): it opens it, feeds whole
messages to the handshake, changes epochs, hands data up, and ends the association when a rule is broken.
It must never raise because of what the network brought.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from datetime import datetime
from functools import partial
from operator import itemgetter
from sys import intern
from typing import Final

from twoway.dtls.alerts import AlertDescription, AlertLevel, HandshakeFailure
from twoway.dtls.client import ClientHandshake
from twoway.dtls.config import DTLSConfig
from twoway.dtls.connection_id import NO_CONNECTION_IDS, ConnectionIDs
from twoway.dtls.cookie import AcceptedHello
from twoway.dtls.epochs import NumbersUsedUp, Opened
from twoway.dtls.events import (
    Closed,
    ClosedBy,
    Connected,
    DataReceived,
    DecryptionRequest,
    Event,
    PathChanged,
    SaveDue,
    SignatureRequest,
)
from twoway.dtls.flights import CHANGE_CIPHER_SPEC_BODY, Flight
from twoway.dtls.handshake import Handshake, Surroundings
from twoway.dtls.keys import DirectionKeys, EpochKeys
from twoway.dtls.messages.handshake import Fragment, HandshakeType, parse_fragments_untrusted
from twoway.dtls.paths import ROUND_TRIPS, Path, Paths
from twoway.dtls.protection import Protection, RecordRejected, RecordUnreadable
from twoway.dtls.reassembly import Fate
from twoway.dtls.receiving import Receiver, RecordOverflow
from twoway.dtls.record import DTLS_1_0, DTLS_1_2, ContentType, Record, split_datagram_untrusted
from twoway.dtls.reservation import NO_CUT, Cut, Reservation
from twoway.dtls.return_routability import MESSAGE_BYTES, PathMessage
from twoway.dtls.sealing import SnapshotKey
from twoway.dtls.sending import Sender
from twoway.dtls.server import ServerHandshake
from twoway.dtls.session import HeldSession
from twoway.dtls.snapshot import SavedAssociation, Snapshot, require_admitted
from twoway.dtls.states import State
from twoway.dtls.timers import Due
from twoway.errors import CallerError
from twoway.identity import Identity
from twoway.trace import Trace, TraceEvent, ignore

_DATAGRAM: Final = itemgetter(0)

MAX_UNREADABLE_RECORDS: Final = 3
"""After so many unreadable records where a Finished is due, the keys differ: say so, instead of letting
both sides run into their timers. One forged record is not enough to end a handshake."""
SENDS_AHEAD: Final = 2**16
"""Records that may be sent from one save to the next. Of these blocks there are 2^32 in an epoch."""
RECEIPTS_AHEAD: Final = 64
"""The same for receiving; about as many of a peer's records are lost by a crash, whatever we do."""


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
        "_answered_seq",
        "_came_by",
        "_change_cipher_spec_came",
        "_client",
        "_closed",
        "_config",
        "_connected",
        "_connection_id_bytes",
        "_connection_ids",
        "_counters",
        "_entropy",
        "_events",
        "_handshake",
        "_held",
        "_is_client",
        "_is_save_due_told",
        "_keys",
        "_name",
        "_now",
        "_paths",
        "_pending",
        "_plaintext_limits",
        "_receiver",
        "_reservation",
        "_sender",
        "_server",
        "_started_at",
        "_state",
        "_trace",
        "_unreadable_records",
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
        self._counters: Counter[str] | None = None
        self._entropy = surroundings.entropy
        self._config = surroundings.config
        self._name = name
        self._trace = trace
        self._now = 0.0
        self._started_at: float | None = None
        self._state: State | None = None
        self._events: list[Event] = []
        self._connected: Connected | None = None
        self._closed: Closed | None = None
        self._held: HeldSession | None = None
        self._pending: SignatureRequest | DecryptionRequest | None = None
        self._connection_ids = NO_CONNECTION_IDS
        # Before the hellos have agreed upon it, the length of ours is what a record with an ID has.
        self._connection_id_bytes = len(surroundings.connection_id or b"")
        self._paths = Paths(self, surroundings.entropy, path)
        self._came_by = path
        self._sender = Sender(
            self._config,
            self._paths.route,
            # RFC 6347 section 4.2.1: a server goes on with the sequence number of the hello's record.
            first_sequence=accepted.record.sequence if accepted else 0,
            version=DTLS_1_2 if accepted else DTLS_1_0,
        )
        # The hello that the server was made from had a number of its own.
        self._receiver = Receiver(next_seq=accepted.message.message_seq + 1 if accepted else 0)
        self._change_cipher_spec_came = False
        self._answered_seq = -1  # The peer's last message that our flight answers.
        self._unreadable_records = 0
        self._client: ClientHandshake | None = None
        self._server: ServerHandshake | None = None
        self._handshake: Handshake | None = None
        self._is_client = saved.is_client if saved else accepted is None
        self._keys: EpochKeys | None = None
        self._plaintext_limits: tuple[int | None, int | None] = (None, None)
        self._reservation: Reservation | None = None
        self._is_save_due_told = False
        if saved is not None:
            self._go_on(saved)
        elif accepted is None:
            self._handshake = self._client = ClientHandshake(surroundings, self)
        else:
            self._handshake = self._server = ServerHandshake(surroundings, self, accepted)
            self._receiver.open_untrusted(accepted.record)  # Seen: the same again is a repetition.

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
        return self._state

    @property
    def connected(self) -> Connected | None:
        """What the handshake came to; None until connected."""
        return self._connected

    @property
    def counters(self) -> Counter[str]:
        """How often each kind of thing happened: ``"dropped: replayed"``, ``"flights resent"``..."""
        if self._counters is None:  # To most associations nothing of the kind ever happens.
            self._counters = Counter()
        return self._counters

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
        return self._connection_ids.ours

    @property
    def path(self) -> Path:
        """By which path data goes."""
        return self._paths.path

    def datagrams_to_send(self) -> list[bytes]:
        """Return what to send now, in order, and forget it."""
        return list(map(_DATAGRAM, self._sender.collect()))

    def routed_datagrams_to_send(self) -> list[tuple[bytes, Path]]:
        """Return what to send now, in order, each with its path, and forget it. While it is not clear where
        the peer is, a datagram may be there twice, with two paths; the peer takes one of them."""
        return self._sender.collect()

    def next_event(self) -> Event | None:
        """Return the oldest event not yet returned, or None."""
        return self._events.pop(0) if self._events else None

    def next_deadline(self) -> float | None:
        """Return when :meth:`handle_timer` is due, in monotonic seconds, or None."""
        if self._closed or self._started_at is None:
            return None
        if self._connected:
            return self._paths.deadline
        end = self._started_at + self._config.handshake_timeout
        return end if self._sender.deadline is None else min(end, self._sender.deadline)

    # --- inputs ---------------------------------------------------------------------------------

    def start(self, now: float) -> None:
        """Begin: a client sends its hello, a server answers the one that it was made from."""
        if self._started_at is not None:
            raise CallerError("an association starts once")
        if self._closed:
            return
        self._now = self._started_at = now
        if self._client:
            self._client.start()
        elif self._server:
            self._guard(self._server.start_untrusted)

    def receive_datagram(self, data: bytes, now: float, path: Path = None) -> None:
        """Take a datagram that may be the peer's.

        Args:
            data: the UDP payload.
            now: monotonic seconds.
            path: where it came from.
        """
        self._now = now
        self._came_by = path
        records, trailing_bytes = split_datagram_untrusted(data, self._connection_id_bytes)
        if trailing_bytes:
            self._drop("malformed record")
        for record in records:
            if self._closed:
                return
            self._receive_record(record)
        if self._reservation is not None:
            self._look_at_reservation(self._reservation)

    def handle_timer(self, now: float) -> None:
        """Do what is due at ``now``; too early a call does nothing."""
        self._now = now
        deadline = self.next_deadline()
        if deadline is None or now < deadline:
            return
        if self._connected:
            self._paths.expire(now)
            return
        assert self._started_at is not None
        is_over = now >= self._started_at + self._config.handshake_timeout
        due = Due.NOTHING if is_over else self._sender.handle_timer(now)
        if due is Due.NOTHING:
            self._give_up()
        else:
            self._note_resent(due, "no answer in time")

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
        if self._reservation is not None:
            self._look_at_reservation(self._reservation)

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
        if request is not self._pending:
            raise CallerError("this was not asked for, or has been answered")
        self._now = now
        self._pending = None
        handshake = self._handshake
        assert handshake is not None, "only a handshake asks"
        if isinstance(request, DecryptionRequest):
            self._guard(lambda: handshake.decrypted(result))
        elif result is None:
            self._fail(AlertDescription.INTERNAL_ERROR, "our own key could not sign")
        else:
            self._guard(lambda: handshake.signed(result))
        self._advance()

    def use_path(self, path: Path) -> None:
        """Speak by another path from here on, because we have moved by ourselves (RFC 9853 section 5.2): to
        another interface, say. The peer finds that out by our next record."""
        self._paths.use(path)

    def close(self) -> None:
        """End the association with close_notify (RFC 5246 section 7.2.1)."""
        if self._closed:
            return
        if self._started_at is not None:
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
        if not self.established or self._keys is None or self._connected is None:
            raise CallerError("only an association that is connected can be saved")
        reservation = self._reservation or Reservation()
        generation, cut = reservation.save(
            Cut(self._sender.following, self._receiver.following),
            sends_ahead=sends_ahead,
            receipts_ahead=receipts_ahead,
        )
        self._reservation = reservation
        self._is_save_due_told = True
        if self._events:
            self._events = [event for event in self._events if not isinstance(event, SaveDue)]
        self._obey(reservation.limit)
        sent_limit, received_limit = self._plaintext_limits
        saved = SavedAssociation(
            generation=generation,
            cut=cut,
            is_client=self._is_client,
            keys=self._keys,
            group=self._connected.group,
            kind=self._connected.kind,
            sent_limit=sent_limit,
            received_limit=received_limit,
            connection_ids=self._connection_ids,
            checks_paths=self._paths.is_checked,
            peer=self._connected.peer,
        )
        return Snapshot(saved.seal(key, entropy=self._entropy), generation)

    def confirm_stored(self, snapshot: Snapshot) -> None:
        """Say that a snapshot of ours is stored for good, in the place of the one before.

        Raises:
            CallerError: it is not of the generation that waits to be confirmed.
        """
        if self._reservation is None:
            raise CallerError("the association was not saved")
        self._reservation.confirm_stored(snapshot.generation)
        self._is_save_due_told = False
        self._obey(self._reservation.limit)

    def confirm_deleted(self) -> None:
        """Say that there is no snapshot left from which this association could be restored.

        All numbers are its own again; it is lost if the process ends.
        """
        self._reservation = None
        self._obey(NO_CUT)

    def _go_on(self, saved: SavedAssociation) -> None:
        """Be what a snapshot says."""
        self._started_at = 0.0  # It started long ago.
        self._keys = saved.keys
        ids = self._connection_ids = saved.connection_ids
        self._paths.is_checked = saved.checks_paths
        self._sender.negotiated()
        self._sender.restore(self._protection(saved.keys.write), ids.peers, saved.cut.send)
        self._receiver.restore(self._protection(saved.keys.read), ids.ours, saved.cut.receive)
        self.limit_plaintext(sent=saved.sent_limit, received=saved.received_limit)
        self._connected = Connected(saved.peer, saved.keys.suite.name, saved.group, saved.kind)
        self._reservation = Reservation(saved.generation, saved.cut)
        self._obey(saved.cut)
        self._look_at_reservation(self._reservation)
        if self._trace is not ignore:  # Writing the peer's name takes longer than most of the above.
            self._tell("restored", suite=self._connected.suite, peer=saved.peer.uri)

    def _obey(self, limit: Cut) -> None:
        if self._connected:
            self._sender.limit(limit.send)
            self._receiver.limit(limit.receive)

    def _look_at_reservation(self, reservation: Reservation) -> None:
        is_due = (
            self._sender.following >= reservation.due.send
            or self._receiver.following >= reservation.due.receive
        )
        if is_due and not self._is_save_due_told and not self._closed:
            self._is_save_due_told = True
            self._events.append(SaveDue())
            self._tell("save due")

    def _protection(self, direction: DirectionKeys) -> Protection:
        assert self._keys is not None
        return self._keys.suite.protection(
            direction, encrypt_then_mac=self._keys.encrypt_then_mac, entropy=self._entropy
        )

    # --- records in -----------------------------------------------------------------------------

    def _receive_record(self, record: Record) -> None:
        try:
            opened = self._receiver.open_untrusted(record)
        except RecordOverflow as overflow:
            self._fail(AlertDescription.RECORD_OVERFLOW, str(overflow))
        except RecordUnreadable as unreadable:
            self._drop(str(unreadable))
            self._suspect_keys()
        except RecordRejected as rejected:
            self._drop(str(rejected))
        else:
            if opened is None:
                self._sender.hear(self._now)  # It belongs to the flight that answers ours.
            else:
                self._take(record, opened)

    def _take(self, record: Record, opened: Opened) -> None:
        kind, plaintext, is_newest = opened
        if record.connection_id and self._connected:
            may_move = is_newest and kind != ContentType.RETURN_ROUTABILITY_CHECK
            self._paths.hear(self._came_by, record.wire_bytes, self._now, may_move=may_move)
        if kind == ContentType.APPLICATION_DATA:
            self._receive_data(record, plaintext)
        elif kind == ContentType.HANDSHAKE:
            self._receive_handshake(record, plaintext)
        elif kind == ContentType.CHANGE_CIPHER_SPEC:
            self._receive_change_cipher_spec(plaintext)
        elif kind == ContentType.ALERT:
            self._receive_alert(record, plaintext)
        elif kind == ContentType.RETURN_ROUTABILITY_CHECK and self._paths.is_checked:
            self._receive_path_message(record, plaintext)
        else:
            self._drop("unknown content type")

    def _suspect_keys(self) -> None:
        """With certificates wrong keys are found out by signatures; here nothing else would ever tell."""
        if self._handshake is None or not self._handshake.rests_on_shared_key:
            return
        self._unreadable_records += 1
        if self._unreadable_records >= MAX_UNREADABLE_RECORDS:
            self._fail(
                AlertDescription.DECRYPT_ERROR,
                "the peer's keys differ from ours; its pre-shared key is not the one we know",
            )

    def _receive_data(self, record: Record, plaintext: bytes) -> None:
        if record.epoch == 0:
            self._drop("unprotected data")
        elif not self._connected:
            # It overtook the Finished, without which nobody has been authenticated.
            self._drop("data before Finished")
        else:
            self._events.append(DataReceived(plaintext))

    def _receive_path_message(self, record: Record, plaintext: bytes) -> None:
        """RFC 9853 section 4: protected like data, and as little to be believed before the Finished."""
        if record.epoch == 0 or not self._connected:
            self._drop("path message out of place")
            return
        try:
            message = PathMessage.parse_untrusted(plaintext)
        except RecordRejected as rejected:
            self._drop(str(rejected))
        else:
            self._paths.answer(message, self._came_by, record.wire_bytes, self._now)

    def _receive_alert(self, record: Record, plaintext: bytes) -> None:
        """RFC 5246 section 7.2. Unprotected alerts count only while nothing better can come."""
        if record.epoch != self._receiver.epoch or len(plaintext) != 2:
            self._drop("alert out of place")
            return
        level, code = plaintext
        try:
            alert = AlertDescription(code)
        except ValueError:
            alert = None
        label = alert.label if alert is not None else f"unknown alert {code}"
        self._tell("alert received", alert=label, level=level)
        if alert is AlertDescription.CLOSE_NOTIFY:
            self._send_alert(AlertLevel.WARNING, AlertDescription.CLOSE_NOTIFY)
            self._end(ClosedBy.PEER, alert, "the peer closed the association")
        elif level == AlertLevel.FATAL:
            meaning = alert.meaning if alert is not None else "which we do not know"
            self._end(ClosedBy.PEER, alert, f"the peer refused with the alert {label}: {meaning}")
        else:
            self.counters["warnings received"] += 1

    def _receive_change_cipher_spec(self, plaintext: bytes) -> None:
        if plaintext != CHANGE_CIPHER_SPEC_BODY or self._receiver.epoch != 0:
            self._drop("ChangeCipherSpec out of place")
            return
        # It carries no message_seq: one that overtook the messages before it waits until they are there.
        if not self._change_cipher_spec_came:
            self._change_cipher_spec_came = True
            self._sender.hear(self._now)
        self._advance()

    # --- handshake messages in ------------------------------------------------------------------

    def _receive_handshake(self, record: Record, plaintext: bytes) -> None:
        for fragment in parse_fragments_untrusted(plaintext):
            if self._connected:
                self._receive_late_fragment(record, fragment)
            elif (
                fragment.message_seq >= self._receiver.messages.next_seq
                and record.epoch != self._receiver.epoch
            ):
                self._drop("handshake message of the epoch before")
            else:
                self._receive_fragment(fragment)
        self._advance()

    def _receive_fragment(self, fragment: Fragment) -> None:
        fate = self._receiver.messages.add(fragment)
        if fate is Fate.KEPT:
            self._sender.hear(self._now)
        elif fate is Fate.DROPPED:
            self._drop("handshake fragment beyond the bounds")
        elif fate is Fate.REPEATED:
            self._note_repetition(fragment)

    def _receive_late_fragment(self, record: Record, fragment: Fragment) -> None:
        """A handshake message after the handshake: a repetition, or an attempt to renegotiate."""
        is_ours_to_refuse = HandshakeType.HELLO_REQUEST if self._is_client else HandshakeType.CLIENT_HELLO
        if record.epoch > 0 and fragment.type == is_ours_to_refuse:
            self._tell("renegotiation refused")
            self._send_alert(AlertLevel.WARNING, AlertDescription.NO_RENEGOTIATION)
        elif record.epoch == self._receiver.epoch and fragment.type == HandshakeType.FINISHED:
            self._note_repetition(fragment)
        else:
            self._drop("handshake message after the handshake")

    def _note_repetition(self, fragment: Fragment) -> None:
        """RFC 6347 section 4.2.4: a repeated flight of the peer's means that ours did not come through.

        The end of its last message stands for the whole flight, so one repetition is answered once. Before
        the Finished anybody can forge one; so each is counted. A request for a cookie is never repeated by
        itself: a second one answers a second hello.
        """
        is_end_of_flight = fragment.message_seq == self._answered_seq and fragment.is_last
        if not is_end_of_flight or not self._sender.has_flight:
            return
        if fragment.type == HandshakeType.HELLO_VERIFY_REQUEST:
            return
        try:
            if self._connected:
                self._sender.resend()
            elif not self._sender.answer_repetition(self._now):
                return
        except NumbersUsedUp:
            self._drop("flight without a number to resend it under")
            return
        self._note_resent(Due.FLIGHT, "the peer repeated its flight")

    def _advance(self) -> None:
        """Hand over whatever has become whole and in order, and change over when it is time."""
        while not self._closed and self._pending is None and (handshake := self._handshake) is not None:
            if (message := self._receiver.messages.next_message()) is not None:
                self._guard(partial(handshake.receive_untrusted, message))
            elif self._change_cipher_spec_came and handshake.awaits_change_cipher_spec:
                self._change_read_epoch(handshake)
            else:
                return

    def _change_read_epoch(self, handshake: Handshake) -> None:
        early = self._receiver.change_epoch()
        handshake.receive_change_cipher_spec()
        for record in early:
            if not self._closed:
                self._receive_record(record)

    def _guard(self, step: Callable[[], None]) -> None:
        """Run a step of the handshake; a rule that the peer broke ends the association."""
        try:
            step()
        except HandshakeFailure as failure:
            self._fail(failure.alert, str(failure))

    # --- Link: what the handshake asks for ------------------------------------------------------

    def send_flight(self, flight: Flight) -> None:
        """Send a flight and keep it (see :class:`~twoway.dtls.handshake.Link`)."""
        self._answered_seq = self._receiver.messages.next_seq - 1
        self._sender.send_flight(flight, self._now)

    def use_connection_ids(self, ids: ConnectionIDs, *, is_checked: bool) -> None:
        """Let protected records carry IDs (see :class:`~twoway.dtls.handshake.Link`)."""
        self._connection_ids = ids
        self._paths.is_checked = is_checked
        self._tell("connection IDs agreed upon", ours=ids.ours.hex(), peers=ids.peers.hex(), rrc=is_checked)

    def install_keys(self, epoch_keys: EpochKeys) -> None:
        """Make epoch 1 ready (see :class:`~twoway.dtls.handshake.Link`)."""
        self._keys = epoch_keys
        self._receiver.install_keys(self._protection(epoch_keys.read), self._connection_ids.ours)
        self._sender.install_keys(self._protection(epoch_keys.write), self._connection_ids.peers)

    def limit_plaintext(self, *, sent: int | None, received: int | None) -> None:
        """Bound records (see :class:`~twoway.dtls.handshake.Link`)."""
        self._plaintext_limits = (sent, received)
        self._sender.limit_plaintext(sent)
        self._receiver.limit_plaintext(received)

    def request(self, request: SignatureRequest | DecryptionRequest) -> None:
        """Ask the caller's key (see :class:`~twoway.dtls.handshake.Link`)."""
        self._pending = request
        self._events.append(request)
        # The next move is ours, and our flight before has been answered by what is being asked for.
        self._sender.forget_flight()

    def complete(self, connected: Connected, held: HeldSession | None) -> None:
        """The handshake is good (see :class:`~twoway.dtls.handshake.Link`)."""
        self._connected = connected
        self._held = held
        self._handshake = self._client = self._server = None
        self._sender.complete()
        self._receiver.complete()
        self._events.append(connected)
        self._tell("connected", suite=connected.suite, peer=connected.peer.uri, resumed=connected.resumed)

    def declined_session(self, why: str) -> None:
        """Count and trace it (see :class:`~twoway.dtls.handshake.Link`)."""
        self.counters["sessions declined"] += 1
        self._tell("session declined", why=why)

    def entered(self, state: State) -> None:
        """Trace a state (see :class:`~twoway.dtls.handshake.Link`)."""
        if not (self._is_client and state.name in ("START", "SERVER_HELLO")):
            self._sender.negotiated()
        self._state = state
        self._tell("state entered", state=state.name)

    # --- PathLink: what the paths ask for -------------------------------------------------------

    @property
    def challenge_bytes(self) -> int:
        """How long a challenge is (see :class:`~twoway.dtls.paths.PathLink`)."""
        return self._sender.record_bytes(MESSAGE_BYTES)

    @property
    def path_timeout(self) -> float:
        """How long a path has (see :class:`~twoway.dtls.paths.PathLink`)."""
        rule = self._config.retransmission
        if self.round_trip is None:
            return rule.initial
        # A new path may be slower than the one that was measured.
        return max(rule.shortest, ROUND_TRIPS * self.round_trip)

    def send_path_message(self, message: PathMessage, path: Path) -> None:
        """Send a message of the check (see :class:`~twoway.dtls.paths.PathLink`)."""
        if not self._sender.has_room_for_data:
            return  # The last sequence numbers are not for the peer to use up.
        try:
            self._sender.send_by(path, ContentType.RETURN_ROUTABILITY_CHECK, message.encode())
        except NumbersUsedUp:
            return  # Nor are those that somebody else may use.
        self.counters[f"path messages sent: {message.type.label}"] += 1
        self._tell("path message sent", type=message.type.label, path=path)

    def path_changed(self, path: Path) -> None:
        """Tell the caller (see :class:`~twoway.dtls.paths.PathLink`)."""
        self._tell("path changed", path=path)
        self._events.append(PathChanged(path))

    def path_noted(self, what: str, path: Path) -> None:
        """Count (see :class:`~twoway.dtls.paths.PathLink`)."""
        self.counters[what] += 1
        self._tell(what, path=path)

    # --- records out ----------------------------------------------------------------------------

    def _note_resent(self, due: Due, why: str) -> None:
        is_flight = due is Due.FLIGHT
        self.counters["flights resent" if is_flight else "reminders sent"] += 1
        self._tell("flight resent" if is_flight else "reminder sent", why=why)

    def _send_alert(self, level: AlertLevel, alert: AlertDescription) -> None:
        try:
            self._sender.send(ContentType.ALERT, bytes([level, alert]))
        except NumbersUsedUp:
            # Silence is what is left; under a number that somebody else may use nothing must be sent.
            self._tell("alert not sent", alert=alert.label, level=level.value)
            self.counters["alerts not sent"] += 1
            return
        self._tell("alert sent", alert=alert.label, level=level.value)

    # --- endings --------------------------------------------------------------------------------

    def _fail(self, alert: AlertDescription, reason: str) -> None:
        self._send_alert(AlertLevel.FATAL, alert)
        self._end(ClosedBy.US, alert, reason)

    def _invalidate_session(self) -> None:
        """RFC 5246 section 7.2.2: what ended with a fatal alert must not be resumed.

        That holds for an association that was complete. One that was not says nothing about a session:
        anybody can send a hello with somebody else's ticket.
        """
        held, self._held = self._held, None
        if held is not None and not self._is_client:
            assert self._config.resumption is not None
            self._config.resumption.invalidate(held)

    def _give_up(self) -> None:
        self._end(ClosedBy.TIMEOUT, None, "the peer did not answer in time")

    def _end(self, by: ClosedBy, alert: AlertDescription | None, reason: str) -> None:
        self._closed = Closed(by, alert, reason, self._connected is not None)
        if by is not ClosedBy.TIMEOUT and alert is not AlertDescription.CLOSE_NOTIFY:
            self._invalidate_session()
        self._sender.forget_flight()
        self._receiver.forget()
        self._events.append(self._closed)
        self._tell("closed", by=by.value, reason=reason)

    # --- seeing ---------------------------------------------------------------------------------

    def _drop(self, why: str) -> None:
        self.counters[intern(f"dropped: {why}")] += 1
        self._tell("record dropped", why=why)

    def _tell(self, what: str, **data: object) -> None:
        if self._trace is not ignore:
            self._trace(TraceEvent(what, self._name, data))


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
