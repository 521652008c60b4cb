"""The sending side of an association: records, flights, and what is sent again when nobody answers.

RFC 6347 sections 4.1 and 4.2.4. It knows what to send in which epoch and when to repeat it; what it means if
nobody answers is the association's.

Theory of operation. Each side repeats its own flight until the next flight of the other begins. Three things
go beyond the RFC's state machine, and each of them falls back on it:

- *Implicit acknowledgement.* A peer begins its next flight when it has all of ours. So once something new of
  its answer is there, our flight is not repeated as long as more keeps coming (the RFC would have a part of a
  flight change nothing, and repeat ours into a link that is busy with the answer). When the peer falls silent
  within its flight, its own timer is given the time to mend that; then a *reminder* goes out, the last
  message of our flight alone. The end of a repeated flight is what the peer answers by sending its own again,
  so a reminder of 25 bytes does what the repetition of a whole flight with certificates would do.
- *Forgery.* Before there are keys anybody can write a fragment of the answer, though the peer has not got our
  flight. So what is new earns one reminder; if nothing new follows it, the whole flight is sent next. Whoever
  can keep forging, all the time, can also forge a fatal alert.
- *Smaller datagrams* (section 4.1.1.1), see :data:`SMALLER_DATAGRAMS_BYTES`.

No deadlock: while a handshake is not complete, at least one side has a timer that runs, and what it sends is
either new to the peer or makes the peer send what is missing.

Who mends the loss of a part of a flight:

- *ClientHello, with or without a cookie*: the client's timer. The gate keeps nothing of a hello that it has
  answered, and to lose a request for a cookie is to have no answer. The reminder of one message is that
  message.
- *The server's flight up to ServerHelloDone, or up to Finished where a session is resumed*: the server's
  timer, and the client's reminder, its hello, which makes the server repeat.
- *The client's flight up to Finished*: the client's timer, and the server's reminder, ServerHelloDone, which
  makes the client repeat.
- *The last flight, the server's or, where a session is resumed, the client's*: it has no timer. Its sender is
  connected, keeps it, and sends it again whenever an authentic Finished comes again (section 4.2.4). So
  whoever waits for it does not wait for the peer's turn, and its reminder is Finished.

While a key elsewhere makes a signature there is no flight to repeat and no timer: the peer's timer runs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import repeat
from typing import Final

from twoway.dtls.alerts import AlertDescription, HandshakeFailure
from twoway.dtls.config import DTLSConfig
from twoway.dtls.epochs import NumbersUsedUp, WriteEpoch
from twoway.dtls.flights import Flight, Piece, smallest_mtu_bytes
from twoway.dtls.messages.handshake import Fragment, HandshakeType
from twoway.dtls.paths import Path
from twoway.dtls.protection import Protection
from twoway.dtls.record import APPLICATION_DATA, DTLS_1_2, HEADER_BYTES, MAX_PLAINTEXT_BYTES, ContentType
from twoway.dtls.timers import Due, RetransmissionTimer
from twoway.errors import CallerError

SMALLER_DATAGRAMS_BYTES: Final = (508, 256)
"""To what datagrams shrink when retransmissions stay unanswered, for larger ones may never come through (RFC
6347 section 4.1.1.1). 508: every IPv4 host takes a packet of 576 bytes, of which headers take 68 at most (RFC
791). 256: a ClientHello of ours is still whole then, and many servers take no other; a path that carries less
than that has to be configured. They never grow again within a handshake. Forged repetitions can make them
shrink, which costs headers and nothing else."""
PATIENCE_WITH_A_SIZE: Final = 2
"""Unanswered retransmissions at each size; the RFC finds two or three appropriate."""


class Sender:
    """Turns flights and single records into datagrams.

    Args:
        config: MTU and retransmission.
        path: where the peer is.
        first_sequence: the sequence number of the first record of epoch 0.
        version: what the first records say; a first hello says DTLS 1.0.

    Attributes:
        path: by which everything goes until :meth:`route_by`.
    """

    __slots__ = (
        "_answered_seq",
        "_datagrams",
        "_epoch",
        "_epochs",
        "_flight",
        "_limit_bytes",
        "_mtu_bytes",
        "_paths",
        "_route",
        "_timer",
        "_version",
        "path",
    )

    def __init__(
        self,
        config: DTLSConfig,
        path: Path,
        *,
        first_sequence: int,
        version: int,
    ) -> None:
        self.path = path
        self._route: Callable[[int], Iterable[Path]] | None = None
        self._mtu_bytes = config.mtu_bytes
        self._limit_bytes = MAX_PLAINTEXT_BYTES
        self._version = version
        self._epochs = [WriteEpoch(0, first_sequence, None)]
        self._epoch = 0
        self._datagrams: list[bytes] = []
        self._paths: list[Path] | None = None  # Of each datagram; None as long as there is one path alone.
        self._flight: Flight | None = None
        self._answered_seq = -1  # The peer's last message that the flight answers.
        self._timer = RetransmissionTimer(config.retransmission)

    # --- what is asked of it --------------------------------------------------------------------

    @property
    def following(self) -> int:
        """The sequence number of the next record in the current epoch."""
        return self._epochs[self._epoch].sequence

    @property
    def has_room_for_data(self) -> bool:
        """Whether sequence numbers for application data are left."""
        return self._epochs[self._epoch].has_room_for_data

    @property
    def deadline(self) -> float | None:
        """When the flight is due again, in monotonic seconds; None if no answer is awaited."""
        return self._timer.deadline

    @property
    def has_flight(self) -> bool:
        """Whether there is a flight that could be sent again."""
        return self._flight is not None

    @property
    def round_trip(self) -> float | None:
        """The smoothed round trip in seconds; None as long as none is known."""
        return self._timer.round_trip

    def record_bytes(self, size: int) -> int:
        """Return how long a protected record with so many bytes of content is, at most."""
        return HEADER_BYTES + self._epochs[1].overhead_bytes + size

    def collect(self) -> list[bytes]:
        """Return the datagrams to send now and forget them."""
        datagrams, self._datagrams = self._datagrams, []
        if self._paths is not None:
            self._paths = []
        return datagrams

    def collect_routed(self) -> list[tuple[bytes, Path]]:
        """Return the datagrams to send now, each with its path, and forget them."""
        if not self._datagrams:
            return []
        paths = repeat(self.path) if self._paths is None else self._paths
        return list(zip(self.collect(), paths, strict=False))

    # --- what it is told ------------------------------------------------------------------------

    def route_by(self, route: Callable[[int], Iterable[Path]]) -> None:
        """Ask, from here on, by which paths to send each datagram of so many bytes."""
        self._route = route
        self._paths = [self.path] * len(self._datagrams)

    def negotiated(self) -> None:
        """The version is agreed upon: records say DTLS 1.2 from here on."""
        self._version = DTLS_1_2

    def install_keys(self, protection: Protection, connection_id: bytes) -> None:
        """Make epoch 1 ready; it is in use from the first flight that has a message in it.

        Args:
            protection: our keys.
            connection_id: what the peer asked us to write into its records; may be empty.

        Raises:
            HandshakeFailure: the MTU leaves no room in a record that is protected so.
        """
        epoch = WriteEpoch(1, 0, protection, connection_id)
        needed = smallest_mtu_bytes(epoch.overhead_bytes)
        if needed > self._mtu_bytes:
            named = f", with {len(connection_id)} bytes of connection ID," if connection_id else ""
            raise HandshakeFailure(
                AlertDescription.INTERNAL_ERROR,
                f"the MTU is {self._mtu_bytes} bytes, and what was negotiated{named} takes at least {needed}",
            )
        self._epochs.append(epoch)

    def limit_plaintext(self, limit_bytes: int | None) -> None:
        """Let no record have more plaintext than that from here on; None: what the protocol allows.

        The peer's limit: RFC 8449 section 4, or RFC 6066 section 4.
        """
        self._limit_bytes = MAX_PLAINTEXT_BYTES if limit_bytes is None else limit_bytes

    def restore(self, protection: Protection, connection_id: bytes, sequence: int) -> None:
        """Go on in epoch 1, from a sequence number on."""
        epoch = WriteEpoch(1, sequence, protection, connection_id)
        self._epochs.append(epoch)
        self._epoch = 1

    def rest(self) -> None:
        """Let go of what can be made again from the keys."""
        self._epochs[self._epoch].rest()

    def limit(self, sequence: int) -> None:
        """Have epoch 1 end below a sequence number."""
        self._epochs[1].limit = sequence

    def send(self, kind: ContentType, plaintext: bytes) -> None:
        """Send one record in the current epoch, as one datagram.

        Raises:
            NumbersUsedUp: there is no sequence number left.
        """
        self._put(self._epochs[self._epoch].encode(kind, self._version, plaintext))

    def send_data(self, data: bytes) -> None:
        """Send one record of application data in the current epoch, as one datagram.

        Raises:
            CallerError: it is longer than the peer takes.
            NumbersUsedUp: there is no sequence number left for data.
        """
        epoch = self._epochs[self._epoch]
        if not epoch.has_room_for_data:
            raise NumbersUsedUp("the association's sequence numbers are used up", remedy="connect again")
        # The type inside of a record with a connection ID counts: how a peer reads its own limit there, no
        # RFC says.
        limit_bytes = self._limit_bytes - epoch.inner_bytes
        if len(data) > limit_bytes:
            raise CallerError(f"a record to this peer holds {limit_bytes} bytes, not {len(data)}")
        self._put(epoch.encode(APPLICATION_DATA, self._version, data))

    def send_by(self, path: Path, kind: ContentType, plaintext: bytes) -> None:
        """Send one record in the current epoch by this path, once there are several (:meth:`route_by`).

        Raises:
            NumbersUsedUp: there is no sequence number left.
        """
        assert self._paths is not None
        self._datagrams.append(self._epochs[self._epoch].encode(kind, self._version, plaintext))
        self._paths.append(path)

    def send_flight(self, flight: Flight, now: float, *, answered_seq: int) -> None:
        """Send a flight and keep it for repetition.

        Args:
            flight: what to send.
            now: monotonic seconds.
            answered_seq: the message_seq of the peer's last message that it answers; -1: none.
        """
        self._flight = flight
        self._answered_seq = answered_seq
        self._transmit(flight)
        if flight.awaits_answer:
            self._timer.start(now, is_answer_last=flight.is_answer_last)
        else:
            self._timer.stop()

    def hear(self, now: float) -> None:
        """Something new of the peer's next flight is there, which shows that it has all of ours."""
        self._timer.hear(now)

    def handle_timer(self, now: float) -> Due:
        """The deadline has passed: send again what is due, set the next deadline, and say what was sent."""
        assert self._flight is not None
        due = self._timer.expire(now)
        if due is Due.FLIGHT:
            self.resend()
        elif due is Due.REMINDER:
            self._transmit(self._flight.reminder)
        return due

    def is_repetition(self, fragment: Fragment) -> bool:
        """Tell whether a fragment that came before means that ours did not come through.

        RFC 6347 section 4.2.4: so it is if the peer repeats its flight. The end of its last message stands
        for the whole flight, so one repetition is answered once. A request for a cookie is never repeated by
        itself: a second one answers a second hello.
        """
        is_end_of_flight = fragment.message_seq == self._answered_seq and fragment.is_last
        is_of_a_flight = fragment.type != HandshakeType.HELLO_VERIFY_REQUEST
        return self._flight is not None and is_end_of_flight and is_of_a_flight

    def answer_repetition(self, now: float) -> bool:
        """The peer repeated its flight: send ours again as long as the budget lasts; tell whether it was
        sent.

        Not if the peer's next flight has begun: then it has ours, and the repetition is a late one.
        """
        is_sent = self._timer.spend_repeat(now)
        if is_sent:
            self.resend()
        return is_sent

    def resend(self) -> None:
        """Send the flight again, in new records.

        Raises:
            NumbersUsedUp: there is no sequence number left.
        """
        assert self._flight is not None
        self._shrink(self._flight)
        self._transmit(self._flight)

    def forget_flight(self) -> None:
        """The flight came through, or does not matter any more."""
        self._timer.stop()
        self._flight = None

    def complete(self) -> None:
        """The handshake is over: only a last flight may be asked for again."""
        if self._flight is not None and self._flight.awaits_answer:
            self.forget_flight()

    def _transmit(self, flight: Flight) -> None:
        for pieces in self._packed(flight):
            self._put(b"".join(self._encode(piece) for piece in pieces))
        if any(item.epoch == 1 for item in flight.items):
            self._epoch = 1

    def _put(self, datagram: bytes) -> None:
        if self._route is None or self._paths is None:
            self._datagrams.append(datagram)
            return
        for path in self._route(len(datagram)):
            self._datagrams.append(datagram)
            self._paths.append(path)

    def _packed(self, flight: Flight) -> list[list[Piece]]:
        return list(
            flight.pack(self._mtu_bytes, lambda epoch: self._epochs[epoch].overhead_bytes, self._limit_bytes)
        )

    def _shrink(self, flight: Flight) -> None:
        """Make the datagrams smaller if it is time to, and if that makes a difference to the flight."""
        unanswered = self._timer.unanswered - 1  # The one that is being made is not.
        if unanswered <= 0 or unanswered % PATIENCE_WITH_A_SIZE:
            return
        smallest = max(smallest_mtu_bytes(epoch.overhead_bytes) for epoch in self._epochs)
        largest = max(sum(self._wire_bytes(piece) for piece in pieces) for pieces in self._packed(flight))
        for size in SMALLER_DATAGRAMS_BYTES:
            if smallest <= size < largest:
                self._mtu_bytes = size
                return

    def _wire_bytes(self, piece: Piece) -> int:
        return HEADER_BYTES + self._epochs[piece.epoch].overhead_bytes + len(piece.plaintext)

    def _encode(self, piece: Piece) -> bytes:
        return self._epochs[piece.epoch].encode(piece.type, self._version, piece.plaintext)
