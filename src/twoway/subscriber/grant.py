"""What of the AC's answers is believed: the rules, without network, clock or disk.

1. :func:`take_grant_untrusted`: a ticket is taken only if its lifetime is known, the profile is DTLS's,
   its key is ours, and the key that the AC knows for the publisher is the one that the publisher proved.
   A ticket for another publisher, mixed up or replayed, fails here. Where the publisher has no certificate,
   the ticket has to come with a symmetric key.
2. :func:`refusal_untrusted`: what the AC says when it refuses is passed on as text that cannot do harm,
   with the command by which its operator sees why.
3. :func:`revoked_untrusted`: of our own tickets, those are given up that the AC lists as revoked.
"""

from __future__ import annotations

import hmac
from dataclasses import dataclass
from datetime import timedelta

from twoway.errors import PeerError, RefusedError, TwowayError
from twoway.identity import X509Identity
from twoway.subscriber.audience import Audience
from twoway.subscriber.instant import Instant
from twoway.subscriber.reference import ACReference
from twoway.subscriber.wallet import HeldTicket, TicketKey
from twoway.subscriber.wording import ask_the_operator, check_command, diagnostic, excerpt
from twoway.tickets import (
    CONTENT_FORMAT_ACE,
    CONTENT_FORMAT_TRL,
    Confirmation,
    ErrorCode,
    FullSet,
    KeyReference,
    Method,
    Profile,
    RequestedKey,
    Scope,
    SymmetricConfirmation,
    TokenError,
    TokenResponse,
    WrongKey,
)

_A_MATTER_OF_RIGHTS = (ErrorCode.INVALID_CLIENT, ErrorCode.UNAUTHORIZED_CLIENT, ErrorCode.INVALID_SCOPE)
"""Refusals that the AC's registry and policies explain; the others are about the request itself."""


class KeyNotKnown(RefusedError):
    """The AC makes no ticket for the key that the request names."""


@dataclass(frozen=True, slots=True)
class Ask:
    """What a token request asked for, to hold the answer against."""

    audience: Audience
    """The publisher."""
    target: str
    """The path and query to be read."""
    scope: Scope
    """The scope that was asked for; it covers :attr:`target`."""
    own: X509Identity
    """Who asked; the ticket shall be bound to this key."""
    asked_at: Instant
    """When the request was made."""
    kid: bytes | None = None
    """The name of the key of a running association, where its rights shall change and the key stay."""

    @property
    def requested_key(self) -> RequestedKey | None:
        """What ``req_cnf`` says: our certified key; at a publisher without certificates the key that we have
        already, or none, which asks for a new one (RFC 9201 section 3.1, RFC 9202 sections 3.3.1 and 4)."""
        if self.audience.spki is not None:
            return Confirmation.of_key(self.own.spki)
        return None if self.kid is None else KeyReference(self.kid)

    @property
    def check_command(self) -> str:
        """The command by which the AC's operator sees what decides about this request."""
        return check_command(self.own.uri, self.audience.uri, self.target)


def take_grant_untrusted(
    payload: bytes, content_format: int | None, *, ask: Ask, ac: ACReference
) -> HeldTicket:
    """Check the AC's answer to ``ask`` and return the ticket in it.

    Raises:
        PeerError: the answer is malformed, or the ticket in it is not the one that was asked for.
        RefusedError: the AC grants something, but not what is to be read.
    """
    where = ac.uri
    if content_format != CONTENT_FORMAT_ACE:
        raise PeerError(f"the AC answered with content format {content_format}, not 19", where=where)
    response = TokenResponse.parse_untrusted(payload, ac.numbers)
    if response.ace_profile != Profile.COAP_DTLS:
        raise PeerError("the AC's ticket is not for the DTLS profile of RFC 9202", where=where)
    key = None
    if ask.audience.spki is None:
        key = _ticket_key(response, ask, where=where)
    else:
        _require_publisher_key(response.rs_cnf_spki, ask.audience.uri, ask.audience.spki, where=where)
        response.require_holder(ask.own.spki, ask.own.chain[0])
    scope = ask.scope if response.scope is None else Scope.parse_untrusted(response.scope)
    if not scope.permits(ask.target, Method.GET):
        raise RefusedError(
            f"the AC grants other rights, but not to read {ask.target}",
            where=ask.audience.uri,
            remedy=ask_the_operator(ask.check_command),
        )
    return HeldTicket(
        response.access_token,
        scope=scope,
        asked_at=ask.asked_at,
        lifetime=timedelta(seconds=response.expires_in),
        key=key,
    )


def refusal_untrusted(
    payload: bytes, content_format: int | None, code: str, *, ask: Ask, ac: ACReference
) -> TwowayError:
    """Turn the AC's unsuccessful answer into the error to raise.

    Args:
        payload: the answer's payload, anything at all.
        content_format: its content format.
        code: the response code as text, ``4.00 Bad Request``.
        ask: what was asked for.
        ac: who answered.
    """
    if content_format == CONTENT_FORMAT_ACE:
        try:
            error = TokenError.parse_untrusted(payload)
        except PeerError:
            return PeerError(f"the AC answered {code} and an error that cannot be read", where=ac.uri)
        words = f": {excerpt(error.description)}" if error.description else ""
        explained = error.code in _A_MATTER_OF_RIGHTS
        kind = KeyNotKnown if error.code is ErrorCode.UNSUPPORTED_POP_KEY else RefusedError
        return kind(
            f"the AC refuses a ticket ({error.code.label}){words}",
            where=ac.identity,
            remedy=ask_the_operator(ask.check_command) if explained else None,
        )
    return PeerError(f"the AC answered {code}{diagnostic(payload, content_format)}", where=ac.uri)


def revoked_untrusted(
    payload: bytes, content_format: int | None, code: str, *, ac: ACReference
) -> frozenset[bytes]:
    """Read the AC's list of our revoked tickets (RFC 9770 section 7) and return their token hashes.

    Args:
        payload: the answer's payload, anything at all.
        content_format: its content format.
        code: the response code as text, ``2.05 Content``.
        ac: who answered.

    Raises:
        PeerError: it is no such list.
    """
    if content_format != CONTENT_FORMAT_TRL:
        raise PeerError(
            f"the AC answered {code} and no list of revoked tickets{diagnostic(payload, content_format)}",
            where=ac.trl_uri,
        )
    return FullSet.parse_untrusted(payload).hashes


def _require_publisher_key(known: bytes | None, publisher: str, proved: bytes, *, where: str) -> None:
    """Check that the publisher proved the key that the AC knows for it: another node with a good certificate
    cannot pose as it."""
    if known is None:
        raise PeerError(f"the AC does not say with which key {publisher} proves itself", where=where)
    try:
        Confirmation.of_key(known).require_key(proved)
    except WrongKey:
        raise PeerError(
            f"the key that the AC knows for {publisher} is not the one that this publisher proved",
            where=where,
            remedy="do not use this publisher; if its key was renewed, let the AC know the new certificate",
        ) from None


def _ticket_key(response: TokenResponse, ask: Ask, *, where: str) -> TicketKey:
    """Return the key that the AC made for us and the publisher (RFC 9202 section 3.3.2)."""
    cnf = response.cnf
    if not isinstance(cnf, SymmetricConfirmation) or cnf.key is None:
        raise PeerError(f"the AC sends no key to meet {ask.audience.uri} with", where=where)
    if 0 in cnf.kid:
        raise PeerError("the name of the AC's key holds a zero byte, where many stacks end it", where=where)
    if ask.kid is not None and not hmac.compare_digest(cnf.kid, ask.kid):
        raise PeerError("the AC's ticket is for another key than that of the association", where=where)
    return TicketKey(cnf.kid, cnf.key)
