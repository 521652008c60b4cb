"""The access control server whose tickets count here.

It owns what a publisher knows of it. It must never believe a key that the AC did not name.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from twoway.tickets import TicketVerifier


@dataclass(frozen=True, slots=True)
class Authority:
    """The access control server whose tickets count."""

    token_uri: str
    """Its token endpoint, for hints."""
    verifier: TicketVerifier
    """Knows its key, and our name as the audience."""
    valid_until: datetime
    """End of its certificate. Nothing tells when a ticket was signed, so none counts after that."""
