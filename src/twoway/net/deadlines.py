"""Many deadlines behind one timer.

A heap with lazy deletion: a key that is put off keeps its earlier entry, which makes for one early look
at that key instead of work at every datagram. Looking at the earliest deadline and moving one cost
O(log n); nothing here ever walks through all keys, but for a sweep each time that half of the heap is stale.
"""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Hashable, Iterator
from typing import Final, Generic, TypeVar

Key = TypeVar("Key", bound=Hashable)

SWEEP_THRESHOLD: Final = 64
"""Below this many entries a sweep is not worth its name."""


class Deadlines(Generic[Key]):
    """When to look at whom again."""

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, Key]] = []
        self._armed: dict[Key, tuple[float, int]] = {}
        self._order = itertools.count()

    def __len__(self) -> int:
        return len(self._armed)

    def need(self, key: Key, at: float) -> None:
        """See to it that ``key`` comes due at ``at`` or earlier (then the caller looks and asks again)."""
        armed = self._armed.get(key)
        if armed is not None and armed[0] <= at:
            return
        number = next(self._order)
        self._armed[key] = (at, number)
        heapq.heappush(self._heap, (at, number, key))
        self._sweep()

    def forget(self, key: Key) -> None:
        """Drop a key; nothing happens if it is not known."""
        self._armed.pop(key, None)
        self._sweep()

    def earliest(self) -> float | None:
        """Return when the next key comes due, or None."""
        while self._heap and self._is_stale(self._heap[0]):
            heapq.heappop(self._heap)
        return self._heap[0][0] if self._heap else None

    def due(self, now: float) -> Iterator[Key]:
        """Take out and yield each key that is due; keys that become due meanwhile wait for the next call."""
        taken: list[Key] = []
        while (at := self.earliest()) is not None and at <= now:
            _, _, key = heapq.heappop(self._heap)
            del self._armed[key]
            taken.append(key)
        yield from taken

    def _is_stale(self, entry: tuple[float, int, Key]) -> bool:
        at, number, key = entry
        return self._armed.get(key) != (at, number)

    def _sweep(self) -> None:
        if len(self._heap) > 2 * len(self._armed) + SWEEP_THRESHOLD:
            self._heap = [entry for entry in self._heap if not self._is_stale(entry)]
            heapq.heapify(self._heap)
