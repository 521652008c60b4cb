"""Signature schemes: RFC 5246 section 7.4.1.4.1, with the code points of RFC 8446 section 4.2.3.

Which key may make which signature is decided here and nowhere else, for our own keys and the peer's.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import IntEnum
from typing import Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.types import PublicKeyTypes

from twoway.dtls.alerts import AlertDescription, HandshakeFailure

PrivateKey = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey


class SignatureScheme(IntEnum):
    """The schemes that we make and take; all hash with SHA-256."""

    RSA_PKCS1_SHA256 = 0x0401
    ECDSA_SECP256R1_SHA256 = 0x0403
    RSA_PSS_RSAE_SHA256 = 0x0804

    def fits(self, public_key: PublicKeyTypes) -> bool:
        """Tell whether a key can make signatures of this scheme."""
        if self is SignatureScheme.ECDSA_SECP256R1_SHA256:
            return isinstance(public_key, ec.EllipticCurvePublicKey) and isinstance(
                public_key.curve, ec.SECP256R1
            )
        return isinstance(public_key, rsa.RSAPublicKey)


DEFAULT_SCHEMES: Final = (
    SignatureScheme.ECDSA_SECP256R1_SHA256,
    SignatureScheme.RSA_PSS_RSAE_SHA256,
    SignatureScheme.RSA_PKCS1_SHA256,
)


def choose_scheme(
    ours: Sequence[SignatureScheme], offered: Sequence[int], public_key: PublicKeyTypes
) -> SignatureScheme | None:
    """Return our most preferred scheme that the peer takes and the key can make, or None."""
    return next((scheme for scheme in ours if scheme in offered and scheme.fits(public_key)), None)


def sign(private_key: PrivateKey, scheme: SignatureScheme, data: bytes) -> bytes:
    """Sign ``data`` with a key that the scheme fits."""
    if isinstance(private_key, ec.EllipticCurvePrivateKey):
        return private_key.sign(data, ec.ECDSA(hashes.SHA256()))
    return private_key.sign(data, _rsa_padding(scheme), hashes.SHA256())


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
    try:
        if isinstance(public_key, ec.EllipticCurvePublicKey):
            public_key.verify(signature, data, ec.ECDSA(hashes.SHA256()))
        elif isinstance(public_key, rsa.RSAPublicKey):
            public_key.verify(signature, data, _rsa_padding(SignatureScheme(scheme)), hashes.SHA256())
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
