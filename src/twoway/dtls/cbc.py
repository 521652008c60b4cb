"""Record protection with AES-CBC and HMAC, in both orders.

MAC-then-encrypt, RFC 5246 section 6.2.3.2: ``IV | CBC(plaintext | MAC | padding)``. The MAC is over the
prefix (:mod:`twoway.dtls.protection`), the plaintext's length (2 bytes) and the plaintext.

Encrypt-then-MAC, RFC 7366 section 3: ``IV | CBC(plaintext | padding) | MAC``. The MAC is over the prefix,
the length of IV and ciphertext without the MAC (2 bytes), and IV and ciphertext.

The IV is 16 fresh random bytes for each record. Padding is n + 1 bytes of the value n; we use the fewest
that fill a block and take up to 256.

**What MAC-then-encrypt cannot promise.** Whoever can tell a record with bad padding from one with a bad
MAC reads plaintext byte by byte (Vaudenay 2002), and Lucky Thirteen (AlFardan and Paterson 2013) tells
them apart by time: the MAC of a longer plaintext takes more rounds of the hash. DTLS helps the attacker,
for a bad record does not end the association. So both faults go one way here: padding that is wrong counts
as none, the MAC is always computed, the hash always runs as many rounds as if there were no padding, and
there is one error. What remains is Python: slices of different lengths, integers of different size,
branches of the interpreter. Nobody can promise constant time on top of that. Encrypt-then-MAC has none of
this, since nothing unauthentic is ever decrypted; MAC-then-encrypt is for peers that know nothing else.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from cryptography.hazmat.primitives import constant_time, hashes, hmac
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from twoway.dtls.protection import RecordUnreadable
from twoway.dtls.record import MAX_PLAINTEXT_BYTES

BLOCK_BYTES: Final = 16
MAX_PADDING_BYTES: Final = 256  # with the byte that says how many

HASH_BLOCK_BYTES: Final = 64  # of SHA-1 and SHA-256
HASH_TRAILER_BYTES: Final = (
    9  # the least that both add: one byte and the length in 8 (FIPS 180-4 section 5.1.1)
)


class _CBCProtection:
    """What both orders share.

    Args:
        key: the write key of AES.
        mac_key: the write MAC key.
        mac_hash: the hash of the HMAC.
        entropy: returns that many random bytes, for the IVs.
    """

    __slots__ = ("_entropy", "_key", "_mac_hash", "_mac_key")

    def __init__(
        self,
        key: bytes,
        mac_key: bytes,
        mac_hash: type[hashes.SHA1] | type[hashes.SHA256],
        *,
        entropy: Callable[[int], bytes],
    ) -> None:
        self._key = key
        self._mac_key = mac_key
        self._mac_hash = mac_hash
        self._entropy = entropy

    @property
    def overhead_bytes(self) -> int:
        """IV, MAC, and as much padding as we ever use: one block."""
        return BLOCK_BYTES + self._mac_hash.digest_size + BLOCK_BYTES

    def rest(self) -> None:
        """Nothing is kept but the keys."""

    def _mac(self, prefix: bytes, length: int, data: bytes) -> bytes:
        mac = hmac.HMAC(self._mac_key, self._mac_hash())
        mac.update(prefix + length.to_bytes(2, "big") + data)
        return mac.finalize()

    def _encrypt(self, content: bytes) -> bytes:
        """Pad, and encrypt under a fresh IV, which goes in front."""
        padding = BLOCK_BYTES - len(content) % BLOCK_BYTES
        iv = self._entropy(BLOCK_BYTES)
        encryptor = Cipher(algorithms.AES(self._key), modes.CBC(iv)).encryptor()
        return iv + encryptor.update(content + bytes([padding - 1]) * padding) + encryptor.finalize()

    def _decrypt(self, fragment: bytes) -> bytes:
        """Return content and padding of an IV and whole blocks."""
        decryptor = Cipher(algorithms.AES(self._key), modes.CBC(fragment[:BLOCK_BYTES])).decryptor()
        return decryptor.update(fragment[BLOCK_BYTES:]) + decryptor.finalize()


class MACThenEncrypt(_CBCProtection):
    """RFC 5246 section 6.2.3.2; see the module for what it cannot promise."""

    __slots__ = ()

    def seal(self, number: int, prefix: bytes, plaintext: bytes) -> bytes:
        """Return IV (16) and ciphertext."""
        return self._encrypt(plaintext + self._mac(prefix, len(plaintext), plaintext))

    def open_untrusted(self, number: int, prefix: bytes, fragment: bytes) -> bytes:
        """Take IV (16) and ciphertext."""
        mac_bytes = self._mac_hash.digest_size
        longest = MAX_PLAINTEXT_BYTES + mac_bytes + MAX_PADDING_BYTES
        ciphertext_bytes = len(fragment) - BLOCK_BYTES
        if not mac_bytes < ciphertext_bytes <= longest or ciphertext_bytes % BLOCK_BYTES:
            raise RecordUnreadable("wrong length")
        content = self._decrypt(fragment)
        padding, is_padding_good = _padding(content, at_most=len(content) - mac_bytes)
        # RFC 5246 section 6.2.3.2, implementation note: wrong padding counts as none, and the MAC is
        # computed all the same.
        length = len(content) - mac_bytes - padding * is_padding_good
        plaintext, mac = content[:length], content[length : length + mac_bytes]
        is_mac_good = constant_time.bytes_eq(self._mac(prefix, length, plaintext), mac)
        self._hash_on(len(prefix) + 2 + length, len(prefix) + 2 + len(content) - mac_bytes)
        if not is_padding_good & is_mac_good:
            raise RecordUnreadable("not authentic")
        if length > MAX_PLAINTEXT_BYTES:
            raise RecordUnreadable("wrong length")
        return plaintext

    def _hash_on(self, hashed_bytes: int, most_bytes: int) -> None:
        """Run the rounds of the hash that the MAC of the longest possible plaintext would have taken more."""
        rounds = _rounds(most_bytes) - _rounds(hashed_bytes)
        digest = hashes.Hash(self._mac_hash())
        digest.update(bytes(rounds * HASH_BLOCK_BYTES))


class EncryptThenMAC(_CBCProtection):
    """RFC 7366 section 3."""

    __slots__ = ()

    def seal(self, number: int, prefix: bytes, plaintext: bytes) -> bytes:
        """Return IV (16), ciphertext and MAC."""
        encrypted = self._encrypt(plaintext)
        return encrypted + self._mac(prefix, len(encrypted), encrypted)

    def open_untrusted(self, number: int, prefix: bytes, fragment: bytes) -> bytes:
        """Take IV (16), ciphertext and MAC."""
        length = len(fragment) - self._mac_hash.digest_size
        longest = BLOCK_BYTES + MAX_PLAINTEXT_BYTES + MAX_PADDING_BYTES
        if not 2 * BLOCK_BYTES <= length <= longest or length % BLOCK_BYTES:
            raise RecordUnreadable("wrong length")
        encrypted, mac = fragment[:length], fragment[length:]
        if not constant_time.bytes_eq(self._mac(prefix, length, encrypted), mac):
            raise RecordUnreadable("not authentic")
        content = self._decrypt(encrypted)
        padding, is_padding_good = _padding(content, at_most=len(content))
        if not is_padding_good:  # The peer itself made it so: there is nothing left to find out by it.
            raise RecordUnreadable("wrong padding")
        if len(content) - padding > MAX_PLAINTEXT_BYTES:
            raise RecordUnreadable("wrong length")
        return content[: len(content) - padding]


def _padding(content: bytes, *, at_most: int) -> tuple[int, bool]:
    """Return how many bytes of padding a content says it has, and whether each of them is right."""
    padding = content[-1] + 1
    is_right = constant_time.bytes_eq(content[-padding:], bytes([padding - 1]) * padding)
    return padding, (padding <= at_most) & is_right


def _rounds(hashed_bytes: int) -> int:
    return -(-(hashed_bytes + HASH_TRAILER_BYTES) // HASH_BLOCK_BYTES)
