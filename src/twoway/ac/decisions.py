"""What the AC decides, as values: a grant or a refusal, and the record of it for the audit."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from twoway.tickets import TokenError, TokenResponse


class Outcome(StrEnum):
    """How a request for a ticket ended, or what became of the ticket."""

    GRANTED = "granted"
    """A ticket was issued."""
    REFUSED = "refused"
    """None was."""
    REVOKED = "revoked"
    """One that was issued before was taken back."""


@dataclass(frozen=True)
class AuditEntry:
    """One decision, as the audit keeps it: identities, scopes and reasons; no ticket and no key."""

    at: datetime
    """When it was taken, aware, UTC."""
    requester: str
    """Who asked, as proved in the handshake; who held the ticket that was revoked."""
    audience: str | None
    """The publisher that the ticket was asked for; None where the request could not be read."""
    requested: str | None
    """The scope as asked for, ``/power GET``; None for everything, or where it could not be read."""
    granted: str | None
    """The scope as granted; None for a refusal."""
    outcome: Outcome
    """Ticket or none."""
    policies: tuple[str, ...]
    """The policies that decided; empty where no policy was asked."""
    reason: str
    """Why, in a sentence."""
    ticket_id: bytes | None
    """The ``cti`` of the ticket, issued or revoked; None for a refusal."""


@dataclass(frozen=True)
class Grant:
    """A ticket is issued. It may leave only after :attr:`entry` is on the disk."""

    response: TokenResponse
    """What the requester gets."""
    entry: AuditEntry
    """What the audit gets."""


@dataclass(frozen=True)
class Refusal:
    """No ticket is issued."""

    error: TokenError
    """What the requester gets."""
    entry: AuditEntry
    """What the audit gets."""
