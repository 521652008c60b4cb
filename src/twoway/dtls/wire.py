"""Presentation language of RFC 5246 section 4: fixed integers and vectors with a length in front.

Readers take bytes from the network: whatever does not fit raises :class:`HandshakeFailure` with
``decode_error`` and nothing else. Writers take our own values: what does not fit is our mistake.
"""

from __future__ import annotations

import struct
from typing import Final

from twoway.dtls.alerts import AlertDescription, HandshakeFailure

_INTEGERS: Final = {1: "B", 2: "H"}
"""How `struct` writes integers of so many bytes."""


class Reader:
    """Takes a message body apart from front to back.

    Args:
        data: the body, as it came from the network.
        name: the message's name, for the reason that an error gives.
    """

    __slots__ = ("_data", "_name", "_position")

    def __init__(self, data: bytes, name: str) -> None:
        self._data = data
        self._position = 0
        self._name = name

    def take_untrusted(self, count: int) -> bytes:
        """Take exactly ``count`` bytes."""
        end = self._position + count
        if end > len(self._data):
            raise self._malformed("ends too early")
        taken = self._data[self._position : end]
        self._position = end
        return taken

    def integer_untrusted(self, width: int) -> int:
        """Take an unsigned big-endian integer of ``width`` bytes."""
        return int.from_bytes(self.take_untrusted(width), "big")

    def vector_untrusted(self, width: int, *, at_least: int = 0, at_most: int | None = None) -> bytes:
        """Take a vector whose length stands in front of it in ``width`` bytes."""
        length = int.from_bytes(self.take_untrusted(width), "big")
        if length < at_least or (at_most is not None and length > at_most):
            raise self._malformed(f"has a vector of {length} bytes where that is not allowed")
        return self.take_untrusted(length)

    def integers_untrusted(self, width: int, each: int, *, at_least: int = 0) -> tuple[int, ...]:
        """Take a vector of integers of ``each`` bytes, one or two."""
        data = self.vector_untrusted(width, at_least=at_least)
        if len(data) % each:
            raise self._malformed("has a list that ends within an element")
        return struct.unpack(f">{len(data) // each}{_INTEGERS[each]}", data)

    @property
    def remaining(self) -> int:
        """Bytes not yet taken."""
        return len(self._data) - self._position

    def end_untrusted(self) -> None:
        """Insist that nothing is left."""
        if self.remaining:
            raise self._malformed(f"has {self.remaining} bytes too many")

    def _malformed(self, what: str) -> HandshakeFailure:
        return HandshakeFailure(AlertDescription.DECODE_ERROR, f"the peer's {self._name} {what}")


def vector(width: int, data: bytes) -> bytes:
    """Put the length of ``data`` in front of it, in ``width`` bytes."""
    return len(data).to_bytes(width, "big") + data


def integers(width: int, each: int, values: tuple[int, ...]) -> bytes:
    """Write a vector of integers of ``each`` bytes, one or two."""
    return vector(width, struct.pack(f">{len(values)}{_INTEGERS[each]}", *values))
