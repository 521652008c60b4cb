"""What both sides agreed on, read from the datagrams of the server: a judge that knows nothing of the engine.

Everything up to ChangeCipherSpec travels in the clear, so the server's hello says which extensions are in
force (RFC 5246 section 7.4.1.4), and a HelloVerifyRequest shows that there was a cookie.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

HANDSHAKE = 22
CONNECTION_ID = 54  # RFC 9146 section 3
CLIENT_HELLO, SERVER_HELLO, HELLO_VERIFY_REQUEST = 1, 2, 3
EXTENSIONS = {
    1: "MFL",
    19: "client RPK",
    20: "server RPK",
    22: "EtM",
    23: "EMS",
    28: "RSL",
    35: "ticket",
    54: "CID",
}
"""The ones that the matrix tells of, in IANA's numbering: RFC 6066, 7250, 7366, 7627, 8449, 5077, 9146."""
RAW_PUBLIC_KEY = 2  # RFC 7250 section 3


@dataclass(frozen=True)
class ServerHello:
    """The answer to a hello."""

    suite: int
    session_id: bytes
    extensions: dict[int, bytes]

    @property
    def named(self) -> list[str]:
        """The extensions that the matrix tells of."""
        certificate_types = (19, 20)
        return [
            name
            for number, name in EXTENSIONS.items()
            if number in self.extensions
            and (number not in certificate_types or self.extensions[number] == bytes([RAW_PUBLIC_KEY]))
        ]


def fragments(datagrams: Sequence[bytes]) -> Iterator[tuple[int, int, int, bytes]]:
    """Type, length, offset and bytes of each unprotected handshake fragment (RFC 6347 section 4.2.2)."""
    for datagram in datagrams:
        rest = datagram
        while len(rest) >= 13:
            kind, epoch, length = rest[0], rest[3:5], int.from_bytes(rest[11:13])
            body, rest = rest[13 : 13 + length], rest[13 + length :]
            while kind == HANDSHAKE and epoch == b"\0\0" and len(body) >= 12:
                size = int.from_bytes(body[9:12])
                yield body[0], int.from_bytes(body[1:4]), int.from_bytes(body[6:9]), body[12 : 12 + size]
                body = body[12 + size :]


def asked_for_a_cookie(datagrams: Sequence[bytes]) -> bool:
    """Whether a server sent a HelloVerifyRequest."""
    return any(kind == HELLO_VERIFY_REQUEST for kind, *_ in fragments(datagrams))


@dataclass(frozen=True)
class ClientHello:
    """What a client offers."""

    suites: frozenset[int]
    extensions: dict[int, bytes]


def client_hello(datagrams: Sequence[bytes]) -> ClientHello:
    """Put the first ClientHello together and read it (RFC 6347 section 4.3.2)."""
    message = _whole(datagrams, CLIENT_HELLO)
    after_id = 35 + message[34]
    after_cookie = after_id + 1 + message[after_id]
    size = int.from_bytes(message[after_cookie : after_cookie + 2])
    codes = message[after_cookie + 2 : after_cookie + 2 + size]
    after_suites = after_cookie + 2 + size
    after_compression = after_suites + 1 + message[after_suites]
    return ClientHello(
        frozenset(int.from_bytes(codes[at : at + 2]) for at in range(0, size, 2)),
        _extensions(message[after_compression + 2 :]),
    )


def server_hello(datagrams: Sequence[bytes]) -> ServerHello:
    """Put the ServerHello together and read it."""
    message = _whole(datagrams, SERVER_HELLO)
    after_id = 35 + message[34]
    suite = int.from_bytes(message[after_id : after_id + 2])
    return ServerHello(suite, message[35:after_id], _extensions(message[after_id + 5 :]))


def last_server_hello(datagrams: Sequence[bytes]) -> ServerHello:
    """Read the ServerHello of the last of several handshakes."""
    begins = [
        at
        for at, datagram in enumerate(datagrams)
        if any(kind == SERVER_HELLO and offset == 0 for kind, _, offset, _ in fragments([datagram]))
    ]
    return server_hello(datagrams[begins[-1] :])


def _whole(datagrams: Sequence[bytes], kind: int) -> bytes:
    """The first message of a type, from its fragments."""
    parts = [part for part in fragments(datagrams) if part[0] == kind]
    message = bytearray(parts[0][1])
    for _, length, offset, data in parts:
        if length == len(message):
            message[offset : offset + len(data)] = data
    return bytes(message)


def _extensions(data: bytes) -> dict[int, bytes]:
    found = {}
    while len(data) >= 4:
        number, length = struct.unpack(">HH", data[:4])
        found[number], data = data[4 : 4 + length], data[4 + length :]
    return found
