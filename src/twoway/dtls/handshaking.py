"""Handshaking: what carries a handshake over datagrams, from the first hello to Finished.

RFC 6347 section 4.2. It puts the peer's messages in order and hands them to the client's or the server's
states, changes epochs when it is time, sends flights and sends them again. It is gone when the handshake is
complete, and with it all that only the handshake needed.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Final, Protocol

from twoway.dtls.agreement import Agreement
from twoway.dtls.alerts import AlertDescription, HandshakeFailure
from twoway.dtls.client import ClientHandshake
from twoway.dtls.connection_id import ConnectionIDs
from twoway.dtls.cookie import AcceptedHello
from twoway.dtls.epochs import NumbersUsedUp
from twoway.dtls.events import Connected, DecryptionRequest, SignatureRequest
from twoway.dtls.flights import Flight
from twoway.dtls.handshake import Handshake, Surroundings
from twoway.dtls.journal import Journal
from twoway.dtls.keys import EpochKeys
from twoway.dtls.messages.handshake import Fragment
from twoway.dtls.reassembly import Fate
from twoway.dtls.receiving import Receiver
from twoway.dtls.record import Record
from twoway.dtls.sending import Sender
from twoway.dtls.server import ServerHandshake
from twoway.dtls.session import HeldSession
from twoway.dtls.states import State
from twoway.dtls.timers import Due
from twoway.errors import CallerError

MAX_UNREADABLE_RECORDS: Final = 3
"""After so many unreadable records where a Finished is due, the keys differ: say so, instead of letting
both sides run into their timers. One forged record is not enough to end a handshake."""


class Host(Protocol):
    """What a handshake under way asks of its association."""

    @property
    def now(self) -> float:
        """Monotonic seconds of the input that is being taken."""

    @property
    def is_closed(self) -> bool:
        """Whether the association is over."""

    def receive_record(self, record: Record) -> None:
        """Take a record that came too early before."""

    def complete(self, connected: Connected, held: HeldSession | None) -> None:
        """The handshake is over and good; nothing is asked of the handshaking any more."""

    def fail(self, alert: AlertDescription, reason: str) -> None:
        """End the association, and tell the peer why."""

    def give_up(self) -> None:
        """End the association because nobody answers."""


class Handshaking:
    """One handshake over datagrams; the :class:`~twoway.dtls.handshake.Link` of its states.

    Args:
        surroundings: configuration, randomness and time.
        host: the association.
        sender: its sending side.
        receiver: its receiving side.
        journal: takes what happens.
        agreement: is filled in.
        accepted: the hello that a server answers; None for a client.
    """

    __slots__ = (
        "_agreement",
        "_change_cipher_spec_came",
        "_config",
        "_entropy",
        "_host",
        "_journal",
        "_pending",
        "_receiver",
        "_sender",
        "_started_at",
        "_unreadable_records",
        "handshake",
        "state",
    )

    def __init__(
        self,
        surroundings: Surroundings,
        host: Host,
        *,
        sender: Sender,
        receiver: Receiver,
        journal: Journal,
        agreement: Agreement,
        accepted: AcceptedHello | None,
    ) -> None:
        self._config = surroundings.config
        self._entropy = surroundings.entropy
        self._host = host
        self._sender = sender
        self._receiver = receiver
        self._journal = journal
        self._agreement = agreement
        self._started_at: float | None = None
        self._pending: SignatureRequest | DecryptionRequest | None = None
        self._change_cipher_spec_came = False
        self._unreadable_records = 0
        self.state: State | None = None
        """What the handshake waits for; None before it starts."""
        self.handshake: ClientHandshake | ServerHandshake | None = (
            ClientHandshake(surroundings, self)
            if accepted is None
            else ServerHandshake(surroundings, self, accepted)
        )
        """The states; None when they have come to an end."""

    # --- what is asked of it --------------------------------------------------------------------

    @property
    def is_started(self) -> bool:
        """Whether it has begun."""
        return self._started_at is not None

    @property
    def deadline(self) -> float | None:
        """When :meth:`handle_timer` is due, in monotonic seconds; None before the start."""
        if self._started_at is None:
            return None
        end = self._started_at + self._config.handshake_timeout
        return end if self._sender.deadline is None else min(end, self._sender.deadline)

    # --- inputs ---------------------------------------------------------------------------------

    def start(self) -> None:
        """Begin: a client sends its hello, a server answers the one that it was made from."""
        self._started_at = self._host.now
        if isinstance(self.handshake, ClientHandshake):
            self.handshake.start()
        elif self.handshake is not None:
            self._guard(self.handshake.start_untrusted)

    def handle_timer(self) -> None:
        """The deadline has passed: send again, or give up."""
        assert self._started_at is not None
        is_over = self._host.now >= self._started_at + self._config.handshake_timeout
        due = Due.NOTHING if is_over else self._sender.handle_timer(self._host.now)
        if due is Due.NOTHING:
            self._host.give_up()
            return
        self._journal.resent(due, "no answer in time")

    def answer(self, request: SignatureRequest | DecryptionRequest, result: bytes | None) -> None:
        """Take what the caller's key has made of a request.

        Raises:
            CallerError: it is not the request that waits.
        """
        if request is not self._pending:
            raise CallerError("this was not asked for, or has been answered")
        self._pending = None
        handshake = self.handshake
        assert handshake is not None, "only a handshake asks"
        if isinstance(request, DecryptionRequest):
            self._guard(lambda: handshake.decrypted(result))
        elif result is None:
            self._host.fail(AlertDescription.INTERNAL_ERROR, "our own key could not sign")
        else:
            self._guard(lambda: handshake.signed(result))
        self.advance()

    def receive_change_cipher_spec(self) -> None:
        """The peer changes over to epoch 1.

        It carries no message_seq: one that overtook the messages before it waits until they are there.
        """
        if not self._change_cipher_spec_came:
            self._change_cipher_spec_came = True
            self._sender.hear(self._host.now)
        self.advance()

    def receive_fragment(self, fragment: Fragment, epoch: int) -> None:
        """Take a part of a handshake message, which came in a record of an epoch; :meth:`advance` follows."""
        messages = self._receiver.messages
        if fragment.message_seq >= messages.next_seq and epoch != self._receiver.epoch:
            self._journal.drop("handshake message of the epoch before")
            return
        fate = messages.add(fragment)
        if fate is Fate.KEPT:
            self._sender.hear(self._host.now)
        elif fate is Fate.DROPPED:
            self._journal.drop("handshake fragment beyond the bounds")
        elif fate is Fate.REPEATED and self._sender.is_repetition(fragment):
            self._answer_repetition()

    def advance(self) -> None:
        """Hand over whatever has become whole and in order, and change over when it is time."""
        while not self._host.is_closed and self._pending is None:
            handshake = self.handshake
            if handshake is None:
                return
            if (message := self._receiver.messages.next_message()) is not None:
                self._guard(partial(handshake.receive_untrusted, message))
            elif self._change_cipher_spec_came and handshake.awaits_change_cipher_spec:
                self._change_read_epoch(handshake)
            else:
                return

    def suspect_keys(self) -> None:
        """A record could not be read. With certificates wrong keys are found out by signatures; with a shared
        key nothing else would ever tell."""
        if self.handshake is None or not self.handshake.rests_on_shared_key:
            return
        self._unreadable_records += 1
        if self._unreadable_records >= MAX_UNREADABLE_RECORDS:
            self._host.fail(
                AlertDescription.DECRYPT_ERROR,
                "the peer's keys differ from ours; its pre-shared key is not the one we know",
            )

    def _answer_repetition(self) -> None:
        """RFC 6347 section 4.2.4. Before the Finished anybody can forge a repetition; so each is counted."""
        try:
            is_sent = self._sender.answer_repetition(self._host.now)
        except NumbersUsedUp:
            self._journal.drop("flight without a number to resend it under")
            return
        if is_sent:
            self._journal.resent(Due.FLIGHT, "the peer repeated its flight")

    def _change_read_epoch(self, handshake: Handshake) -> None:
        early = self._receiver.change_epoch()
        handshake.receive_change_cipher_spec()
        for record in early:
            if not self._host.is_closed:
                self._host.receive_record(record)

    def _guard(self, step: Callable[[], None]) -> None:
        """Run a step of the handshake; a rule that the peer broke ends the association."""
        try:
            step()
        except HandshakeFailure as failure:
            self._host.fail(failure.alert, str(failure))

    # --- Link: what the states ask for ----------------------------------------------------------

    def send_flight(self, flight: Flight) -> None:
        """Send a flight and keep it (see :class:`~twoway.dtls.handshake.Link`)."""
        self._sender.send_flight(flight, self._host.now, answered_seq=self._receiver.messages.next_seq - 1)

    def use_connection_ids(self, ids: ConnectionIDs, *, is_checked: bool) -> None:
        """Let protected records carry IDs (see :class:`~twoway.dtls.handshake.Link`)."""
        self._agreement.connection_ids = ids
        self._agreement.checks_paths = is_checked
        self._journal.tell(
            "connection IDs agreed upon", ours=ids.ours.hex(), peers=ids.peers.hex(), rrc=is_checked
        )

    def install_keys(self, epoch_keys: EpochKeys) -> None:
        """Make epoch 1 ready (see :class:`~twoway.dtls.handshake.Link`)."""
        self._agreement.keys = epoch_keys
        ids = self._agreement.connection_ids
        self._receiver.install_keys(epoch_keys.protection(epoch_keys.read, self._entropy), ids.ours)
        self._sender.install_keys(epoch_keys.protection(epoch_keys.write, self._entropy), ids.peers)

    def limit_plaintext(self, *, sent: int | None, received: int | None) -> None:
        """Bound records (see :class:`~twoway.dtls.handshake.Link`)."""
        self._agreement.sent_limit = sent
        self._agreement.received_limit = received
        self._sender.limit_plaintext(sent)
        self._receiver.limit_plaintext(received)

    def request(self, request: SignatureRequest | DecryptionRequest) -> None:
        """Ask the caller's key (see :class:`~twoway.dtls.handshake.Link`)."""
        self._pending = request
        self._journal.events.append(request)
        # The next move is ours, and our flight before has been answered by what is being asked for.
        self._sender.forget_flight()

    def complete(self, connected: Connected, held: HeldSession | None) -> None:
        """The handshake is good (see :class:`~twoway.dtls.handshake.Link`)."""
        self.handshake = None
        self._host.complete(connected, held)

    def declined_session(self, why: str) -> None:
        """Count and trace it (see :class:`~twoway.dtls.handshake.Link`)."""
        self._journal.counters["sessions declined"] += 1
        self._journal.tell("session declined", why=why)

    def entered(self, state: State) -> None:
        """Trace a state (see :class:`~twoway.dtls.handshake.Link`)."""
        if state.name not in ("START", "SERVER_HELLO"):
            self._sender.negotiated()
        self.state = state
        self._journal.tell("state entered", state=state.name)
