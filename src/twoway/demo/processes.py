"""The actors as processes: started, awaited, watched, and stopped by their own process ids."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from twoway.errors import NetworkError

START_TIMEOUT: Final = 30.0
STOP_TIMEOUT: Final = 10.0

Happening = Mapping[str, object]
"""One line of what an actor prints: ``event``, ``source``, and details."""


class Actor:
    """One running process.

    Args:
        arguments: of the ``twoway`` command, without ``--json``.
        log: where its standard error goes.
    """

    def __init__(self, name: str, arguments: tuple[str, ...], log: Path) -> None:
        self.name = name
        self.happenings: list[Happening] = []
        self._arguments = arguments
        self._log = log
        self._ready = asyncio.Event()
        self._process: asyncio.subprocess.Process | None = None
        self._listening: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Start it and wait until it is ready.

        Raises:
            NetworkError: it ended instead, with its own words, or it took too long.
        """
        with self._log.open("wb") as log:
            process = self._process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                "twoway",
                *self._arguments,
                "--json",
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=log,
                # A Ctrl-C in the terminal is for us; we stop the actors ourselves, in order.
                start_new_session=True,
            )
        self._listening = asyncio.create_task(self._listen(process))
        ready = asyncio.create_task(self._ready.wait())
        await asyncio.wait({self._listening, ready}, timeout=START_TIMEOUT, return_when="FIRST_COMPLETED")
        ready.cancel()
        if not self._ready.is_set():
            raise NetworkError(f"the {self.name} did not start: {self._last_words()}")

    @property
    def pid(self) -> int:
        """Its process id; it has been started."""
        assert self._process is not None
        return self._process.pid

    async def stop(self) -> None:
        """Ask it to end, if it was ever started; insist if it does not."""
        if self._process is None:
            return
        if self._process.returncode is None:
            self._process.terminate()
            try:
                await asyncio.wait_for(self._process.wait(), STOP_TIMEOUT)
            except TimeoutError:
                self._process.kill()
                await self._process.wait()
        if self._listening is not None:
            await self._listening

    async def ended(self) -> str:
        """Wait until it ends by itself, and say so in words."""
        assert self._process is not None
        assert self._listening is not None
        await self._process.wait()
        await self._listening
        return f"the {self.name} ended with status {self._process.returncode}: {self._last_words()}"

    async def _listen(self, process: asyncio.subprocess.Process) -> None:
        assert process.stdout is not None
        async for line in process.stdout:
            happening = json.loads(line)
            self.happenings.append(happening)
            if happening.get("event") == "ready":
                self._ready.set()

    def _last_words(self) -> str:
        lines = self._log.read_text(errors="replace").strip().splitlines()
        return lines[-1].removeprefix("twoway: ") if lines else "it said nothing"


class Troupe:
    """All actors of a deployment; started in the order given, stopped together."""

    def __init__(self, folder: Path) -> None:
        self._logs = folder / "logs"
        self._actors: list[Actor] = []

    async def __aenter__(self) -> Self:
        self._logs.mkdir(exist_ok=True)
        return self

    async def start(self, name: str, *arguments: str) -> Actor:
        """Start ``twoway ARGUMENTS`` and wait until it is ready."""
        actor = Actor(name, arguments, self._logs / f"{name}.log")
        self._actors.append(actor)
        await actor.start()
        return actor

    async def any_ended(self) -> str:
        """Wait until one of them ends by itself; nobody should."""
        waits = [asyncio.create_task(actor.ended()) for actor in self._actors]
        done, pending = await asyncio.wait(waits, return_when="FIRST_COMPLETED")
        for wait in pending:
            wait.cancel()
        return done.pop().result()

    async def __aexit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        await asyncio.gather(*(actor.stop() for actor in self._actors))
