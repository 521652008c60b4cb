"""COSE_Encrypt0 with AES, in the one shape that an encrypted ticket has (RFC 9052 section 5.2).

    61(16([ << {1: alg, 4: kid, 5: IV} >>, {}, ciphertext ]))            ciphertext: with the tag at its end

Owns the envelope and its encryption. As with signed tickets there are exactly two tags, every header
parameter is protected and the unprotected map is empty. Must never choose a nonce: whoever encrypts hands
one in that was not used with this key before, since a second use gives both messages away.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from cbor2 import CBORTag
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESCCM, AESGCM

from twoway import strict_cbor
from twoway.errors import CallerError
from twoway.tickets.cose import COSEFault, COSERejected, header_untrusted, parts_untrusted
from twoway.tickets.iana import TAG_COSE_ENCRYPT0, TAG_CWT, Algorithm, HeaderParameter

KEY_BYTES = 16
"""AES-128 in all three algorithms."""
IV_BYTES = {Algorithm.A128GCM: 12, Algorithm.AES_CCM_16_64_128: 13, Algorithm.AES_CCM_16_128_128: 13}
"""Length of the nonce by algorithm (RFC 9053 sections 4.1 and 4.2)."""
ENCRYPTED_PREFIX = bytes((0xD8, TAG_CWT, 0xC0 | TAG_COSE_ENCRYPT0))
"""How the bytes of each encrypted ticket begin: the two tags in their shortest form."""

_TAG_BYTES = {Algorithm.AES_CCM_16_64_128: 8, Algorithm.AES_CCM_16_128_128: 16}


@dataclass(frozen=True, slots=True)
class Encrypt0:
    """A COSE_Encrypt0 message whose shape is right and that is yet to be decrypted."""

    protected: bytes
    """The protected header, encoded, as it was authenticated."""
    algorithm: Algorithm
    """One of the three."""
    key_id: bytes | None
    """``kid``: an index to find the key with. It proves nothing."""
    iv: bytes
    """The nonce, of the length of the algorithm."""
    ciphertext: bytes = field(repr=False)
    """With the authentication tag at its end."""

    def decrypt(self, key: bytes) -> bytes:
        """Return the plaintext.

        Raises:
            COSERejected: with :attr:`COSEFault.NOT_AUTHENTIC`.
        """
        try:
            return _cipher(self.algorithm, key).decrypt(
                self.iv, self.ciphertext, _authenticated(self.protected)
            )
        except (InvalidTag, ValueError):  # ValueError: shorter than a tag, or longer than CCM counts
            raise COSERejected(COSEFault.NOT_AUTHENTIC) from None


def encrypt0(plaintext: bytes, *, key: bytes, key_id: bytes, iv: bytes, algorithm: Algorithm) -> bytes:
    """Encrypt ``plaintext`` and return the tagged message.

    Args:
        plaintext: any bytes.
        key: 16 bytes.
        key_id: goes into the protected header as ``kid``.
        iv: the nonce, never used with this key before, as long as :data:`IV_BYTES` says.
        algorithm: one of those in :data:`IV_BYTES`.

    Raises:
        CallerError: the nonce or the key has another length.
    """
    if len(iv) != IV_BYTES[algorithm] or len(key) != KEY_BYTES:
        raise CallerError(f"{algorithm.name} takes a nonce of {IV_BYTES[algorithm]} bytes and a key of 16")
    protected = strict_cbor.encode(
        {HeaderParameter.ALG: algorithm, HeaderParameter.KID: key_id, HeaderParameter.IV: iv}
    )
    ciphertext = _cipher(algorithm, key).encrypt(iv, plaintext, _authenticated(protected))
    return strict_cbor.encode(CBORTag(TAG_CWT, CBORTag(TAG_COSE_ENCRYPT0, [protected, {}, ciphertext])))


def parse_encrypt0_untrusted(data: bytes) -> Encrypt0:
    """Take the envelope apart, so that the caller can find the key by its ``kid``.

    Raises:
        COSERejected: the shape is not exactly the one in the module's description.
    """
    match parts_untrusted(data, tag=TAG_COSE_ENCRYPT0):
        case [bytes() as protected, dict() as unprotected, bytes() as ciphertext]:
            header = header_untrusted(protected, unprotected, algorithms=IV_BYTES)
        case _:
            raise COSERejected(COSEFault.MALFORMED)
    algorithm = Algorithm(header.algorithm)
    if header.iv is None or len(header.iv) != IV_BYTES[algorithm]:
        raise COSERejected(COSEFault.MALFORMED)
    return Encrypt0(protected, algorithm, header.key_id, header.iv, ciphertext)


def _cipher(algorithm: Algorithm, key: bytes) -> AESCCM | AESGCM:
    if algorithm is Algorithm.A128GCM:
        return AESGCM(key)
    return AESCCM(key, tag_length=_TAG_BYTES[algorithm])


def _authenticated(protected: bytes) -> bytes:
    """The ``Enc_structure`` of RFC 9052 section 5.3, without external data."""
    return strict_cbor.encode(["Encrypt0", protected, b""])
