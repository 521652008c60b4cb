"""How a fresh identity reaches its folder: whole where the folder is new, file by file where it is renewed.

It must never overwrite what belongs to another identity, nor leave a private key behind whose certificate is
gone. Files that are not ours, such as a subscriber's `ac.toml`, stay as they are.
"""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from pathlib import Path

from twoway.errors import ConfigurationError
from twoway.pki.files import (
    CERTIFICATE_FILE,
    KEY_FILE,
    PRIVATE_MODE,
    PUBLIC_MODE,
    create_folder,
    write_file,
)
from twoway.pki.stored import read_identity


def is_occupied(folder: Path) -> bool:
    """Whether there is anything in a folder; one that does not exist or is empty is free.

    Raises:
        ConfigurationError: if it is not a folder, or cannot be read.
    """
    try:
        return any(folder.iterdir())
    except FileNotFoundError:
        return False
    except OSError as error:
        raise ConfigurationError(
            f"it cannot be used as a folder ({(error.strerror or 'refused').lower()})",
            where=str(folder),
            remedy="name another one",
        ) from None


def require_replaceable(folder: Path, uri: str, certified_spki: bytes | None) -> None:
    """Check that a folder may be overwritten with a new certificate.

    Args:
        folder: an identity folder with something in it.
        uri: the identity of the new certificate.
        certified_spki: the key of the new certificate, where the folder's private key is to stay; None
            where it is overwritten as well.

    Raises:
        ConfigurationError: if the folder is another identity's, or its private key is another one.
    """
    present = read_identity(folder / CERTIFICATE_FILE)
    if present.uri != uri:
        raise ConfigurationError(
            f"this folder belongs to {present.uri}", where=str(folder), remedy="name another one"
        )
    if certified_spki is None or not (folder / KEY_FILE).exists():
        return
    if not hmac.compare_digest(present.spki, certified_spki):
        raise ConfigurationError(
            f"the {KEY_FILE} in this folder is not the key of the request",
            where=str(folder),
            remedy="move it away first",
        )


def hand_over(folder: Path, files: Mapping[str, bytes], *, occupied: bool) -> None:
    """Write an identity's files, the private key with mode 0600 from its first byte on.

    Raises:
        StorageError: if the disk refuses.
    """
    if not occupied:
        create_folder(folder, files)
        return
    # Cut short between two files, the folder holds a key and a leaf that do not match; loading refuses it.
    for name, content in files.items():
        write_file(folder / name, content, mode=PRIVATE_MODE if name == KEY_FILE else PUBLIC_MODE)
