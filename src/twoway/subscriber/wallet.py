"""The tickets that a subscriber holds, in memory, one for each publisher.

It owns which ticket is usable when and when it is due for renewal. It never looks into a ticket (it is
opaque to its holder, RFC 9200 section 5.1), and never writes one to a disk.

A publisher keeps one ticket for each key and a newer one replaces the older (RFC 9200 section 5.10.1).
So a ticket for a second resource must permit the first one too: :meth:`Wallet.wanted` is the sum.
"""

from __future__ import annotations

import hmac
from collections.abc import Set
from dataclasses import dataclass, field
from datetime import timedelta

from twoway.errors import PeerError
from twoway.subscriber.audience import Audience
from twoway.subscriber.instant import Instant
from twoway.tickets import Method, Scope, token_hash

RENEWAL_SHARE = 0.8
"""The share of its lifetime after which a ticket in use is replaced: a fifth is left for retries."""

_SHORTEST_RETRY = timedelta(seconds=0.2)
"""When less is left, no further renewal is tried; the publisher will end the observation."""


@dataclass(frozen=True, slots=True)
class TicketKey:
    """The symmetric key that a ticket is bound to, as the AC told it to the holder alone."""

    kid: bytes
    """Its name: any bytes but none that is zero, since many stacks take the name for text."""
    key: bytes = field(repr=False)
    """The key; never for anything but the handshake with the ticket's publisher."""


@dataclass(frozen=True, eq=False)
class HeldTicket:
    """A ticket and what its holder knows of it. Two are equal if they are one."""

    encoded: bytes = field(repr=False)
    """The ticket, as the AC sent it."""
    scope: Scope
    """What the AC granted."""
    asked_at: Instant
    """When it was asked for: the AC counts its lifetime from later, so this is on the safe side."""
    lifetime: timedelta
    """How long after that its holder stops using it."""
    key: TicketKey | None = None
    """The key that it is bound to, where that is not the holder's certified one."""

    def lasts(self, now: Instant) -> bool:
        """Say whether it, and the keys that go with it, may be used at ``now``."""
        return now.since(self.asked_at) < self.lifetime

    def permits(self, target: str) -> bool:
        """Say whether it permits to read ``target``."""
        return self.scope.permits(target, Method.GET)

    def renewal_in(self, now: Instant) -> timedelta:
        """Return how long it is until it is due for renewal; zero where it is due."""
        return max(RENEWAL_SHARE * self.lifetime - now.since(self.asked_at), timedelta(0))

    def retry_after(self, now: Instant) -> timedelta | None:
        """Return how long to wait after a failed renewal; None when it is too late for another."""
        left = self.lifetime - now.since(self.asked_at)
        return left / 2 if left > _SHORTEST_RETRY else None


class Wallet:
    """Tickets by publisher: by the identity *and* the key that it proved."""

    def __init__(self) -> None:
        self._tickets: dict[Audience, HeldTicket] = {}

    def put(self, audience: Audience, ticket: HeldTicket) -> None:
        """Keep ``ticket`` in place of an older one for the same publisher.

        Raises:
            PeerError: its key is that of a ticket for another publisher, which could then pose as this one
                (RFC 9200 section 6.1).
        """
        others = [held for other, held in self._tickets.items() if other != audience]
        if any(_share_a_key(ticket, held) for held in others):
            raise PeerError("the AC gave us one key for two publishers", where=audience.uri)
        self._tickets[audience] = ticket

    def drop(self, audience: Audience, ticket: HeldTicket) -> None:
        """Forget ``ticket``, unless a newer one has taken its place."""
        if self._tickets.get(audience) is ticket:
            del self._tickets[audience]

    def held(self, audience: Audience, now: Instant) -> HeldTicket | None:
        """Return the ticket for a publisher if it has not expired at ``now``."""
        ticket = self._tickets.get(audience)
        return ticket if ticket is not None and ticket.lasts(now) else None

    def holds(self, ticket: HeldTicket) -> bool:
        """Say whether ``ticket`` is held still."""
        return any(held is ticket for held in self._tickets.values())

    def wanted(self, audience: Audience, target: str, now: Instant) -> Scope:
        """Return the scope to ask for: reading ``target``, and what the held ticket permits already."""
        held = self.held(audience, now)
        granted = held.scope.entries if held is not None else ()
        return Scope((*granted, (target, Method.GET)))

    def expunge(self, revoked: Set[bytes]) -> list[tuple[Audience, HeldTicket]]:
        """Drop the tickets whose hashes the AC lists as revoked (RFC 9770 section 11.1); return them.

        Args:
            revoked: token hashes, 33 bytes each (RFC 9770 section 4).
        """
        found = [
            (audience, ticket)
            for audience, ticket in self._tickets.items()
            if token_hash(ticket.encoded) in revoked
        ]
        for audience, _ in found:
            del self._tickets[audience]
        return found


def _share_a_key(one: HeldTicket, other: HeldTicket) -> bool:
    if one.key is None or other.key is None:
        return False
    return hmac.compare_digest(one.key.key, other.key.key)
