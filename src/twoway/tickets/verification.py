"""Tickets as a publisher judges them, by itself and offline.

Owns the order of the checks (RFC 9200 section 5.10.1.1): shape, signature or decryption, claims, issuer,
time, audience, scope, nonce, profile, key. The first that fails gives the reason, so that a stranger learns
nothing about later ones. There is no leeway in time. Must never grant anything by itself: the result counts
only together with the key that the peer proved.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TypeVar

from cryptography.hazmat.primitives.asymmetric import ec

from twoway import strict_cbor
from twoway.errors import ConfigurationError
from twoway.tickets import cose
from twoway.tickets.aif import MalformedScope, Scope
from twoway.tickets.claims import Claims
from twoway.tickets.cnonce import FreshNonces
from twoway.tickets.confirmation import AnyConfirmation, SymmetricConfirmation, parse_confirmation_untrusted
from twoway.tickets.cose_key import UnusableKey
from twoway.tickets.encrypt0 import ENCRYPTED_PREFIX, parse_encrypt0_untrusted
from twoway.tickets.exi import ExiLedger
from twoway.tickets.iana import Profile
from twoway.tickets.key_set import SigningKey, require_p256
from twoway.tickets.provisional import DEFAULT_NUMBERS, ProvisionalNumbers
from twoway.tickets.shared_secret import SharedSecret, with_derived_key
from twoway.tickets.ticket import MAX_TICKET_BYTES, Ticket, TicketReason, TicketRejected, require_within

_Key = TypeVar("_Key")

_REASON_BY_FAULT = {
    cose.COSEFault.MALFORMED: TicketReason.MALFORMED,
    cose.COSEFault.UNSUPPORTED_PROTECTION: TicketReason.UNSUPPORTED_PROTECTION,
    cose.COSEFault.BAD_SIGNATURE: TicketReason.BAD_SIGNATURE,
    cose.COSEFault.NOT_AUTHENTIC: TicketReason.NOT_AUTHENTIC,
}


@dataclass(frozen=True)
class TrustedIssuer:
    """An AC whose tickets a publisher accepts.

    Raises:
        ConfigurationError: a key is not on P-256, or there is nothing to verify tickets with.
    """

    uri: str
    """Its identity, which tickets carry in ``iss``."""
    public_keys: tuple[ec.EllipticCurvePublicKey, ...] = ()
    """The keys that sign its tickets: one, or several while one takes the place of another."""
    secret: SharedSecret | None = None
    """What it shares with this publisher, and encrypts tickets with."""

    def __post_init__(self) -> None:
        if not self.public_keys and self.secret is None:
            raise ConfigurationError(
                "nothing is known to verify its tickets with",
                where=self.uri,
                remedy="give its certificate, or the secret that it shares with this publisher",
            )
        for key in self.public_keys:
            require_p256(key, self.uri)


class TicketVerifier:
    """Judges tickets for one publisher.

    Args:
        audience: the publisher's own identity URI.
        issuers: the ACs that it trusts, each with its own keys. Without any, every ticket is refused.
        nonces: gave out the nonces that tickets have to carry; None where none are asked for.
        exi_ledger: for a publisher without a clock; without it, tickets that need one are refused.
        numbers: what drafts call the hash of a certificate.

    Raises:
        ConfigurationError: two issuers have the same key; or there are several issuers and a ledger, which
            counts the tickets of one.
    """

    def __init__(
        self,
        *,
        audience: str,
        issuers: Sequence[TrustedIssuer],
        nonces: FreshNonces | None = None,
        exi_ledger: ExiLedger | None = None,
        numbers: ProvisionalNumbers = DEFAULT_NUMBERS,
    ) -> None:
        if exi_ledger is not None and len(issuers) > 1:
            raise ConfigurationError(
                "a publisher without a clock counts the tickets of one AC", where=audience, remedy="name one"
            )
        self._audience = audience
        self._nonces = nonces
        self._exi_ledger = exi_ledger
        self._numbers = numbers
        self._signers: dict[bytes, tuple[TrustedIssuer, ec.EllipticCurvePublicKey]] = {}
        self._sharers: dict[bytes, tuple[TrustedIssuer, SharedSecret]] = {}
        for issuer in issuers:
            for key in issuer.public_keys:
                _enter(self._signers, SigningKey(key).key_id, (issuer, key))
            if issuer.secret is not None:
                _enter(self._sharers, issuer.secret.key_id(), (issuer, issuer.secret))

    def verify_untrusted(self, encoded: bytes, *, now: datetime) -> Ticket:
        """Check everything that can be checked without the peer and return the ticket.

        The checks are those of RFC 9200 section 5.10.1.1, in its order.

        Raises:
            TicketRejected: with the reason of the first check that failed.
        """
        issuer, payload = self._authenticated(encoded)
        claims = _claims(payload)
        if claims.issuer != issuer.uri:
            raise TicketRejected(TicketReason.UNKNOWN_ISSUER)
        self._require_within(claims, now)
        if claims.audience != self._audience:
            raise TicketRejected(TicketReason.WRONG_AUDIENCE)
        scope = _scope(claims.scope)
        if self._nonces is not None:
            self._nonces.require_fresh(claims.cnonce, now)
        if type(claims.ace_profile) is not int or claims.ace_profile != Profile.COAP_DTLS:
            raise TicketRejected(TicketReason.UNSUPPORTED_PROFILE)
        confirmation = self._confirmation(claims.confirmation, issuer, encoded)
        return Ticket(
            issuer=claims.issuer,
            subject=claims.subject,
            audience=claims.audience,
            issued_at=claims.issued_at,
            expires_at=self._expiry(claims, now),
            not_before=claims.not_before,
            ticket_id=claims.ticket_id,
            sequence=claims.sequence,
            scope=scope,
            confirmation=confirmation,
            cnonce=claims.cnonce,
            exi=claims.exi,
            encoded=encoded,
        )

    def _authenticated(self, encoded: bytes) -> tuple[TrustedIssuer, bytes]:
        """Find the issuer by ``kid`` and verify its protection; only then is there a payload."""
        if len(encoded) > MAX_TICKET_BYTES:
            raise TicketRejected(TicketReason.MALFORMED)
        try:
            if encoded.startswith(ENCRYPTED_PREFIX):
                return self._decrypted(encoded)
            return self._verified(encoded)
        except cose.COSERejected as rejected:
            raise TicketRejected(_REASON_BY_FAULT[rejected.fault]) from None

    def _verified(self, encoded: bytes) -> tuple[TrustedIssuer, bytes]:
        message = cose.parse1_untrusted(encoded)
        issuer, public_key = _find(self._signers, message.key_id)
        message.verify(public_key)
        return issuer, message.payload

    def _decrypted(self, encoded: bytes) -> tuple[TrustedIssuer, bytes]:
        message = parse_encrypt0_untrusted(encoded)
        issuer, secret = _find(self._sharers, message.key_id)
        if message.algorithm is not secret.algorithm:
            raise TicketRejected(TicketReason.UNSUPPORTED_PROTECTION)
        return issuer, message.decrypt(secret.token_key())

    def _require_within(self, claims: Claims, now: datetime) -> None:
        require_within(now, not_before=claims.not_before, expires_at=claims.expires_at)
        if claims.exi is not None:
            if self._exi_ledger is None:
                raise TicketRejected(TicketReason.EXPIRED)  # nobody here counts how long it has lived
            self._exi_ledger.require_live(claims.sequence, now)

    def _expiry(self, claims: Claims, now: datetime) -> datetime:
        """When the ticket ends: the earlier of what ``exp`` says and what ``exi`` counts from first sight."""
        ends = [] if claims.expires_at is None else [claims.expires_at]
        if claims.exi is not None and self._exi_ledger is not None:
            ends.append(self._exi_ledger.admit(claims.sequence, claims.exi, now))
        return min(ends)

    def _confirmation(self, value: object, issuer: TrustedIssuer, encoded: bytes) -> AnyConfirmation:
        try:
            confirmation = parse_confirmation_untrusted(value, self._numbers)
        except UnusableKey:
            raise TicketRejected(TicketReason.NO_CONFIRMATION) from None
        if isinstance(confirmation, SymmetricConfirmation) and not encoded.startswith(ENCRYPTED_PREFIX):
            # RFC 9202 section 3.3.1: a symmetric key travels encrypted, or whoever saw the ticket has it.
            raise TicketRejected(TicketReason.NO_CONFIRMATION)
        return with_derived_key(confirmation, issuer.secret, encoded)


def _enter(
    table: dict[bytes, tuple[TrustedIssuer, _Key]], key_id: bytes, entry: tuple[TrustedIssuer, _Key]
) -> None:
    other = table.setdefault(key_id, entry)
    if other is not entry:
        raise ConfigurationError(
            f"it protects tickets with the same key as {other[0].uri}",
            where=entry[0].uri,
            remedy="name each AC once, and each key once",
        )


def _find(
    table: Mapping[bytes, tuple[TrustedIssuer, _Key]], key_id: bytes | None
) -> tuple[TrustedIssuer, _Key]:
    entry = table.get(key_id) if key_id is not None else None
    if entry is None:
        raise TicketRejected(TicketReason.UNKNOWN_ISSUER)
    return entry


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
