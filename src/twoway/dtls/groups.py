"""Groups of the ephemeral Diffie-Hellman exchange: RFC 8422 section 5.1.1, secp256r1 and x25519."""

from __future__ import annotations

from enum import IntEnum
from typing import Final

from cryptography.hazmat.primitives.asymmetric import ec, x25519
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from twoway.dtls.alerts import AlertDescription, HandshakeFailure

UNCOMPRESSED_POINTS: Final = 0  # ECPointFormat, RFC 8422 section 5.1.2


class NamedGroup(IntEnum):
    """The groups that we speak."""

    SECP256R1 = 23
    X25519 = 29

    @property
    def label(self) -> str:
        """The registry's name: ``secp256r1``."""
        return self.name.lower()


DEFAULT_GROUPS: Final = (NamedGroup.X25519, NamedGroup.SECP256R1)


class EphemeralKey:
    """One side's key of one handshake; forgotten with it."""

    def __init__(self, group: NamedGroup) -> None:
        self.group = group
        self._private: x25519.X25519PrivateKey | ec.EllipticCurvePrivateKey = (
            x25519.X25519PrivateKey.generate()
            if group is NamedGroup.X25519
            else ec.generate_private_key(ec.SECP256R1())
        )

    @property
    def point(self) -> bytes:
        """The public key as it travels: 32 bytes for x25519, 65 (uncompressed point) for secp256r1."""
        if isinstance(self._private, x25519.X25519PrivateKey):
            return self._private.public_key().public_bytes_raw()
        return self._private.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)

    def agree_untrusted(self, point: bytes) -> bytes:
        """Return the shared secret with the peer's public key: the premaster secret.

        A point that is not on the curve, not uncompressed, or of small order is refused: RFC 8422
        sections 5.4.1 and 5.11.
        """
        try:
            if isinstance(self._private, x25519.X25519PrivateKey):
                return self._private.exchange(x25519.X25519PublicKey.from_public_bytes(point))
            if point[:1] != b"\x04":
                raise ValueError
            public = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), point)
            return self._private.exchange(ec.ECDH(), public)
        except ValueError:
            raise HandshakeFailure(
                AlertDescription.ILLEGAL_PARAMETER, f"the peer's {self.group.label} key is not a valid point"
            ) from None
