"""What a ``psk_identity`` names: an operator's pre-shared key, or the key of a ticket (RFC 9202, 3.3.2).

It owns the lookup that a handshake makes. It must never tell an unknown identity from a wrong key: whatever
is wrong, there is no key, and the engine goes on as if there were one. RFC 9202 asks for the alert
``illegal_parameter`` there, which would tell everybody which names and tickets are good.
"""

from __future__ import annotations

from collections.abc import Mapping

from twoway.clock import Clock
from twoway.errors import TwowayError
from twoway.identity import PSKIdentity
from twoway.publisher.service import AccessControl
from twoway.trace import Trace, TraceEvent


class SharedKeys:
    """The pre-shared keys of one publisher.

    Args:
        configured: the operator's keys by identity; a ticket never takes the place of one of these.
        access: knows the keys of tickets, and verifies tickets that come in the place of a name.
        clock: says when.
        trace: hears of tickets that were refused.
    """

    def __init__(
        self, configured: Mapping[bytes, bytes], access: AccessControl, *, clock: Clock, trace: Trace
    ) -> None:
        self._configured = dict(configured)
        self._access = access
        self._clock = clock
        self._trace = trace

    def look_up(self, psk_identity: bytes) -> bytes | None:
        """Return the key that a ``psk_identity`` from the network stands for now, or None. Never raises."""
        configured = self._configured.get(psk_identity)
        if configured is not None:
            return configured
        try:
            return self._access.shared_key_untrusted(PSKIdentity(psk_identity), now=self._clock.now())
        except TwowayError as error:
            self._trace(TraceEvent("no shared key", "publisher", {"because": error.what}))
            return None
