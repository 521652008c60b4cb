"""``/keys``: the public keys that sign tickets, now and soon, for publishers to learn and to follow.

Whoever may open an association may read them: they are public. A publisher believes them because the AC
proved itself in the handshake.
"""

from __future__ import annotations

from collections.abc import Callable

import aiocoap
from aiocoap import Code, Message
from aiocoap.resource import ObservableResource

from twoway.ac.picture import Picture
from twoway.clock import Clock
from twoway.tickets import CONTENT_FORMAT_COSE_KEY_SET, encode_key_set

_MAX_AGE_SECONDS = 60
"""Who polls asks at least this often, and so learns of a new key within the shortest sensible overlap."""


class KeysResource(ObservableResource):  # type: ignore[misc]  # aiocoap ships no types
    """``/keys``: a COSE_KeySet, observable.

    Args:
        picture: returns what is known now.
        clock: where time comes from.
    """

    ct = str(CONTENT_FORMAT_COSE_KEY_SET)
    """Shown in ``.well-known/core``."""

    def __init__(self, picture: Callable[[], Picture], *, clock: Clock) -> None:
        super().__init__()
        self._picture = picture
        self._clock = clock
        self._told = b""

    async def render_get(self, request: Message) -> Message:
        """Answer with the keys that are announced now."""
        if request.opt.accept not in (None, CONTENT_FORMAT_COSE_KEY_SET):
            return Message(code=Code.NOT_ACCEPTABLE)
        response = Message(
            code=Code.CONTENT,
            payload=self._encoded(),
            content_format=CONTENT_FORMAT_COSE_KEY_SET,
            max_age=_MAX_AGE_SECONDS,
        )
        if request.opt.observe == 0:
            # A publisher that misses the new key will refuse its tickets.
            response.transport_tuning = aiocoap.Reliable()
        return response

    def look(self) -> None:
        """Notify the observers if other keys are announced than at the last look."""
        encoded = self._encoded()
        if encoded != self._told:
            self._told = encoded
            self.updated_state()

    def _encoded(self) -> bytes:
        keys = self._picture().signing_keys.announced_at(self._clock.now())
        return encode_key_set([key.public for key in keys])
