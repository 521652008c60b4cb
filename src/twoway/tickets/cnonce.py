"""Nonces that show that a ticket was asked for lately (``cnonce``, RFC 9200 section 5.3.1).

    time (8 bytes)     when it was given out, whole seconds, big-endian
    random (8 bytes)
    MAC (16 bytes)     the first bytes of HMAC-SHA-256 over the 16 before

Owns giving them out and judging them, without remembering any: whoever asks without a ticket must not cost
memory. A nonce shows when a ticket was made and nothing else: it may come back in several tickets while it is
fresh, and each of them is judged by itself. The key belongs to one run of the publisher, so that a clock
which begins anew cannot make old nonces fresh.
"""

from __future__ import annotations

import hmac
from collections.abc import Callable
from datetime import datetime

from twoway.errors import CallerError
from twoway.tickets.ticket import TicketReason, TicketRejected, numeric_date

NONCE_BYTES = 32
"""Time, random bytes and MAC."""
MIN_KEY_BYTES = 16
"""Of the key of the MAC."""

_TIME_BYTES = 8
_RANDOM_BYTES = 8
_SIGNED_BYTES = _TIME_BYTES + _RANDOM_BYTES


class FreshNonces:
    """Gives nonces out and recognises its own while they are fresh.

    Args:
        key: random bytes of this run, at least 16.
        lifetime_seconds: as long as it takes to fetch a ticket.
        entropy: returns that many random bytes.

    Raises:
        CallerError: the key is too short, or the lifetime is none.
    """

    def __init__(self, *, key: bytes, lifetime_seconds: int, entropy: Callable[[int], bytes]) -> None:
        if len(key) < MIN_KEY_BYTES or lifetime_seconds < 1:
            raise CallerError(
                f"nonces need a key of {MIN_KEY_BYTES} bytes and a lifetime of a second or more"
            )
        self._key = key
        self._lifetime_seconds = lifetime_seconds
        self._entropy = entropy

    def issue(self, now: datetime) -> bytes:
        """Return a new nonce, 32 bytes.

        Args:
            now: aware. It may be far from the true time if it only runs on.
        """
        signed = numeric_date(now).to_bytes(_TIME_BYTES) + self._entropy(_RANDOM_BYTES)
        return signed + self._mac(signed)

    def require_fresh(self, cnonce: bytes | None, now: datetime) -> None:
        """Check that a nonce is ours, not from the future and not too old.

        Raises:
            TicketRejected: with :attr:`TicketReason.STALE_NONCE`.
        """
        if cnonce is None or len(cnonce) != NONCE_BYTES:
            raise TicketRejected(TicketReason.STALE_NONCE)
        signed, mac = cnonce[:_SIGNED_BYTES], cnonce[_SIGNED_BYTES:]
        if not hmac.compare_digest(mac, self._mac(signed)):
            raise TicketRejected(TicketReason.STALE_NONCE)
        age = numeric_date(now) - int.from_bytes(signed[:_TIME_BYTES])
        if not 0 <= age <= self._lifetime_seconds:
            raise TicketRejected(TicketReason.STALE_NONCE)

    def _mac(self, signed: bytes) -> bytes:
        return hmac.digest(self._key, signed, "sha256")[: NONCE_BYTES - _SIGNED_BYTES]
