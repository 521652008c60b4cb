"""Tickets as the AC writes them.

Owns the claims of a ticket and the key that signs it. Decides nothing: who may have which scope is policy,
and that the holder proved the key was checked before. Must never issue beyond the holder's certificate.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from twoway import strict_cbor
from twoway.errors import CallerError, ConfigurationError, PeerError
from twoway.tickets import cose
from twoway.tickets.aif import Scope
from twoway.tickets.confirmation import Confirmation
from twoway.tickets.cose_key import thumbprint
from twoway.tickets.iana import Claim, Profile
from twoway.tickets.ticket import MAX_TICKET_BYTES, Ticket, numeric_date

TICKET_ID_BYTES = 16
"""Random: never the same twice, and nothing to be learnt from it."""
KEY_ID_BYTES = 8
"""Of the signing key's thumbprint: enough to tell an AC's keys apart; it proves nothing."""


class HolderExpired(PeerError):
    """The certificate of the one who asks for a ticket has ended, though its session goes on."""

    def __init__(self, subject: str, not_after: datetime) -> None:
        super().__init__(
            f"its certificate ended at {not_after:%Y-%m-%d %H:%M:%S} UTC",
            where=subject,
            remedy="have it renewed and shake hands again",
        )


def signing_key_id(public_key: ec.EllipticCurvePublicKey) -> bytes:
    """The ``kid`` under which tickets name their signing key, 8 bytes."""
    return thumbprint(public_key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo))[:KEY_ID_BYTES]


class TicketIssuer:
    """Writes and signs tickets.

    Args:
        issuer: identity URI of the AC, which goes into ``iss``.
        private_key: on P-256, for tickets are signed with ES256.
        entropy: returns that many random bytes.

    Raises:
        ConfigurationError: the key is not on P-256.
    """

    def __init__(
        self, *, issuer: str, private_key: ec.EllipticCurvePrivateKey, entropy: Callable[[int], bytes]
    ) -> None:
        require_p256(private_key, issuer)
        self._issuer = issuer
        self._private_key = private_key
        self._key_id = signing_key_id(private_key.public_key())
        self._entropy = entropy

    def issue(
        self,
        *,
        subject: str,
        audience: str,
        scope: Scope,
        holder_spki: bytes,
        now: datetime,
        lifetime_seconds: int,
        not_after: datetime,
        compact: bool = False,
        cnonce: bytes | None = None,
    ) -> Ticket:
        """Issue a ticket and return it with its claims; the bytes to hand out are its ``encoded``.

        Args:
            subject: identity URI of the holder.
            audience: identity URI of the publisher.
            scope: what is granted, not empty.
            holder_spki: DER SubjectPublicKeyInfo of the key that the holder proved.
            now: the time of issue, aware.
            lifetime_seconds: how long policy lets it live.
            not_after: end of the holder's certificate, beyond which no ticket of it reaches.
            compact: name the key by its thumbprint instead of by value.
            cnonce: what the publisher asked to see again (RFC 9200 section 5.3.1), copied as it is.

        Raises:
            HolderExpired: ``not_after`` has passed.
            UnusableKey: the holder's key is neither P-256 nor RSA.
            CallerError: empty scope, no lifetime, naive times, or a ticket that would be too large.
        """
        if not scope:
            raise CallerError("a ticket that permits nothing is not issued")
        if lifetime_seconds < 1:
            raise CallerError(f"a ticket cannot live for {lifetime_seconds} seconds")
        issued_at = numeric_date(now)
        expires_at = min(issued_at + lifetime_seconds, numeric_date(not_after))
        if expires_at <= issued_at:
            raise HolderExpired(subject, not_after)
        ticket_id = self._entropy(TICKET_ID_BYTES)
        confirmation = Confirmation.of_key(holder_spki, compact=compact)
        claims: dict[Claim, object] = {
            Claim.ISS: self._issuer,
            Claim.SUB: subject,
            Claim.AUD: audience,
            Claim.EXP: expires_at,
            Claim.IAT: issued_at,
            Claim.CTI: ticket_id,
            Claim.CNF: confirmation.claim(),
            Claim.SCOPE: scope.encode(),
            Claim.ACE_PROFILE: Profile.COAP_DTLS,
        }
        if cnonce is not None:
            claims[Claim.CNONCE] = cnonce
        encoded = cose.sign1(strict_cbor.encode(claims), private_key=self._private_key, key_id=self._key_id)
        if len(encoded) > MAX_TICKET_BYTES:
            raise CallerError(
                f"a ticket of {len(encoded)} bytes is larger than publishers take ({MAX_TICKET_BYTES})",
                remedy="grant fewer or shorter paths",
            )
        return Ticket(
            issuer=self._issuer,
            subject=subject,
            audience=audience,
            issued_at=datetime.fromtimestamp(issued_at, UTC),
            expires_at=datetime.fromtimestamp(expires_at, UTC),
            ticket_id=ticket_id,
            scope=scope,
            confirmation=confirmation,
            cnonce=cnonce,
            encoded=encoded,
        )


def require_p256(key: object, owner: str) -> None:
    """Check that ``key``, private or public, can sign or verify tickets.

    Raises:
        ConfigurationError: it is not on P-256.
    """
    if not isinstance(key, ec.EllipticCurvePrivateKey | ec.EllipticCurvePublicKey) or not isinstance(
        key.curve, ec.SECP256R1
    ):
        raise ConfigurationError(
            "its key cannot sign tickets",
            where=owner,
            remedy="give the AC a certificate with a P-256 key",
        )
