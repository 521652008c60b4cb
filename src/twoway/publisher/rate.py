"""A bound on how often one peer may try: a bucket of tokens for each, and a bound on the buckets.

It owns the counting. It must never read a clock: monotonic seconds come in. Verifying a ticket costs
a signature check, so a peer that uploads without pause is told to wait (RFC 8516).
"""

from __future__ import annotations

import math
from collections import OrderedDict
from dataclasses import dataclass

BURST = 10
"""Attempts that a peer has at once: enough for a client that renews, errs and tries again."""
REFILL_INTERVAL = 1.0
"""Seconds until a used attempt is given back."""
PEERS = 1024
"""Peers whose attempts are remembered; beyond that the one that was quiet longest is forgotten."""


@dataclass(slots=True)
class _Bucket:
    attempts: float
    at: float


class AttemptRate:
    """How many attempts each peer has left."""

    def __init__(
        self, *, burst: int = BURST, refill_interval: float = REFILL_INTERVAL, peers: int = PEERS
    ) -> None:
        self._burst = burst
        self._refill_interval = refill_interval
        self._peers = peers
        self._buckets: OrderedDict[str, _Bucket] = OrderedDict()

    def wait_for(self, peer: str, now: float) -> int:
        """Take one attempt of ``peer``.

        Args:
            peer: the peer's identity URI.
            now: monotonic seconds.

        Returns:
            0 if it may go on, else the whole seconds after which it may try again.
        """
        bucket = self._buckets.pop(peer, None) or _Bucket(self._burst, now)
        bucket.attempts = min(self._burst, bucket.attempts + (now - bucket.at) / self._refill_interval)
        bucket.at = now
        self._buckets[peer] = bucket
        if len(self._buckets) > self._peers:
            self._buckets.popitem(last=False)
        if bucket.attempts < 1:
            return max(1, math.ceil((1 - bucket.attempts) * self._refill_interval))
        bucket.attempts -= 1
        return 0
