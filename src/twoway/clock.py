"""Time as an argument: the clock that shells hand to the core.

Two times exist. Monotonic seconds drive timers and deadlines; wall-clock time, always aware and in
UTC, judges certificates and tickets. Nothing below ``twoway.net`` reads either by itself.
"""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from typing import Protocol


class Clock(Protocol):
    """What a shell asks for the time."""

    def monotonic(self) -> float:
        """Return seconds since an arbitrary point, never going backwards."""

    def now(self) -> datetime:
        """Return the wall-clock time, aware, in UTC."""


class SystemClock:
    """The clock of the operating system."""

    def monotonic(self) -> float:
        """Return the system's monotonic clock in seconds."""
        return time.monotonic()

    def now(self) -> datetime:
        """Return the system's wall-clock time in UTC."""
        return datetime.now(UTC)


class ManualClock:
    """A clock that moves only when told to: for tests and simulations in virtual time."""

    def __init__(self, start: datetime = datetime(2026, 1, 1, tzinfo=UTC)) -> None:
        self._start = start
        self._elapsed = 0.0

    def monotonic(self) -> float:
        """Return the seconds advanced so far."""
        return self._elapsed

    def now(self) -> datetime:
        """Return the starting time plus the seconds advanced so far."""
        return self._start + timedelta(seconds=self._elapsed)

    def advance(self, seconds: float) -> None:
        """Move both times forward by ``seconds``."""
        self._elapsed += seconds
