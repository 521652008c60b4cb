"""Tickets as a publisher judges them, by itself and offline.

Owns the order of the checks (RFC 9200 section 5.10.1.1): shape, signature, claims, issuer, time, audience,
scope, profile, key. The first that fails gives the reason, so that a stranger learns nothing about later
ones. There is no leeway in time. Must never grant anything by itself: the result counts only together
with the key that the peer proved.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from cryptography.hazmat.primitives.asymmetric import ec

from twoway import strict_cbor
from twoway.errors import ConfigurationError
from twoway.tickets import cose
from twoway.tickets.aif import MalformedScope, Scope
from twoway.tickets.claims import Claims
from twoway.tickets.confirmation import Confirmation
from twoway.tickets.cose_key import UnusableKey
from twoway.tickets.iana import Profile
from twoway.tickets.key_set import SigningKey, require_p256
from twoway.tickets.ticket import MAX_TICKET_BYTES, Ticket, TicketReason, TicketRejected, require_within

_REASON_BY_FAULT = {
    cose.COSEFault.MALFORMED: TicketReason.MALFORMED,
    cose.COSEFault.UNSUPPORTED_PROTECTION: TicketReason.UNSUPPORTED_PROTECTION,
    cose.COSEFault.BAD_SIGNATURE: TicketReason.BAD_SIGNATURE,
}


@dataclass(frozen=True)
class TrustedIssuer:
    """An AC whose tickets a publisher accepts.

    Raises:
        ConfigurationError: a key is not on P-256.
    """

    uri: str
    """Its identity, which tickets carry in ``iss``."""
    public_keys: tuple[ec.EllipticCurvePublicKey, ...]
    """The keys that sign its tickets: one, or several while one takes the place of another."""

    def __post_init__(self) -> None:
        for key in self.public_keys:
            require_p256(key, self.uri)


@dataclass(frozen=True)
class _TrustedKey:
    issuer: TrustedIssuer
    public_key: ec.EllipticCurvePublicKey


class TicketVerifier:
    """Judges tickets for one publisher.

    Args:
        audience: the publisher's own identity URI.
        issuers: the ACs that it trusts, each with its own keys. Without any, every ticket is refused.

    Raises:
        ConfigurationError: two issuers have the same key.
    """

    def __init__(self, *, audience: str, issuers: Sequence[TrustedIssuer]) -> None:
        self._audience = audience
        self._keys: dict[bytes, _TrustedKey] = {}
        for issuer in issuers:
            for public_key in issuer.public_keys:
                key = _TrustedKey(issuer, public_key)
                other = self._keys.setdefault(SigningKey(public_key).key_id, key)
                if other is not key:
                    raise ConfigurationError(
                        f"it signs tickets with the same key as {other.issuer.uri}",
                        where=issuer.uri,
                        remedy="name each AC once, and each key once",
                    )

    def verify_untrusted(self, encoded: bytes, *, now: datetime) -> Ticket:
        """Check everything that can be checked without the peer and return the ticket.

        Raises:
            TicketRejected: with the reason of the first check that failed.
        """
        issuer, payload = self._authenticated(encoded)
        claims = _claims(payload)
        if claims.issuer != issuer.uri:
            raise TicketRejected(TicketReason.UNKNOWN_ISSUER)
        if claims.expires_at is None:
            raise TicketRejected(TicketReason.EXPIRED)
        require_within(now, not_before=claims.not_before, expires_at=claims.expires_at)
        if claims.audience != self._audience:
            raise TicketRejected(TicketReason.WRONG_AUDIENCE)
        scope = _scope(claims.scope)
        if type(claims.ace_profile) is not int or claims.ace_profile != Profile.COAP_DTLS:
            raise TicketRejected(TicketReason.UNSUPPORTED_PROFILE)
        return Ticket(
            issuer=claims.issuer,
            subject=claims.subject,
            audience=claims.audience,
            issued_at=claims.issued_at,
            expires_at=claims.expires_at,
            not_before=claims.not_before,
            ticket_id=claims.ticket_id,
            sequence=claims.sequence,
            scope=scope,
            confirmation=_confirmation(claims.confirmation),
            cnonce=claims.cnonce,
            encoded=encoded,
        )

    def _authenticated(self, encoded: bytes) -> tuple[TrustedIssuer, bytes]:
        """Find the issuer by ``kid`` and verify its signature; only then is there a payload."""
        if len(encoded) > MAX_TICKET_BYTES:
            raise TicketRejected(TicketReason.MALFORMED)
        try:
            message = cose.parse1_untrusted(encoded)
            key = self._keys.get(message.key_id) if message.key_id is not None else None
            if key is None:
                raise TicketRejected(TicketReason.UNKNOWN_ISSUER)
            message.verify(key.public_key)
        except cose.COSERejected as rejected:
            raise TicketRejected(_REASON_BY_FAULT[rejected.fault]) from None
        return key.issuer, message.payload


def _claims(payload: bytes) -> Claims:
    try:
        return Claims.from_map_untrusted(strict_cbor.decode_untrusted(payload))
    except strict_cbor.MalformedCBOR:
        raise TicketRejected(TicketReason.MALFORMED_CLAIMS) from None


def _scope(value: object) -> Scope:
    if not isinstance(value, bytes):
        raise TicketRejected(TicketReason.BAD_SCOPE)
    try:
        return Scope.parse_untrusted(value)
    except MalformedScope:
        raise TicketRejected(TicketReason.BAD_SCOPE) from None


def _confirmation(value: object) -> Confirmation:
    try:
        return Confirmation.parse_untrusted(value)
    except UnusableKey:
        raise TicketRejected(TicketReason.NO_CONFIRMATION) from None
