"""What becomes of a request once it is decided: a ticket with its rows and its answer, or a refusal with its.

It owns the words of both, for the requester and for the audit. It decides nothing. An approval becomes a
ticket when it is given a number, within the transaction that writes the rows; what it answers may leave only
after that has returned.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from twoway.ac.config import LIFETIME_MAXIMUM_SECONDS
from twoway.ac.decisions import AuditEntry, Grant, Outcome, Refusal
from twoway.ac.entity import Entity
from twoway.ac.requester import Requester
from twoway.ac.rights import Judgement
from twoway.ac.ticket_record import TicketRecord
from twoway.errors import CallerError
from twoway.identity import Identity
from twoway.tickets import (
    AnyConfirmation,
    ErrorCode,
    HolderExpired,
    KeyReference,
    Profile,
    Scope,
    SharedSecret,
    SymmetricConfirmation,
    Ticket,
    TicketIssuer,
    TokenRequest,
    TokenRequestRejected,
    TokenResponse,
    ticket_id,
    token_hash,
)

EXPIRED = "the requester's certificate has expired"

_KEPT_BACK = timedelta(seconds=LIFETIME_MAXIMUM_SECONDS)
"""How long a ticket without a point in time may be kept back and its revocation still be listed."""


@dataclass(frozen=True)
class Asking:
    """What surrounds a request."""

    identity: Identity
    """Who proved to be on the other end."""
    host: str
    """The address that it asks from, as the AC sees it."""
    now: datetime
    """Wall-clock time, aware."""


@dataclass(frozen=True)
class Asked:
    """What was asked for, as far as it could be read."""

    audience: str | None = None
    """The publisher."""
    scope: Scope | None = None
    """The scope; None is everything that the publisher offers."""


@dataclass(frozen=True)
class Approval:
    """A ticket may be issued: everything is decided but its number."""

    request: TokenRequest
    asking: Asking
    asked: Asked
    requester: Requester
    publisher: Entity
    confirmation: AnyConfirmation
    judgement: Judgement
    issuer: TicketIssuer
    secret: SharedSecret | None
    lifetime_seconds: int
    is_signer_slow: bool = False
    """Whether the key that signs is in a token."""

    def issue(self, number: int) -> tuple[TicketRecord, AuditEntry, Grant]:
        """Make the ticket with this number, its rows, and the answer that may leave once they are written.

        It never outlives the requester's certificate, and a nonce that the publisher handed out is copied
        into it (RFC 9200 section 5.8.1).

        Raises:
            TokenRequestRejected: the scope makes a ticket larger than publishers take.
        """
        try:
            ticket = self.issuer.issue(
                subject=self.requester.uri,
                audience=self.publisher.uri,
                scope=self.judgement.granted,
                confirmation=self.confirmation,
                ticket_id=ticket_id(self.publisher.uri, number),
                now=self.asking.now,
                lifetime_seconds=self.lifetime_seconds,
                not_after=self.requester.not_after,
                cnonce=self.request.cnonce,
                exi=self.lifetime_seconds if self.publisher.is_clockless else None,
                secret=self.secret if self._is_symmetric else None,
            )
        except HolderExpired:
            raise TokenRequestRejected(ErrorCode.INVALID_CLIENT, EXPIRED) from None
        except CallerError:
            # The one that a requester can cause: the scope makes a ticket larger than publishers take.
            raise TokenRequestRejected(
                ErrorCode.INVALID_SCOPE, "the scope does not fit into one ticket; ask for fewer resources"
            ) from None
        grant = Grant(self._response(ticket), self._entry(ticket))
        return self._record(ticket), grant.entry, grant

    @property
    def is_slow(self) -> bool:
        """Whether :meth:`issue` waits for a token; a ticket that is encrypted is not signed."""
        return self.is_signer_slow and not self._is_symmetric

    @property
    def keeps_key(self) -> bool:
        """Whether the ticket is bound to the symmetric key of an earlier one (RFC 9202 section 4)."""
        return isinstance(self.request.req_cnf, KeyReference)

    def refuse(self, rejected: TokenRequestRejected) -> Refusal:
        """Return the refusal for what came up when the ticket was issued."""
        return refusal(rejected, self.asking, self.asked)

    def _response(self, ticket: Ticket) -> TokenResponse:
        """Word the answer; the scope is returned where it differs from what was asked (RFC 9200 5.8.2)."""
        return TokenResponse(
            access_token=ticket.encoded,
            expires_in=int((ticket.expires_at - self.asking.now).total_seconds()),
            scope=None if ticket.scope == self.asked.scope else ticket.scope.encode(),
            # The subscriber is to meet this very publisher: any other certified node could pose as it. With
            # a symmetric key nobody else can, and RFC 9201 section 3.2 wants no other key beside it.
            rs_cnf_spki=None if self._is_symmetric else self.publisher.spki,
            cnf=ticket.confirmation if self._is_symmetric else None,
            ace_profile=Profile.COAP_DTLS if self.request.ace_profile_asked else None,
        )

    def _record(self, ticket: Ticket) -> TicketRecord:
        return TicketRecord(
            ticket_id=ticket.ticket_id,
            token_hash=token_hash(ticket.encoded),
            requester=ticket.subject,
            audience=ticket.audience,
            holder_key=None if self._is_symmetric else self.requester.proved.spki_sha256,
            certificate_sha256=self.requester.certificate_sha256,
            scope=ticket.scope.encode(),
            kid=ticket.confirmation.kid if isinstance(ticket.confirmation, SymmetricConfirmation) else None,
            issued_at=ticket.issued_at,
            # A holder may keep back a ticket whose seconds begin when the publisher sees it: its row, and a
            # revocation of it, are kept for as long as a ticket may live at all, and begin to count late.
            expires_at=ticket.expires_at if ticket.exi is None else ticket.expires_at + _KEPT_BACK,
            exi=ticket.exi,
        )

    @property
    def _is_symmetric(self) -> bool:
        return isinstance(self.confirmation, SymmetricConfirmation)

    def _entry(self, ticket: Ticket) -> AuditEntry:
        judgement = self.judgement
        left_out = f"; left out by policy: {', '.join(judgement.refused_by)}" if judgement.refused_by else ""
        return AuditEntry(
            at=self.asking.now,
            requester=ticket.subject,
            audience=ticket.audience,
            requested=None if self.asked.scope is None else str(self.asked.scope),
            granted=str(ticket.scope),
            outcome=Outcome.GRANTED,
            policies=judgement.granted_by,
            reason=_with_errors(f"granted by policy: {', '.join(judgement.granted_by)}{left_out}", judgement),
            ticket_id=ticket.ticket_id,
        )


class RefusedByPolicy(TokenRequestRejected):
    """Policies decided, and granted nothing."""

    def __init__(self, judgement: Judgement) -> None:
        super().__init__(ErrorCode.INVALID_SCOPE, f"refused by policy: {', '.join(judgement.refused_by)}")
        self.judgement = judgement


def refusal(rejected: TokenRequestRejected, asking: Asking, asked: Asked) -> Refusal:
    """Return the answer and the row of a request that gets no ticket."""
    reason = rejected.error.description or rejected.error.code.label
    policies: tuple[str, ...] = ()
    if isinstance(rejected, RefusedByPolicy):
        reason = _with_errors(reason, rejected.judgement)
        policies = rejected.judgement.refused_by
    entry = AuditEntry(
        at=asking.now,
        requester=asking.identity.uri,
        audience=asked.audience,
        requested=None if asked.scope is None else str(asked.scope),
        granted=None,
        outcome=Outcome.REFUSED,
        policies=policies,
        reason=reason,
        ticket_id=None,
    )
    return Refusal(rejected.error, entry)


def _with_errors(reason: str, judgement: Judgement) -> str:
    """Add what could not be judged: for the audit alone, it tells of the registry and the policies."""
    return "; ".join([reason, *judgement.errors])
