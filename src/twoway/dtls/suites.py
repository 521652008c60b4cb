"""Cipher suites: what each number means, and the protection that its keys make.

RFC 5289 (ECDHE with GCM), RFC 7251 (ECDHE_ECDSA with CCM), RFC 5487 and RFC 6655 (PSK). All use the
PRF and the hash SHA-256.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Final

from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.types import PublicKeyTypes
from cryptography.hazmat.primitives.ciphers.aead import AESCCM, AESGCM

from twoway.dtls.protection import AEADProtection

AES_128_KEY_BYTES: Final = 16
WRITE_IV_BYTES: Final = 4  # the implicit part of the nonce, RFC 5288 section 3 and RFC 6655 section 3


class KeyExchange(Enum):
    """How the premaster secret comes about, and what proves the server."""

    ECDHE_ECDSA = "ecdhe_ecdsa"
    ECDHE_RSA = "ecdhe_rsa"
    PSK = "psk"

    @property
    def uses_certificates(self) -> bool:
        """Whether both sides prove themselves by certificate."""
        return self is not KeyExchange.PSK

    def fits(self, server_key: PublicKeyTypes) -> bool:
        """Tell whether a server with this key can serve the exchange."""
        if self is KeyExchange.ECDHE_ECDSA:
            return isinstance(server_key, ec.EllipticCurvePublicKey)
        return self is KeyExchange.ECDHE_RSA and isinstance(server_key, rsa.RSAPublicKey)


@dataclass(frozen=True)
class CipherSuite:
    """One row of IANA's registry."""

    code: int
    name: str
    key_exchange: KeyExchange
    is_ccm: bool
    tag_bytes: int

    def protection(self, key: bytes, write_iv: bytes) -> AEADProtection:
        """Make one direction's record protection."""
        aead = AESCCM(key, tag_length=self.tag_bytes) if self.is_ccm else AESGCM(key)
        return AEADProtection(aead, self.tag_bytes, write_iv)


ECDHE_ECDSA_AES_128_GCM: Final = CipherSuite(
    0xC02B, "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256", KeyExchange.ECDHE_ECDSA, False, 16
)
ECDHE_RSA_AES_128_GCM: Final = CipherSuite(
    0xC02F, "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256", KeyExchange.ECDHE_RSA, False, 16
)
ECDHE_ECDSA_AES_128_CCM: Final = CipherSuite(
    0xC0AC, "TLS_ECDHE_ECDSA_WITH_AES_128_CCM", KeyExchange.ECDHE_ECDSA, True, 16
)
ECDHE_ECDSA_AES_128_CCM_8: Final = CipherSuite(
    0xC0AE, "TLS_ECDHE_ECDSA_WITH_AES_128_CCM_8", KeyExchange.ECDHE_ECDSA, True, 8
)
PSK_AES_128_GCM: Final = CipherSuite(0x00A8, "TLS_PSK_WITH_AES_128_GCM_SHA256", KeyExchange.PSK, False, 16)
PSK_AES_128_CCM_8: Final = CipherSuite(0xC0A8, "TLS_PSK_WITH_AES_128_CCM_8", KeyExchange.PSK, True, 8)

DEFAULT_SUITES: Final = (
    ECDHE_ECDSA_AES_128_GCM,
    ECDHE_RSA_AES_128_GCM,
    ECDHE_ECDSA_AES_128_CCM,
    ECDHE_ECDSA_AES_128_CCM_8,
    PSK_AES_128_GCM,
    PSK_AES_128_CCM_8,
)
"""In the order of preference: full tags before the short ones that RFC 7252 makes mandatory."""
