"""Which tickets count no more, though their time is not over (RFC 9770).

It owns the hashes of revoked tickets, and how fresh the knowledge of them is. What was revoked once stays
so: RFC 9770 section 11 has a hash kept until its ticket was both seen and known to have expired, and here it
is kept as long as there is room, so that neither an upload that comes late nor a clock that is set back
brings a revoked ticket to life. It must never read a clock, and never forget a hash that the AC still lists.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator

from twoway.errors import PeerError
from twoway.tickets import DiffSet, FullSet

MAX_HASHES = 8192
"""Revoked tickets that are remembered, about 1 MB. An AC lists a publisher's revoked tickets until they
expire; so many of them at once are no list to work with."""


class TooManyRevoked(PeerError):
    """The AC lists more revoked tickets than there is room for."""

    def __init__(self) -> None:
        super().__init__(f"the AC lists more than {MAX_HASHES} revoked tickets")


class RevokedTickets:
    """Token hashes of revoked tickets, 33 bytes each.

    Args:
        monotonic: monotonic seconds.
        fresh_for: seconds after which the list is out of date; None: never.
        capacity: how many hashes there is room for.
        known: hashes that were known before a restart, the longest known first.
        is_known: whether these are all; if not, nothing is known until the AC was heard.
    """

    def __init__(
        self,
        *,
        monotonic: Callable[[], float],
        fresh_for: float | None = None,
        capacity: int = MAX_HASHES,
        known: Iterable[bytes] = (),
        is_known: bool = True,
    ) -> None:
        self._monotonic = monotonic
        self._fresh_for = fresh_for
        self._capacity = capacity
        self._is_known = is_known
        # Whether the AC still lists it, oldest first. It has not said so yet in this life, and says it before
        # room is made: there is no cursor, so what comes first is the whole list.
        self._known = dict.fromkeys(known, False)
        self._heard_at: float | None = None
        self.cursor: int | None = None
        """How far in the AC's series of changes we are (RFC 9770 section 9)."""

    def __contains__(self, token_hash: object) -> bool:
        return token_hash in self._known

    def __iter__(self) -> Iterator[bytes]:
        return iter(self._known)

    def __len__(self) -> int:
        return len(self._known)

    @property
    def is_fresh(self) -> bool:
        """Whether the AC was heard recently enough for tickets to be honoured."""
        if self._heard_at is None:
            return self._is_known and self._fresh_for is None
        return self._fresh_for is None or self._monotonic() - self._heard_at < self._fresh_for

    def take_full(self, full: FullSet) -> frozenset[bytes]:
        """Take the whole list, and return the hashes that are new in it.

        Raises:
            TooManyRevoked: nothing was taken.
        """
        return self._take(full.hashes, delisted=self._known.keys() - full.hashes, cursor=full.cursor)

    def take_changes(self, changes: DiffSet) -> frozenset[bytes]:
        """Take changes that follow :attr:`cursor`, and return the hashes that are new.

        Raises:
            TooManyRevoked: nothing was taken.
        """
        listed: set[bytes] = set()
        delisted: set[bytes] = set()
        for entry in reversed(changes.entries):
            listed = (listed - entry.removed) | entry.added
            delisted = (delisted | entry.removed) - entry.added
        cursor = self.cursor if changes.cursor is None else changes.cursor
        return self._take(frozenset(listed), delisted=delisted, cursor=cursor)

    def _take(
        self, listed: frozenset[bytes], *, delisted: Collection[bytes], cursor: int | None
    ) -> frozenset[bytes]:
        still_listed = {known for known, is_listed in self._known.items() if is_listed}
        if len((still_listed - set(delisted)) | listed) > self._capacity:
            raise TooManyRevoked
        new = listed - self._known.keys()
        self._known.update(dict.fromkeys(listed, True))
        self._known.update(dict.fromkeys(self._known.keys() & set(delisted), False))
        self._make_room()
        self.cursor, self._heard_at = cursor, self._monotonic()
        return new

    def _make_room(self) -> None:
        surplus = len(self._known) - self._capacity
        if surplus > 0:
            unlisted = [known for known, is_listed in self._known.items() if not is_listed]
            for known in unlisted[:surplus]:
                del self._known[known]
