"""The record layer's header: RFC 6347 section 4.1, and with a connection ID RFC 9146 section 4.

    ContentType type;            1 byte
    ProtocolVersion version;     2 bytes
    uint16 epoch;                2 bytes
    uint48 sequence_number;      6 bytes
    opaque cid[cid_length];      only if the type is tls12_cid
    uint16 length;               2 bytes
    opaque fragment[length];

This module cuts datagrams into records and puts records together. It knows nothing of keys. The length of
a connection ID does not travel: whoever receives it has chosen it and knows.
"""

from __future__ import annotations

import struct
from enum import IntEnum
from typing import Final, NamedTuple

_HEADER = struct.Struct(">BHQH")
_HEADER_BEFORE_ID = struct.Struct(">BHQ")
_LENGTH = struct.Struct(">H")
_make_record = tuple.__new__

HEADER_BYTES: Final = 13
CONNECTION_ID_AT: Final = 11
"""Where a connection ID stands in a record that has one."""
MAX_PLAINTEXT_BYTES: Final = 2**14  # RFC 5246 section 6.2.1
MAX_CIPHERTEXT_BYTES: Final = 2**14 + 2048  # RFC 5246 section 6.2.3
MAX_SEQUENCE: Final = 2**48 - 1  # RFC 6347 section 4.1: the sequence number must not wrap
MAX_RECORDS_IN_DATAGRAM: Final = 64
"""A handshake flight of the smallest useful fragments stays far below; what follows is not looked at."""

DTLS_1_0: Final = 0xFEFF
DTLS_1_2: Final = 0xFEFD


class ContentType(IntEnum):
    """RFC 5246 section 6.2.1, RFC 9146 section 4, RFC 9853 section 4."""

    CHANGE_CIPHER_SPEC = 20
    ALERT = 21
    HANDSHAKE = 22
    APPLICATION_DATA = 23
    TLS12_CID = 25
    """On the outside of a record with a connection ID; its real type is protected with the content."""
    RETURN_ROUTABILITY_CHECK = 27


APPLICATION_DATA: Final = ContentType.APPLICATION_DATA.value
TLS12_CID: Final = ContentType.TLS12_CID.value
"""The same as plain numbers, which are faster where each record passes."""


class Record(NamedTuple):
    """One record as it stands on the wire; ``fragment`` may be protected."""

    type: int
    version: int
    epoch: int
    sequence: int
    fragment: bytes
    connection_id: bytes = b""
    """What a record of the type tls12_cid carries in its header; others have none."""

    @property
    def wire_bytes(self) -> int:
        """How long the record is with its header."""
        return HEADER_BYTES + len(self.connection_id) + len(self.fragment)


def split_datagram_untrusted(datagram: bytes, connection_id_bytes: int = 0) -> tuple[list[Record], int]:
    """Cut a datagram into its records; never raises.

    Args:
        datagram: the UDP payload.
        connection_id_bytes: how long the connection IDs are that we gave out; 0 if we gave out none, and
            a record that has one cannot be read.

    Returns:
        The records in order, and the number of bytes at the end that are no record (RFC 6347
        section 4.1.2.7: invalid records are discarded silently).
    """
    records: list[Record] = []
    position = 0
    size = len(datagram)
    while position + HEADER_BYTES <= size and len(records) < MAX_RECORDS_IN_DATAGRAM:
        kind, version, number, length = _HEADER.unpack_from(datagram, position)
        start = position + HEADER_BYTES
        connection_id = b""
        if kind == TLS12_CID:
            start += connection_id_bytes
            if not connection_id_bytes or start > size:
                break
            connection_id = datagram[position + CONNECTION_ID_AT : start - _LENGTH.size]
            (length,) = _LENGTH.unpack_from(datagram, start - _LENGTH.size)
        end = start + length
        if end > size or length > MAX_CIPHERTEXT_BYTES or version >> 8 != DTLS_1_2 >> 8:
            break
        fragment = datagram[start:end]
        # As Record(...) would, but without the function in between, through which each record would pass.
        fields = (kind, version, number >> 48, number & MAX_SEQUENCE, fragment, connection_id)
        records.append(_make_record(Record, fields))
        position = end
    return records, size - position


def encode_record(
    kind: int, version: int, epoch: int, sequence: int, fragment: bytes, connection_id: bytes = b""
) -> bytes:
    """Put a header in front of a fragment; one with a connection ID if there is one, whose type has then to
    be tls12_cid."""
    number = epoch << 48 | sequence
    if not connection_id:
        return _HEADER.pack(kind, version, number, len(fragment)) + fragment
    before = _HEADER_BEFORE_ID.pack(kind, version, number)
    return before + connection_id + _LENGTH.pack(len(fragment)) + fragment
