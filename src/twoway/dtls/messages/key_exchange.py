"""ServerKeyExchange and ClientKeyExchange, a pair of classes for each key exchange.

============  =============================  ====================================  =======================
exchange      server                         client                                source
============  =============================  ====================================  =======================
ECDHE         :class:`ServerECDHE`           :class:`ClientECDHE`                  RFC 8422 sections 5.4, 5.7
ECDH_anon     :class:`ServerECDHAnon`        :class:`ClientECDHE`                  RFC 8422 section 5.4
PSK           :class:`ServerPSKHint`         :class:`ClientPSKIdentity`            RFC 4279 section 2
ECDHE_PSK     :class:`ServerECDHEPSK`        :class:`ClientECDHEPSK`               RFC 5489 section 2
RSA           none                           :class:`ClientRSA`                    RFC 5246 section 7.4.7.1
============  =============================  ====================================  =======================
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from twoway.dtls.alerts import AlertDescription, HandshakeFailure
from twoway.dtls.wire import Reader, vector

NAMED_CURVE: Final = 3  # ECCurveType, RFC 8422 section 5.4


@dataclass(frozen=True)
class ServerECDHEParameters:
    """struct ServerECDHParams: curve type, named group, public point<1..2^8-1>."""

    group: int
    point: bytes

    @classmethod
    def read_untrusted(cls, reader: Reader) -> ServerECDHEParameters:
        """Take them from a body."""
        if reader.integer_untrusted(1) != NAMED_CURVE:
            raise HandshakeFailure(
                AlertDescription.ILLEGAL_PARAMETER, "the server wants a curve that has no name"
            )
        return cls(reader.integer_untrusted(2), reader.vector_untrusted(1, at_least=1))

    def encode(self) -> bytes:
        """Write them as they are signed."""
        return bytes([NAMED_CURVE]) + self.group.to_bytes(2, "big") + vector(1, self.point)


@dataclass(frozen=True)
class ServerECDHE:
    """The parameters, and the signature over both randoms and them."""

    parameters: ServerECDHEParameters
    scheme: int
    signature: bytes = field(repr=False)

    @classmethod
    def parse_untrusted(cls, body: bytes) -> ServerECDHE:
        """Take a body apart."""
        reader = Reader(body, "ServerKeyExchange")
        parameters = ServerECDHEParameters.read_untrusted(reader)
        message = cls(parameters, reader.integer_untrusted(2), reader.vector_untrusted(2))
        reader.end_untrusted()
        return message

    def encode(self) -> bytes:
        """Write the body."""
        return self.parameters.encode() + self.scheme.to_bytes(2, "big") + vector(2, self.signature)


@dataclass(frozen=True)
class ServerECDHAnon:
    """The parameters alone: in an anonymous exchange nobody signs."""

    parameters: ServerECDHEParameters

    @classmethod
    def parse_untrusted(cls, body: bytes) -> ServerECDHAnon:
        """Take a body apart."""
        reader = Reader(body, "ServerKeyExchange")
        message = cls(ServerECDHEParameters.read_untrusted(reader))
        reader.end_untrusted()
        return message

    def encode(self) -> bytes:
        """Write the body."""
        return self.parameters.encode()


@dataclass(frozen=True)
class ClientECDHE:
    """struct ClientECDiffieHellmanPublic: public point<1..2^8-1>."""

    point: bytes

    @classmethod
    def parse_untrusted(cls, body: bytes) -> ClientECDHE:
        """Take a body apart."""
        reader = Reader(body, "ClientKeyExchange")
        message = cls(reader.vector_untrusted(1, at_least=1))
        reader.end_untrusted()
        return message

    def encode(self) -> bytes:
        """Write the body."""
        return vector(1, self.point)


@dataclass(frozen=True)
class ServerPSKHint:
    """psk_identity_hint<0..2^16-1>: read, and not acted upon; we are configured by identity."""

    hint: bytes

    @classmethod
    def parse_untrusted(cls, body: bytes) -> ServerPSKHint:
        """Take a body apart."""
        reader = Reader(body, "ServerKeyExchange")
        message = cls(reader.vector_untrusted(2))
        reader.end_untrusted()
        return message


@dataclass(frozen=True)
class ServerECDHEPSK:
    """psk_identity_hint<0..2^16-1>, which may be empty, then the parameters; the shared key proves them."""

    hint: bytes
    parameters: ServerECDHEParameters

    @classmethod
    def parse_untrusted(cls, body: bytes) -> ServerECDHEPSK:
        """Take a body apart."""
        reader = Reader(body, "ServerKeyExchange")
        message = cls(reader.vector_untrusted(2), ServerECDHEParameters.read_untrusted(reader))
        reader.end_untrusted()
        return message

    def encode(self) -> bytes:
        """Write the body."""
        return vector(2, self.hint) + self.parameters.encode()


@dataclass(frozen=True)
class ClientPSKIdentity:
    """psk_identity<0..2^16-1>."""

    identity: bytes

    @classmethod
    def parse_untrusted(cls, body: bytes) -> ClientPSKIdentity:
        """Take a body apart."""
        reader = Reader(body, "ClientKeyExchange")
        message = cls(reader.vector_untrusted(2))
        reader.end_untrusted()
        return message

    def encode(self) -> bytes:
        """Write the body."""
        return vector(2, self.identity)


@dataclass(frozen=True)
class ClientECDHEPSK:
    """psk_identity<0..2^16-1>, then the public point<1..2^8-1>."""

    identity: bytes
    point: bytes

    @classmethod
    def parse_untrusted(cls, body: bytes) -> ClientECDHEPSK:
        """Take a body apart."""
        reader = Reader(body, "ClientKeyExchange")
        message = cls(reader.vector_untrusted(2), reader.vector_untrusted(1, at_least=1))
        reader.end_untrusted()
        return message

    def encode(self) -> bytes:
        """Write the body."""
        return vector(2, self.identity) + vector(1, self.point)


@dataclass(frozen=True)
class ClientRSA:
    """EncryptedPreMasterSecret, with its length in 2 bytes in front (RFC 5246 section 7.4.7.1).

    What is in it, and whether it can be decrypted at all, must not show: that is the reader's business.
    """

    encrypted_premaster: bytes = field(repr=False)

    @classmethod
    def parse_untrusted(cls, body: bytes) -> ClientRSA:
        """Take a body apart."""
        reader = Reader(body, "ClientKeyExchange")
        message = cls(reader.vector_untrusted(2))
        reader.end_untrusted()
        return message

    def encode(self) -> bytes:
        """Write the body."""
        return vector(2, self.encrypted_premaster)
