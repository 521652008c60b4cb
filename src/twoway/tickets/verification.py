"""Tickets as a publisher judges them, by itself and offline.

Owns the order of the checks (RFC 9200 section 5.10.1.1): shape, signature, claims, issuer, time, audience,
scope, profile, key. The first that fails gives the reason, so that a stranger learns nothing about later
ones. There is no leeway in time. Must never grant anything by itself: the result counts only together
with the key that the peer proved.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from cryptography.hazmat.primitives.asymmetric import ec

from twoway import strict_cbor
from twoway.errors import ConfigurationError
from twoway.tickets import cose
from twoway.tickets.aif import MalformedScope, Scope
from twoway.tickets.confirmation import Confirmation
from twoway.tickets.cose_key import UnusableKey
from twoway.tickets.iana import Claim, Profile
from twoway.tickets.issuing import require_p256, signing_key_id
from twoway.tickets.ticket import MAX_TICKET_BYTES, Ticket, TicketReason, TicketRejected, require_within

MAX_IDENTITY_CHARACTERS = 255
"""Of ``iss``, ``sub`` and ``aud``: names that go into logs and databases."""
MAX_SHORT_BYTES = 64
"""Of ``cti`` and ``cnonce``: ours take 16."""
LAST_NUMERIC_DATE = 253_402_300_799
"""The end of the year 9999, the last second that a ``datetime`` can hold."""

_REASON_BY_FAULT = {
    cose.COSEFault.MALFORMED: TicketReason.MALFORMED,
    cose.COSEFault.UNSUPPORTED_PROTECTION: TicketReason.UNSUPPORTED_PROTECTION,
    cose.COSEFault.BAD_SIGNATURE: TicketReason.BAD_SIGNATURE,
}


@dataclass(frozen=True)
class TrustedIssuer:
    """An AC whose tickets a publisher accepts.

    Raises:
        ConfigurationError: the key is not on P-256.
    """

    uri: str
    """Its identity, which tickets carry in ``iss``."""
    public_key: ec.EllipticCurvePublicKey
    """The key that signs its tickets."""

    def __post_init__(self) -> None:
        require_p256(self.public_key, self.uri)


class TicketVerifier:
    """Judges tickets for one publisher.

    Args:
        audience: the publisher's own identity URI.
        issuers: the ACs that it trusts, each with its own key. Without any, every ticket is refused.

    Raises:
        ConfigurationError: two issuers have the same key.
    """

    def __init__(self, *, audience: str, issuers: Sequence[TrustedIssuer]) -> None:
        self._audience = audience
        self._issuers: dict[bytes, TrustedIssuer] = {}
        for issuer in issuers:
            other = self._issuers.setdefault(signing_key_id(issuer.public_key), issuer)
            if other is not issuer:
                raise ConfigurationError(
                    f"it signs tickets with the same key as {other.uri}",
                    where=issuer.uri,
                    remedy="name each AC once",
                )

    def verify_untrusted(self, encoded: bytes, *, now: datetime) -> Ticket:
        """Check everything that can be checked without the peer and return the ticket.

        Raises:
            TicketRejected: with the reason of the first check that failed.
        """
        issuer, payload = self._authenticated(encoded)
        claims = _Claims.parse_untrusted(payload)
        if claims.issuer != issuer.uri:
            raise TicketRejected(TicketReason.UNKNOWN_ISSUER)
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
            issuer = self._issuers.get(message.key_id) if message.key_id is not None else None
            if issuer is None:
                raise TicketRejected(TicketReason.UNKNOWN_ISSUER)
            message.verify(issuer.public_key)
        except cose.COSERejected as rejected:
            raise TicketRejected(_REASON_BY_FAULT[rejected.fault]) from None
        return issuer, message.payload


@dataclass(frozen=True)
class _Claims:
    """The claims with their types checked; what scope and key mean is judged later, in its turn."""

    issuer: str
    subject: str
    audience: str
    issued_at: datetime
    expires_at: datetime
    not_before: datetime | None
    ticket_id: bytes
    scope: object
    confirmation: object
    ace_profile: object
    cnonce: bytes | None

    @classmethod
    def parse_untrusted(cls, payload: bytes) -> _Claims:
        try:
            claims = strict_cbor.decode_untrusted(payload)
        except strict_cbor.MalformedCBOR:
            raise TicketRejected(TicketReason.MALFORMED_CLAIMS) from None
        if not isinstance(claims, dict):
            raise TicketRejected(TicketReason.MALFORMED_CLAIMS)
        return cls(
            issuer=_identity(claims, Claim.ISS),
            subject=_identity(claims, Claim.SUB),
            audience=_identity(claims, Claim.AUD),
            issued_at=_date(claims, Claim.IAT),
            expires_at=_date(claims, Claim.EXP),
            not_before=_date(claims, Claim.NBF) if Claim.NBF in claims else None,
            ticket_id=_short_bytes(claims, Claim.CTI),
            scope=claims.get(Claim.SCOPE),
            confirmation=claims.get(Claim.CNF),
            ace_profile=claims.get(Claim.ACE_PROFILE, int(Profile.COAP_DTLS)),
            cnonce=_short_bytes(claims, Claim.CNONCE) if Claim.CNONCE in claims else None,
        )


def _identity(claims: Mapping[object, object], claim: Claim) -> str:
    value = claims.get(claim)
    if not isinstance(value, str) or not 0 < len(value) <= MAX_IDENTITY_CHARACTERS or not value.isprintable():
        raise TicketRejected(TicketReason.MALFORMED_CLAIMS)
    return value


def _date(claims: Mapping[object, object], claim: Claim) -> datetime:
    # Integers only: a float loses seconds, a tag changes the meaning, True is no time.
    value = claims.get(claim)
    if type(value) is not int or not 0 <= value <= LAST_NUMERIC_DATE:
        raise TicketRejected(TicketReason.MALFORMED_CLAIMS)
    return datetime.fromtimestamp(value, UTC)


def _short_bytes(claims: Mapping[object, object], claim: Claim) -> bytes:
    value = claims.get(claim)
    if not isinstance(value, bytes) or not 0 < len(value) <= MAX_SHORT_BYTES:
        raise TicketRejected(TicketReason.MALFORMED_CLAIMS)
    return value


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
