"""Sealing: bytes that leave the process and must come back as they were, or not at all.

AES-256-GCM (NIST SP 800-38D) under a key that the caller gives. A sealed value is

    header | nonce (12 bytes, random) | ciphertext | tag (16 bytes)

The header can be read without the key, and is authenticated with the purpose in front of it, so that what was
sealed for one purpose cannot be opened for another.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from twoway.errors import ConfigurationError

KEY_BYTES: Final = 32
NONCE_BYTES: Final = 12
TAG_BYTES: Final = 16


class SnapshotRejected(ConfigurationError):
    """A snapshot that cannot be restored, and why. Nothing has come of it."""


class SnapshotKey:
    """The key that snapshots are sealed with.

    Args:
        secret: 32 random bytes, kept apart from what is sealed with them. Nonces are random: take a new
            secret before 2**32 snapshots have been sealed with one (NIST SP 800-38D section 8.3).

    Raises:
        ConfigurationError: it has another length.
    """

    __slots__ = ("_aead",)

    def __init__(self, secret: bytes) -> None:
        if len(secret) != KEY_BYTES:
            raise ConfigurationError(f"a snapshot key has {KEY_BYTES} bytes, not {len(secret)}")
        self._aead = AESGCM(secret)

    def seal(
        self, purpose: bytes, header: bytes, plaintext: bytes, *, entropy: Callable[[int], bytes]
    ) -> bytes:
        """Return header, nonce and ciphertext with tag."""
        nonce = entropy(NONCE_BYTES)
        return header + nonce + self._aead.encrypt(nonce, plaintext, purpose + header)

    def open_untrusted(self, purpose: bytes, header_bytes: int, sealed: bytes) -> bytes:
        """Return the plaintext.

        Raises:
            SnapshotRejected: it was not sealed with this key for this purpose, or is damaged.
        """
        start = header_bytes + NONCE_BYTES
        if len(sealed) < start + TAG_BYTES:
            raise SnapshotRejected("the snapshot is too short")
        header, nonce = sealed[:header_bytes], sealed[header_bytes:start]
        try:
            return self._aead.decrypt(nonce, sealed[start:], purpose + header)
        except InvalidTag:
            raise SnapshotRejected(
                "the snapshot is damaged or was sealed with another key", remedy="check the snapshot key"
            ) from None
