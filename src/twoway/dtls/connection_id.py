"""Connection IDs: RFC 9146. A record says itself which association it belongs to, wherever it comes from.

Each side chooses what the *other* writes into its records, so the two directions have nothing to do with
each other. An empty ID in a hello says "I will write yours, do not write any for me"; that direction keeps
the records of RFC 6347. IDs stand in the clear and never change while an association lives: whoever sees
two paths can tell that the same peer speaks on both (section 8).

Inside of a record with an ID (section 4) the content is followed by its type and by zeros, as many as the
sender likes:

    opaque content[length];
    ContentType real_type;       1 byte, not zero
    uint8 zeros[];               we send none and take any number
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Final

from twoway.dtls.protection import RecordRejected
from twoway.dtls.record import TLS12_CID
from twoway.dtls.wire import Reader, vector

MAX_CONNECTION_ID_BYTES: Final = 20
"""The longest ID that we give out, as in QUIC; a peer's may have 255."""
INNER_TYPE_BYTES: Final = 1

_PREFIX = struct.Struct(">8sBBBHQ")
_NO_NUMBER: Final = b"\xff" * 8


@dataclass(frozen=True, slots=True)
class ConnectionIDs:
    """What both sides have agreed upon."""

    ours: bytes = b""
    """What the peer writes into its protected records; empty: it writes none."""
    peers: bytes = b""
    """What we write; empty: we write none."""


NO_CONNECTION_IDS: Final = ConnectionIDs()


def encode_extension(connection_id: bytes) -> bytes:
    """Write the extension's data (section 3): one byte of length and what the peer is to write."""
    return vector(1, connection_id)


def parse_extension_untrusted(data: bytes) -> bytes:
    """Return the ID that the peer asks us to write, 0 to 255 bytes.

    Raises:
        HandshakeFailure: with ``decode_error``.
    """
    reader = Reader(data, "connection_id")
    connection_id = reader.vector_untrusted(1)
    reader.end_untrusted()
    return connection_id


def wrap(kind: int, content: bytes) -> bytes:
    """Make the DTLSInnerPlaintext of a record, without padding."""
    return content + bytes([kind])


def unwrap_untrusted(inner: bytes) -> tuple[int, bytes]:
    """Return the real type and the content of a DTLSInnerPlaintext.

    Raises:
        RecordRejected: there is nothing but padding.
    """
    unpadded = inner.rstrip(b"\x00")
    if not unpadded:
        raise RecordRejected("no content type")
    return unpadded[-1], unpadded[:-1]


def authenticated_prefix(number: int, version: int, connection_id: bytes) -> bytes:
    """Return what stands before the length in the additional data and in the MAC's input of a record with an
    ID (section 5): eight 0xff where other records have their number, so that the two can never be taken for
    each other; the type, the ID's length, the type again; version, epoch, sequence number, and the ID.

    Args:
        number: epoch (16 bits) and sequence number (48 bits).
        version: the record's.
        connection_id: 1 to 255 bytes.
    """
    size = len(connection_id)
    return _PREFIX.pack(_NO_NUMBER, TLS12_CID, size, TLS12_CID, version, number) + connection_id
