"""Bodies in blocks from peers that proved nothing: few, small, and for a short time (RFC 7959 section 2.5).

It owns what a stranger can make us keep before any ticket was looked at. It must never put blocks of two
senders together. The sender is an address, which anybody can forge: so the whole table is a few pages, and
who fills it keeps other strangers out for some seconds and takes nothing from those who are connected.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field

from aiocoap import Message
from aiocoap.error import BadRequest, RenderableError
from aiocoap.numbers.codes import Code

from twoway.tickets import MAX_TICKET_BYTES

BODIES = 16
"""Unfinished bodies of all: 64 KiB. A ticket of the usual size needs no blocks at all."""
BODY_TIMEOUT = 15.0
"""Seconds from a body's first block to its last."""

_LARGEST_EXPONENT = 6
"""1024 bytes. 7 stands for transports that are reliable (RFC 8323 section 6), and ours is not."""

Sender = tuple[str, int]
"""Source address and port of a datagram."""


class BodyRefused(RenderableError):  # type: ignore[misc]  # aiocoap ships no types
    """A block cannot be taken."""

    def __init__(self, code: Code) -> None:
        super().__init__(str(code))
        self.code = code

    def to_message(self) -> Message:
        """Return the response that says so."""
        return Message(code=self.code)


@dataclass
class _Body:
    ends_at: float
    content: bytearray = field(default_factory=bytearray)


class PlainBodies:
    """Unfinished bodies, one a sender."""

    def __init__(self) -> None:
        self._bodies: OrderedDict[Sender, _Body] = OrderedDict()

    def __len__(self) -> int:
        return len(self._bodies)

    def take(self, request: Message, sender: Sender, now: float) -> bytes | None:
        """Take a request with a Block1 option.

        Args:
            request: with a Block1 option.
            sender: where it came from.
            now: monotonic seconds.

        Returns:
            The whole body once its last block is there; None while more are to come.

        Raises:
            BodyRefused: 4.13 for a body that is too large or one too many, 4.08 for a gap.
            BadRequest: 4.00 for a block whose size is not the one that it announces.
        """
        self._expire(now)
        block = request.opt.block1
        if block.size_exponent > _LARGEST_EXPONENT or not block.is_valid_for_payload_size(
            len(request.payload)
        ):
            raise BadRequest("the block does not have the size that it says")
        body = self._bodies.pop(sender, None)
        if block.block_number == 0:
            body = _Body(now + BODY_TIMEOUT)
        if body is None or block.start != len(body.content):
            raise BodyRefused(Code.REQUEST_ENTITY_INCOMPLETE)
        if len(body.content) + len(request.payload) > MAX_TICKET_BYTES:
            raise BodyRefused(Code.REQUEST_ENTITY_TOO_LARGE)
        body.content += request.payload
        if not block.more:
            return bytes(body.content)
        if len(self._bodies) >= BODIES:
            raise BodyRefused(Code.REQUEST_ENTITY_TOO_LARGE)
        self._bodies[sender] = body
        return None

    def _expire(self, now: float) -> None:
        # Not in the order of their ends: a body moves to the back with each block.
        for sender in [sender for sender, body in self._bodies.items() if now >= body.ends_at]:
            del self._bodies[sender]
