"""Works that wait for an AC's database together, for certain."""

from __future__ import annotations

import asyncio
import threading
from typing import Self

from twoway.ac import Database


class Gate:
    """A work that holds up the database's thread, so that other works wait together."""

    def __init__(self, database: Database) -> None:
        self._entered, self._opened = threading.Event(), threading.Event()
        self.task = asyncio.ensure_future(database.run(self._work))

    def _work(self, connection: object) -> None:
        self._entered.set()
        assert self._opened.wait(20)

    async def __aenter__(self) -> Self:
        await asyncio.to_thread(self._entered.wait, 20)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._opened.set()
        await asyncio.wait({self.task})
