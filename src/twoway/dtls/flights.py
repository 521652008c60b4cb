"""Flights: what was sent together, how it is cut into datagrams, and when it is sent again.

RFC 6347 section 4.2.4. A flight is kept as messages, not as bytes: every transmission makes new records
with new sequence numbers, so a retransmission can never repeat a nonce.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final, NamedTuple

from twoway.dtls.messages.handshake import HEADER_BYTES as MESSAGE_HEADER_BYTES
from twoway.dtls.messages.handshake import HandshakeMessage
from twoway.dtls.record import HEADER_BYTES as RECORD_HEADER_BYTES
from twoway.dtls.record import ContentType

CHANGE_CIPHER_SPEC_BODY: Final = b"\x01"  # RFC 5246 section 7.1
MIN_FRAGMENT_BYTES: Final = 32
"""A message is not begun in the rest of a datagram that has room for less of it."""


class FlightItem(NamedTuple):
    """One step of a flight; ``message`` is None for a ChangeCipherSpec."""

    epoch: int
    message: HandshakeMessage | None


class Piece(NamedTuple):
    """What becomes one record."""

    epoch: int
    type: ContentType
    plaintext: bytes


@dataclass(frozen=True)
class Flight:
    """Messages that are sent and, if need be, resent together."""

    items: tuple[FlightItem, ...]
    awaits_answer: bool
    """Whether the peer's next flight answers it. The last flight has no answer: it is only sent again
    when the peer, by sending its own again, shows that it did not come through."""

    def pack(self, mtu_bytes: int, overhead_bytes: Callable[[int], int]) -> Iterator[list[Piece]]:
        """Cut the flight into datagrams.

        Args:
            mtu_bytes: the largest datagram.
            overhead_bytes: what protection adds to a record of an epoch.

        Yields:
            For each datagram its pieces, in order.
        """
        datagram: list[Piece] = []
        room = mtu_bytes
        for item in self.items:
            offset = 0
            while True:
                headers = RECORD_HEADER_BYTES + overhead_bytes(item.epoch)
                piece, offset, is_last = _next_piece(item, offset, room - headers)
                if piece is None:
                    yield datagram
                    datagram, room = [], mtu_bytes
                    continue
                datagram.append(piece)
                room -= headers + len(piece.plaintext)
                if is_last:
                    break
        yield datagram


def _next_piece(item: FlightItem, offset: int, room: int) -> tuple[Piece | None, int, bool]:
    """Return the piece from ``offset`` that fits into ``room`` (None if none does), the next offset, and
    whether the item is complete with it."""
    if item.message is None:
        if room < len(CHANGE_CIPHER_SPEC_BODY):
            return None, offset, False
        return Piece(item.epoch, ContentType.CHANGE_CIPHER_SPEC, CHANGE_CIPHER_SPEC_BODY), offset, True
    left = len(item.message.body) - offset
    room -= MESSAGE_HEADER_BYTES
    if room < min(left, MIN_FRAGMENT_BYTES):
        return None, offset, False
    taken = min(left, room)
    plaintext = item.message.fragment(offset, taken)
    return Piece(item.epoch, ContentType.HANDSHAKE, plaintext), offset + taken, taken == left


class RetransmissionTimer:
    """The doubling timer of RFC 6347 section 4.2.4.1.

    Args:
        initial_timeout: seconds before the first retransmission.
        max_timeout: where the doubling ends.
        retries: how many retransmissions of one flight there may be because the time was up, and as many
            again because the peer repeated its own. Before there are keys anybody can forge a repetition;
            two budgets keep forgeries from using up the timer's.
    """

    __slots__ = ("_initial", "_max", "_repeats_left", "_retries", "_retries_left", "_timeout", "deadline")

    def __init__(self, initial_timeout: float, max_timeout: float, retries: int) -> None:
        self._initial = self._timeout = initial_timeout
        self._max = max_timeout
        self._retries = self._retries_left = self._repeats_left = retries
        self.deadline: float | None = None

    def start(self, now: float) -> None:
        """A new flight was sent and waits for its answer."""
        self._timeout = self._initial
        self._retries_left = self._repeats_left = self._retries
        self.deadline = now + self._timeout

    def stop(self) -> None:
        """The answer is there, or none is expected."""
        self.deadline = None

    def back_off(self, now: float) -> bool:
        """The time is up: tell whether to send again, and double the time until the next."""
        if self._retries_left == 0:
            self.deadline = None
            return False
        self._retries_left -= 1
        self._timeout = min(self._timeout * 2, self._max)
        self.deadline = now + self._timeout
        return True

    def spend_repeat(self) -> bool:
        """The peer repeated its flight: tell whether to answer with ours once more."""
        if self._repeats_left == 0:
            return False
        self._repeats_left -= 1
        return True
