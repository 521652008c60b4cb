"""How keys, certificates and whole identity folders get onto the disk, and off it again.

A private key has mode 0600 from its first byte on; a reader sees either the old content or the new one,
never a part; and what was handed out survives a power cut.
"""

from __future__ import annotations

import os
import secrets
import shutil
import stat
from collections.abc import Mapping
from pathlib import Path

from twoway.errors import ConfigurationError, StorageError

FILE_BYTES_MAX = 1_000_000
"""No file of keys or certificates comes near; a device or a log given by mistake does."""
PRIVATE_MODE = 0o600
PUBLIC_MODE = 0o644
KEY_FILE = "key.pem"
"""The one file of an identity folder that is private."""
CERTIFICATE_FILE = "cert.pem"
TRUST_FILE = "ca.pem"


def read_file(path: Path) -> bytes:
    """Read a small file that the operator named.

    Raises:
        ConfigurationError: if it is missing, too large or unreadable.
    """
    content, _ = _read(path)
    return content


def read_private_file(path: Path) -> bytes:
    """Read a file with a key in it, which nobody but its owner may be able to open.

    Raises:
        ConfigurationError: as for :func:`read_file`, and if its mode admits others.
    """
    content, mode = _read(path)
    if mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise ConfigurationError(
            f"others on this machine may open this private key (mode {mode:04o})",
            where=str(path),
            remedy=f"run `chmod 600 {path}`",
        )
    return content


def write_file(path: Path, content: bytes, *, mode: int = PUBLIC_MODE) -> None:
    """Write a file in one step: readers see the old content or the new one, and it is on the disk on return.

    Raises:
        StorageError: if the disk refuses.
    """
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    try:
        try:
            _write_new(temporary, content, mode)
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)
        sync_folder(path.parent)
    except OSError as error:
        raise _cannot_write(path, error) from None


def create_folder(folder: Path, files: Mapping[str, bytes]) -> None:
    """Make a folder that appears with all of its files in it, or not at all.

    Raises:
        StorageError: if the disk refuses, or there is something in the folder already.
    """
    temporary = folder.with_name(f".{folder.name}.{secrets.token_hex(8)}")
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        try:
            temporary.mkdir()
            for name, content in files.items():
                _write_new(temporary / name, content, PRIVATE_MODE if name == KEY_FILE else PUBLIC_MODE)
            sync_folder(temporary)
            temporary.rename(folder)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
        sync_folder(folder.parent)
    except OSError as error:
        raise _cannot_write(folder, error) from None


def sync_folder(folder: Path) -> None:
    """Make the folder's entries survive a power cut."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _read(path: Path) -> tuple[bytes, int]:
    try:
        with open(path, "rb", opener=_open_without_waiting) as file:
            status = os.fstat(file.fileno())
            if not stat.S_ISREG(status.st_mode):
                raise ConfigurationError("this is not a file", where=str(path), remedy="check the path")
            content = file.read(FILE_BYTES_MAX + 1)
    except OSError as error:
        raise ConfigurationError(
            _plain(error), where=str(path), remedy="check the path and its mode"
        ) from None
    if len(content) > FILE_BYTES_MAX:
        raise ConfigurationError(
            "the file is far too large to be this", where=str(path), remedy="check the path"
        )
    return content, stat.S_IMODE(status.st_mode)


def _write_new(path: Path, content: bytes, mode: int) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(descriptor)


def _open_without_waiting(path: str, flags: int) -> int:
    """Open a file; a named pipe given by mistake must not make us wait for somebody to write to it."""
    return os.open(path, flags | os.O_NONBLOCK)


def _cannot_write(path: Path, error: OSError) -> StorageError:
    return StorageError(_plain(error), where=str(path), remedy="check the folder's mode and the free space")


def _plain(error: OSError) -> str:
    """The system's own words, without the number and the path that Python adds."""
    return (error.strerror or "the system refused").lower()
