"""Readings as people and programs see them: one figure a record, whatever kind of value it has."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Protocol


class Measured(Protocol):
    """What SenML records and stored rows have in common."""

    @property
    def value(self) -> float | None:
        """A number."""

    @property
    def string_value(self) -> str | None:
        """A text."""

    @property
    def boolean_value(self) -> bool | None:
        """A yes or no."""

    @property
    def data_value(self) -> bytes | None:
        """Bytes."""


def figure(record: Measured) -> float | str | bool | None:
    """Return the record's one value; bytes as hexadecimal digits."""
    if record.value is not None:
        return record.value
    if record.string_value is not None:
        return record.string_value
    if record.boolean_value is not None:
        return record.boolean_value
    return record.data_value.hex() if record.data_value is not None else None


def figure_text(record: Measured) -> str:
    """Write the record's one value for people: numbers without float noise."""
    value = figure(record)
    return f"{value:.10g}" if isinstance(value, float) else str(value)


def time_text(seconds: float | None) -> str:
    """Write UNIX seconds as UTC."""
    return "" if seconds is None else f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M:%S}Z"
