"""Groups of the ephemeral Diffie-Hellman exchange: RFC 8422 section 5.1.1."""

from __future__ import annotations

from enum import IntEnum
from typing import Final

from cryptography.hazmat.primitives.asymmetric import ec, x25519
from cryptography.hazmat.primitives.asymmetric.types import PublicKeyTypes
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from twoway.dtls.alerts import AlertDescription, HandshakeFailure

UNCOMPRESSED_POINTS: Final = 0  # ECPointFormat, RFC 8422 section 5.1.2


class NamedGroup(IntEnum):
    """The groups that we speak."""

    SECP256R1 = 23
    SECP384R1 = 24
    X25519 = 29

    @classmethod
    def of(cls, public_key: PublicKeyTypes) -> NamedGroup | None:
        """Return the group that a certificate's key lies in; None for a key that lies in none of them.

        RFC 8422 section 5.1: the groups of a ClientHello bind the server's certificate, too.
        """
        if not isinstance(public_key, ec.EllipticCurvePublicKey):
            return None
        return next((group for group, curve in _CURVES.items() if isinstance(public_key.curve, curve)), None)

    @property
    def label(self) -> str:
        """The registry's name: ``secp256r1``."""
        return self.name.lower()


DEFAULT_GROUPS: Final = (NamedGroup.X25519, NamedGroup.SECP256R1, NamedGroup.SECP384R1)

_CURVES: Final[dict[NamedGroup, type[ec.EllipticCurve]]] = {
    NamedGroup.SECP256R1: ec.SECP256R1,
    NamedGroup.SECP384R1: ec.SECP384R1,
}


class EphemeralKey:
    """One side's key of one handshake; forgotten with it."""

    def __init__(self, group: NamedGroup) -> None:
        self.group = group
        self._private: x25519.X25519PrivateKey | ec.EllipticCurvePrivateKey = (
            x25519.X25519PrivateKey.generate()
            if group is NamedGroup.X25519
            else ec.generate_private_key(_CURVES[group]())
        )

    @property
    def point(self) -> bytes:
        """The public key as it travels: 32 bytes for x25519, else an uncompressed point, 65 bytes for
        secp256r1 and 97 for secp384r1."""
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
            public = ec.EllipticCurvePublicKey.from_encoded_point(_CURVES[self.group](), point)
            return self._private.exchange(ec.ECDH(), public)
        except ValueError:
            raise HandshakeFailure(
                AlertDescription.ILLEGAL_PARAMETER, f"the peer's {self.group.label} key is not a valid point"
            ) from None
