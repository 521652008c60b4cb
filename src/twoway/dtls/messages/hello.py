"""ClientHello, ServerHello and HelloVerifyRequest: RFC 5246 section 7.4.1, RFC 6347 section 4.2.1."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum
from typing import Final

from twoway.dtls.alerts import AlertDescription, HandshakeFailure
from twoway.dtls.wire import Reader, integers, vector

RANDOM_BYTES: Final = 32
RENEGOTIATION_SCSV: Final = 0x00FF  # RFC 5746 section 3.3
NULL_COMPRESSION: Final = 0


class ExtensionType(IntEnum):
    """The extensions that we speak; the others are passed over (RFC 5246 section 7.4.1.4)."""

    MAX_FRAGMENT_LENGTH = 1  # RFC 6066
    SUPPORTED_GROUPS = 10  # RFC 8422
    EC_POINT_FORMATS = 11  # RFC 8422
    SIGNATURE_ALGORITHMS = 13  # RFC 5246
    CLIENT_CERTIFICATE_TYPE = 19  # RFC 7250
    SERVER_CERTIFICATE_TYPE = 20  # RFC 7250
    ENCRYPT_THEN_MAC = 22  # RFC 7366
    EXTENDED_MASTER_SECRET = 23  # RFC 7627
    RECORD_SIZE_LIMIT = 28  # RFC 8449
    SESSION_TICKET = 35  # RFC 5077
    CONNECTION_ID = 54  # RFC 9146
    RRC = 61  # RFC 9853
    RENEGOTIATION_INFO = 0xFF01  # RFC 5746


Extensions = dict[int, bytes]


@dataclass(frozen=True)
class ClientHello:
    """struct ClientHello: version, random, session_id<0..32>, cookie<0..255>, suites, and so on."""

    version: int
    random: bytes = field(repr=False)
    session_id: bytes
    cookie: bytes = field(repr=False)
    suites: tuple[int, ...]
    compressions: bytes
    extensions: Extensions

    @classmethod
    def parse_untrusted(cls, body: bytes) -> ClientHello:
        """Take a body apart."""
        reader = Reader(body, "ClientHello")
        hello = cls(
            version=reader.integer_untrusted(2),
            random=reader.take_untrusted(RANDOM_BYTES),
            session_id=reader.vector_untrusted(1, at_most=32),
            cookie=reader.vector_untrusted(1),
            suites=reader.integers_untrusted(2, 2, at_least=2),
            compressions=reader.vector_untrusted(1, at_least=1),
            extensions=_parse_extensions_untrusted(reader),
        )
        reader.end_untrusted()
        return hello

    def encode(self) -> bytes:
        """Write the body."""
        return self.parameters() + vector(1, self.cookie) + self._after_cookie()

    def parameters(self) -> bytes:
        """Write what stands before the cookie."""
        return self.version.to_bytes(2, "big") + self.random + vector(1, self.session_id)

    def _after_cookie(self) -> bytes:
        return (
            integers(2, 2, self.suites) + vector(1, self.compressions) + _encode_extensions(self.extensions)
        )


@dataclass(frozen=True)
class ServerHello:
    """struct ServerHello: version, random, session_id<0..32>, suite, compression, extensions."""

    version: int
    random: bytes = field(repr=False)
    session_id: bytes
    suite: int
    compression: int
    extensions: Extensions

    @classmethod
    def parse_untrusted(cls, body: bytes) -> ServerHello:
        """Take a body apart."""
        reader = Reader(body, "ServerHello")
        hello = cls(
            version=reader.integer_untrusted(2),
            random=reader.take_untrusted(RANDOM_BYTES),
            session_id=reader.vector_untrusted(1, at_most=32),
            suite=reader.integer_untrusted(2),
            compression=reader.integer_untrusted(1),
            extensions=_parse_extensions_untrusted(reader),
        )
        reader.end_untrusted()
        return hello

    def encode(self) -> bytes:
        """Write the body."""
        return (
            self.version.to_bytes(2, "big")
            + self.random
            + vector(1, self.session_id)
            + self.suite.to_bytes(2, "big")
            + self.compression.to_bytes(1, "big")
            + _encode_extensions(self.extensions)
        )


@dataclass(frozen=True)
class HelloVerifyRequest:
    """struct HelloVerifyRequest: server_version, cookie<0..2^8-1>."""

    version: int
    cookie: bytes = field(repr=False)

    @classmethod
    def parse_untrusted(cls, body: bytes) -> HelloVerifyRequest:
        """Take a body apart. An empty cookie would ask for the very hello that was answered."""
        reader = Reader(body, "HelloVerifyRequest")
        request = cls(reader.integer_untrusted(2), reader.vector_untrusted(1, at_least=1))
        reader.end_untrusted()
        return request

    def encode(self) -> bytes:
        """Write the body."""
        return self.version.to_bytes(2, "big") + vector(1, self.cookie)


def _parse_extensions_untrusted(reader: Reader) -> Extensions:
    if not reader.remaining:
        return {}
    inner = Reader(reader.vector_untrusted(2), "hello extensions")
    extensions: Extensions = {}
    while inner.remaining:
        kind = inner.integer_untrusted(2)
        if kind in extensions:
            # RFC 5246 section 7.4.1.4: there must not be more than one extension of a type.
            raise HandshakeFailure(
                AlertDescription.ILLEGAL_PARAMETER, f"the peer's hello has extension {kind} twice"
            )
        extensions[kind] = inner.vector_untrusted(2)
    return extensions


def _encode_extensions(extensions: Extensions) -> bytes:
    if not extensions:
        return b""
    return vector(2, b"".join(kind.to_bytes(2, "big") + vector(2, data) for kind, data in extensions.items()))
