"""Keys: the kinds that this project holds, the ones it accepts from peers, and their forms.

Private keys appear here and in `stored` alone; nothing here prints one or puts one into an error.
"""

from __future__ import annotations

from enum import StrEnum
from typing import TypeGuard

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.asymmetric.types import CertificatePublicKeyTypes
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)

from twoway.errors import ConfigurationError

PrivateKey = ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey | rsa.RSAPrivateKey
"""A private key of one of the kinds that we hold."""
PublicKey = ec.EllipticCurvePublicKey | ed25519.Ed25519PublicKey | rsa.RSAPublicKey
"""A public key of one of the kinds that we accept."""

RSA_BITS = 2048
"""The modulus of our own RSA keys: what TPMs of the field hold, and what the draft measured."""
RSA_BITS_MAX = 4096
"""Peers may bring more than 2048 bits, yet not so many that a verification becomes an attack on us."""
RSA_EXPONENT = 65537


class KeyKind(StrEnum):
    """The kinds of private key that an identity can have."""

    P256 = "p-256"
    """ECDSA on P-256 (secp256r1), for everything that can. Tickets are bound to such keys and RSA keys."""
    P384 = "p-384"
    """ECDSA on P-384 (secp384r1), where a rule asks for that strength."""
    ED25519 = "ed25519"
    """EdDSA on edwards25519 (RFC 8410), whose signatures need no randomness."""
    RSA2048 = "rsa-2048"
    """RSA with a modulus of 2048 bits, for hardware that holds nothing else."""


def generate_key(kind: KeyKind) -> PrivateKey:
    """Make a private key; its randomness is the operating system's, by way of OpenSSL."""
    if kind is KeyKind.RSA2048:
        return rsa.generate_private_key(RSA_EXPONENT, RSA_BITS)
    if kind is KeyKind.ED25519:
        return ed25519.Ed25519PrivateKey.generate()
    return ec.generate_private_key(ec.SECP384R1() if kind is KeyKind.P384 else ec.SECP256R1())


def is_supported(key: CertificatePublicKeyTypes) -> TypeGuard[PublicKey]:
    """Whether a certified key is one that our handshake can use: P-256, P-384, Ed25519, or RSA of 2048 to
    4096 bits."""
    if isinstance(key, rsa.RSAPublicKey):
        return RSA_BITS <= key.key_size <= RSA_BITS_MAX
    if isinstance(key, ec.EllipticCurvePublicKey):
        return isinstance(key.curve, ec.SECP256R1 | ec.SECP384R1)
    return isinstance(key, ed25519.Ed25519PublicKey)


def spki_of(key: PublicKey) -> bytes:
    """Return the DER SubjectPublicKeyInfo of a public key (RFC 5280 section 4.1.2.7)."""
    return key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def private_key_to_pem(key: PrivateKey) -> bytes:
    """Return the key as unencrypted PKCS #8 in PEM: the file's mode protects it, not a passphrase."""
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def private_key_from_pem(pem: bytes, *, where: str) -> PrivateKey:
    """Parse a private key of ours.

    Args:
        pem: PKCS #8 or a traditional form, unencrypted.
        where: the file it came from, for the error.

    Raises:
        ConfigurationError: for anything but an unencrypted key of a :class:`KeyKind`.
    """
    try:
        key = load_pem_private_key(pem, password=None)
    except TypeError:
        raise ConfigurationError(
            "the private key is encrypted",
            where=where,
            remedy="store it without a passphrase, with mode 0600",
        ) from None
    except (ValueError, UnsupportedAlgorithm):
        # The cause is cut off: a parser's message may quote what it stumbled over.
        raise ConfigurationError(
            "this is not a private key in PEM", where=where, remedy="issue the identity again"
        ) from None
    if isinstance(key, PrivateKey) and _is_ours(key.public_key()):
        return key
    raise ConfigurationError(
        "the private key is none of P-256, P-384, Ed25519 and RSA-2048",
        where=where,
        remedy="issue the identity with such a key",
    )


def request_of(key: PrivateKey) -> bytes:
    """Return a certificate request (PKCS #10, RFC 2986) in PEM for a key of ours.

    It proves that its maker has the key, and says nothing else: the authority chooses the names.
    """
    algorithm = None if isinstance(key, ed25519.Ed25519PrivateKey) else hashes.SHA256()
    builder = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([]))
    return builder.sign(key, algorithm).public_bytes(Encoding.PEM)


def public_key_of_request(pem: bytes) -> PublicKey:
    """Return the public key of a certificate request whose maker holds the private one.

    Args:
        pem: a PKCS #10 request (RFC 2986) in PEM.

    Raises:
        ConfigurationError: if it cannot be parsed, carries another kind of key, or is not signed by it.
    """
    try:
        request = x509.load_pem_x509_csr(pem)
        key = request.public_key()
        proved = request.is_signature_valid
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise ConfigurationError(
            "this is not a certificate request in PEM", remedy="make one with `openssl req -new`"
        ) from None
    if not isinstance(key, PublicKey) or not _is_ours(key):
        raise ConfigurationError(
            "the key in the certificate request is none of P-256, P-384, Ed25519 and RSA-2048",
            remedy="make it of such a key",
        )
    if not proved:
        raise ConfigurationError(
            "the certificate request is not signed by the key in it", remedy="make it again on the device"
        )
    return key


def _is_ours(key: PublicKey) -> bool:
    """Whether a key is of a kind that we issue: narrower than what peers may bring."""
    return is_supported(key) and (not isinstance(key, rsa.RSAPublicKey) or key.key_size == RSA_BITS)
