"""Programs of other projects: found, started on loopback, read, and stopped by process id.

Where a program is missing the test says so and is skipped; with TWOWAY_PEERS=required, as in continuous
integration, a missing program is a failure.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Self

import pytest
from small_pki import Credential, small_pki

PATIENCE = 20.0


def program(name: str) -> str:
    """The path of a foreign program."""
    path = shutil.which(name)
    if path is None:
        message = f"{name} is not installed (make system-packages installs it)"
        if os.environ.get("TWOWAY_PEERS") == "required":
            pytest.fail(message)
        pytest.skip(message)
    return path


def free_udp_port() -> int:
    """A port that was free a moment ago: for programs that cannot choose one by themselves."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def identity_files(credential: Credential, folder: Path) -> dict[str, str]:
    """Write an identity folder and name its files."""
    small_pki().folder(credential, folder)
    return {name: str(folder / f"{name}.pem") for name in ("key", "cert", "ca")}


class Foreign:
    """A running program; its output is collected, its input can be written, it ends with the block."""

    def __init__(self, arguments: Sequence[str]) -> None:
        self._arguments = [program(arguments[0]), *arguments[1:]]
        self.output = ""
        self._news = threading.Condition()

    def __enter__(self) -> Self:
        self.process = subprocess.Popen(
            self._arguments,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env={**os.environ, "LC_ALL": "C"},
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        return self

    def _read(self) -> None:
        while chunk := self.process.stdout.read1(4096):
            with self._news:
                self.output += chunk.decode(errors="replace")
                self._news.notify_all()

    def wait_for(self, text: str, patience: float = PATIENCE) -> None:
        """Wait until the program has said something."""
        with self._news:
            assert self._news.wait_for(lambda: text in self.output, patience), self.output

    def write(self, text: str) -> None:
        self.process.stdin.write(text.encode())
        self.process.stdin.flush()

    def finish(self, patience: float = PATIENCE) -> int:
        """Wait for its own end and return the exit status."""
        status = self.process.wait(patience)
        self._reader.join(patience)
        return status

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.wait()
        self._reader.join()
        self.process.stdin.close()
        self.process.stdout.close()
