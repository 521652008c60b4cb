"""Tickets at a publisher without a clock: valid for some seconds from first sight (RFC 9200 section 5.10.3).

Owns the book of which such tickets have been seen. A ticket counts from its first upload on and never anew.
When one has expired, its sequence number is kept, and whatever has that number or a lower one counts as
expired too, for the publisher could not tell it from one that it has seen and forgotten. So the AC gives the
tickets for such a publisher the same lifetime, or a late, long one is lost to an early, short one.

Over a restart no time is known to have passed, nor how much. What is kept is the highest number that was ever
seen: every ticket from before the restart has expired, and nobody gets a second life by pulling the plug. The
publisher stores :meth:`ExiLedger.to_bytes` after each ticket that it admits and before that gives any right.
A holder may keep a ticket back and use it first much later; that is in the nature of ``exi``.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Self

from twoway.errors import CallerError
from twoway.tickets.ticket import TicketReason, TicketRejected
from twoway.tickets.ticket_ids import SEQUENCE_BYTES

MAX_LIVE = 1024
"""Tickets that are counted at one time, as many as a publisher keeps."""


class ExiLedger:
    """The book of one publisher about the tickets of one AC.

    Args:
        expired_through: the highest sequence number that counts as expired; -1 where none was ever seen.
        capacity: how many live tickets there is room for.
    """

    def __init__(self, *, expired_through: int = -1, capacity: int = MAX_LIVE) -> None:
        self._expired_through = expired_through
        self._capacity = capacity
        self._ends: dict[int, datetime] = {}

    def require_live(self, sequence: int, now: datetime) -> None:
        """Check that a ticket has not expired; writes nothing about one that was not seen before.

        Raises:
            TicketRejected: with :attr:`TicketReason.EXPIRED`.
        """
        self._expire(now)
        if sequence <= self._expired_through:
            raise TicketRejected(TicketReason.EXPIRED)

    def admit(self, sequence: int, exi: int, now: datetime) -> datetime:
        """Write a verified ticket down, if it is new, and return when it ends.

        Args:
            sequence: its number.
            exi: seconds that it lives from now on, if this is the first time.
            now: aware. It may be far from the true time if it only runs on.

        Raises:
            TicketRejected: it has expired, or there is no room.
        """
        self.require_live(sequence, now)
        if sequence not in self._ends:
            if len(self._ends) >= self._capacity:
                raise TicketRejected(TicketReason.STORE_FULL)
            self._ends[sequence] = now + timedelta(seconds=exi)
        return self._ends[sequence]

    def note_revoked(self, sequence: int) -> None:
        """Let a revoked ticket, and all with lower numbers, count as expired (RFC 9770 section 11.1)."""
        self._close(sequence)

    def to_bytes(self) -> bytes:
        """Return what has to outlive a restart: the highest number ever seen and one more, 9 bytes."""
        return (max(self._expired_through, *self._ends, -1) + 1).to_bytes(SEQUENCE_BYTES + 1)

    @staticmethod
    def counts_as_seen(stored: bytes, sequence: int) -> bool:
        """Whether a number counts as expired after a restart from what :meth:`to_bytes` returned."""
        return sequence < int.from_bytes(stored)

    @classmethod
    def from_bytes(cls, stored: bytes, *, capacity: int = MAX_LIVE) -> Self:
        """Go on after a restart.

        Raises:
            CallerError: the bytes are not those of :meth:`to_bytes`.
        """
        if len(stored) != SEQUENCE_BYTES + 1 or int.from_bytes(stored) > 1 << 8 * SEQUENCE_BYTES:
            raise CallerError("the stored numbers of tickets cannot be read")
        return cls(expired_through=int.from_bytes(stored) - 1, capacity=capacity)

    def _expire(self, now: datetime) -> None:
        over = [sequence for sequence, end in self._ends.items() if now >= end]
        if over:
            self._close(max(over))

    def _close(self, sequence: int) -> None:
        self._expired_through = max(self._expired_through, sequence)
        self._ends = {number: end for number, end in self._ends.items() if number > self._expired_through}
