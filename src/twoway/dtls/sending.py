"""The sending side of an association: records, flights, and the timer that sends a flight again.

RFC 6347 sections 4.1 and 4.2.4. It knows what to send in which epoch and when to repeat it; why, and what
it means if nobody answers, is the association's.
"""

from __future__ import annotations

from twoway.dtls.config import DTLSConfig
from twoway.dtls.epochs import WriteEpoch
from twoway.dtls.flights import Flight, Piece, RetransmissionTimer
from twoway.dtls.protection import Protection
from twoway.dtls.record import DTLS_1_2, ContentType


class Sender:
    """Turns flights and single records into datagrams.

    Args:
        config: MTU and timer.
        first_sequence: the sequence number of the first record of epoch 0.
        version: what the first records say; a first hello says DTLS 1.0.
    """

    def __init__(self, config: DTLSConfig, *, first_sequence: int, version: int) -> None:
        self._mtu_bytes = config.mtu_bytes
        self._version = version
        self._epochs = {0: WriteEpoch(0, first_sequence, None)}
        self._epoch = 0
        self._datagrams: list[bytes] = []
        self._flight: Flight | None = None
        self._timer = RetransmissionTimer(
            config.flight_initial_timeout, config.flight_max_timeout, config.flight_retries
        )

    # --- what is asked of it --------------------------------------------------------------------

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

    def collect(self) -> list[bytes]:
        """Return the datagrams to send now and forget them."""
        datagrams, self._datagrams = self._datagrams, []
        return datagrams

    # --- what it is told ------------------------------------------------------------------------

    def negotiated(self) -> None:
        """The version is agreed upon: records say DTLS 1.2 from here on."""
        self._version = DTLS_1_2

    def limit_plaintext(self, most_bytes: int | None) -> None:
        """Bound the plaintext of each record from here on."""

    def install_keys(self, protection: Protection) -> None:
        """Make epoch 1 ready; it is in use from the first flight that has a message in it."""
        self._epochs[1] = WriteEpoch(1, 0, protection)

    def send(self, kind: ContentType, plaintext: bytes) -> None:
        """Send one record in the current epoch, as one datagram."""
        self._datagrams.append(self._epochs[self._epoch].encode(kind, self._version, plaintext))

    def send_flight(self, flight: Flight, now: float) -> None:
        """Send a flight and keep it for repetition."""
        self._flight = flight
        self._transmit(flight)
        if flight.awaits_answer:
            self._timer.start(now)
        else:
            self._timer.stop()

    def resend(self) -> None:
        """Send the flight again, in new records."""
        assert self._flight is not None
        self._transmit(self._flight)

    def back_off(self, now: float) -> bool:
        """The deadline has passed: tell whether to send again, and set the next."""
        return self._timer.back_off(now)

    def spend_repeat(self) -> bool:
        """Count a repetition that the timer did not ask for; tell whether it is allowed."""
        return self._timer.spend_repeat()

    def forget_flight(self) -> None:
        """The flight came through, or does not matter any more."""
        self._timer.stop()
        self._flight = None

    def _transmit(self, flight: Flight) -> None:
        for pieces in flight.pack(self._mtu_bytes, lambda epoch: self._epochs[epoch].overhead_bytes):
            self._datagrams.append(b"".join(self._encode(piece) for piece in pieces))
        if any(item.epoch == 1 for item in flight.items):
            self._epoch = 1

    def _encode(self, piece: Piece) -> bytes:
        return self._epochs[piece.epoch].encode(piece.type, self._version, piece.plaintext)
