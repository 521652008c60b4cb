"""Flights: what was sent together, and how it is cut into datagrams.

RFC 6347 section 4.2.4. A flight is kept as messages, not as bytes: every transmission makes new records
with new sequence numbers, so a retransmission can never repeat a nonce.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final, NamedTuple

from twoway.dtls.messages.handshake import HEADER_BYTES as MESSAGE_HEADER_BYTES
from twoway.dtls.messages.handshake import HandshakeMessage, HandshakeType
from twoway.dtls.record import HEADER_BYTES as RECORD_HEADER_BYTES
from twoway.dtls.record import MAX_PLAINTEXT_BYTES, MAX_RECORDS_IN_DATAGRAM, ContentType

CHANGE_CIPHER_SPEC_BODY: Final = b"\x01"  # RFC 5246 section 7.1
MIN_FRAGMENT_BYTES: Final = 32
"""A message is not begun in the rest of a datagram that has room for less of it."""


def smallest_mtu_bytes(overhead_bytes: int) -> int:
    """Return the smallest datagram that carries any message: one byte of it, both headers, and what
    protection adds. Where nothing is added this is 26 bytes, with a tag of 16 bytes it is 50."""
    return RECORD_HEADER_BYTES + overhead_bytes + MESSAGE_HEADER_BYTES + 1


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

    @property
    def is_answer_last(self) -> bool:
        """Whether the answer is the peer's last flight, which it has no timer for. The second Finished ends a
        handshake, so it is if ours is in this one."""
        return any(item.message and item.message.type == HandshakeType.FINISHED for item in self.items)

    @property
    def reminder(self) -> Flight:
        """Its last message alone. To a peer that has the flight it says: I have not got all of your answer.
        Its end stands for the whole flight (see :meth:`Sender.is_repetition`)."""
        return Flight(self.items[-1:], self.awaits_answer)

    def pack(
        self, mtu_bytes: int, overhead_bytes: Callable[[int], int], limit_bytes: int = MAX_PLAINTEXT_BYTES
    ) -> Iterator[list[Piece]]:
        """Cut the flight into datagrams.

        Args:
            mtu_bytes: the largest datagram; at least :func:`smallest_mtu_bytes` of each epoch's overhead.
            overhead_bytes: what protection adds to a record of an epoch.
            limit_bytes: the largest plaintext of a record.

        Yields:
            For each datagram its pieces, in order.
        """
        datagram: list[Piece] = []
        room = mtu_bytes
        for item in self.items:
            offset = 0
            while True:
                headers = RECORD_HEADER_BYTES + overhead_bytes(item.epoch)
                wanted = _wanted_bytes(item, offset) if datagram else 1
                size = min(room - headers, limit_bytes)
                if size < wanted or len(datagram) == MAX_RECORDS_IN_DATAGRAM:
                    assert datagram, "the MTU is too small for a record"
                    yield datagram
                    datagram, room = [], mtu_bytes
                    continue
                piece, offset = _next_piece(item, offset, size)
                datagram.append(piece)
                room -= headers + len(piece.plaintext)
                if item.message is None or offset == len(item.message.body):
                    break
        yield datagram


def _wanted_bytes(item: FlightItem, offset: int) -> int:
    """How much room a datagram that holds something already must have for the item to be put into it as
    well."""
    if item.message is None:
        return len(CHANGE_CIPHER_SPEC_BODY)
    return MESSAGE_HEADER_BYTES + min(len(item.message.body) - offset, MIN_FRAGMENT_BYTES)


def _next_piece(item: FlightItem, offset: int, size: int) -> tuple[Piece, int]:
    """Return the piece from ``offset`` that fits into ``size`` bytes, and the next offset."""
    if item.message is None:
        return Piece(item.epoch, ContentType.CHANGE_CIPHER_SPEC, CHANGE_CIPHER_SPEC_BODY), offset
    taken = min(len(item.message.body) - offset, size - MESSAGE_HEADER_BYTES)
    assert taken > 0 or not item.message.body, "the MTU is too small for a fragment"
    plaintext = item.message.fragment(offset, taken)
    return Piece(item.epoch, ContentType.HANDSHAKE, plaintext), offset + taken
