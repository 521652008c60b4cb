"""Reassembly and ordering of handshake messages: RFC 6347 sections 4.2.2 and 4.2.3.

Fragments may arrive late, twice, overlapping and out of order. Messages leave whole and in the order
of message_seq. What the peer can make us hold is bounded; beyond the bounds fragments are dropped and
the peer's retransmission brings them again.
"""

from __future__ import annotations

from enum import Enum
from typing import Final

from twoway.dtls.messages.handshake import Fragment, HandshakeMessage

MAX_MESSAGE_BYTES: Final = 2**15
"""The largest message taken. A chain of three RSA-4096 certificates needs a sixth of it."""
MAX_MESSAGES_AHEAD: Final = 8
"""How far beyond the next message fragments are held; no flight of DTLS 1.2 has more messages."""
MAX_BYTES_HELD: Final = 2**16
"""What one association may make us hold in unfinished messages."""

MAX_GAPS: Final = 256
"""Gaps in one unfinished message. Each fragment costs as much work as there are gaps; 32 KiB in fragments of
64 bytes, every other one late, make no more."""


class Fate(Enum):
    """What became of a fragment."""

    KEPT = "kept"
    """It brought something new."""
    KNOWN = "known"
    """All of it was there already."""
    REPEATED = "repeated"
    """Of a message that was delivered before: the peer sends its last flight again."""
    DROPPED = "dropped"
    """Beyond the bounds; the peer's retransmission brings it again."""


class Assembly:
    """One message that is not whole yet: its bytes, and which of them have come."""

    __slots__ = ("_data", "_gaps", "kind", "length")

    def __init__(self, kind: int, length: int) -> None:
        self.kind = kind
        self.length = length
        self._data = bytearray(length)
        self._gaps: list[tuple[int, int]] = [(0, length)] if length else []

    def fill(self, offset: int, data: bytes) -> Fate:
        """Put bytes in place; what came first stays (a later overlap cannot change it). They are dropped if
        that would leave too many gaps."""
        end = offset + len(data)
        gaps: list[tuple[int, int]] = []
        filled: list[tuple[int, int]] = []
        for low, high in self._gaps:
            start, stop = max(low, offset), min(high, end)
            if start >= stop:
                gaps.append((low, high))
                continue
            filled.append((start, stop))
            gaps += [piece for piece in ((low, start), (stop, high)) if piece[0] < piece[1]]
        if len(gaps) > MAX_GAPS:
            return Fate.DROPPED
        for start, stop in filled:
            self._data[start:stop] = data[start - offset : stop - offset]
        self._gaps = gaps
        return Fate.KEPT if filled else Fate.KNOWN

    def contradicts(self, offset: int, data: bytes) -> bool:
        """Tell whether bytes differ from what is there already."""
        end = offset + len(data)
        position = offset
        for low, high in [*self._gaps, (end, end)]:
            stop = min(low, end)
            if position < stop and self._data[position:stop] != data[position - offset : stop - offset]:
                return True
            position = max(position, high)
        return False

    @property
    def body(self) -> bytes | None:
        """The whole message's bytes, or None while some are missing."""
        return None if self._gaps else bytes(self._data)


class Reassembler:
    """Turns one peer's fragments into messages.

    Args:
        next_seq: the message_seq of the first message to deliver.
    """

    __slots__ = ("_assemblies", "next_seq")

    def __init__(self, next_seq: int) -> None:
        self.next_seq = next_seq
        self._assemblies: dict[int, Assembly] = {}

    def add(self, fragment: Fragment) -> Fate:
        """Take a fragment in."""
        if fragment.message_seq < self.next_seq:
            return Fate.REPEATED
        assembly = self._assemblies.get(fragment.message_seq)
        if assembly is None or (assembly.kind, assembly.length) != (fragment.type, fragment.length):
            # A fragment at odds with the earlier ones begins the message anew: if the earlier one was
            # damaged on the way, the retransmission must be able to mend it.
            self._assemblies.pop(fragment.message_seq, None)
            if not self._has_room(fragment):
                return Fate.DROPPED
            assembly = self._assemblies[fragment.message_seq] = Assembly(fragment.type, fragment.length)
            assembly.fill(fragment.offset, fragment.data)
            return Fate.KEPT
        return assembly.fill(fragment.offset, fragment.data)

    def next_message(self) -> HandshakeMessage | None:
        """Deliver the next message if it is whole."""
        assembly = self._assemblies.get(self.next_seq)
        if assembly is None or (body := assembly.body) is None:
            return None
        del self._assemblies[self.next_seq]
        message = HandshakeMessage(assembly.kind, self.next_seq, body)
        self.next_seq += 1
        return message

    def forget_unfinished(self) -> None:
        """Drop whatever is not delivered: at a change of epoch it belongs to the epoch before."""
        self._assemblies.clear()

    def _has_room(self, fragment: Fragment) -> bool:
        if fragment.length > MAX_MESSAGE_BYTES:
            return False
        if fragment.message_seq == self.next_seq:
            return True  # Early messages must not be able to keep out the one that everything waits for.
        held = sum(assembly.length for assembly in self._assemblies.values())
        ahead = fragment.message_seq - self.next_seq
        return ahead < MAX_MESSAGES_AHEAD and held + fragment.length <= MAX_BYTES_HELD
