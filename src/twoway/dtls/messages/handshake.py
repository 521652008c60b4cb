"""The handshake message's 12-byte header: RFC 6347 section 4.2.2.

HandshakeType msg_type;      1 byte
uint24 length;               of the whole message
uint16 message_seq;
uint24 fragment_offset;
uint24 fragment_length;
"""

from __future__ import annotations

from collections.abc import Iterator
from enum import IntEnum
from typing import Final, NamedTuple

HEADER_BYTES: Final = 12
_UINT16: Final = 0xFFFF
_UINT24: Final = 0xFFFFFF


class HandshakeType(IntEnum):
    """RFC 5246 section 7.4, RFC 6347 section 4.3.2 and RFC 5077 section 3.3."""

    HELLO_REQUEST = 0
    CLIENT_HELLO = 1
    SERVER_HELLO = 2
    HELLO_VERIFY_REQUEST = 3
    NEW_SESSION_TICKET = 4
    CERTIFICATE = 11
    SERVER_KEY_EXCHANGE = 12
    CERTIFICATE_REQUEST = 13
    SERVER_HELLO_DONE = 14
    CERTIFICATE_VERIFY = 15
    CLIENT_KEY_EXCHANGE = 16
    FINISHED = 20

    @property
    def label(self) -> str:
        """The name as the RFC writes it: ``ServerHelloDone``."""
        return self.name.title().replace("_", "")


class Fragment(NamedTuple):
    """A piece of a handshake message."""

    type: int
    length: int
    message_seq: int
    offset: int
    data: bytes

    @property
    def is_whole(self) -> bool:
        """Whether the piece is the whole message."""
        return self.offset == 0 and len(self.data) == self.length

    @property
    def is_last(self) -> bool:
        """Whether the piece holds the message's end."""
        return self.offset + len(self.data) == self.length


class HandshakeMessage(NamedTuple):
    """A whole message."""

    type: int
    message_seq: int
    body: bytes

    def encode(self) -> bytes:
        """Write it as one fragment: what the transcript hashes (RFC 6347 section 4.2.6)."""
        return _header(self.type, len(self.body), self.message_seq, 0, len(self.body)) + self.body

    def fragment(self, offset: int, length: int) -> bytes:
        """Write ``length`` bytes of it from ``offset`` as a fragment."""
        header = _header(self.type, len(self.body), self.message_seq, offset, length)
        return header + self.body[offset : offset + length]


def parse_fragments_untrusted(data: bytes) -> Iterator[Fragment]:
    """Cut a handshake record's plaintext into fragments; what is malformed ends it, silently.

    A record may hold several messages (RFC 5246 section 6.2.1), which some stacks make use of.
    """
    position = 0
    while position + HEADER_BYTES <= len(data):
        start = position + HEADER_BYTES
        header = int.from_bytes(data[position:start], "big")
        length, offset, size = header >> 64 & _UINT24, header >> 24 & _UINT24, header & _UINT24
        if offset + size > length or start + size > len(data):
            return
        message_seq = header >> 48 & _UINT16
        yield Fragment(header >> 88, length, message_seq, offset, data[start : start + size])
        position = start + size


def _header(kind: int, length: int, message_seq: int, offset: int, size: int) -> bytes:
    header = kind << 88 | length << 64 | message_seq << 48 | offset << 24 | size
    return header.to_bytes(HEADER_BYTES, "big")
