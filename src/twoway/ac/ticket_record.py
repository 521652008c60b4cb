"""What the AC knows of a ticket that it issued: the row, as a value."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True)
class TicketRecord:
    """What the AC knows of a ticket that it issued."""

    ticket_id: bytes
    """Its ``cti``."""
    token_hash: bytes
    """The hash of RFC 9770 section 4, 33 bytes."""
    requester: str
    """The identity URI of its holder."""
    audience: str
    """The identity URI of the publisher."""
    holder_key: bytes | None
    """SHA-256 of the holder's SubjectPublicKeyInfo; None where the AC made the key."""
    certificate_sha256: bytes | None
    """SHA-256 of the certificate that the holder showed (DER); None where it showed none."""
    scope: bytes
    """The encoded scope (RFC 9237)."""
    kid: bytes | None
    """The name of the key, where the AC made it."""
    issued_at: datetime
    """When, aware."""
    expires_at: datetime
    """When it ends, aware. With :attr:`exi` the latest moment, as whoever issues it sees it."""
    exi: int | None = None
    """Seconds from the first receipt, for publishers without a clock (RFC 9200 section 5.10.3)."""
    revoked_at: datetime | None = None
    """When it was revoked, aware; None: it was not."""
    revocation_reason: str | None = None
    """Why."""
