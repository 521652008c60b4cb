"""A folder in which the blocks of a paper are carried out as a person would type them."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
import threading
from collections.abc import Sequence
from pathlib import Path

from twoway.demo.ground import free_ports

PATIENCE = 60.0


def blocks(paper: Path, language: str) -> list[str]:
    """The fenced blocks of a language."""
    return blocks_in(paper.read_text(), language)


def blocks_in(text: str, language: str) -> list[str]:
    """The fenced blocks of a language in a part of a paper."""
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


def block(paper: Path, language: str, beginning: str) -> str:
    """The one block that begins so."""
    (found,) = [text for text in blocks(paper, language) if text.startswith(beginning)]
    return found


class Workshop:
    """The folder, with ports that are free here in the place of those that the paper names."""

    def __init__(self, folder: Path, ports: Sequence[str]) -> None:
        self.folder = folder
        self._ports = dict(zip(ports, map(str, free_ports(len(ports))), strict=True))
        self._environment = {
            **os.environ,
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            "PYTHONIOENCODING": "utf-8",
            "COLUMNS": "200",  # tables are as wide as they need to be
        }
        self._servers: list[subprocess.Popen[str]] = []

    def moved(self, text: str) -> str:
        """The text with the ports of this workshop."""
        return re.sub(rf"\b({'|'.join(self._ports)})\b", lambda found: self._ports[found[0]], text)

    def run(self, *command: str, ends_with: int = 0) -> str:
        """Carry a command out and return what it prints, both of it if it is to fail."""
        done = subprocess.run(
            [self.moved(word) for word in command],
            cwd=self.folder,
            env=self._environment,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
        assert done.returncode == ends_with, done.stdout + done.stderr
        return done.stdout + done.stderr if ends_with else done.stdout

    def serve(self, command: str) -> None:
        """Start a server and wait until it says that it is ready."""
        server = subprocess.Popen(
            shlex.split(command),
            cwd=self.folder,
            env=self._environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self._servers.append(server)
        watchdog = threading.Timer(PATIENCE, server.kill)
        watchdog.start()
        said = server.stdout.readline()
        watchdog.cancel()
        assert said.startswith("ready coaps://localhost:"), said + server.stdout.read()

    def close(self) -> None:
        for server in self._servers:
            server.terminate()
            server.communicate(timeout=PATIENCE)
