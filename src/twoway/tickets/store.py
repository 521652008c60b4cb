"""The tickets that a publisher holds, one for each key.

Owns the rule of succession: of the tickets of a key, the one with the highest sequence number is in force,
and one with a lower number never comes back (RFC 9202 section 4: a delayed upload must not widen rights
again), even after the higher one has ended. Bounded, since anybody with a valid ticket can add to it.
Must never hand out a ticket that is not valid at the time it is asked for.
"""

from __future__ import annotations

import hmac
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from twoway.errors import CallerError
from twoway.tickets.confirmation import Confirmation, SymmetricConfirmation
from twoway.tickets.cose_key import UnusableKey, thumbprint
from twoway.tickets.ticket import Ticket, TicketReason, TicketRejected

DEFAULT_CAPACITY = 1024
"""Holders at one time: about 3 MB, and more subscribers than a small publisher serves."""
UNUSED_TIMEOUT = 600
"""Seconds that a ticket is kept that nobody uses: anybody can bring somebody else's (RFC 9202 section 7)."""


@dataclass
class _Entry:
    ticket: Ticket
    kept_at: datetime
    used: bool = False

    def is_over(self, now: datetime) -> bool:
        if now >= self.ticket.expires_at:
            return True
        return not self.used and now - self.kept_at >= timedelta(seconds=UNUSED_TIMEOUT)


@dataclass(frozen=True)
class _Issue:
    """When a ticket was issued: all that is remembered of one that has ended."""

    issuer: str
    sequence: int
    issued_at: datetime

    @classmethod
    def of(cls, ticket: Ticket) -> _Issue:
        return cls(ticket.issuer, ticket.sequence, ticket.issued_at)

    def is_before(self, other: _Issue) -> bool:
        if self.issuer == other.issuer:
            return self.sequence < other.sequence
        return self.issued_at < other.issued_at  # the numbers of two ACs say nothing of each other


class TicketStore:
    """Verified tickets by the thumbprint of their key, or by the name of a symmetric one.

    Args:
        capacity: how many keys there is room for.

    Raises:
        CallerError: there is room for none.
    """

    def __init__(self, *, capacity: int = DEFAULT_CAPACITY) -> None:
        if capacity < 1:
            raise CallerError(f"a ticket store cannot hold {capacity} tickets")
        self._capacity = capacity
        self._entries: dict[tuple[str, bytes], _Entry] = {}
        self._ended: dict[tuple[str, bytes], _Issue] = {}

    def __len__(self) -> int:
        return len(self._entries)

    def __iter__(self) -> Iterator[Ticket]:
        return iter([entry.ticket for entry in self._entries.values()])

    def put(self, ticket: Ticket, now: datetime) -> tuple[Ticket, ...]:
        """Bring a verified ticket into force for its key.

        A full store drops what has expired, else the longest kept ticket that was never used: a flood of
        stolen, valid tickets displaces itself and not the holders who are being served.

        Returns:
            The tickets that were dropped to make room; what they permitted ends here.

        Raises:
            TicketRejected: not valid now; older than the newest that was here for this key; of somebody
                else under the name of a symmetric key that is in use; or no room.
        """
        ticket.require_valid_at(now)
        key = ticket.confirmation.index
        held = self._entries.get(key)
        newest = _Issue.of(held.ticket) if held is not None else self._ended.get(key)
        if newest is not None and _Issue.of(ticket).is_before(newest):
            raise TicketRejected(TicketReason.SUPERSEDED)
        if held is not None:
            held.ticket = _continued(ticket, held.ticket)
            return ()
        dropped = self._make_room(now) if len(self._entries) >= self._capacity else ()
        self._entries[key] = _Entry(ticket, now)
        self._ended.pop(key, None)
        return dropped

    def for_holder(self, spki: bytes, now: datetime, certificate: bytes | None = None) -> Ticket | None:
        """Return the ticket in force for the key ``spki`` (DER) that a peer claims or has proved, or None.

        Args:
            spki: DER SubjectPublicKeyInfo.
            now: aware.
            certificate: the DER certificate that came with it; without it, a ticket that is bound to a
                certificate does not count.
        """
        try:
            entry = self._entries.get(Confirmation(thumbprint(spki)).index)
            if entry is None:
                return None
            entry.ticket.require_holder(spki, certificate)
            entry.ticket.require_valid_at(now)
        except (UnusableKey, TicketRejected):
            return None
        return entry.ticket

    def for_kid(self, kid: bytes, now: datetime) -> Ticket | None:
        """Return the ticket in force for the symmetric key of this name, or None.

        Its key is what the handshake has to prove; before that, the name gives no right.
        """
        entry = self._entries.get(SymmetricConfirmation(kid).index)
        try:
            if entry is None:
                return None
            entry.ticket.require_valid_at(now)
        except TicketRejected:
            return None
        return entry.ticket

    def note_use(self, ticket: Ticket) -> None:
        """Keep a ticket until it expires, now that somebody has proved its key.

        To be found is no use: whoever names a key that is not theirs would keep its ticket here.
        """
        entry = self._entries.get(ticket.confirmation.index)
        if entry is not None and entry.ticket is ticket:
            entry.used = True

    def drop_expired(self, now: datetime) -> tuple[Ticket, ...]:
        """Forget the tickets that have expired and return them, so that what they permitted can be ended.

        With them go those that were kept for :data:`UNUSED_TIMEOUT` and never used.
        """
        over = {entry.ticket.token_hash for entry in self._entries.values() if entry.is_over(now)}
        return self.drop_revoked(over)

    def drop_revoked(self, hashes: Collection[bytes]) -> tuple[Ticket, ...]:
        """Forget the tickets with these token hashes and return them (RFC 9770 section 11.1)."""
        return self._drop(lambda ticket: ticket.token_hash in hashes)

    def next_expiry(self) -> datetime | None:
        """When :meth:`drop_expired` has something to drop next; None if the store is empty."""
        return min((entry.ticket.expires_at for entry in self._entries.values()), default=None)

    def _drop(self, ends: Callable[[Ticket], bool]) -> tuple[Ticket, ...]:
        ended = {key: entry.ticket for key, entry in self._entries.items() if ends(entry.ticket)}
        for key, ticket in ended.items():
            del self._entries[key]
            self._ended[key] = _Issue.of(ticket)
        while len(self._ended) > self._capacity:
            del self._ended[next(iter(self._ended))]
        return tuple(ended.values())

    def _make_room(self, now: datetime) -> tuple[Ticket, ...]:
        expired = self.drop_expired(now)
        if expired:
            return expired
        unused = next((entry.ticket for entry in self._entries.values() if not entry.used), None)
        if unused is None:
            raise TicketRejected(TicketReason.STORE_FULL)
        return self._drop(lambda ticket: ticket is unused)


def _continued(ticket: Ticket, held: Ticket) -> Ticket:
    """Let ``ticket`` take the place of ``held``, which is bound to the same key, or to one of the same name.

    An update of rights (RFC 9202 section 4) names the key of the ticket before: what would be derived from
    the new ticket is not what the running association was made with, so the key stays as it is. The name
    alone must not let anybody in: the holder has to be the same, and so has a key that the ticket carries.

    Raises:
        TicketRejected: with :attr:`TicketReason.WRONG_KEY`.
    """
    new, old = ticket.confirmation, held.confirmation
    if not isinstance(new, SymmetricConfirmation) or not isinstance(old, SymmetricConfirmation):
        return ticket
    if (ticket.issuer, ticket.subject) != (held.issuer, held.subject):
        raise TicketRejected(TicketReason.WRONG_KEY)
    if not new.derived and not hmac.compare_digest(new.key or b"", old.key or b""):
        raise TicketRejected(TicketReason.WRONG_KEY)
    return replace(ticket, confirmation=old)
