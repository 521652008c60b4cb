"""The token revocation list of RFC 9770, as the AC keeps and answers it. Pure.

It owns one list of the hashes of tickets that are revoked and not yet expired, and for each requester the
history of what came and went. It must never show a requester a hash that does not pertain to it: a publisher
sees the tickets for it, a holder its own, an administrator all of them (RFC 9770 section 6).

The numbers of the RFC are the constants below. Each change of the list is one diff entry with one hash. Its
index in the collection of a requester is how many changes pertained to that requester before: it is counted
where the changes are stored, not here, so that all replicas and all later processes give the same entry the
same index. Were it otherwise, a publisher that goes on from a cursor could pass over a revocation.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Set
from dataclasses import dataclass
from typing import Protocol

from twoway.tickets import DiffEntry, DiffSet, FullSet, TRLErrorID, TRLQuery, TRLQueryRejected

MAX_N = 64
"""Diff entries that are kept for each requester (RFC 9770 section 6.2). Who has missed more asks for all."""
MAX_DIFF_BATCH = 16
"""Diff entries in one answer (RFC 9770 section 6.2.1): 16 hashes fit into a datagram."""
Party = str
"""An identity URI, or :data:`EVERYBODY`."""
EVERYBODY: Party = "*"
"""The party whose subset is the whole list, which administrators see. No identity is written like this."""


@dataclass(frozen=True)
class RevocationChange:
    """One change of the list of revoked tickets (RFC 9770 section 5.1)."""

    number: int
    """Changes before this one."""
    added: bool
    """Whether the ticket came onto the list; else it has expired and left it."""
    token_hash: bytes
    """Which ticket, 33 bytes."""
    requester: str
    """Its holder."""
    audience: str
    """Its publisher."""
    requester_number: int
    """Changes before this one that concerned the holder, as the holder or the audience of a ticket."""
    audience_number: int
    """The same of the audience."""

    def numbers(self) -> dict[Party, int]:
        """Whom the change concerns, each with the number of changes before."""
        return {
            self.audience: self.audience_number,
            self.requester: self.requester_number,
            EVERYBODY: self.number,
        }


class Listed(Protocol):
    """A ticket on the list."""

    @property
    def token_hash(self) -> bytes:
        """33 bytes (:func:`twoway.tickets.token_hash`)."""

    @property
    def requester(self) -> str:
        """The holder's identity URI."""

    @property
    def audience(self) -> str:
        """The publisher's identity URI."""


class RevocationList:
    """The list, its subsets, and the update collection of each requester.

    Args:
        administrators: the identities that see all of it.
    """

    def __init__(self, *, administrators: Set[str] = frozenset()) -> None:
        self.administrators = administrators
        """The identities that see all of it; may be replaced."""
        self._subsets: dict[Party, set[bytes]] = {}
        self._collections: dict[Party, _UpdateCollection] = {}

    def load(self, listed: Iterable[Listed], history: Iterable[RevocationChange]) -> None:
        """Take the list as it is stored, in the place of what was here.

        Args:
            listed: what is on it.
            history: its latest changes, oldest first; as many as are kept.
        """
        self._subsets, self._collections = {}, {}
        for ticket in listed:
            for party in (ticket.audience, ticket.requester, EVERYBODY):
                self._subsets.setdefault(party, set()).add(ticket.token_hash)
        for change in history:
            self._remember(change)

    def apply(self, changes: Iterable[RevocationChange]) -> frozenset[Party]:
        """Follow changes in the order in which they were made, and return whose subset is another one now."""
        concerned: set[Party] = set()
        for change in changes:
            for party in change.numbers():
                subset = self._subsets.setdefault(party, set())
                (subset.add if change.added else subset.discard)(change.token_hash)
                if not subset:
                    del self._subsets[party]
                concerned.add(party)
            self._remember(change)
        return frozenset(concerned)

    @property
    def parties(self) -> frozenset[Party]:
        """Everybody whom the list or its history concerns."""
        return frozenset(self._subsets) | frozenset(self._collections)

    def party_of(self, requester: str) -> Party:
        """Return whose subset a requester sees."""
        return EVERYBODY if requester in self.administrators else requester

    def answer(self, requester: str, query: TRLQuery) -> FullSet | DiffSet:
        """Answer a query.

        Args:
            requester: the identity that was proved.
            query: what it asks.

        Raises:
            TRLQueryRejected: the cursor is beyond the requester's last index (RFC 9770 section 6.3).
        """
        party = self.party_of(requester)
        collection = self._collections.get(party) or _UpdateCollection()
        if query.diff is None:  # RFC 9770 sections 7 and 9.1
            return FullSet(frozenset(self._subsets.get(party, ())), cursor=collection.last_index)
        return collection.answer(query.diff, query.cursor)

    def last_index(self, requester: str) -> int | None:
        """Return the index of the latest diff entry of a requester, None if it has none."""
        collection = self._collections.get(self.party_of(requester))
        return None if collection is None else collection.last_index

    def _remember(self, change: RevocationChange) -> None:
        hashes = frozenset({change.token_hash})
        entry = DiffEntry(added=hashes) if change.added else DiffEntry(removed=hashes)
        for party, number in change.numbers().items():
            self._collections.setdefault(party, _UpdateCollection()).add(entry, number)


class _UpdateCollection:
    """The latest diff entries of one requester (RFC 9770 section 6.2).

    Entries have the indexes 0, 1, 2 and so on; with MAX_INDEX at 2**63 - 1 they never wrap around.
    """

    def __init__(self) -> None:
        self._entries: deque[DiffEntry] = deque(maxlen=MAX_N)
        self._added = 0
        """Entries that were ever added, hence one more than the index of the latest."""

    def add(self, entry: DiffEntry, index: int) -> None:
        """Add the entry with this index; one that is known already is passed over."""
        if index < self._added:
            return
        if index > self._added:  # what is in between is not kept any more, so nobody can go on from before it
            self._entries.clear()
        self._entries.append(entry)
        self._added = index + 1

    @property
    def last_index(self) -> int | None:
        """The index of the latest entry; None in an empty collection."""
        return self._added - 1 if self._entries else None

    def answer(self, diff: int, cursor: int | None) -> DiffSet:
        """Answer a diff query (RFC 9770 sections 8 and 9.2)."""
        if not self._entries:  # section 9.2.1
            return DiffSet((), cursor=None, more=False)
        wanted = MAX_N if diff == 0 else min(diff, MAX_N)
        if cursor is None:  # section 9.2.2
            return self._latest(min(wanted, len(self._entries)))
        newer = self._added - 1 - cursor
        if newer < 0:  # section 6.3
            raise TRLQueryRejected(TRLErrorID.OUT_OF_BOUND_CURSOR, "cursor is after the last change")
        if newer > len(self._entries):  # section 9.2.3, case A: what follows the cursor is lost
            return DiffSet((), cursor=None, more=True)
        return self._latest(min(wanted, newer))  # section 9.2.3, case B

    def _latest(self, count: int) -> DiffSet:
        """Answer with the eldest of the ``count`` latest entries, newest first."""
        batch = min(count, MAX_DIFF_BATCH)
        start = len(self._entries) - count
        eldest = [self._entries[start + place] for place in range(batch)]
        return DiffSet(tuple(reversed(eldest)), cursor=self._added - 1 - (count - batch), more=count > batch)
