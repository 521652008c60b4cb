"""One asyncio timer for many deadlines, re-armed only when the earliest of them changes."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Generic

from twoway.clock import Clock
from twoway.net.deadlines import Deadlines, Key


class Alarm(Generic[Key]):
    """Calls ``on_due(key, now)`` for each key whose time has come.

    Args:
        clock: what the deadlines are measured by.
        on_due: takes the key and the monotonic time; asks again for the key if it still needs one.
    """

    def __init__(self, clock: Clock, on_due: Callable[[Key, float], None]) -> None:
        self._clock = clock
        self._on_due = on_due
        self._deadlines: Deadlines[Key] = Deadlines()
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at: float | None = None

    def need(self, key: Key, at: float) -> None:
        """See to it that ``key`` comes due at ``at``, in monotonic seconds, or earlier."""
        self._deadlines.need(key, at)
        self._arm()

    def forget(self, key: Key) -> None:
        """Drop a key. The timer is left as it is: finding nothing due costs less than arming it anew."""
        self._deadlines.forget(key)

    def stop(self) -> None:
        """Drop everything."""
        self._deadlines = Deadlines()
        self._arm()

    def _arm(self) -> None:
        earliest = self._deadlines.earliest()
        if earliest == self._timer_at:
            return
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._timer_at = earliest
        if earliest is not None:
            delay = max(0.0, earliest - self._clock.monotonic())
            self._timer = self._loop.call_later(delay, self._ring)

    def _ring(self) -> None:
        self._timer = self._timer_at = None
        now = self._clock.monotonic()
        for key in self._deadlines.due(now):
            self._on_due(key, now)
        self._arm()
