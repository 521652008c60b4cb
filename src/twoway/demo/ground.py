"""The ground that a deployment is set up on: a folder with nothing in it, and ports that are free."""

from __future__ import annotations

import itertools
import os
import random
import socket
from pathlib import Path
from typing import Final

from twoway.errors import ConfigurationError, NetworkError

HOST: Final = "127.0.0.1"
PORTS: Final = range(20_000, 32_000)
"""Linux hands out ports from 32768 by itself, other systems from 49152 (RFC 6335 section 6)."""


def require_empty(folder: Path) -> None:
    """Make a folder, or take one that is there and empty.

    Raises:
        ConfigurationError: there is something in it, or it cannot be used.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        is_empty = not any(folder.iterdir())
    except OSError as error:
        raise ConfigurationError(f"it cannot be used ({error.strerror})", where=str(folder)) from None
    if not is_empty:
        raise ConfigurationError(
            "there is something in it already", where=str(folder), remedy="name a new or an empty folder"
        )


def free_ports(count: int) -> list[int]:
    """Return UDP ports of this machine that are free at this moment, all of them different.

    They are from below those that the system hands out by itself (:data:`PORTS`): whoever else asks for any
    port takes none of them before they are used.

    Raises:
        NetworkError: there are not so many.
    """
    shuffled = random.SystemRandom().sample(PORTS, len(PORTS))
    found = list(itertools.islice(filter(_is_free, shuffled), count))
    if len(found) < count:
        raise NetworkError("there are not enough free UDP ports", where=HOST)
    return found


def _is_free(port: int) -> bool:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
    return True


def write_private(path: Path, text: str) -> None:
    """Write a file that its owner alone can read."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
