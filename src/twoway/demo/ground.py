"""The ground that a deployment is set up on: a folder with nothing in it, and ports that are free."""

from __future__ import annotations

import os
import socket
from pathlib import Path
from typing import Final

from twoway.errors import ConfigurationError, NetworkError

HOST: Final = "127.0.0.1"


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

    Raises:
        NetworkError: there are not so many.
    """
    probes = []
    try:
        for _ in range(count):
            probe = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            probes.append(probe)
            probe.bind((HOST, 0))
        return [int(probe.getsockname()[1]) for probe in probes]
    except OSError as error:
        raise NetworkError(f"no free UDP port ({error.strerror})", where=HOST) from None
    finally:
        for probe in probes:
            probe.close()


def write_private(path: Path, text: str) -> None:
    """Write a file that its owner alone can read."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
