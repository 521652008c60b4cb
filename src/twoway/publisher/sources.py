"""From configured sources to published readings: one task a resource.

It owns the rhythm. Reading may block (a file, a driver, the system), so it happens in a thread; a source
that fails costs its own readings and nothing else. It must never stamp a reading with a time other than
the one that the clock said when the source was asked.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import datetime
from typing import Protocol

from twoway.clock import Clock
from twoway.errors import ConfigurationError
from twoway.publisher.config import ResourceSection
from twoway.readings import CSVReplay, HostFigures, Record, Source, TelegramReplay
from twoway.trace import Fault, Trace


class Shelf(Protocol):
    """Where readings are put for those who ask."""

    def publish(self, records: Sequence[Record]) -> None:
        """Take a new reading."""


def open_source(section: ResourceSection) -> Source:
    """Make the source that a ``[[resource]]`` names.

    Raises:
        ConfigurationError: a file that it needs cannot be read, or an extra is not installed.
    """
    match section.source:
        case "p1":
            return TelegramReplay(section.files, section.interval)
        case "csv":
            assert section.file is not None
            assert section.name is not None
            return CSVReplay(section.file, section.name, section.unit, section.interval)
        case "host":
            return HostFigures(section.interval)


class Feed:
    """One source and the resource that its readings go to.

    Args:
        path: the resource's path, for the trace and for errors.
        source: is asked.
        shelf: is given what the source said.
        clock: says when.
        trace: hears when the source fails.
    """

    def __init__(self, path: str, source: Source, shelf: Shelf, *, clock: Clock, trace: Trace) -> None:
        self._path = path
        self._source = source
        self._shelf = shelf
        self._clock = clock
        self._trace = trace

    async def start(self) -> None:
        """Take the first reading, so that nobody who asks finds the resource empty.

        Raises:
            ConfigurationError: the source gives nothing that can be sent.
        """
        try:
            await self._take()
        except Exception as error:  # noqa: BLE001  # see run()
            raise ConfigurationError(
                f"its source gives no reading ({error})",
                where=self._path,
                remedy="check what the resource names",
            ) from None

    async def run(self) -> None:
        """Take reading after reading until cancelled."""
        while True:
            await asyncio.sleep(self._source.interval)
            try:
                await self._take()
            except Exception as error:  # noqa: BLE001  # a driver's fault, whatever it is, costs its readings alone
                # What was read before stays, with its time in it: readers see how old it is.
                self._trace(Fault("source failed", "publisher", {"path": self._path, "because": str(error)}))

    async def _take(self) -> None:
        now: datetime = self._clock.now()
        self._shelf.publish(await asyncio.to_thread(self._source.read, now.timestamp()))
