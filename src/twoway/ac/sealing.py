"""Sealing: what the AC keeps in its database and nobody who reads the database may know.

Publishers' secrets and signing keys lie in the database, since all replicas need them at once, sealed with a
key that lies in a file: a copy of the database alone opens nothing. AES-256-GCM (NIST SP 800-38D); a sealed
value is

    nonce (12 bytes, random) | ciphertext | tag (16 bytes)

and is bound to what it is and to whom it belongs, so that two rows cannot change their places. It must never
put a key into an error or a repr.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from twoway.configuration import read_key_file
from twoway.errors import ConfigurationError
from twoway.pki.files import PRIVATE_MODE, write_file

KEY_BYTES = 32
"""AES-256."""
_NONCE_BYTES = 12
_TAG_BYTES = 16


class SealingKey:
    """The key that the AC's secrets are sealed with.

    Args:
        key: 32 random bytes. Nonces are random: it serves for 2**32 values (NIST SP 800-38D section 8.3),
            which no registry comes near.
        where: the file that it is from, for errors.

    Raises:
        ConfigurationError: it has another length.
    """

    def __init__(self, key: bytes, *, where: str) -> None:
        if len(key) != KEY_BYTES:
            raise ConfigurationError(
                f"the key that secrets are sealed with has {KEY_BYTES} bytes, not {len(key)}",
                where=where,
                remedy="write one with: openssl rand -hex 32",
            )
        self._aead = AESGCM(key)
        self._where = where

    @classmethod
    def load(cls, path: Path) -> SealingKey:
        """Read the key: one line of 64 hexadecimal digits in a file that only its owner can read.

        Raises:
            ConfigurationError: the file is missing, open to others, or holds something else.
        """
        return cls(read_key_file(path), where=str(path))

    def seal(self, purpose: str, owner: str, secret: bytes, *, entropy: Callable[[int], bytes]) -> bytes:
        """Seal ``secret``.

        Args:
            purpose: what it is, ``publisher secret``.
            owner: whose it is, an identity or the name of a key.
            secret: any bytes.
            entropy: returns that many random bytes.
        """
        nonce = entropy(_NONCE_BYTES)
        return nonce + self._aead.encrypt(nonce, secret, _bound_to(purpose, owner))

    def open(self, purpose: str, owner: str, sealed: bytes) -> bytes:
        """Return what was sealed for this purpose and owner.

        Raises:
            ConfigurationError: it was sealed with another key or for somebody else, or is damaged.
        """
        try:
            if len(sealed) < _NONCE_BYTES + _TAG_BYTES:
                raise InvalidTag
            nonce, ciphertext = sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:]
            return self._aead.decrypt(nonce, ciphertext, _bound_to(purpose, owner))
        except InvalidTag:
            raise ConfigurationError(
                f"the {purpose} of {owner} cannot be opened",
                where=self._where,
                remedy="name the key file with which it was sealed",
            ) from None


def require_sealing_key(path: Path | None, *, entropy: Callable[[int], bytes]) -> SealingKey:
    """Return the key in the file that ``sealing_key`` names; a file that is not there is made.

    Raises:
        ConfigurationError: no file is named, or it holds no key.
        StorageError: the disk refuses.
    """
    if path is None:
        raise ConfigurationError(
            "no key to seal secrets with is configured",
            where="ac.toml",
            remedy='name a file, for instance sealing_key = "sealing.key"; it is made',
        )
    if not path.exists():
        make_sealing_key(path, entropy=entropy)
    return SealingKey.load(path)


def make_sealing_key(path: Path, *, entropy: Callable[[int], bytes]) -> None:
    """Write a new key to ``path``, 0600.

    Raises:
        StorageError: the disk refuses.
    """
    write_file(path, entropy(KEY_BYTES).hex().encode() + b"\n", mode=PRIVATE_MODE)


def _bound_to(purpose: str, owner: str) -> bytes:
    # The length in front keeps two pairs from being written alike.
    return len(purpose).to_bytes(2) + purpose.encode() + owner.encode()
