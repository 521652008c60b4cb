"""Acknowledgements that wait until what they acknowledge is safe.

aiocoap acknowledges a notification as soon as it has arrived. Whoever stores notifications wants that only
once they are on disk: what was acknowledged is never sent again (RFC 7252 section 4.2, RFC 7641 section
4.5), so a crash in between would lose it. Until then the publisher repeats it, and gives the observation up
if it waits in vain, which is what should happen to an observer whose disk has stopped.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Final

from aiocoap import Message

MAX_AWAITED: Final = 512
"""Messages of one connection whose acknowledgement may wait; beyond them the oldest is forgotten, so its
sender repeats it."""
MAX_REMEMBERED: Final = 64
"""Acknowledged message IDs that are remembered, to acknowledge a repetition at once."""


class Acknowledgements:
    """Those of one connection.

    Args:
        send: sends an acknowledgement, a message of aiocoap's.
    """

    def __init__(self, send: Callable[[Message], None]) -> None:
        self._send = send
        self._tokens: dict[int, bytes] = {}
        self._waiting: dict[int, Message] = {}
        self._given: deque[int] = deque(maxlen=MAX_REMEMBERED)

    def expect(self, message: Message) -> None:
        """Note a confirmable response that is about to be handed to aiocoap.

        A response that comes in several blocks is acknowledged at once: what is handed to whoever asked is
        another message, put together of all of them.
        """
        is_cut = message.opt.block2 is not None and (
            message.opt.block2.more or message.opt.block2.block_number > 0
        )
        if is_cut or message.mid in self._given:
            return
        self._tokens[message.mid] = message.token
        if len(self._tokens) > MAX_AWAITED:
            oldest = next(iter(self._tokens))
            del self._tokens[oldest]
            self._waiting.pop(oldest, None)

    def holds(self, acknowledgement: Message) -> bool:
        """Keep an acknowledgement back if it is one of those that wait; tell whether it was kept."""
        if acknowledgement.mid not in self._tokens:
            return False
        self._waiting[acknowledgement.mid] = acknowledgement
        return True

    def give(self, response: Message) -> None:
        """Acknowledge a response, and those before it in the same exchange: it has superseded them."""
        if response.mid not in self._tokens:
            return
        for mid in [mid for mid, token in self._tokens.items() if token == response.token]:
            del self._tokens[mid]
            self._given.append(mid)
            if (acknowledgement := self._waiting.pop(mid, None)) is not None:
                self._send(acknowledgement)
            if mid == response.mid:
                return
