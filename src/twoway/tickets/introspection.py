"""The messages of ``/introspect``: what a publisher asks the AC about a ticket (RFC 9200 section 5.9).

Owns both maps, content format 19. An answer that does not say ``active`` says no. The AC answers ``{active:
false}`` for whatever it does not vouch for to this publisher, without a reason, and a publisher that cannot
ask grants nothing.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Self

from twoway import strict_cbor
from twoway.tickets.ace_map import MalformedACE, map_untrusted, optional
from twoway.tickets.claims import Claims
from twoway.tickets.iana import Introspection
from twoway.tickets.ticket import MAX_TICKET_BYTES, TicketRejected


@dataclass(frozen=True)
class IntrospectionRequest:
    """The question (RFC 9200 section 5.9.1)."""

    token: bytes = field(repr=False)
    """The ticket as it was uploaded."""

    def encode(self) -> bytes:
        """Return the payload of the POST."""
        return strict_cbor.encode({Introspection.TOKEN: self.token})

    @classmethod
    def parse_untrusted(cls, payload: bytes) -> Self:
        """Read the payload of a POST. A ``token_type_hint`` is passed over: one type of ticket exists here.

        RFC 9200 calls the hint a text in table 6 and sends a number in figure 9; both are taken.

        Raises:
            MalformedACE: no ticket, too large a one, or a hint that is neither.
        """
        message = map_untrusted(payload)
        token = optional(message, Introspection.TOKEN, bytes)
        if not token or len(token) > MAX_TICKET_BYTES:
            raise MalformedACE("the introspection names no ticket")
        hint = message.get(Introspection.TOKEN_TYPE_HINT, 0)
        if not isinstance(hint, str) and type(hint) is not int:
            raise MalformedACE("token_type_hint has the wrong type")
        return cls(token)


@dataclass(frozen=True)
class IntrospectionResponse:
    """The answer (RFC 9200 section 5.9.2)."""

    claims: Claims | None = field(default=None, repr=False)
    """What an active ticket says, its ``cnf`` with it. They may hold a key. None where it is not active."""

    @property
    def active(self) -> bool:
        """Whether the AC vouches for the ticket, now and to the publisher that asks."""
        return self.claims is not None

    def encode(self) -> bytes:
        """Return the payload of the 2.01 response."""
        claims = {} if self.claims is None else self.claims.to_map()
        return strict_cbor.encode({Introspection.ACTIVE: self.active} | claims)

    @classmethod
    def parse_untrusted(cls, payload: bytes) -> Self:
        """Read the payload of a success response.

        Raises:
            MalformedACE: it does not say whether the ticket is active, or an active one lacks claims.
        """
        message = map_untrusted(payload)
        active = optional(message, Introspection.ACTIVE, bool)
        if active is None:
            raise MalformedACE("the AC does not say whether the ticket is active")
        if not active:
            return cls()
        try:
            return cls(Claims.from_map_untrusted(message))
        except TicketRejected:
            raise MalformedACE("the AC says of an active ticket what no ticket says") from None
