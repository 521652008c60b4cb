"""Buckets of requests, one for each name: who has used up a share waits until some of it is given back.

It owns the counting and its bound. It must never read a clock: monotonic seconds come in. What a name is, an
identity or an address, and what a request costs, is the business of whoever counts.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass


@dataclass(slots=True)
class _Bucket:
    requests: float
    at: float


class Buckets:
    """What each of many names has left.

    Args:
        burst: requests that a full bucket holds.
        per_second: requests that flow back each second.
        remembered: names whose use is remembered, one at least; beyond that the one that was quiet longest
            is forgotten.
    """

    def __init__(self, *, burst: int, per_second: float, remembered: int) -> None:
        self._burst = burst
        self._per_second = per_second
        self._remembered = remembered
        self._buckets: OrderedDict[str, _Bucket] = OrderedDict()

    def wait(self, name: str, now: float) -> float:
        """Refill the bucket of ``name``; return the seconds until it holds a request, 0 if it does."""
        bucket = self._buckets.setdefault(name, _Bucket(self._burst, now))
        self._buckets.move_to_end(name)
        if len(self._buckets) > self._remembered:
            self._buckets.popitem(last=False)
        gained = max(0.0, now - bucket.at) * self._per_second
        bucket.requests = min(self._burst, bucket.requests + gained)
        bucket.at = now
        return max(0.0, (1 - bucket.requests) / self._per_second)

    def take(self, name: str) -> None:
        """Take a request out of the bucket of ``name``, after :meth:`wait` has said 0 for it."""
        self._buckets[name].requests -= 1
