"""The tickets that a subscriber holds, in memory, one for each publisher.

It owns which ticket is usable when and when it is due for renewal. It never looks into a ticket (it is
opaque to its holder, RFC 9200 section 5.1), and never writes one to a disk.

A publisher keeps one ticket for each key and a newer one replaces the older (RFC 9200 section 5.10.1).
So a ticket for a second resource must permit the first one too: :meth:`Wallet.wanted` is the sum.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta

from twoway.identity import X509Identity
from twoway.tickets import Method, Scope

RENEWAL_SHARE = 0.8
"""The share of its lifetime after which a ticket in use is replaced: a fifth is left for retries."""


@dataclass(frozen=True, slots=True)
class HeldTicket:
    """A ticket and what its holder knows of it."""

    encoded: bytes = field(repr=False)
    """The ticket, as the AC sent it."""
    scope: Scope
    """What the AC granted."""
    asked_at: datetime
    """When it was asked for: the AC counts its lifetime from later, so this is on the safe side."""
    expires_at: datetime
    """When its holder stops using it."""

    @property
    def renew_at(self) -> datetime:
        """When it is due for renewal."""
        return self.asked_at + RENEWAL_SHARE * (self.expires_at - self.asked_at)

    def is_usable(self, target: str, now: datetime) -> bool:
        """Say whether it permits to read ``target`` at ``now``."""
        return now < self.expires_at and self.scope.permits(target, Method.GET)

    def retry_after(self, now: datetime) -> timedelta | None:
        """Return how long to wait after a failed renewal; None when it is too late for another."""
        left = self.expires_at - now
        return left / 2 if left > _SHORTEST_RETRY else None


_SHORTEST_RETRY = timedelta(seconds=0.2)
"""When less is left, no further renewal is tried; the publisher will end the observation."""


class Wallet:
    """Tickets by publisher: by the identity *and* the key that it proved."""

    def __init__(self) -> None:
        self._tickets: dict[tuple[str, bytes], HeldTicket] = {}

    def put(self, publisher: X509Identity, ticket: HeldTicket) -> None:
        """Keep ``ticket`` in place of an older one for the same publisher."""
        self._tickets[_key(publisher)] = ticket

    def drop(self, publisher: X509Identity, ticket: HeldTicket) -> None:
        """Forget ``ticket``, unless a newer one has taken its place."""
        if self._tickets.get(_key(publisher)) is ticket:
            del self._tickets[_key(publisher)]

    def held(self, publisher: X509Identity, now: datetime) -> HeldTicket | None:
        """Return the ticket for ``publisher`` if it has not expired at ``now``."""
        ticket = self._tickets.get(_key(publisher))
        return ticket if ticket is not None and now < ticket.expires_at else None

    def wanted(self, publisher: X509Identity, target: str, now: datetime) -> Scope:
        """Return the scope to ask for: reading ``target``, and what the held ticket permits already."""
        held = self.held(publisher, now)
        granted = held.scope.entries if held is not None else ()
        return Scope((*granted, (target, Method.GET)))


def _key(publisher: X509Identity) -> tuple[str, bytes]:
    return publisher.uri, publisher.spki_sha256
