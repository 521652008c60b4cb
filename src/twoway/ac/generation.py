"""The generation: a number in the database that every change of rights raises, and who follows it.

Decisions are taken on a picture in memory. It is as old as the last look at this number, which each
replica takes several times a second: what one replica changed holds on all of them within a second. The
number is raised in the transaction of the change, and writers take turns, so whoever sees a number sees
all changes up to it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from sqlalchemy import Connection, select, update

from twoway.ac.storage import Database, tables
from twoway.errors import StorageError
from twoway.trace import Fault, Trace, ignore

FOLLOW_INTERVAL = 0.25
"""Seconds between two looks: one query of one row each, and room for three failures within the second."""


def current(connection: Connection) -> int:
    """Return the number."""
    query = select(tables.counter.c.value).where(tables.counter.c.name == "generation")
    return int(connection.execute(query).scalar_one())


def advance(connection: Connection) -> int:
    """Count a change, in the transaction that makes it, and return the new number."""
    counting = (
        update(tables.counter)
        .where(tables.counter.c.name == "generation")
        .values(value=tables.counter.c.value + 1)
        .returning(tables.counter.c.value)
    )
    return int(connection.execute(counting).scalar_one())


class Follower:
    """Looks at the generation and calls back when it has changed, whoever changed it.

    Args:
        database: where the number is.
        changed: takes the pictures again. What it raises as a ``StorageError`` is tried again at the next
            look; the number counts as followed only when it returned.
        trace: hears when the database could not be looked at, once for each time it became so.
    """

    def __init__(
        self, database: Database, changed: Callable[[], Awaitable[None]], *, trace: Trace = ignore
    ) -> None:
        self._database = database
        self._changed = changed
        self._trace = trace
        self._failing = False
        self.generation = database.read(current)
        """The number that was followed last."""

    async def run(self) -> None:
        """Follow until cancelled."""
        while True:
            await self.look()
            await asyncio.sleep(FOLLOW_INTERVAL)

    async def look(self) -> None:
        """Look once, and follow what has changed."""
        try:
            found = await asyncio.to_thread(self._database.read, current)
            if found != self.generation:
                await self._changed()
                self.generation = found
        except StorageError as error:
            if not self._failing:
                self._trace(Fault("generation not followed", "ac", {"reason": str(error)}))
            self._failing = True
        else:
            self._failing = False
