"""A publisher in a process of its own, to be killed.

async with served_publisher(path) as publisher:         # twoway publisher serve PATH
    await publisher.until_told("revoked tickets recorded")
    await publisher.kill()
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from deployment import until

import twoway


@dataclass
class ServedPublisher:
    process: asyncio.subprocess.Process
    events: list[dict[str, object]] = field(default_factory=list)
    """What it has told; the last one may have been cut off by its end."""

    @property
    def uri(self) -> str:
        """Where it listens."""
        return str(self._told("ready")[0]["uri"])

    async def until_told(self, event: str) -> None:
        """Wait for an event of its trace."""
        await until(lambda: bool(self._told(event)))

    async def kill(self) -> None:
        """End it at once, without any chance to tidy up."""
        self.process.kill()
        await self.process.wait()

    async def read(self) -> None:
        """Take what it tells until it ends."""
        assert self.process.stdout is not None
        async for line in self.process.stdout:
            if line.endswith(b"\n"):
                self.events.append(json.loads(line))

    def _told(self, event: str) -> list[dict[str, object]]:
        return [told for told in self.events if told["event"] == event]


@asynccontextmanager
async def served_publisher(path: Path) -> AsyncIterator[ServedPublisher]:
    """Let ``twoway publisher serve`` run; it is killed at the end, if it was not before."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "twoway", "publisher", "serve", "--json", str(path)),
        stdout=asyncio.subprocess.PIPE,
        env=os.environ | {"PYTHONPATH": str(Path(twoway.__file__).parents[1])},
    )
    publisher = ServedPublisher(process)
    reading = asyncio.create_task(publisher.read())
    try:
        await publisher.until_told("ready")
        yield publisher
    finally:
        if process.returncode is None:
            await publisher.kill()
        await reading
