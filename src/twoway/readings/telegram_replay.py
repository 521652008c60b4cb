"""Recorded smart-meter telegrams, replayed one at a time, over and over."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from pathlib import Path

from twoway.errors import ConfigurationError
from twoway.readings.record import Record
from twoway.readings.source import read_recording, require_interval
from twoway.readings.telegram import Figure, parse_telegram, split_telegrams


class TelegramReplay:
    """A source that gives the figures of the next telegram at each reading, stamped with its time.

    All telegrams are checked and parsed at once, so that a bad one is found when the publisher starts.

    Args:
        files: recordings of P1 telegrams, one or more in each.
        interval: seconds between two readings.

    Raises:
        ConfigurationError: no file, a file that cannot be read, a wrong CRC, a malformed telegram, or
            dsmr-parser is not installed.
    """

    def __init__(self, files: Sequence[Path], interval: float) -> None:
        if not files:
            raise ConfigurationError("there is no telegram to replay", remedy="name at least one recording")
        self.interval = require_interval(interval)
        self._telegrams = itertools.cycle([figures for file in files for figures in _read_figures(file)])

    def read(self, now: float) -> list[Record]:
        """Return the next telegram's figures."""
        return [
            Record(name=figure.name, unit=figure.unit, time=now, value=figure.value)
            for figure in next(self._telegrams)
        ]


def _read_figures(file: Path) -> list[list[Figure]]:
    data = read_recording(file)
    try:
        return [parse_telegram(telegram) for telegram in split_telegrams(data)]
    except ConfigurationError as error:
        raise ConfigurationError(error.what, where=str(file), remedy=error.remedy) from None
