"""Signature schemes: RFC 5246 section 7.4.1.4.1, with the code points of RFC 8446 section 4.2.3.

Which key may make which signature is decided here and nowhere else, for our own keys and the peer's.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import IntEnum
from typing import Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.types import PublicKeyTypes

from twoway.dtls.alerts import AlertDescription, HandshakeFailure

PrivateKey = ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey | rsa.RSAPrivateKey


class SignatureScheme(IntEnum):
    """The schemes that we make and take."""

    RSA_PKCS1_SHA256 = 0x0401
    ECDSA_SECP256R1_SHA256 = 0x0403
    RSA_PKCS1_SHA384 = 0x0501
    ECDSA_SECP384R1_SHA384 = 0x0503
    RSA_PSS_RSAE_SHA256 = 0x0804
    ED25519 = 0x0807

    def fits(self, public_key: PublicKeyTypes) -> bool:
        """Tell whether a key can make signatures of this scheme.

        DTLS 1.2 pairs a hash with an algorithm and leaves the curve open (RFC 8446 section 4.2.3 says so of
        the version before it), so either hash goes with either curve: stacks that choose the hash by the
        suite do sign with P-256 and SHA-384.
        """
        if self is SignatureScheme.ED25519:
            return isinstance(public_key, ed25519.Ed25519PublicKey)
        if self in _CURVES:
            return isinstance(public_key, ec.EllipticCurvePublicKey) and isinstance(
                public_key.curve, tuple(_CURVES.values())
            )
        return isinstance(public_key, rsa.RSAPublicKey)

    def suits(self, public_key: PublicKeyTypes) -> bool:
        """Tell whether a key of ours is to be used with it: each curve with the hash of its own strength."""
        if isinstance(public_key, ec.EllipticCurvePublicKey) and self in _CURVES:
            return isinstance(public_key.curve, _CURVES[self])
        return self.fits(public_key)

    @property
    def hash_algorithm(self) -> hashes.HashAlgorithm:
        """What is hashed with before signing; Ed25519 hashes by itself."""
        is_longer = self in (SignatureScheme.ECDSA_SECP384R1_SHA384, SignatureScheme.RSA_PKCS1_SHA384)
        return hashes.SHA384() if is_longer else hashes.SHA256()


_CURVES: Final[dict[SignatureScheme, type[ec.EllipticCurve]]] = {
    SignatureScheme.ECDSA_SECP256R1_SHA256: ec.SECP256R1,
    SignatureScheme.ECDSA_SECP384R1_SHA384: ec.SECP384R1,
}

DEFAULT_SCHEMES: Final = (
    SignatureScheme.ECDSA_SECP256R1_SHA256,
    SignatureScheme.ED25519,
    SignatureScheme.ECDSA_SECP384R1_SHA384,
    SignatureScheme.RSA_PSS_RSAE_SHA256,
    SignatureScheme.RSA_PKCS1_SHA256,
    SignatureScheme.RSA_PKCS1_SHA384,
)
"""In the order of preference."""


def choose_scheme(
    ours: Sequence[SignatureScheme], offered: Sequence[int], public_key: PublicKeyTypes
) -> SignatureScheme | None:
    """Return our most preferred scheme that the peer takes and that suits the key, or None."""
    return next((scheme for scheme in ours if scheme in offered and scheme.suits(public_key)), None)


def sign(private_key: PrivateKey, scheme: SignatureScheme, data: bytes) -> bytes:
    """Sign ``data`` with a key that the scheme fits."""
    if isinstance(private_key, ed25519.Ed25519PrivateKey):
        return private_key.sign(data)  # RFC 8422 section 5.10: not hashed before
    if isinstance(private_key, ec.EllipticCurvePrivateKey):
        return private_key.sign(data, ec.ECDSA(scheme.hash_algorithm))
    return private_key.sign(data, _rsa_padding(scheme), scheme.hash_algorithm)


def verify_untrusted(
    public_key: PublicKeyTypes, offered: Sequence[SignatureScheme], scheme: int, signature: bytes, data: bytes
) -> None:
    """Check a peer's signature.

    Args:
        public_key: the key of the peer's leaf certificate.
        offered: the schemes that we offered; no other may be used (RFC 5246 sections 7.4.3, 7.4.8).
        scheme: the scheme that the peer names.
        signature: the signature.
        data: what must have been signed.

    Raises:
        HandshakeFailure: illegal_parameter for a scheme that was not offered or does not fit the key,
            decrypt_error for a signature that is not right.
    """
    if scheme not in offered or not SignatureScheme(scheme).fits(public_key):
        raise HandshakeFailure(
            AlertDescription.ILLEGAL_PARAMETER,
            f"the peer signed with scheme 0x{scheme:04x}, which was not offered or does not fit its key",
        )
    named = SignatureScheme(scheme)
    try:
        if isinstance(public_key, ec.EllipticCurvePublicKey):
            public_key.verify(signature, data, ec.ECDSA(named.hash_algorithm))
        elif isinstance(public_key, ed25519.Ed25519PublicKey):
            public_key.verify(signature, data)
        elif isinstance(public_key, rsa.RSAPublicKey):
            public_key.verify(signature, data, _rsa_padding(named), named.hash_algorithm)
        else:
            raise InvalidSignature
    except InvalidSignature:
        raise HandshakeFailure(
            AlertDescription.DECRYPT_ERROR, "the peer's signature is not by the key of its certificate"
        ) from None


def _rsa_padding(scheme: SignatureScheme) -> padding.AsymmetricPadding:
    if scheme is SignatureScheme.RSA_PSS_RSAE_SHA256:
        # RFC 8446 section 4.2.3: the salt is as long as the digest.
        return padding.PSS(padding.MGF1(hashes.SHA256()), hashes.SHA256.digest_size)
    return padding.PKCS1v15()
