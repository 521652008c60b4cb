"""What the AC decides and what operators do to it, as values: for the requester, and for the audit."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Self

from twoway.tickets import TokenError, TokenResponse


class Outcome(StrEnum):
    """How a request for a ticket ended, what became of the ticket, or that an operator acted."""

    GRANTED = "granted"
    """A ticket was issued."""
    REFUSED = "refused"
    """None was."""
    REVOKED = "revoked"
    """One that was issued before was taken back."""
    CHANGED = "changed"
    """What the AC goes by was changed: rights, keys, secrets, files, the registry. The reason says how."""


@dataclass(frozen=True)
class AuditEntry:
    """One decision or act, as the audit keeps it: identities, scopes and reasons; no ticket and no key."""

    at: datetime
    """When it was taken, aware, UTC."""
    requester: str | None
    """Who asked, as proved in the handshake; who held the ticket that was revoked; whose rights or
    certificate an operator changed. None for an act that is about nobody of these."""
    audience: str | None
    """The publisher that it is about; None where it is about none, or where a request could not be read."""
    requested: str | None
    """The scope as asked for, ``/power GET``; None for everything, or where it could not be read."""
    granted: str | None
    """The scope as granted, by a ticket or by hand; None for everything else."""
    outcome: Outcome
    """What kind of row it is."""
    policies: tuple[str, ...]
    """The policies that decided; empty where no policy was asked."""
    reason: str
    """Why, in a sentence."""
    ticket_id: bytes | None
    """The ``cti`` of the ticket, issued or revoked; None for everything else."""
    operator: str | None = None
    """Who did it, a user of the operating system (:mod:`twoway.ac.operators`). None where a request was
    decided, and where the AC found a ledger changed."""

    @classmethod
    def of_change(
        cls,
        what: str,
        *,
        at: datetime,
        operator: str | None,
        requester: str | None = None,
        audience: str | None = None,
        granted: str | None = None,
    ) -> Self:
        """Record a change of what the AC goes by, in the transaction that makes it."""
        return cls(
            at=at,
            requester=requester,
            audience=audience,
            requested=None,
            granted=granted,
            outcome=Outcome.CHANGED,
            policies=(),
            reason=what,
            ticket_id=None,
            operator=operator,
        )


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
