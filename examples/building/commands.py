"""Commands as a person types them, each in a process of its own.

They are forked from one process that has the program loaded already: a play of twenty commands does not wait
twenty times until Python has read all libraries.
"""

from __future__ import annotations

import asyncio
import io
import multiprocessing
import os
import sys
from collections.abc import AsyncIterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import asynccontextmanager, redirect_stderr, redirect_stdout
from pathlib import Path
from typing import NamedTuple

from twoway.cli import main

PATIENCE = 60.0
"""Seconds that a command may take."""


class Ended(NamedTuple):
    """What became of a command."""

    status: int
    said: str


class CommandLine:
    """Types ``twoway`` commands in a folder."""

    def __init__(self, folder: Path, processes: ProcessPoolExecutor) -> None:
        self._folder = folder
        self._processes = processes

    async def type(self, *words: str) -> Ended:
        """Type one command, without the ``twoway`` before it, and wait until it ends."""
        running = asyncio.get_running_loop().run_in_executor(self._processes, _run, self._folder, words)
        return await asyncio.wait_for(running, PATIENCE)


@asynccontextmanager
async def command_line(folder: Path) -> AsyncIterator[CommandLine]:
    """Open a command line in a folder."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["twoway.cli"])
    with ProcessPoolExecutor(max_workers=1, mp_context=context, max_tasks_per_child=1) as processes:
        yield CommandLine(folder, processes)


def _run(folder: Path, words: tuple[str, ...]) -> Ended:
    """Be the command: in its folder, with its arguments, and with nothing to read."""
    os.chdir(folder)
    sys.argv = ["twoway", *words]
    output = io.StringIO()
    with redirect_stdout(output), redirect_stderr(output):
        try:
            main()
            status = 0
        except SystemExit as end:
            status = int(end.code or 0)
    return Ended(status, output.getvalue().strip())
