"""Tickets of any shape, valid or not: the other AC, the attacker and the careless implementer."""

from __future__ import annotations

from datetime import UTC, datetime

from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.types import PublicKeyTypes
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from twoway import strict_cbor
from twoway.tickets import Confirmation, Method, Scope, TicketVerifier, TrustedIssuer, cose
from twoway.tickets.iana import Claim
from twoway.tickets.key_set import SigningKey
from twoway.tickets.ticket_ids import ticket_id

AC_URI = "urn:dev:org:32473-ac"
METER_URI = "urn:dev:org:32473-meter"
SUBSCRIBER_URI = "urn:dev:org:32473-alice"

NOW = datetime(2026, 3, 1, 12, 0, 0, tzinfo=UTC)
IAT = int(NOW.timestamp())
EXP = IAT + 600

AC_KEY = ec.generate_private_key(ec.SECP256R1())
OTHER_AC_KEY = ec.generate_private_key(ec.SECP256R1())
AC_KEY_ID = SigningKey(AC_KEY.public_key()).key_id
OTHER_AC_KEY_ID = SigningKey(OTHER_AC_KEY.public_key()).key_id
TRUSTED_AC = TrustedIssuer(AC_URI, (AC_KEY.public_key(),))
P256_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551


def spki_of(public_key: PublicKeyTypes) -> bytes:
    return public_key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


HOLDER_SPKI = spki_of(ec.generate_private_key(ec.SECP256R1()).public_key())
OTHER_SPKI = spki_of(ec.generate_private_key(ec.SECP256R1()).public_key())
RSA_SPKI = spki_of(rsa.generate_private_key(public_exponent=65537, key_size=2048).public_key())
P384_SPKI = spki_of(ec.generate_private_key(ec.SECP384R1()).public_key())

SCOPE = Scope((("/power", Method.GET),))

ABSENT = object()


def claims(**changes: object) -> dict[object, object]:
    """The claims of a good ticket with some changed by name (``exp=...``) or left out (``ABSENT``).

    Its name is one of whatever audience it is for.
    """
    audience = changes.get("aud")
    good: dict[object, object] = {
        Claim.ISS: AC_URI,
        Claim.SUB: SUBSCRIBER_URI,
        Claim.AUD: METER_URI,
        Claim.EXP: EXP,
        Claim.IAT: IAT,
        Claim.CTI: ticket_id(audience if isinstance(audience, str) else METER_URI, 7),
        Claim.CNF: Confirmation.of_key(HOLDER_SPKI).claim(),
        Claim.SCOPE: SCOPE.encode(),
        Claim.ACE_PROFILE: 1,
    }
    for name, value in changes.items():
        good[Claim[name.upper()]] = value
    return {claim: value for claim, value in good.items() if value is not ABSENT}


def signed(payload: bytes, *, key: ec.EllipticCurvePrivateKey = AC_KEY, key_id: bytes = AC_KEY_ID) -> bytes:
    return cose.sign1(payload, private_key=key, key_id=key_id)


def ticket_with(**changes: object) -> bytes:
    """A ticket that is signed by the trusted AC, with some claims changed."""
    return signed(strict_cbor.encode(claims(**changes)))


def signature_over(protected: bytes, payload: bytes, *, key: ec.EllipticCurvePrivateKey = AC_KEY) -> bytes:
    """The raw ES256 signature that makes the given parts a valid message."""
    to_be_signed = strict_cbor.encode(["Signature1", protected, b"", payload])
    r, s = decode_dss_signature(key.sign(to_be_signed, ec.ECDSA(SHA256())))
    return r.to_bytes(32) + min(s, P256_ORDER - s).to_bytes(32)


def verifier(*issuers: TrustedIssuer, audience: str = METER_URI) -> TicketVerifier:
    """A publisher that trusts the AC, or the given issuers."""
    return TicketVerifier(
        audience=audience, issuers=issuers or (TrustedIssuer(AC_URI, (AC_KEY.public_key(),)),)
    )
