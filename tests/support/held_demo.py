"""A demonstration that is held: the command a person would type, with everything it starts."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Self

START_PATIENCE = 90.0
STOP_PATIENCE = 20.0


class HeldDemo:
    """``twoway demo --hold --keep FOLDER``, running."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __enter__(self) -> Self:
        self._log = self.folder.with_suffix(".log").open("wb")
        self.process = subprocess.Popen(
            [sys.executable, "-m", "twoway", "demo", "--hold", "--keep", str(self.folder)],
            stdout=self._log,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
        )
        deadline = time.monotonic() + START_PATIENCE
        while not (self.folder / "demo.json").exists():
            assert self.process.poll() is None, self.told
            assert time.monotonic() < deadline, self.told
            time.sleep(0.1)
        self.description = json.loads((self.folder / "demo.json").read_text())
        return self

    @property
    def told(self) -> str:
        return self.folder.with_suffix(".log").read_text()

    def children(self) -> list[int]:
        """The process ids of the actors."""
        path = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
        return [int(pid) for pid in path.read_text().split()]

    def uri(self, publisher: str) -> str:
        place = self.description["publishers"][publisher]
        return place["uri"] + place["resource"]

    def port(self, publisher: str) -> int:
        return int(self.description["publishers"][publisher]["uri"].rsplit(":", 1)[1])

    def files(self, identity: str) -> dict[str, str]:
        folder = self.description["identities"][identity]
        return {name: f"{folder}/{name}.pem" for name in ("key", "cert", "ca")}

    def interrupt(self) -> int:
        """Press Ctrl-C and return the exit status."""
        os.kill(self.process.pid, signal.SIGINT)
        return self.process.wait(STOP_PATIENCE)

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.interrupt()
        self._log.close()
