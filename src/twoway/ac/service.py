"""Whether a requester gets a ticket: RFC 9200 section 5.8 as a pure decision.

Bytes, the proved identity, the picture of the registry and the time come in; a grant or a refusal comes
out, each with its record for the audit. The steps stand in the order in which they are taken: who asks,
what is asked, with which key, for what, by which policy; the ticket is made last. No CoAP, no database
and no clock is touched here.

The rule that everything rests on: a ticket is bound to the key that the requester proved in the
handshake on which it asks, never to a key, a name or a ``kid`` that it merely mentions.
"""

from __future__ import annotations

import hmac
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from twoway.ac.decisions import Answer, AuditEntry, Grant, Outcome, Refusal
from twoway.ac.directory import Directory
from twoway.ac.entity import Entity
from twoway.ac.rights import Judgement, judge
from twoway.errors import CallerError
from twoway.identity import Identity, X509Identity
from twoway.policy import Circumstances, PolicySet
from twoway.tickets import (
    Confirmation,
    ErrorCode,
    HolderExpired,
    Profile,
    Scope,
    Ticket,
    TicketIssuer,
    TokenRequest,
    TokenRequestRejected,
    TokenResponse,
    UnusableKey,
    ticket_id,
)

_LIFETIME_MINIMUM = timedelta(seconds=1)
"""A response tells the lifetime in whole seconds, and none is not a lifetime."""

_EXPIRED = "the requester's certificate has expired"


class TokenService:
    """The AC's judgement.

    Args:
        issuer: makes the tickets.
        policies: the rights.
        ticket_lifetime: the longest life of a ticket, in seconds.
        sequence: returns a number that is higher than all that it returned before.
    """

    def __init__(
        self, *, issuer: TicketIssuer, policies: PolicySet, ticket_lifetime: int, sequence: Callable[[], int]
    ) -> None:
        self._issuer = issuer
        self._sequence = sequence
        self._policies = policies
        self._ticket_lifetime = ticket_lifetime

    def decide_untrusted(
        self, payload: bytes, *, requester: Identity, directory: Directory, now: datetime
    ) -> Answer:
        """Decide on the payload of a POST to the token endpoint. Raises nothing for what it holds.

        Args:
            payload: the request in CBOR, as it came.
            requester: who proved to be on the other end.
            directory: the registry's current picture.
            now: wall-clock time, aware.
        """
        try:
            request = TokenRequest.parse_untrusted(payload)
        except TokenRequestRejected as rejected:
            return _refusal(rejected, requester, _Asked(), now)
        return self.decide(request, requester=requester, directory=directory, now=now)

    def decide(
        self, request: TokenRequest, *, requester: Identity, directory: Directory, now: datetime
    ) -> Answer:
        """Decide on a request that could be read; see :meth:`decide_untrusted`."""
        asked = _Asked(request.audience)
        try:
            asked = _Asked(request.audience, request.requested_scope())
            holder, known = _admit(requester, directory)
            _check_request(request, holder)
            publisher = _audience(request, directory)
            judgement = self._judge(asked.scope, known, publisher, now)
            ticket = self._issue(judgement.granted, holder, publisher, now, cnonce=request.cnonce)
        except TokenRequestRejected as rejected:
            return _refusal(rejected, requester, asked, now)
        return _grant(
            ticket, request, asked=asked.scope, judgement=judgement, rs_spki=publisher.spki, now=now
        )

    def _judge(self, asked: Scope | None, known: Entity, publisher: Entity, now: datetime) -> Judgement:
        """Ask the policies about every part of the request that the publisher offers at all."""
        offered = publisher.offer if asked is None else asked.intersect(publisher.offer)
        if not offered:
            raise TokenRequestRejected(
                ErrorCode.INVALID_SCOPE, "the publisher offers nothing of the requested scope"
            )
        judgement = judge(self._policies, known, publisher, offered, Circumstances(now))
        if not judgement.granted:
            raise _RefusedByPolicy(judgement)
        return judgement

    def _issue(
        self, scope: Scope, holder: X509Identity, publisher: Entity, now: datetime, *, cnonce: bytes | None
    ) -> Ticket:
        """Make the ticket; it never outlives the requester's certificate (RFC 9200 section 5.8.1: the nonce
        that the publisher handed out is copied into it)."""
        try:
            ticket = self._issuer.issue(
                subject=holder.uri,
                audience=publisher.uri,
                scope=scope,
                confirmation=Confirmation.of_key(holder.spki, compact=publisher.compact_tickets),
                ticket_id=ticket_id(publisher.uri, self._sequence()),
                now=now,
                lifetime_seconds=self._ticket_lifetime,
                not_after=holder.not_after,
                cnonce=cnonce,
            )
        except HolderExpired:
            raise TokenRequestRejected(ErrorCode.INVALID_CLIENT, _EXPIRED) from None
        except UnusableKey:
            raise TokenRequestRejected(
                ErrorCode.UNSUPPORTED_POP_KEY, "no ticket can be bound to this kind of key"
            ) from None
        except CallerError:
            # The one that a requester can cause: the scope makes a ticket larger than publishers take.
            raise TokenRequestRejected(
                ErrorCode.INVALID_SCOPE, "the scope does not fit into one ticket; ask for fewer resources"
            ) from None
        if ticket.expires_at - now < _LIFETIME_MINIMUM:
            raise TokenRequestRejected(ErrorCode.INVALID_CLIENT, _EXPIRED)
        return ticket


class _RefusedByPolicy(TokenRequestRejected):
    """Policies decided, and granted nothing."""

    def __init__(self, judgement: Judgement) -> None:
        super().__init__(ErrorCode.INVALID_SCOPE, f"refused by policy: {', '.join(judgement.refused_by)}")
        self.judgement = judgement


@dataclass(frozen=True)
class _Asked:
    """What is known of the question at the time of a refusal."""

    audience: str | None = None
    scope: Scope | None = None


def _admit(requester: Identity, directory: Directory) -> tuple[X509Identity, Entity]:
    """Find out who asks; the handshake has authenticated them, the registry must know them."""
    if not isinstance(requester, X509Identity):
        raise TokenRequestRejected(
            ErrorCode.UNAUTHORIZED_CLIENT, "a ticket is bound to a certified key; ask with a certificate"
        )
    known = directory.requester(requester.uri)
    if known is None:
        raise TokenRequestRejected(ErrorCode.INVALID_CLIENT, "the requester is not registered here")
    if not known.may_ask:
        raise TokenRequestRejected(ErrorCode.UNAUTHORIZED_CLIENT, f"a {known.role.value} gets no tickets")
    if known.spki is not None and not hmac.compare_digest(known.spki, requester.spki):
        # Certified by an authority that we trust, but not as the registry has it: the identity was issued
        # again since, or behind the ledger's back.
        raise TokenRequestRejected(ErrorCode.INVALID_CLIENT, "the requester's key is not the registered one")
    return requester, known


def _check_request(request: TokenRequest, holder: X509Identity) -> None:
    """Check what the request says about its sender, first of all the key to bind the ticket to."""
    request.require_holder(holder.spki)
    if request.client_id not in (None, holder.uri):
        raise TokenRequestRejected(
            ErrorCode.INVALID_CLIENT, "the client_id is not the identity that the handshake proved"
        )


def _audience(request: TokenRequest, directory: Directory) -> Entity:
    """Find the publisher that the ticket is for."""
    if request.audience is None:
        raise TokenRequestRejected(
            ErrorCode.INVALID_REQUEST, "the audience is required: a publisher's identity"
        )
    publisher = directory.publisher(request.audience)
    if publisher is None:
        # No code of its own exists; nothing can be granted there, which is what invalid_scope says.
        raise TokenRequestRejected(ErrorCode.INVALID_SCOPE, "the audience is not a publisher known here")
    if publisher.spki is None:
        raise TokenRequestRejected(
            ErrorCode.INCOMPATIBLE_ACE_PROFILES, "the publisher has no certificate, hence takes no tickets"
        )
    return publisher


def _grant(
    ticket: Ticket,
    request: TokenRequest,
    *,
    asked: Scope | None,
    judgement: Judgement,
    rs_spki: bytes | None,
    now: datetime,
) -> Grant:
    """Word the answer; the scope is returned where it differs from what was asked (RFC 9200 5.8.2)."""
    response = TokenResponse(
        access_token=ticket.encoded,
        expires_in=int((ticket.expires_at - now).total_seconds()),
        scope=None if ticket.scope == asked else ticket.scope.encode(),
        # The subscriber is to meet this very publisher: any other certified node could pose as it.
        rs_cnf_spki=rs_spki,
        ace_profile=Profile.COAP_DTLS if request.ace_profile_asked else None,
    )
    left_out = f"; left out by policy: {', '.join(judgement.refused_by)}" if judgement.refused_by else ""
    entry = AuditEntry(
        at=now,
        requester=ticket.subject,
        audience=ticket.audience,
        requested=None if asked is None else str(asked),
        granted=str(ticket.scope),
        outcome=Outcome.GRANTED,
        policies=judgement.granted_by,
        reason=_with_errors(f"granted by policy: {', '.join(judgement.granted_by)}{left_out}", judgement),
        ticket_id=ticket.ticket_id,
    )
    return Grant(response, entry)


def _refusal(rejected: TokenRequestRejected, requester: Identity, asked: _Asked, now: datetime) -> Refusal:
    reason = rejected.error.description or rejected.error.code.label
    policies: tuple[str, ...] = ()
    if isinstance(rejected, _RefusedByPolicy):
        reason = _with_errors(reason, rejected.judgement)
        policies = rejected.judgement.refused_by
    entry = AuditEntry(
        at=now,
        requester=requester.uri,
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
