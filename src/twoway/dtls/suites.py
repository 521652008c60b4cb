"""Cipher suites: what each number means, and the protection that its keys make.

The RFC that names each suite stands beside it. In DTLS 1.2 a suite that names no hash for the PRF, or an
older one, uses SHA-256 (RFC 5246 section 5).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from functools import partial
from typing import Final

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.asymmetric.types import PublicKeyTypes
from cryptography.hazmat.primitives.ciphers.aead import AESCCM, AESGCM, ChaCha20Poly1305

from twoway.dtls.aead import (
    AEAD,
    EXPLICIT_NONCE_BYTES,
    NONCE_BYTES,
    ExplicitNonceProtection,
    MaskedNonceProtection,
)
from twoway.dtls.cbc import BLOCK_BYTES, EncryptThenMAC, MACThenEncrypt
from twoway.dtls.keys import DirectionKeys, PRFHash
from twoway.dtls.protection import Protection

CCM_FORGERY_LIMIT: Final = 11_863_283
"""2**23.5, RFC 9147 section 4.5.3. For tags of 8 bytes that section leaves the number open, and its appendix
B would end at 2**7: whoever can send 128 datagrams under a forged address could then end an association. With
this limit a forgery comes through with a chance of 2**-40 before the key is gone."""
FORGERY_LIMIT: Final = 2**36
"""For AES-GCM and ChaCha20-Poly1305, RFC 9147 section 4.5.3."""


class KeyExchange(Enum):
    """How the premaster secret comes about, and what proves the server."""

    ECDHE_ECDSA = "ecdhe_ecdsa"
    ECDHE_RSA = "ecdhe_rsa"
    RSA = "rsa"
    ECDH_ANON = "ecdh_anon"
    PSK = "psk"
    ECDHE_PSK = "ecdhe_psk"

    @property
    def uses_certificates(self) -> bool:
        """Whether the server proves itself by a certificate or a raw public key."""
        return self in (KeyExchange.ECDHE_ECDSA, KeyExchange.ECDHE_RSA, KeyExchange.RSA)

    @property
    def uses_psk(self) -> bool:
        """Whether both sides prove themselves by a pre-shared key."""
        return self in (KeyExchange.PSK, KeyExchange.ECDHE_PSK)

    @property
    def is_ephemeral(self) -> bool:
        """Whether there is a Diffie-Hellman exchange with keys of this handshake alone."""
        return self not in (KeyExchange.RSA, KeyExchange.PSK)

    def fits(self, server_key: PublicKeyTypes) -> bool:
        """Tell whether a server with this key can serve the exchange."""
        if self is KeyExchange.ECDHE_ECDSA:
            # RFC 8422 section 5.10: an Ed25519 key signs in the ECDHE_ECDSA exchange, too.
            if isinstance(server_key, ec.EllipticCurvePublicKey):
                return isinstance(server_key.curve, ec.SECP256R1 | ec.SECP384R1)
            return isinstance(server_key, ed25519.Ed25519PublicKey)
        return self.uses_certificates and isinstance(server_key, rsa.RSAPublicKey)


@dataclass(frozen=True)
class AEADCipher:
    """A cipher that encrypts and authenticates in one (RFC 5246 section 6.2.3.3)."""

    make: Callable[[bytes], AEAD]
    """Takes a key."""
    key_bytes: int
    fixed_iv_bytes: int
    """What the key block gives to the nonce: 4 bytes, or with ChaCha20-Poly1305 all 12."""
    tag_bytes: int
    forgery_limit: int

    @property
    def mac_key_bytes(self) -> int:
        """There is no MAC beside it."""
        return 0

    @property
    def overhead_bytes(self) -> int:
        """The tag and, where the nonce travels, its explicit part."""
        return self.tag_bytes + (0 if self.fixed_iv_bytes == NONCE_BYTES else EXPLICIT_NONCE_BYTES)

    def protection(
        self, keys: DirectionKeys, *, encrypt_then_mac: bool, entropy: Callable[[int], bytes]
    ) -> Protection:
        """See :meth:`CipherSuite.protection`; RFC 7366 section 3 and IVs do not concern AEAD."""
        kind = MaskedNonceProtection if self.fixed_iv_bytes == NONCE_BYTES else ExplicitNonceProtection
        return kind(self.make, keys.key, keys.iv, tag_bytes=self.tag_bytes, forgery_limit=self.forgery_limit)


@dataclass(frozen=True)
class CBCCipher:
    """AES-128-CBC with HMAC (RFC 5246 section 6.2.3.2)."""

    mac_hash: type[hashes.SHA1] | type[hashes.SHA256]

    @property
    def key_bytes(self) -> int:
        """AES-128."""
        return 16

    @property
    def fixed_iv_bytes(self) -> int:
        """Each record brings its IV."""
        return 0

    @property
    def mac_key_bytes(self) -> int:
        """As many as the hash has."""
        return self.mac_hash.digest_size

    @property
    def overhead_bytes(self) -> int:
        """IV, MAC, and a block of padding."""
        return 2 * BLOCK_BYTES + self.mac_key_bytes

    def protection(
        self, keys: DirectionKeys, *, encrypt_then_mac: bool, entropy: Callable[[int], bytes]
    ) -> Protection:
        """See :meth:`CipherSuite.protection`."""
        kind = EncryptThenMAC if encrypt_then_mac else MACThenEncrypt
        return kind(keys.key, keys.mac_key, self.mac_hash, entropy=entropy)


@dataclass(frozen=True)
class CipherSuite:
    """One row of IANA's registry."""

    code: int
    name: str
    key_exchange: KeyExchange
    cipher: AEADCipher | CBCCipher
    prf_hash: PRFHash = hashes.SHA256
    """The hash of the PRF and of the handshake messages (RFC 5246 sections 5 and 7.4.9)."""

    @property
    def is_cbc(self) -> bool:
        """Whether it is CBC with HMAC, which is safe with encrypt-then-MAC (RFC 7366) alone."""
        return isinstance(self.cipher, CBCCipher)

    @property
    def is_legacy(self) -> bool:
        """Whether only a profile for the devices of 2013 may speak it.

        RSA key transport has no forward secrecy and a history of padding oracles (RFC 9325 section 4.1);
        CBC with certificates is what peers of that time have beside it, mostly without encrypt-then-MAC.
        """
        return self.key_exchange is KeyExchange.RSA or (self.is_cbc and self.key_exchange.uses_certificates)

    @property
    def key_bytes(self) -> int:
        """SecurityParameters.enc_key_length."""
        return self.cipher.key_bytes

    @property
    def overhead_bytes(self) -> int:
        """By how much a protected fragment is longer than its plaintext, at most."""
        return self.cipher.overhead_bytes

    @property
    def mac_key_bytes(self) -> int:
        """SecurityParameters.mac_key_length; 0 with AEAD."""
        return self.cipher.mac_key_bytes

    @property
    def fixed_iv_bytes(self) -> int:
        """SecurityParameters.fixed_iv_length; 0 with CBC."""
        return self.cipher.fixed_iv_bytes

    def protection(
        self, keys: DirectionKeys, *, encrypt_then_mac: bool, entropy: Callable[[int], bytes]
    ) -> Protection:
        """Make one direction's record protection.

        Args:
            keys: that direction's part of the key block.
            encrypt_then_mac: what was negotiated (RFC 7366); AEAD has no use for it.
            entropy: returns that many random bytes, for the IVs of CBC.
        """
        return self.cipher.protection(keys, encrypt_then_mac=encrypt_then_mac, entropy=entropy)


_AES_128_GCM: Final = AEADCipher(AESGCM, 16, 4, 16, FORGERY_LIMIT)
_AES_256_GCM: Final = AEADCipher(AESGCM, 32, 4, 16, FORGERY_LIMIT)
_AES_128_CCM: Final = AEADCipher(AESCCM, 16, 4, 16, CCM_FORGERY_LIMIT)
_AES_256_CCM: Final = AEADCipher(AESCCM, 32, 4, 16, CCM_FORGERY_LIMIT)
_AES_128_CCM_8: Final = AEADCipher(partial(AESCCM, tag_length=8), 16, 4, 8, CCM_FORGERY_LIMIT)
_AES_256_CCM_8: Final = AEADCipher(partial(AESCCM, tag_length=8), 32, 4, 8, CCM_FORGERY_LIMIT)
_CHACHA20_POLY1305: Final = AEADCipher(ChaCha20Poly1305, 32, NONCE_BYTES, 16, FORGERY_LIMIT)
_AES_128_CBC_SHA: Final = CBCCipher(hashes.SHA1)  # HMAC does not rest on the collisions of SHA-1
_AES_128_CBC_SHA256: Final = CBCCipher(hashes.SHA256)


# Certificates and forward secrecy: RFC 5289 (GCM), RFC 7905 (ChaCha20), RFC 7251 (CCM).
ECDHE_ECDSA_AES_128_GCM: Final = CipherSuite(
    0xC02B, "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256", KeyExchange.ECDHE_ECDSA, _AES_128_GCM
)
ECDHE_RSA_AES_128_GCM: Final = CipherSuite(
    0xC02F, "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256", KeyExchange.ECDHE_RSA, _AES_128_GCM
)
ECDHE_ECDSA_CHACHA20_POLY1305: Final = CipherSuite(
    0xCCA9, "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256", KeyExchange.ECDHE_ECDSA, _CHACHA20_POLY1305
)
ECDHE_RSA_CHACHA20_POLY1305: Final = CipherSuite(
    0xCCA8, "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256", KeyExchange.ECDHE_RSA, _CHACHA20_POLY1305
)
ECDHE_ECDSA_AES_256_GCM: Final = CipherSuite(
    0xC02C, "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384", KeyExchange.ECDHE_ECDSA, _AES_256_GCM, hashes.SHA384
)
ECDHE_RSA_AES_256_GCM: Final = CipherSuite(
    0xC030, "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384", KeyExchange.ECDHE_RSA, _AES_256_GCM, hashes.SHA384
)
ECDHE_ECDSA_AES_128_CCM: Final = CipherSuite(
    0xC0AC, "TLS_ECDHE_ECDSA_WITH_AES_128_CCM", KeyExchange.ECDHE_ECDSA, _AES_128_CCM
)
ECDHE_ECDSA_AES_256_CCM: Final = CipherSuite(
    0xC0AD, "TLS_ECDHE_ECDSA_WITH_AES_256_CCM", KeyExchange.ECDHE_ECDSA, _AES_256_CCM
)
ECDHE_ECDSA_AES_128_CCM_8: Final = CipherSuite(
    0xC0AE, "TLS_ECDHE_ECDSA_WITH_AES_128_CCM_8", KeyExchange.ECDHE_ECDSA, _AES_128_CCM_8
)
ECDHE_ECDSA_AES_256_CCM_8: Final = CipherSuite(
    0xC0AF, "TLS_ECDHE_ECDSA_WITH_AES_256_CCM_8", KeyExchange.ECDHE_ECDSA, _AES_256_CCM_8
)

# A pre-shared key and forward secrecy: RFC 8442 (GCM, CCM_8), RFC 7905 (ChaCha20), RFC 5489 (CBC).
ECDHE_PSK_AES_128_GCM: Final = CipherSuite(
    0xD001, "TLS_ECDHE_PSK_WITH_AES_128_GCM_SHA256", KeyExchange.ECDHE_PSK, _AES_128_GCM
)
ECDHE_PSK_CHACHA20_POLY1305: Final = CipherSuite(
    0xCCAC, "TLS_ECDHE_PSK_WITH_CHACHA20_POLY1305_SHA256", KeyExchange.ECDHE_PSK, _CHACHA20_POLY1305
)
ECDHE_PSK_AES_256_GCM: Final = CipherSuite(
    0xD002, "TLS_ECDHE_PSK_WITH_AES_256_GCM_SHA384", KeyExchange.ECDHE_PSK, _AES_256_GCM, hashes.SHA384
)
ECDHE_PSK_AES_128_CCM_8: Final = CipherSuite(
    0xD003, "TLS_ECDHE_PSK_WITH_AES_128_CCM_8_SHA256", KeyExchange.ECDHE_PSK, _AES_128_CCM_8
)
ECDHE_PSK_AES_128_CBC_SHA256: Final = CipherSuite(
    0xC037, "TLS_ECDHE_PSK_WITH_AES_128_CBC_SHA256", KeyExchange.ECDHE_PSK, _AES_128_CBC_SHA256
)

# A pre-shared key alone: RFC 5487 (GCM), RFC 7905 (ChaCha20), RFC 6655 (CCM).
PSK_AES_128_GCM: Final = CipherSuite(0x00A8, "TLS_PSK_WITH_AES_128_GCM_SHA256", KeyExchange.PSK, _AES_128_GCM)
PSK_CHACHA20_POLY1305: Final = CipherSuite(
    0xCCAB, "TLS_PSK_WITH_CHACHA20_POLY1305_SHA256", KeyExchange.PSK, _CHACHA20_POLY1305
)
PSK_AES_256_GCM: Final = CipherSuite(
    0x00A9, "TLS_PSK_WITH_AES_256_GCM_SHA384", KeyExchange.PSK, _AES_256_GCM, hashes.SHA384
)
PSK_AES_128_CCM: Final = CipherSuite(0xC0A4, "TLS_PSK_WITH_AES_128_CCM", KeyExchange.PSK, _AES_128_CCM)
PSK_AES_256_CCM: Final = CipherSuite(0xC0A5, "TLS_PSK_WITH_AES_256_CCM", KeyExchange.PSK, _AES_256_CCM)
PSK_AES_128_CCM_8: Final = CipherSuite(0xC0A8, "TLS_PSK_WITH_AES_128_CCM_8", KeyExchange.PSK, _AES_128_CCM_8)
PSK_AES_256_CCM_8: Final = CipherSuite(0xC0A9, "TLS_PSK_WITH_AES_256_CCM_8", KeyExchange.PSK, _AES_256_CCM_8)

# Nobody proves anything: RFC 8422 section 6.
ECDH_ANON_AES_128_CBC_SHA: Final = CipherSuite(
    0xC018, "TLS_ECDH_anon_WITH_AES_128_CBC_SHA", KeyExchange.ECDH_ANON, _AES_128_CBC_SHA
)

# The world of 2013: RFC 5289 (ECDHE), RFC 5246 appendix A.5 (RSA key transport).
ECDHE_ECDSA_AES_128_CBC_SHA256: Final = CipherSuite(
    0xC023, "TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA256", KeyExchange.ECDHE_ECDSA, _AES_128_CBC_SHA256
)
ECDHE_RSA_AES_128_CBC_SHA256: Final = CipherSuite(
    0xC027, "TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA256", KeyExchange.ECDHE_RSA, _AES_128_CBC_SHA256
)
RSA_AES_128_CBC_SHA256: Final = CipherSuite(
    0x003C, "TLS_RSA_WITH_AES_128_CBC_SHA256", KeyExchange.RSA, _AES_128_CBC_SHA256
)
RSA_AES_128_CBC_SHA: Final = CipherSuite(
    0x002F, "TLS_RSA_WITH_AES_128_CBC_SHA", KeyExchange.RSA, _AES_128_CBC_SHA
)

DEFAULT_SUITES: Final = (
    ECDHE_ECDSA_AES_128_GCM,
    ECDHE_RSA_AES_128_GCM,
    ECDHE_ECDSA_CHACHA20_POLY1305,
    ECDHE_RSA_CHACHA20_POLY1305,
    ECDHE_ECDSA_AES_256_GCM,
    ECDHE_RSA_AES_256_GCM,
    ECDHE_ECDSA_AES_128_CCM,
    ECDHE_ECDSA_AES_256_CCM,
    ECDHE_ECDSA_AES_128_CCM_8,
    ECDHE_ECDSA_AES_256_CCM_8,
    ECDHE_PSK_AES_128_GCM,
    ECDHE_PSK_CHACHA20_POLY1305,
    ECDHE_PSK_AES_256_GCM,
    ECDHE_PSK_AES_128_CCM_8,
    PSK_AES_128_GCM,
    PSK_CHACHA20_POLY1305,
    PSK_AES_256_GCM,
    PSK_AES_128_CCM,
    PSK_AES_256_CCM,
    PSK_AES_128_CCM_8,
    PSK_AES_256_CCM_8,
)
"""In the order of preference: certificates, then shared keys with forward secrecy, then those without; among
these the full tags before the short ones that RFC 7252 makes mandatory; AES-128-GCM, the fastest, first."""

ANONYMOUS_SUITES: Final = (ECDH_ANON_AES_128_CBC_SHA,)
"""For configurations that admit handshakes in which nobody proves anything."""

LEGACY_2013_SUITES: Final = (
    ECDHE_ECDSA_AES_128_CBC_SHA256,
    ECDHE_RSA_AES_128_CBC_SHA256,
    RSA_AES_128_CBC_SHA256,
    RSA_AES_128_CBC_SHA,
)
"""In the order of preference; see :attr:`CipherSuite.is_legacy`."""
