"""The bench: where the pieces of unverified hellos wait for each other.

Theory of operation. RFC 6347 section 4.2.1 asks for cookies without keeping anything. Where datagrams are
smaller than a ClientHello that cannot be: a server has to put the hello together before it can make a cookie
for it, or check the one in it. This is memory for an address that may be a lie, so there is little of it, and
it never grows:

- a fixed number of places, one for an address; who comes when all are taken puts the oldest out;
- a hello has a bound, lives for a short time and is forgotten as soon as it is whole;
- a hello in one piece never comes here, so clients that need no place are not touched by who takes them.

What an attacker can do: by sending first pieces from many addresses, which cost it as many datagrams as there
are places, put out the unfinished hellos of clients that fragment. These are delayed until their repetition
comes through in one go; nobody else notices. Pieces that are forged under a client's own address can spoil
that client's hello, which then fails the cookie and is asked for again. Nothing is sent for a piece: an
answer takes all of a hello, which is longer than the answer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from twoway.dtls.messages.handshake import Fragment, HandshakeMessage
from twoway.dtls.reassembly import Assembly

MAX_HELLO_BYTES: Final = 1024
"""The largest hello that is put together; those of large stacks take 200 to 600 bytes."""
MAX_UNFINISHED_HELLOS: Final = 32
"""Places on the bench, so 32 KiB in all."""
HELLO_LIFE: Final = 180.0
"""Seconds that an unfinished hello waits: three of a client's longest pauses (60 s), so that its repetitions
can bring what was lost. Without that, handshakes fail where much is lost."""


@dataclass(slots=True)
class _Place:
    message_seq: int
    assembly: Assembly
    until: float


class HelloBench:
    """Puts the fragments of ClientHellos together, each address for itself."""

    def __init__(self) -> None:
        self._places: dict[bytes, _Place] = {}

    def __len__(self) -> int:
        return len(self._places)

    def add(self, fragment: Fragment, address: bytes, now: float) -> HandshakeMessage | None:
        """Take a piece in; return the hello if it is whole, which forgets it.

        Args:
            fragment: a piece of a ClientHello of at most :data:`MAX_HELLO_BYTES`.
            address: the sender's address and port in one unambiguous form.
            now: monotonic seconds.
        """
        assert fragment.length <= MAX_HELLO_BYTES
        self._clear_up(now)
        place = self._places.get(address)
        if place is None or _is_of_another(fragment, place):
            place = self._take_place(fragment, address, now)
        place.assembly.fill(fragment.offset, fragment.data)
        body = place.assembly.body
        if body is None:
            return None
        del self._places[address]
        return HandshakeMessage(fragment.type, fragment.message_seq, body)

    def _take_place(self, fragment: Fragment, address: bytes, now: float) -> _Place:
        self._places.pop(address, None)
        if len(self._places) >= MAX_UNFINISHED_HELLOS:
            del self._places[next(iter(self._places))]
        place = _Place(fragment.message_seq, Assembly(fragment.type, fragment.length), now + HELLO_LIFE)
        self._places[address] = place
        return place

    def _clear_up(self, now: float) -> None:
        """Let go of what has waited too long; the oldest stand in front."""
        while self._places:
            oldest = next(iter(self._places))
            if now < self._places[oldest].until:
                return
            del self._places[oldest]


def _is_of_another(fragment: Fragment, place: _Place) -> bool:
    """Whether a piece belongs to another hello than the one that waits. A client that started anew says so by
    other bytes, at the latest by those of its random."""
    return (fragment.message_seq, fragment.length) != (
        place.message_seq,
        place.assembly.length,
    ) or place.assembly.contradicts(fragment.offset, fragment.data)
