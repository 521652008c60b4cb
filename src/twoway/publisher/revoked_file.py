"""Where a publisher keeps which tickets were revoked: no restart brings one back (RFC 9770 section 11).

    32 bytes   SHA-256 of all that follows
    33 bytes   a token hash (RFC 9770 section 4), the one known for longest first; and so on

It owns this one file, replaced in one step. It must never take a damaged file for a short list: whoever has
the damaged one knows nothing until the AC has told the whole list again. The cursor is not kept: the first
question after a start is for the whole list, so no cursor of another life of the AC can hide anything.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
from collections.abc import Collection
from pathlib import Path

from twoway.errors import ConfigurationError, StorageError
from twoway.pki.files import PRIVATE_MODE, read_file, write_file
from twoway.publisher.revocation import MAX_HASHES
from twoway.tickets.token_hash import TOKEN_HASH_BYTES

DIGEST_BYTES = hashlib.sha256().digest_size
DISK_TIMEOUT = 0.4
"""Seconds that a disk is waited for: the next revocation must not wait behind one that hangs, for with the
second and a half for last words whoever was revoked has to be gone within two seconds of the notification."""


class RevokedFile:
    """The list of one publisher on its disk.

    Args:
        path: the file; it is made when it is missing, which says that nothing was ever revoked.

    Raises:
        ConfigurationError: it cannot be read, made or written to.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._stored = read_file(path) if path.exists() else _encode(())
        hashes = _decode(self._stored)
        self.hashes: tuple[bytes, ...] = hashes or ()
        """What the file held at the start, the longest known first."""
        self.is_intact = hashes is not None
        """Whether that was all that was written; if not, nothing is known of any ticket."""
        self._writing: asyncio.Task[StorageError | None] | None = None
        self._prove_writable()

    @property
    def fault(self) -> ConfigurationError:
        """What to tell the operator of a file that is not intact."""
        return ConfigurationError(
            "the list of revoked tickets is damaged, and no ticket counts until the AC has told it anew",
            where=str(self._path),
            remedy="let the publisher reach its AC, and leave the file where it is",
        )

    async def record(self, hashes: Collection[bytes]) -> None:
        """Bring the list onto the disk; of several who wait, one writes.

        Args:
            hashes: the list. It is looked at again after each write, so that what was added meanwhile is on
                the disk too on return.

        Raises:
            StorageError: the disk refuses, or is not done in :data:`DISK_TIMEOUT`; it goes on then.
        """
        if self._writing is None or self._writing.done():
            self._writing = asyncio.create_task(self._write(hashes))
        done, _ = await asyncio.wait({self._writing}, timeout=DISK_TIMEOUT)
        if not done:
            raise StorageError("the disk takes too long", where=str(self._path))
        fault = self._writing.result()
        if fault is not None:
            raise fault

    async def _write(self, hashes: Collection[bytes]) -> StorageError | None:
        while (content := _encode(hashes)) != self._stored:
            try:
                await asyncio.to_thread(write_file, self._path, content, mode=PRIVATE_MODE)
            except StorageError as error:
                return error
            self._stored = content
        return None

    def _prove_writable(self) -> None:
        """Write what was read; a damaged file stays as it is, so that a second start finds it damaged too."""
        try:
            write_file(self._path, self._stored, mode=PRIVATE_MODE)
        except StorageError as error:
            raise ConfigurationError(
                error.what,
                where=str(self._path),
                remedy="let it be written to, or name another file in 'revoked_file' of [ac]",
            ) from None


def _encode(hashes: Collection[bytes]) -> bytes:
    listed = b"".join(hashes)
    return hashlib.sha256(listed).digest() + listed


def _decode(stored: bytes) -> tuple[bytes, ...] | None:
    """Return the token hashes of a file, or None if it is not as it was written."""
    digest, listed = stored[:DIGEST_BYTES], stored[DIGEST_BYTES:]
    if not hmac.compare_digest(digest, hashlib.sha256(listed).digest()):
        return None
    if len(listed) % TOKEN_HASH_BYTES or len(listed) > MAX_HASHES * TOKEN_HASH_BYTES:
        return None
    starts = range(0, len(listed), TOKEN_HASH_BYTES)
    return tuple(listed[start : start + TOKEN_HASH_BYTES] for start in starts)
