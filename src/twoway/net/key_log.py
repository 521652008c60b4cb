"""The key log file that Wireshark reads: for looking into one's own traffic, never in operation.

Each association adds one line with its master secret. Whoever has the file and a recording reads everything
that was said, so it is not written unless a program asks for it by the name with ``unsafe`` in it; an
environment variable alone, as other stacks have it, does nothing here.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from pathlib import Path

from twoway.errors import ConfigurationError

_MODE = 0o600


def unsafe_key_log_file(path: Path) -> Callable[[str], None]:
    """Return what appends lines to a file, for :attr:`~twoway.dtls.DTLSConfig.unsafe_key_log`.

    To follow the custom of other stacks: ``unsafe_key_log_file(Path(os.environ["SSLKEYLOGFILE"]))``.

    Args:
        path: the file; it is made with mode 0600 if there is none, and appended to if there is.

    Raises:
        ConfigurationError: it cannot be written, or others on this machine may open it.
    """

    def append(line: str) -> None:
        _append(path, line + "\n")

    try:
        mode = _append(path, "")
    except OSError as error:
        raise ConfigurationError(
            f"the key log cannot be written ({error.strerror})", where=str(path), remedy="name another file"
        ) from None
    if mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise ConfigurationError(
            f"others on this machine may open the key log (mode {mode:04o})",
            where=str(path),
            remedy=f"run `chmod 600 {path}`",
        )
    return append


def _append(path: Path, text: str) -> int:
    """Append to the file and return its mode. It is opened for each line, so that nothing is left to close;
    several processes may share it."""
    descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, _MODE)
    try:
        os.write(descriptor, text.encode())
        return stat.S_IMODE(os.fstat(descriptor).st_mode)
    finally:
        os.close(descriptor)
