"""What an endpoint leaves behind: its associations and whom each is with, as one sealed value.

    uint8 version;                   1
    opaque nonce[12];
    what follows is encrypted, once for each association:
        opaque address<1..255>;      of the peer, as twoway.net.address packs it
        uint8 outgoing;              1: we opened it
        opaque snapshot<1..2^16-1>;  as twoway.dtls.snapshot has it
    opaque tag[16];

The snapshots are sealed a second time so that nobody who can write to the disk can put one of them beside
another address, or an old one among new ones.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final, NamedTuple

from twoway.dtls import HandshakeFailure, SnapshotKey, SnapshotRejected
from twoway.dtls.wire import Reader, vector

_VERSION: Final = b"\x01"
_PURPOSE: Final = b"twoway: an endpoint"


class Left(NamedTuple):
    """One association."""

    address: bytes
    """The peer's, packed."""
    outgoing: bool
    """Whether we opened it."""
    snapshot: bytes


def seal(associations: Iterable[Left], key: SnapshotKey, *, entropy: Callable[[int], bytes]) -> bytes:
    """Write associations; the module says how."""
    plaintext = b"".join(
        vector(1, each.address) + bytes([each.outgoing]) + vector(2, each.snapshot) for each in associations
    )
    return key.seal(_PURPOSE, _VERSION, plaintext, entropy=entropy)


def open_untrusted(data: bytes, key: SnapshotKey) -> list[Left]:
    """Read them again.

    Raises:
        SnapshotRejected: it is of another version or key, or damaged.
    """
    if data[:1] != _VERSION:
        raise SnapshotRejected("these are no saved associations, or of a version that is not known here")
    reader = Reader(key.open_untrusted(_PURPOSE, len(_VERSION), data), "saved associations")
    associations: list[Left] = []
    try:
        while reader.remaining:
            address, outgoing = reader.vector_untrusted(1), bool(reader.integer_untrusted(1))
            associations.append(Left(address, outgoing, reader.vector_untrusted(2)))
    except HandshakeFailure:
        raise SnapshotRejected("the saved associations end too early") from None
    return associations
