"""Whether a requester gets a ticket: RFC 9200 section 5.8 as a pure decision.

A request, the proved identity, the picture of the registry and the time come in; an approval or a refusal
comes out. The steps stand in the order in which they are taken: who asks, what is asked, with which key, for
what, by which policy. An approval becomes a ticket when it is given a number, which is the database's to
give, together with the rows of ticket and audit. No CoAP, no database and no clock is touched here.

The rule that everything rests on: a ticket is bound to the key that the requester proved in the
handshake on which it asks, never to a key, a name or a ``kid`` that it merely mentions.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from ipaddress import ip_address

from twoway.ac.decisions import AuditEntry, Grant, Outcome, Refusal
from twoway.ac.entity import Entity
from twoway.ac.picture import Picture
from twoway.ac.requester import NotAdmitted, Requester, identify
from twoway.ac.rights import Judgement, judge
from twoway.ac.tickets import TicketRecord
from twoway.errors import CallerError
from twoway.identity import Identity
from twoway.pki import Role
from twoway.policy import Circumstances
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
    token_hash,
)

_REQUESTING_ROLES = frozenset({Role.SUBSCRIBER, Role.SINK, Role.CACHE})
"""Who reads from publishers. A publisher and an AC have nothing to ask for."""

_LIFETIME_MINIMUM = timedelta(seconds=1)
"""A response tells the lifetime in whole seconds, and none is not a lifetime."""

_EXPIRED = "the requester's certificate has expired"


@dataclass(frozen=True)
class Asking:
    """What surrounds a request."""

    identity: Identity
    """Who proved to be on the other end."""
    host: str
    """The address that it asks from, as the AC sees it."""
    now: datetime
    """Wall-clock time, aware."""


class TokenService:
    """The AC's judgement, on one picture.

    Args:
        picture: what is known.
        entropy: returns that many random bytes.
    """

    def __init__(self, picture: Picture, *, entropy: Callable[[int], bytes]) -> None:
        self._picture = picture
        self._entropy = entropy

    def decide_untrusted(self, payload: bytes, asking: Asking) -> Approval | Refusal:
        """Decide on the payload of a POST to the token endpoint. Raises nothing for what it holds."""
        try:
            request = TokenRequest.parse_untrusted(payload)
        except TokenRequestRejected as rejected:
            return _refusal(rejected, asking, _Asked())
        return self.decide(request, asking)

    def decide(self, request: TokenRequest, asking: Asking) -> Approval | Refusal:
        """Decide on a request that could be read."""
        asked = _Asked(request.audience)
        try:
            asked = _Asked(request.audience, request.requested_scope())
            requester = _admit(asking.identity, self._picture)
            _check_request(request, requester)
            publisher = _audience(request, self._picture)
            confirmation = _confirmation(requester, publisher)
            _check_lifetime(requester, asking.now)
            judgement = self._judge(asked.scope, requester.entity, publisher, asking)
        except TokenRequestRejected as rejected:
            return _refusal(rejected, asking, asked)
        return Approval(
            request=request,
            asking=asking,
            asked=asked,
            requester=requester,
            publisher=publisher,
            confirmation=confirmation,
            judgement=judgement,
            issuer=self._issuer(asking.now),
            lifetime_seconds=self._picture.ticket_lifetime,
        )

    def _judge(self, asked: Scope | None, requester: Entity, publisher: Entity, asking: Asking) -> Judgement:
        """Ask the policies about every part of the request that the publisher offers at all."""
        offered = publisher.offer if asked is None else asked.intersect(publisher.offer)
        if not offered:
            raise TokenRequestRejected(
                ErrorCode.INVALID_SCOPE, "the publisher offers nothing of the requested scope"
            )
        address = ip_address(asking.host.partition("%")[0])
        circumstances = Circumstances(asking.now, address=address)
        judgement = judge(self._picture.policies, requester, publisher, offered, circumstances)
        if not judgement.granted:
            raise _RefusedByPolicy(judgement)
        return judgement

    def _issuer(self, now: datetime) -> TicketIssuer:
        return TicketIssuer(
            issuer=self._picture.issuer,
            private_key=self._picture.signing_keys.signer_at(now).private_key,
            entropy=self._entropy,
        )


@dataclass(frozen=True)
class Approval:
    """A ticket may be issued: everything is decided but its number."""

    request: TokenRequest
    asking: Asking
    asked: _Asked
    requester: Requester
    publisher: Entity
    confirmation: Confirmation
    judgement: Judgement
    issuer: TicketIssuer
    lifetime_seconds: int

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
            )
        except HolderExpired:
            raise TokenRequestRejected(ErrorCode.INVALID_CLIENT, _EXPIRED) from None
        except CallerError:
            # The one that a requester can cause: the scope makes a ticket larger than publishers take.
            raise TokenRequestRejected(
                ErrorCode.INVALID_SCOPE, "the scope does not fit into one ticket; ask for fewer resources"
            ) from None
        grant = Grant(self._response(ticket), self._entry(ticket))
        return self._record(ticket), grant.entry, grant

    def refuse(self, rejected: TokenRequestRejected) -> Refusal:
        """Return the refusal for what came up when the ticket was issued."""
        return _refusal(rejected, self.asking, self.asked)

    def _response(self, ticket: Ticket) -> TokenResponse:
        """Word the answer; the scope is returned where it differs from what was asked (RFC 9200 5.8.2)."""
        return TokenResponse(
            access_token=ticket.encoded,
            expires_in=int((ticket.expires_at - self.asking.now).total_seconds()),
            scope=None if ticket.scope == self.asked.scope else ticket.scope.encode(),
            # The subscriber is to meet this very publisher: any other certified node could pose as it.
            rs_cnf_spki=self.publisher.spki,
            ace_profile=Profile.COAP_DTLS if self.request.ace_profile_asked else None,
        )

    def _record(self, ticket: Ticket) -> TicketRecord:
        return TicketRecord(
            ticket_id=ticket.ticket_id,
            token_hash=token_hash(ticket.encoded),
            requester=ticket.subject,
            audience=ticket.audience,
            holder_key=hashlib.sha256(self.requester.proved.spki).digest(),
            certificate_sha256=self.requester.certificate_sha256,
            scope=ticket.scope.encode(),
            kid=None,
            issued_at=ticket.issued_at,
            expires_at=ticket.expires_at,
        )

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


def _admit(identity: Identity, picture: Picture) -> Requester:
    """Find out who asks, and whether they may ask for tickets at all."""
    try:
        requester = identify(identity, picture.directory)
    except NotAdmitted as refused:
        code = ErrorCode.INVALID_CLIENT if refused.is_unknown else ErrorCode.UNAUTHORIZED_CLIENT
        raise TokenRequestRejected(code, refused.what) from None
    role = requester.entity.role
    if role not in _REQUESTING_ROLES:
        raise TokenRequestRejected(ErrorCode.UNAUTHORIZED_CLIENT, f"a {role.value} gets no tickets")
    return requester


def _check_request(request: TokenRequest, requester: Requester) -> None:
    """Check what the request says about its sender, first of all the key to bind the ticket to."""
    request.require_holder(requester.proved.spki)
    if request.client_id not in (None, requester.uri):
        raise TokenRequestRejected(
            ErrorCode.INVALID_CLIENT, "the client_id is not the identity that the handshake proved"
        )


def _check_lifetime(requester: Requester, now: datetime) -> None:
    """Check that there is time left for a ticket; a session may outlive its certificate."""
    if requester.not_after - now < _LIFETIME_MINIMUM:
        raise TokenRequestRejected(ErrorCode.INVALID_CLIENT, _EXPIRED)


def _audience(request: TokenRequest, picture: Picture) -> Entity:
    """Find the publisher that the ticket is for."""
    if request.audience is None:
        raise TokenRequestRejected(
            ErrorCode.INVALID_REQUEST, "the audience is required: a publisher's identity"
        )
    publisher = picture.directory.publisher(request.audience)
    if publisher is None:
        # No code of its own exists; nothing can be granted there, which is what invalid_scope says.
        raise TokenRequestRejected(ErrorCode.INVALID_SCOPE, "the audience is not a publisher known here")
    if publisher.spki is None:
        raise TokenRequestRejected(
            ErrorCode.INCOMPATIBLE_ACE_PROFILES, "the publisher has no certificate, hence takes no tickets"
        )
    return publisher


def _confirmation(requester: Requester, publisher: Entity) -> Confirmation:
    """Return what the ticket is bound to: the proved key, in the form that the publisher knows."""
    try:
        return Confirmation.of_key(requester.proved.spki, compact=publisher.compact_tickets)
    except UnusableKey:
        raise TokenRequestRejected(
            ErrorCode.UNSUPPORTED_POP_KEY, "no ticket can be bound to this kind of key"
        ) from None


def _refusal(rejected: TokenRequestRejected, asking: Asking, asked: _Asked) -> Refusal:
    reason = rejected.error.description or rejected.error.code.label
    policies: tuple[str, ...] = ()
    if isinstance(rejected, _RefusedByPolicy):
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
