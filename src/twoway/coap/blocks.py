"""Bodies in blocks (RFC 7959), with bounds: requests put together, responses cut.

aiocoap does both in each resource, without a bound on the size or the number of bodies, and keeps finished
ones for minutes. Here it is done once, in front of the site, with counts by peer: whoever finished a
handshake is somebody, but nobody gets more than a share.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Hashable
from dataclasses import dataclass
from typing import Final

from aiocoap import Message
from aiocoap.error import BadRequest, RenderableError
from aiocoap.numbers.codes import Code
from aiocoap.numbers.optionnumbers import OptionNumber

from twoway.coap.remote import connection_of, peer_of
from twoway.net import Connection

RESERVED_EXPONENT: Final = 7
"""RFC 7959 section 2.2: a reliable transport may use it, ours is none."""
ETAG_BYTES: Final = 8

_NOT_IN_KEY: Final = (OptionNumber.BLOCK1, OptionNumber.BLOCK2, OptionNumber.OBSERVE)


@dataclass(frozen=True, kw_only=True)
class BodyLimits:
    """How much of blockwise bodies is kept."""

    body_bytes: int = 2**17
    """The largest request body. Tickets have some hundred bytes, a day of readings some ten thousand."""
    bodies_per_peer: int = 4
    """Unfinished request bodies, and begun responses, of one identity, however many connections it has."""
    bodies: int = 128
    """Both of all peers: 16 MiB of request bodies at most."""
    body_timeout: float = 93.0
    """Seconds without another block until a body is forgotten: MAX_TRANSMIT_WAIT, RFC 7252 section 4.8.2."""


class BlockRefused(RenderableError):  # type: ignore[misc]  # aiocoap ships no types
    """A block cannot be taken or given."""

    def __init__(self, code: Code, *, size1: int | None = None) -> None:
        super().__init__(str(code))
        self.code = code
        self.size1 = size1

    def to_message(self) -> Message:
        """Return the response that says so."""
        return Message(code=self.code, size1=self.size1)


@dataclass(eq=False)
class _Body:
    connection: Connection
    peer: str
    expires_at: float
    content: bytearray
    message: Message


class _Shelf:
    """Bodies by key, the one that was longest untouched first."""

    def __init__(self, limits: BodyLimits) -> None:
        self._limits = limits
        self._bodies: OrderedDict[Hashable, _Body] = OrderedDict()

    def __len__(self) -> int:
        return len(self._bodies)

    def get(self, key: Hashable, now: float) -> _Body | None:
        self._expire(now)
        if (body := self._bodies.get(key)) is not None:
            self._touch(key, body, now)
        return body

    def put(self, key: Hashable, body: _Body, now: float) -> None:
        self._bodies[key] = body
        self._touch(key, body, now)

    def remove(self, key: Hashable) -> None:
        self._bodies.pop(key, None)

    def forget(self, connection: Connection) -> None:
        for key in [key for key, body in self._bodies.items() if body.connection is connection]:
            del self._bodies[key]

    def is_full_for(self, peer: str, now: float) -> bool:
        self._expire(now)
        return len(self._bodies) >= self._limits.bodies or len(self._of(peer)) >= self._limits.bodies_per_peer

    def make_room_for(self, peer: str, now: float) -> None:
        """Give up the oldest body of this peer, or of all, if there is no room for one more."""
        self._expire(now)
        if len(own := self._of(peer)) >= self._limits.bodies_per_peer:
            del self._bodies[own[0]]
        elif len(self._bodies) >= self._limits.bodies:
            self._bodies.popitem(last=False)

    def _of(self, peer: str) -> list[Hashable]:
        return [key for key, body in self._bodies.items() if body.peer == peer]

    def _touch(self, key: Hashable, body: _Body, now: float) -> None:
        body.expires_at = now + self._limits.body_timeout
        self._bodies.move_to_end(key)

    def _expire(self, now: float) -> None:
        while self._bodies:
            key, oldest = next(iter(self._bodies.items()))
            if oldest.expires_at > now:
                return
            del self._bodies[key]


class RequestBodies:
    """Puts request bodies together from Block1: RFC 7959 sections 2.5 and 2.9."""

    def __init__(self, limits: BodyLimits) -> None:
        self._limits = limits
        self._shelf = _Shelf(limits)

    def __len__(self) -> int:
        return len(self._shelf)

    def forget(self, connection: Connection) -> None:
        """Drop what a connection that is over has begun."""
        self._shelf.forget(connection)

    def take(self, request: Message, now: float) -> Message | None:
        """Take a request with a Block1 option.

        Returns:
            The whole request, without the option, once its last block is there; None while more are to come.

        Raises:
            BlockRefused: 4.13 for a body that is too large or one too many, 4.08 for a gap.
            BadRequest: 4.00 for a block whose size is not the one it announces.
        """
        block = request.opt.block1
        _require_possible(request)
        key = _key(request)
        if block.block_number == 0:
            self._shelf.remove(key)
            body = self._begin(request, now)
        else:
            found = self._shelf.get(key, now)
            if found is None or block.start != len(found.content):
                self._shelf.remove(key)
                raise BlockRefused(Code.REQUEST_ENTITY_INCOMPLETE)
            body = found
        if len(body.content) + len(request.payload) > self._limits.body_bytes:
            self._shelf.remove(key)
            raise self._too_large()
        body.content += request.payload
        if block.more:
            self._shelf.put(key, body, now)
            return None
        self._shelf.remove(key)
        # The last request, not the first: its token and message ID are those that wait for the answer.
        whole: Message = request.copy(payload=bytes(body.content), block1=None)
        return whole

    def _begin(self, request: Message, now: float) -> _Body:
        if (request.opt.size1 or 0) > self._limits.body_bytes:
            raise self._too_large()
        peer = peer_of(request).uri
        if request.opt.block1.more and self._shelf.is_full_for(peer, now):
            raise self._too_large()
        return _Body(connection_of(request), peer, now, bytearray(), request)

    def _too_large(self) -> BlockRefused:
        return BlockRefused(Code.REQUEST_ENTITY_TOO_LARGE, size1=self._limits.body_bytes)


class ResponseBodies:
    """Cuts responses into blocks and keeps those that were begun: RFC 7959 section 2.4."""

    def __init__(self, limits: BodyLimits) -> None:
        self._shelf = _Shelf(limits)

    def __len__(self) -> int:
        return len(self._shelf)

    def forget(self, connection: Connection) -> None:
        """Drop what a connection that is over has begun."""
        self._shelf.forget(connection)

    def cut(self, request: Message, response: Message, now: float) -> Message:
        """Return the first block of a response, or the response itself if it fits."""
        asked = request.opt.block2
        exponent = request.remote.maximum_block_size_exp
        if asked is not None:
            exponent = min(exponent, asked.size_exponent)
        if len(response.payload) <= 1 << (exponent + 4):
            return response
        if response.opt.etag is None:
            # Blocks of two representations must not be taken for one (RFC 7959 section 2.4).
            response.opt.etag = hashlib.sha256(response.payload).digest()[:ETAG_BYTES]
        key, peer = _key(request), peer_of(request).uri
        self._shelf.remove(key)
        self._shelf.make_room_for(peer, now)
        self._shelf.put(key, _Body(connection_of(request), peer, now, bytearray(), response), now)
        first: Message = response._extract_block(0, exponent, 0)
        return first

    def next_block(self, request: Message, now: float) -> Message:
        """Return the block that a request asks for of a response that was begun.

        Raises:
            BlockRefused: 4.08, it was not begun, or too long ago.
            BadRequest: 4.00, there is no such block.
        """
        asked = request.opt.block2
        body = self._shelf.get(_key(request), now)
        if body is None:
            raise BlockRefused(Code.REQUEST_ENTITY_INCOMPLETE)
        block: Message = body.message._extract_block(asked.block_number, asked.size_exponent, 0)
        block.opt.observe = None
        return block


def require_block_sizes(request: Message) -> None:
    """Refuse a block size that is reserved: RFC 7959 section 2.2.

    Raises:
        BadRequest: 4.00.
    """
    for block in (request.opt.block1, request.opt.block2):
        if block is not None and block.size_exponent == RESERVED_EXPONENT:
            raise BadRequest("this block size is reserved")


def _require_possible(request: Message) -> None:
    block = request.opt.block1
    if not block.is_valid_for_payload_size(len(request.payload)):
        raise BadRequest("the block does not have the size that it says")


def _key(request: Message) -> Hashable:
    """Return what is the same for all requests of one blockwise transfer."""
    return request.remote.blockwise_key, request.get_cache_key(_NOT_IN_KEY)
