"""The tickets that a publisher holds, one for each key.

Owns the rule of succession: the newest ticket of a key is in force, an older one never comes back over it
(a delayed upload must not widen rights again). Bounded, since anybody with a valid ticket can add to it.
Must never hand out a ticket that is not valid at the time it is asked for.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from twoway.errors import CallerError
from twoway.tickets.cose_key import UnusableKey, thumbprint
from twoway.tickets.ticket import Ticket, TicketReason, TicketRejected

DEFAULT_CAPACITY = 1024
"""Holders at one time: about 3 MB, and more subscribers than a small publisher serves."""


@dataclass
class _Entry:
    ticket: Ticket
    used: bool = False


class TicketStore:
    """Verified tickets by the thumbprint of their key.

    Args:
        capacity: how many keys there is room for.

    Raises:
        CallerError: there is room for none.
    """

    def __init__(self, *, capacity: int = DEFAULT_CAPACITY) -> None:
        if capacity < 1:
            raise CallerError(f"a ticket store cannot hold {capacity} tickets")
        self._capacity = capacity
        self._entries: dict[bytes, _Entry] = {}

    def __len__(self) -> int:
        return len(self._entries)

    def put(self, ticket: Ticket, now: datetime) -> tuple[Ticket, ...]:
        """Bring a verified ticket into force for its key.

        A full store drops what has expired, else the longest kept ticket that was never used: a flood of
        stolen, valid tickets displaces itself and not the holders who are being served.

        Returns:
            The tickets that were dropped to make room; what they permitted ends here.

        Raises:
            TicketRejected: not valid now; older than the one in force (issued in the same second, the
                later arrival counts); or no room.
        """
        ticket.require_valid_at(now)
        key = ticket.confirmation.thumbprint
        held = self._entries.get(key)
        if held is not None:
            if ticket.issued_at < held.ticket.issued_at:
                raise TicketRejected(TicketReason.SUPERSEDED)
            held.ticket = ticket
            return ()
        dropped = self._make_room(now) if len(self._entries) >= self._capacity else ()
        self._entries[key] = _Entry(ticket)
        return dropped

    def for_holder(self, spki: bytes, now: datetime) -> Ticket | None:
        """Return the ticket in force for the key ``spki`` (DER) that a peer proved, or None."""
        try:
            entry = self._entries.get(thumbprint(spki))
        except UnusableKey:
            return None
        if entry is None:
            return None
        try:
            entry.ticket.require_holder(spki)
            entry.ticket.require_valid_at(now)
        except TicketRejected:
            return None
        entry.used = True
        return entry.ticket

    def drop_expired(self, now: datetime) -> tuple[Ticket, ...]:
        """Forget the tickets that have expired and return them, so that what they permitted can be ended."""
        expired = tuple(entry.ticket for entry in self._entries.values() if now >= entry.ticket.expires_at)
        for ticket in expired:
            del self._entries[ticket.confirmation.thumbprint]
        return expired

    def next_expiry(self) -> datetime | None:
        """When :meth:`drop_expired` has something to drop next; None if the store is empty."""
        return min((entry.ticket.expires_at for entry in self._entries.values()), default=None)

    def _make_room(self, now: datetime) -> tuple[Ticket, ...]:
        expired = self.drop_expired(now)
        if expired:
            return expired
        for key, entry in self._entries.items():
            if not entry.used:
                del self._entries[key]
                return (entry.ticket,)
        raise TicketRejected(TicketReason.STORE_FULL)
