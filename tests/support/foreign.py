"""Programs of other projects: found, started on loopback, read, and stopped by process id.

Where a program is missing the test says so and is skipped; with TWOWAY_PEERS=required, as in continuous
integration, a missing program is a failure.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NoReturn, Self

import pytest
from small_pki import Credential, small_pki

from twoway.demo.ground import free_ports

PATIENCE = 20.0
PACKAGES = Path(__file__).parents[2] / "build" / "peers"
"""Where scripts/set-up puts foreign stacks that come as packages, a folder each."""


def program(name: str) -> str:
    """The path of a foreign program."""
    path = shutil.which(name)
    if path is None:
        missing(name)
    return path


def package(name: str) -> Path:
    """The folder of a foreign package."""
    if not (PACKAGES / name / ".installed").exists():
        missing(name)
    return PACKAGES / name


def missing(name: str) -> NoReturn:
    """Say that a peer is not there: fail where it is required, skip elsewhere."""
    message = f"{name} is not installed (make system-packages installs it)"
    if os.environ.get("TWOWAY_PEERS") == "required":
        pytest.fail(message)
    pytest.skip(message)


def free_udp_port() -> int:
    """A port that was free a moment ago: for programs that cannot choose one by themselves."""
    return free_ports(1)[0]


def identity_files(credential: Credential, folder: Path) -> dict[str, str]:
    """Write an identity folder and name its files."""
    small_pki().folder(credential, folder)
    return {name: str(folder / f"{name}.pem") for name in ("key", "cert", "ca")}


class Foreign:
    """A running program; its output is collected, its input can be written, it ends with the block."""

    def __init__(self, arguments: Sequence[str], environment: Mapping[str, str] | None = None) -> None:
        self._arguments = [program(arguments[0]), *arguments[1:]]
        self._environment = {**os.environ, "LC_ALL": "C", **(environment or {})}
        self.output = ""
        self._news = threading.Condition()

    def __enter__(self) -> Self:
        self.process = subprocess.Popen(
            self._arguments,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=self._environment,
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

    def wait_until(self, condition: Callable[[str], bool], patience: float = PATIENCE) -> bool:
        """Wait until its output is as wanted; tell whether it came to be."""
        with self._news:
            return self._news.wait_for(lambda: condition(self.output), patience)

    def write(self, text: str) -> None:
        self.process.stdin.write(text.encode())
        self.process.stdin.flush()

    def end_input(self) -> None:
        """Press Ctrl-D."""
        self.process.stdin.close()

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
