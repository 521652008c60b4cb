"""Record protection with AEAD: RFC 5246 section 6.2.3.3.

Nonces have 12 bytes. A nonce repeats only if a record's number does, which :mod:`twoway.dtls.epochs`
excludes.

AES-GCM (RFC 5288), AES-CCM and CCM_8 (RFC 6655)
    the 4-byte write IV, then 8 bytes that travel in front of the ciphertext. We send the number there,
    and take from the peer whatever stands there.

ChaCha20-Poly1305 (RFC 7905)
    the 12-byte write IV, XORed with the number. Nothing of it travels.

Additional data: the prefix (:mod:`twoway.dtls.protection`), then the length of the plaintext (2 bytes).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESCCM, AESGCM, ChaCha20Poly1305

from twoway.dtls.protection import RecordRejected, RecordUnreadable
from twoway.dtls.record import MAX_PLAINTEXT_BYTES

EXPLICIT_NONCE_BYTES: Final = 8
NONCE_BYTES: Final = 12

AEAD = AESGCM | AESCCM | ChaCha20Poly1305


class AEADProtection(ABC):
    """One direction's keys of one epoch; the two subclasses differ in the nonce.

    Args:
        make_aead: makes the cipher of a key. It is made at the first use: the object takes far more
            memory than the key.
        key: the write key.
        write_iv: the write IV of the key block.
        tag_bytes: the length of the tag.
        forgery_limit: after so many unauthentic records the key is forgotten (RFC 9147 section 4.5.3).
    """

    __slots__ = ("_aead", "_forgeries_left", "_key", "_make_aead", "_tag_bytes", "_write_iv")

    def __init__(
        self,
        make_aead: Callable[[bytes], AEAD],
        key: bytes,
        write_iv: bytes,
        *,
        tag_bytes: int,
        forgery_limit: int,
    ) -> None:
        self._make_aead = make_aead
        self._key: bytes | None = key
        self._write_iv = write_iv
        self._tag_bytes = tag_bytes
        self._forgeries_left = forgery_limit
        self._aead: AEAD | None = None

    @property
    @abstractmethod
    def overhead_bytes(self) -> int:
        """See :class:`~twoway.dtls.protection.Protection`."""

    @abstractmethod
    def seal(self, number: int, prefix: bytes, plaintext: bytes) -> bytes:
        """See :class:`~twoway.dtls.protection.Protection`."""

    @abstractmethod
    def open_untrusted(self, number: int, prefix: bytes, fragment: bytes) -> bytes:
        """See :class:`~twoway.dtls.protection.Protection`."""

    def rest(self) -> None:
        """Drop the cipher object until its next use."""
        self._aead = None

    def _wake(self) -> AEAD:
        if self._key is None:
            raise RecordRejected("key given up")
        self._aead = self._make_aead(self._key)
        return self._aead

    def _note_forgery(self) -> None:
        """Without key and cipher object nothing opens any more, and the ordinary record pays no check."""
        self._forgeries_left -= 1
        if self._forgeries_left <= 0:
            self._key = self._aead = None


class ExplicitNonceProtection(AEADProtection):
    """AES-GCM and AES-CCM: a part of the nonce travels with the record."""

    __slots__ = ()

    @property
    def overhead_bytes(self) -> int:
        """The travelling part of the nonce, and the tag."""
        return EXPLICIT_NONCE_BYTES + self._tag_bytes

    def seal(self, number: int, prefix: bytes, plaintext: bytes) -> bytes:
        """Return explicit nonce (8), ciphertext and tag."""
        aead = self._aead or self._wake()
        explicit = number.to_bytes(EXPLICIT_NONCE_BYTES, "big")
        additional = prefix + len(plaintext).to_bytes(2, "big")
        return explicit + aead.encrypt(self._write_iv + explicit, plaintext, additional)

    def open_untrusted(self, number: int, prefix: bytes, fragment: bytes) -> bytes:
        """Take explicit nonce (8), ciphertext and tag."""
        aead = self._aead or self._wake()
        length = len(fragment) - EXPLICIT_NONCE_BYTES - self._tag_bytes
        if not 0 <= length <= MAX_PLAINTEXT_BYTES:
            raise RecordUnreadable("wrong length")
        nonce = self._write_iv + fragment[:EXPLICIT_NONCE_BYTES]
        try:
            return aead.decrypt(nonce, fragment[EXPLICIT_NONCE_BYTES:], prefix + length.to_bytes(2, "big"))
        except InvalidTag:
            self._note_forgery()
            raise RecordUnreadable("not authentic") from None


class MaskedNonceProtection(AEADProtection):
    """ChaCha20-Poly1305: the nonce follows from the record's number."""

    __slots__ = ()

    @property
    def overhead_bytes(self) -> int:
        """The tag."""
        return self._tag_bytes

    def seal(self, number: int, prefix: bytes, plaintext: bytes) -> bytes:
        """Return ciphertext and tag."""
        aead = self._aead or self._wake()
        additional = prefix + len(plaintext).to_bytes(2, "big")
        return aead.encrypt(self._nonce(number), plaintext, additional)

    def open_untrusted(self, number: int, prefix: bytes, fragment: bytes) -> bytes:
        """Take ciphertext and tag."""
        aead = self._aead or self._wake()
        length = len(fragment) - self._tag_bytes
        if not 0 <= length <= MAX_PLAINTEXT_BYTES:
            raise RecordUnreadable("wrong length")
        try:
            return aead.decrypt(self._nonce(number), fragment, prefix + length.to_bytes(2, "big"))
        except InvalidTag:
            self._note_forgery()
            raise RecordUnreadable("not authentic") from None

    def _nonce(self, number: int) -> bytes:
        """RFC 7905 section 2: the number, padded with zeros in front to 12 bytes, XOR the write IV."""
        return (int.from_bytes(self._write_iv, "big") ^ number).to_bytes(NONCE_BYTES, "big")
