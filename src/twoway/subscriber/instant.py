"""A moment by both clocks of a machine, so that no clock that is set makes a ticket last longer.

It owns how much time has passed between two moments. A lifetime is a number of seconds from the moment of
the request (RFC 9200 section 5.10.4), and each clock has a way to lose some: the wall clock when it is set
back, the monotonic one while the machine sleeps. What has passed is what the clock says that lost nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Self

from twoway.clock import Clock


@dataclass(frozen=True, slots=True)
class Instant:
    """When something was."""

    wall: datetime
    """Aware, in UTC."""
    monotonic: float
    """Seconds since an arbitrary point."""

    @classmethod
    def now(cls, clock: Clock) -> Self:
        """Read both clocks."""
        return cls(clock.now(), clock.monotonic())

    def since(self, earlier: Instant) -> timedelta:
        """Return the time that has passed since ``earlier``: the longer of the two."""
        return max(self.wall - earlier.wall, timedelta(seconds=self.monotonic - earlier.monotonic))
