"""Record protection with AEAD: RFC 5246 section 6.2.3.3 with RFC 5288 (GCM) and RFC 6655 (CCM, CCM_8).

Nonce, 12 bytes: the 4-byte write IV of the key block, then 8 bytes that travel in front of the
ciphertext. We send epoch and sequence number there, so a nonce repeats only if a sequence number does,
which :class:`twoway.dtls.association.Association` excludes.

Additional data, 13 bytes: epoch and sequence number (8), type (1), version (2), plaintext length (2).
"""

from __future__ import annotations

import struct
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESCCM, AESGCM

from twoway.dtls.record import DTLS_1_2, MAX_PLAINTEXT_BYTES, Record
from twoway.errors import PeerError

EXPLICIT_NONCE_BYTES: Final = 8

_ADDITIONAL_DATA = struct.Struct(">QBHH")


class RecordRejected(PeerError):
    """A record that does not count. It is dropped and counted under the few words that say why."""


class RecordUnreadable(RecordRejected):
    """It is not protected with the keys that we share with the peer."""


class AEADProtection:
    """One direction's keys of one epoch.

    Args:
        aead: the cipher with its key.
        tag_bytes: the length of its tag.
        write_iv: the 4 bytes of the key block that start each nonce.
    """

    __slots__ = ("_aead", "_tag_bytes", "_write_iv")

    def __init__(self, aead: AESGCM | AESCCM, tag_bytes: int, write_iv: bytes) -> None:
        self._aead = aead
        self._tag_bytes = tag_bytes
        self._write_iv = write_iv

    @property
    def overhead_bytes(self) -> int:
        """How much longer a protected fragment is than its plaintext."""
        return EXPLICIT_NONCE_BYTES + self._tag_bytes

    def seal(self, kind: int, epoch: int, sequence: int, plaintext: bytes) -> bytes:
        """Protect a plaintext. The caller guarantees that (epoch, sequence) was never used before."""
        number = epoch << 48 | sequence
        explicit = number.to_bytes(EXPLICIT_NONCE_BYTES, "big")
        additional = _ADDITIONAL_DATA.pack(number, kind, DTLS_1_2, len(plaintext))
        return explicit + self._aead.encrypt(self._write_iv + explicit, plaintext, additional)

    def open_untrusted(self, record: Record) -> bytes:
        """Return a record's plaintext.

        Raises:
            RecordUnreadable: for whatever is not authentic, too short or too long.
        """
        length = len(record.fragment) - self.overhead_bytes
        if not 0 <= length <= MAX_PLAINTEXT_BYTES:
            raise RecordUnreadable("wrong length")
        explicit, ciphertext = (
            record.fragment[:EXPLICIT_NONCE_BYTES],
            record.fragment[EXPLICIT_NONCE_BYTES:],
        )
        additional = _ADDITIONAL_DATA.pack(
            record.epoch << 48 | record.sequence, record.type, record.version, length
        )
        try:
            return self._aead.decrypt(self._write_iv + explicit, ciphertext, additional)
        except InvalidTag:
            raise RecordUnreadable("not authentic") from None
