"""A recorded series from a CSV file, replayed row by row, over and over."""

from __future__ import annotations

import csv
import itertools
import math
from pathlib import Path

from twoway.errors import ConfigurationError
from twoway.readings.record import Record
from twoway.readings.source import read_recording, require_interval


class CSVReplay:
    """A source that gives the second column of a CSV file, a row at each reading, stamped with its time.

    The file has a heading, and in each row a time (which the replay replaces) and a number.

    Args:
        file: the CSV file, in UTF-8.
        name: the relative SenML name of the figure, ``flow``.
        unit: its SenML unit, ``l/s``.
        interval: seconds between two readings.

    Raises:
        ConfigurationError: the file cannot be read, has no rows, or a row that is not time and number.
    """

    def __init__(self, file: Path, name: str, unit: str | None, interval: float) -> None:
        self.interval = require_interval(interval)
        self._name = name
        self._unit = unit
        self._values = itertools.cycle(_read_values(file))

    def read(self, now: float) -> list[Record]:
        """Return the next row of the file."""
        return [Record(name=self._name, unit=self._unit, time=now, value=next(self._values))]


def _read_values(file: Path) -> list[float]:
    try:
        text = read_recording(file).decode("utf-8-sig")
        rows = csv.reader(text.splitlines(), strict=True)
        next(rows, None)
        values = [_value(row, rows.line_num, file) for row in rows]
    except (UnicodeDecodeError, csv.Error):
        raise ConfigurationError("this is not a CSV file in UTF-8", where=str(file)) from None
    if not values:
        raise ConfigurationError(
            "the file has no rows", where=str(file), remedy="give a heading and rows of time and number"
        )
    return values


def _value(row: list[str], line: int, file: Path) -> float:
    try:
        _, text = row
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise ConfigurationError(
            f"line {line} is not a time and a number", where=str(file), remedy="correct or remove the line"
        )
    return value
