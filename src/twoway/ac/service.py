"""Whether a requester gets a ticket: RFC 9200 section 5.8 as a pure decision.

A request, the proved identity, the picture of the registry and the time come in; an approval or a refusal
comes out. The steps stand in the order in which they are taken: who asks, what is asked, with which key, for
what, by which policy. An approval becomes a ticket when it is given a number, which is the database's to
give, together with the rows of ticket and audit. No CoAP, no database and no clock is touched here.

The rule that everything rests on: a ticket is bound to the key that the requester proved in the
handshake on which it asks, never to a key, a name or a ``kid`` that it merely mentions.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import NamedTuple

from twoway.ac.approval import EXPIRED, Approval, Asked, Asking, RefusedByPolicy, refusal
from twoway.ac.binding import bind, require_proved
from twoway.ac.decisions import Refusal
from twoway.ac.entity import Entity
from twoway.ac.picture import Picture
from twoway.ac.requester import NotAdmitted, Requester, identify
from twoway.ac.rights import Judgement, judge
from twoway.ac.signing_keys import PrivateSigningKey
from twoway.ac.ticket_record import TicketRecord
from twoway.identity import Identity
from twoway.tickets import (
    ErrorCode,
    KeyReference,
    Scope,
    TicketIssuer,
    TokenRequest,
    TokenRequestRejected,
)

_LIFETIME_MINIMUM = timedelta(seconds=1)
"""A response tells the lifetime in whole seconds, and none is not a lifetime."""


class NamedKey(NamedTuple):
    """The key of an earlier ticket."""

    kid: bytes
    """What it is called."""
    requester: str
    """Who says to have it."""
    audience: str
    """Where it serves."""


class TokenService:
    """The AC's judgement, on one picture.

    Args:
        picture: what is known.
        entropy: returns that many random bytes.
    """

    def __init__(self, picture: Picture, *, entropy: Callable[[int], bytes]) -> None:
        self._picture = picture
        self._entropy = entropy
        self._issuers: dict[PrivateSigningKey, TicketIssuer] = {}

    def read_untrusted(self, payload: bytes, asking: Asking) -> TokenRequest | Refusal:
        """Read the payload of a POST to the token endpoint. Raises nothing for what it holds."""
        try:
            return TokenRequest.parse_untrusted(payload, self._picture.numbers)
        except TokenRequestRejected as rejected:
            return refusal(rejected, asking, Asked())

    def named_key(self, request: TokenRequest, asking: Asking) -> NamedKey | None:
        """Return which key of an earlier ticket the request names, if it names one (RFC 9202 section 4)."""
        if not isinstance(request.req_cnf, KeyReference) or request.audience is None:
            return None
        try:
            requester = identify(asking.identity, self._picture.directory)
        except NotAdmitted:
            return None
        return NamedKey(request.req_cnf.kid, requester.uri, request.audience)

    def decide(
        self, request: TokenRequest, asking: Asking, *, earlier: TicketRecord | None = None
    ) -> Approval | Refusal:
        """Decide on a request that could be read.

        Args:
            request: what is asked.
            asking: by whom, from where, when.
            earlier: the ticket with the key of :meth:`named_key`, None if there is none.
        """
        asked = Asked(request.audience)
        try:
            asked = Asked(request.audience, request.requested_scope())
            requester = _admit(asking.identity, self._picture)
            _check_client_id(request, requester)
            require_proved(request, requester)
            publisher = _audience(request, self._picture)
            secret = self._picture.secrets.get(publisher.uri)
            confirmation = bind(
                request,
                requester,
                publisher,
                shares_secret=secret is not None,
                earlier=earlier,
                now=asking.now,
                entropy=self._entropy,
            )
            _check_lifetime(requester, asking.now)
            judgement = self._judge(asked.scope, requester.entity, publisher, asking)
        except TokenRequestRejected as rejected:
            return refusal(rejected, asking, asked)
        signer = self._picture.signing_keys.signer_at(asking.now)
        return Approval(
            request=request,
            asking=asking,
            asked=asked,
            requester=requester,
            publisher=publisher,
            confirmation=confirmation,
            judgement=judgement,
            issuer=self._issuer(signer),
            secret=secret,
            lifetime_seconds=self._picture.ticket_lifetime,
            is_signer_slow=signer.is_slow,
        )

    def _judge(self, asked: Scope | None, requester: Entity, publisher: Entity, asking: Asking) -> Judgement:
        """Ask the policies about every part of the request that the publisher offers at all."""
        offered = publisher.offer if asked is None else asked.intersect(publisher.offer)
        if not offered:
            raise TokenRequestRejected(
                ErrorCode.INVALID_SCOPE, "the publisher offers nothing of the requested scope"
            )
        circumstances = self._picture.surroundings.circumstances(asking.now, address=asking.host)
        judgement = judge(self._picture.policies, requester, publisher, offered, circumstances)
        if not judgement.granted:
            raise RefusedByPolicy(judgement)
        return judgement

    def _issuer(self, signer: PrivateSigningKey) -> TicketIssuer:
        """Return who issues with a key, made once for each: its ``kid`` is a hash."""
        if signer not in self._issuers:
            self._issuers[signer] = TicketIssuer(
                issuer=self._picture.issuer,
                private_key=signer.private_key,
                entropy=self._entropy,
                numbers=self._picture.numbers,
            )
        return self._issuers[signer]


def _admit(identity: Identity, picture: Picture) -> Requester:
    """Find out who asks, and whether they may ask for tickets at all."""
    try:
        requester = identify(identity, picture.directory)
    except NotAdmitted as refused:
        code = ErrorCode.INVALID_CLIENT if refused.is_unknown else ErrorCode.UNAUTHORIZED_CLIENT
        raise TokenRequestRejected(code, refused.what) from None
    if not requester.entity.may_ask:
        raise TokenRequestRejected(
            ErrorCode.UNAUTHORIZED_CLIENT, f"a {requester.entity.role.value} gets no tickets"
        )
    return requester


def _check_client_id(request: TokenRequest, requester: Requester) -> None:
    if request.client_id not in (None, requester.uri):
        raise TokenRequestRejected(
            ErrorCode.INVALID_CLIENT, "the client_id is not the identity that the handshake proved"
        )


def _check_lifetime(requester: Requester, now: datetime) -> None:
    """Check that there is time left for a ticket; a session may outlive its certificate."""
    if requester.not_after - now < _LIFETIME_MINIMUM:
        raise TokenRequestRejected(ErrorCode.INVALID_CLIENT, EXPIRED)


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
    return publisher
