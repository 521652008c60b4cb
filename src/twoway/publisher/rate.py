"""A bound on how often one peer may try.

It owns what an attempt is and how many there are. Verifying a ticket costs a signature check, so a peer that
uploads without pause is told to wait (RFC 8516).
"""

from __future__ import annotations

import math

from twoway.rate import Buckets

BURST = 10
"""Attempts that a peer has at once: enough for a client that renews, errs and tries again."""
REFILL_INTERVAL = 1.0
"""Seconds until a used attempt is given back."""
PEERS = 1024
"""Peers whose attempts are remembered; beyond that the one that was quiet longest is forgotten."""


class AttemptRate:
    """How many attempts each peer has left."""

    def __init__(
        self, *, burst: int = BURST, refill_interval: float = REFILL_INTERVAL, peers: int = PEERS
    ) -> None:
        self._buckets = Buckets(burst=burst, per_second=1 / refill_interval, remembered=peers)

    def wait_for(self, peer: str, now: float) -> int:
        """Take one attempt of ``peer``.

        Args:
            peer: the peer's identity URI.
            now: monotonic seconds.

        Returns:
            0 if it may go on, else the whole seconds after which it may try again.
        """
        wait = math.ceil(self._buckets.wait(peer, now))
        if not wait:
            self._buckets.take(peer)
        return wait
