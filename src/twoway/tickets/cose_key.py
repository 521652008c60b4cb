"""Public keys as COSE_Key maps (RFC 9052 section 7) and their thumbprints (RFC 9679).

Owns the translation between the SubjectPublicKeyInfo that a handshake proves and the forms in which a
ticket names a key. Knows P-256 (RFC 9053 section 7.1.1) and RSA from 2048 bits (RFC 8230). Must never
accept a symmetric or private key where a public one is meant.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from enum import Enum
from functools import lru_cache

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_der_public_key

from twoway import strict_cbor
from twoway.errors import PeerError
from twoway.tickets.iana import Algorithm, Curve, KeyOperation, KeyParameter, KeyType, RSAKeyParameter

COORDINATE_BYTES = 32
"""Size of a P-256 coordinate."""
RSA_BITS = range(2048, 4096 + 1)
"""Modulus sizes: below is weak, above costs a verifier too much for one packet from a stranger."""
RSA_EXPONENT_BITS = 32
"""Public exponents stay small in practice (65537); a large one makes each verification expensive."""
REMEMBERED_KEYS = 1024
"""Thumbprints kept: publishers ask for the same few on every request, and the table stays bounded."""

_EC_ALGORITHMS: frozenset[int] = frozenset({Algorithm.ES256})
_RSA_ALGORITHMS = frozenset({-257, -258, -259, -37, -38, -39})  # RS256.. and PS256.. (RFC 8812, RFC 8230)
_FIRST_PRIVATE_RSA_LABEL = -3


class KeyFault(Enum):
    """Why a key cannot be one that a ticket is bound to."""

    MALFORMED = "it is not a public key in COSE_Key form"
    """Wrong types, a point off the curve, a missing or superfluous part."""
    NOT_PUBLIC = "it is a symmetric or private key"
    """Something secret where a public key belongs."""
    UNSUPPORTED = "it is neither P-256 nor RSA of 2048 to 4096 bits"
    """Well formed, but of a kind that this package does not use."""


class UnusableKey(PeerError):
    """A key, or the reference to one, that no ticket can be bound to."""

    def __init__(self, fault: KeyFault) -> None:
        super().__init__(f"the key cannot be used for proof of possession, {fault.value}")
        self.fault = fault


def cose_key_from_spki(spki: bytes) -> dict[int, object]:
    """Return the COSE_Key map of a DER SubjectPublicKeyInfo, with the required parameters only.

    Raises:
        UnusableKey: the DER cannot be read, or holds another kind of key.
    """
    try:
        key = load_der_public_key(spki)
    except (ValueError, TypeError):
        raise UnusableKey(KeyFault.MALFORMED) from None
    except UnsupportedAlgorithm:
        raise UnusableKey(KeyFault.UNSUPPORTED) from None
    if isinstance(key, ec.EllipticCurvePublicKey) and isinstance(key.curve, ec.SECP256R1):
        point = key.public_numbers()
        return {
            KeyParameter.KTY: int(KeyType.EC2),
            KeyParameter.CRV: int(Curve.P_256),
            KeyParameter.X: point.x.to_bytes(COORDINATE_BYTES),
            KeyParameter.Y: point.y.to_bytes(COORDINATE_BYTES),
        }
    if isinstance(key, rsa.RSAPublicKey):
        numbers = _checked_rsa(key.public_numbers())
        return {
            KeyParameter.KTY: int(KeyType.RSA),
            RSAKeyParameter.N: _shortest_bytes(numbers.n),
            RSAKeyParameter.E: _shortest_bytes(numbers.e),
        }
    raise UnusableKey(KeyFault.UNSUPPORTED)


def spki_from_cose_key_untrusted(key: object) -> bytes:
    """Return the DER SubjectPublicKeyInfo of a decoded COSE_Key map.

    Args:
        key: what :func:`twoway.strict_cbor.decode_untrusted` made of it.

    Raises:
        UnusableKey: with the :class:`KeyFault`.
    """
    if not isinstance(key, Mapping):
        raise UnusableKey(KeyFault.MALFORMED)
    match _integer(key.get(KeyParameter.KTY)):
        case KeyType.EC2:
            public: ec.EllipticCurvePublicKey | rsa.RSAPublicKey = _ec_key(key)
        case KeyType.RSA:
            public = _rsa_key(key)
        case KeyType.SYMMETRIC:
            raise UnusableKey(KeyFault.NOT_PUBLIC)
        case _:
            raise UnusableKey(KeyFault.UNSUPPORTED)
    return public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def _ec_key(key: Mapping[object, object]) -> ec.EllipticCurvePublicKey:
    if KeyParameter.D in key:
        raise UnusableKey(KeyFault.NOT_PUBLIC)
    if _integer(key.get(KeyParameter.CRV)) != Curve.P_256:
        raise UnusableKey(KeyFault.UNSUPPORTED)
    _check_use(key, _EC_ALGORITHMS)
    x, y = key.get(KeyParameter.X), key.get(KeyParameter.Y)
    if not isinstance(x, bytes) or len(x) != COORDINATE_BYTES:
        raise UnusableKey(KeyFault.MALFORMED)
    match y:
        case bool():  # a compressed point: y is its sign bit alone
            point = (b"\x03" if y else b"\x02") + x
        case bytes() if len(y) == COORDINATE_BYTES:
            point = b"\x04" + x + y
        case _:
            raise UnusableKey(KeyFault.MALFORMED)
    try:
        return ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), point)
    except ValueError:  # not on the curve
        raise UnusableKey(KeyFault.MALFORMED) from None


def _rsa_key(key: Mapping[object, object]) -> rsa.RSAPublicKey:
    if any(isinstance(label, int) and label <= _FIRST_PRIVATE_RSA_LABEL for label in key):
        raise UnusableKey(KeyFault.NOT_PUBLIC)
    _check_use(key, _RSA_ALGORITHMS)
    n, e = _rsa_number(key.get(RSAKeyParameter.N)), _rsa_number(key.get(RSAKeyParameter.E))
    try:
        return _checked_rsa(rsa.RSAPublicNumbers(e, n)).public_key()
    except ValueError:
        raise UnusableKey(KeyFault.MALFORMED) from None


def _rsa_number(value: object) -> int:
    # RFC 8230 section 4: the minimum number of octets, hence no leading zero.
    if not isinstance(value, bytes) or not value or value[0] == 0:
        raise UnusableKey(KeyFault.MALFORMED)
    return int.from_bytes(value)


def _checked_rsa(numbers: rsa.RSAPublicNumbers) -> rsa.RSAPublicNumbers:
    if numbers.n.bit_length() not in RSA_BITS or numbers.e.bit_length() > RSA_EXPONENT_BITS:
        raise UnusableKey(KeyFault.UNSUPPORTED)
    return numbers


def _check_use(key: Mapping[object, object], algorithms: frozenset[int]) -> None:
    """Refuse a key whose own words restrict it to something else than verifying (RFC 9052 section 7.1)."""
    if KeyParameter.ALG in key and _integer(key[KeyParameter.ALG]) not in algorithms:
        raise UnusableKey(KeyFault.UNSUPPORTED)
    if KeyParameter.KEY_OPS in key:
        operations = key[KeyParameter.KEY_OPS]
        if not isinstance(operations, list) or KeyOperation.VERIFY not in operations:
            raise UnusableKey(KeyFault.UNSUPPORTED)


def _integer(value: object) -> int:
    # The exact type: 2.0 and True compare equal to integers, but are not what the registry says.
    if type(value) is not int:
        raise UnusableKey(KeyFault.MALFORMED)
    return value


def _shortest_bytes(number: int) -> bytes:
    return number.to_bytes((number.bit_length() + 7) // 8)


@lru_cache(maxsize=REMEMBERED_KEYS)
def thumbprint(spki: bytes) -> bytes:
    """Return the SHA-256 COSE Key Thumbprint (RFC 9679) of a DER SubjectPublicKeyInfo, 32 bytes.

    The same key has the same thumbprint however its SubjectPublicKeyInfo is written.

    Raises:
        UnusableKey: as :func:`cose_key_from_spki`.
    """
    return hashlib.sha256(strict_cbor.encode(cose_key_from_spki(spki))).digest()
