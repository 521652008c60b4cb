"""The anti-replay window of RFC 6347 section 4.1.2.6 (after RFC 4303 section 3.4.3).

A record is asked about before it is decrypted, and marked only after it proved authentic: a forged
record must not be able to move the window.
"""

from __future__ import annotations

from typing import Final

from twoway.dtls.record import Record

WINDOW_RECORDS: Final = 64
"""The size that the RFC recommends; at least 32 is required."""


class ReplayWindow:
    """Which sequence numbers of one epoch have been seen.

    Args:
        first: the lowest that is not to be taken for seen.
    """

    __slots__ = ("_highest", "_seen")

    def __init__(self, first: int = 0) -> None:
        self._highest = first - 1
        self._seen = (1 << WINDOW_RECORDS) - 1  # bit i: the sequence number (highest - i)

    def is_fresh(self, sequence: int) -> bool:
        """Tell whether ``sequence`` is neither seen nor too old to say."""
        behind = self._highest - sequence
        if behind < 0:
            return True
        return behind < WINDOW_RECORDS and not self._seen >> behind & 1

    def mark(self, sequence: int) -> bool:
        """Remember an authentic record's number; tell whether it is greater than every one before."""
        ahead = sequence - self._highest
        if ahead > 0:
            shifted = self._seen << ahead if ahead < WINDOW_RECORDS else 0
            self._seen = (shifted | 1) & ((1 << WINDOW_RECORDS) - 1)
            self._highest = sequence
            return True
        self._seen |= 1 << -ahead
        return False


class RecentRecords:
    """Unprotected records that came lately, to drop those that the network delivers twice.

    A window of numbers would not do here: anybody can write a number, and one from the far future, or the
    very next one, would shut out the real record. So a record counts as repeated only if all of it is.
    """

    __slots__ = ("_recent",)

    def __init__(self) -> None:
        self._recent: list[int] = []

    def repeats(self, record: Record) -> bool:
        """Tell whether the very same record came lately, and remember it."""
        fingerprint = hash(record)
        if fingerprint in self._recent:
            return True
        self._recent.append(fingerprint)
        del self._recent[:-WINDOW_RECORDS]
        return False
