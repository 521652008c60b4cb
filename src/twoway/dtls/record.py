"""The record layer's 13-byte header: RFC 6347 section 4.1.

    ContentType type;            1 byte
    ProtocolVersion version;     2 bytes
    uint16 epoch;                2 bytes
    uint48 sequence_number;      6 bytes
    uint16 length;               2 bytes
    opaque fragment[length];

This module cuts datagrams into records and puts records together. It knows nothing of keys.
"""

from __future__ import annotations

import struct
from enum import IntEnum
from typing import Final, NamedTuple

_HEADER = struct.Struct(">BHQH")

HEADER_BYTES: Final = 13
MAX_PLAINTEXT_BYTES: Final = 2**14  # RFC 5246 section 6.2.1
MAX_CIPHERTEXT_BYTES: Final = 2**14 + 2048  # RFC 5246 section 6.2.3
MAX_SEQUENCE: Final = 2**48 - 1  # RFC 6347 section 4.1: the sequence number must not wrap
MAX_RECORDS_IN_DATAGRAM: Final = 64
"""A handshake flight of the smallest useful fragments stays far below; what follows is not looked at."""

DTLS_1_0: Final = 0xFEFF
DTLS_1_2: Final = 0xFEFD


class ContentType(IntEnum):
    """RFC 5246 section 6.2.1."""

    CHANGE_CIPHER_SPEC = 20
    ALERT = 21
    HANDSHAKE = 22
    APPLICATION_DATA = 23


class Record(NamedTuple):
    """One record as it stands on the wire; ``fragment`` may be protected."""

    type: int
    version: int
    epoch: int
    sequence: int
    fragment: bytes


def split_datagram_untrusted(datagram: bytes) -> tuple[list[Record], int]:
    """Cut a datagram into its records; never raises.

    Returns:
        The records in order, and the number of bytes at the end that are no record (RFC 6347
        section 4.1.2.7: invalid records are discarded silently).
    """
    records: list[Record] = []
    position = 0
    size = len(datagram)
    while position + HEADER_BYTES <= size and len(records) < MAX_RECORDS_IN_DATAGRAM:
        kind, version, number, length = _HEADER.unpack_from(datagram, position)
        end = position + HEADER_BYTES + length
        if end > size or length > MAX_CIPHERTEXT_BYTES or version >> 8 != DTLS_1_2 >> 8:
            break
        fragment = datagram[position + HEADER_BYTES : end]
        records.append(Record(kind, version, number >> 48, number & MAX_SEQUENCE, fragment))
        position = end
    return records, size - position


def encode_record(kind: int, version: int, epoch: int, sequence: int, fragment: bytes) -> bytes:
    """Put a header in front of a fragment."""
    return _HEADER.pack(kind, version, epoch << 48 | sequence, len(fragment)) + fragment
