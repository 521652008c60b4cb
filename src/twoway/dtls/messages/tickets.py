"""NewSessionTicket: RFC 5077 section 3.3."""

from __future__ import annotations

from dataclasses import dataclass, field

from twoway.dtls.wire import Reader, vector


@dataclass(frozen=True)
class NewSessionTicket:
    """struct NewSessionTicket: uint32 ticket_lifetime_hint, opaque ticket<0..2^16-1>."""

    lifetime_hint: int
    """Seconds for which the client may keep it; 0: the server does not say."""
    ticket: bytes = field(repr=False)
    """Empty: the server has changed its mind and gives none."""

    @classmethod
    def parse_untrusted(cls, body: bytes) -> NewSessionTicket:
        """Take a body apart."""
        reader = Reader(body, "NewSessionTicket")
        message = cls(reader.integer_untrusted(4), reader.vector_untrusted(2))
        reader.end_untrusted()
        return message

    def encode(self) -> bytes:
        """Write the body."""
        return self.lifetime_hint.to_bytes(4, "big") + vector(2, self.ticket)
