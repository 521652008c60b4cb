"""Sessions: what a full handshake leaves behind so that a later one can be abbreviated (RFC 5246 section 7).

A session holds everything that an abbreviated handshake does not negotiate or prove again: the master
secret, and who the peer proved to be. It ends no later than the peer's certificate, and resuming it never
makes it last longer. There are sessions of handshakes with the extended master secret alone (RFC 7627
section 5.3) and none of unauthenticated handshakes.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from twoway.dtls.alerts import AlertDescription, HandshakeFailure
from twoway.dtls.keys import MASTER_SECRET_BYTES
from twoway.dtls.kinds import HandshakeKind
from twoway.dtls.peer_record import (
    encode_identity,
    encode_time,
    parse_identity_untrusted,
    parse_time_untrusted,
)
from twoway.dtls.wire import Reader
from twoway.identity import Identity

CONTEXT_BYTES: Final = 16
_VERSION: Final = 1
_ENCRYPT_THEN_MAC: Final = 1
_KINDS: Final = {1: HandshakeKind.SERVER_AUTHENTICATED, 2: HandshakeKind.FULL}
_KIND_CODES: Final = {kind: code for code, kind in _KINDS.items()}


class SessionUnusable(Exception):
    """A session cannot be resumed, and the handshake goes on in full. ``str()`` says why, without secrets."""


@dataclass(frozen=True, slots=True)
class Session:
    """What both sides know of a session."""

    suite: int
    """The cipher suite's code."""
    master_secret: bytes = field(repr=False)
    """48 bytes, made with the extended master secret."""
    encrypt_then_mac: bool
    """Whether RFC 7366 was negotiated."""
    max_fragment_length: int | None
    """Bytes of plaintext a record; it lasts as long as the session (RFC 6066 section 4)."""
    kind: HandshakeKind
    """Who had been authenticated when the full handshake was complete."""
    peer: Identity
    """Who the peer had proved to be."""
    not_after: datetime
    """When it ends, aware, UTC."""
    context: bytes = field(repr=False)
    """A digest, 16 bytes, of whom we believed and what we proved ourselves with: an endpoint that believes
    others, or is somebody else, does not take it."""

    def encode(self) -> bytes:
        """Write it; for sealing, never for the wire as it is.

        Integers are big-endian::

            uint8 version;                   1
            uint16 suite;
            uint8 kind;                      1 server authenticated, 2 fully authenticated
            uint8 flags;                     bit 0: encrypt-then-MAC
            uint16 max_fragment_length;      bytes, 0 for none
            opaque master_secret[48];
            uint64 not_after;                seconds since 1970
            opaque context[16];
            the peer, as twoway.dtls.peer_record writes it
        """
        return (
            bytes([_VERSION])
            + self.suite.to_bytes(2, "big")
            + bytes([_KIND_CODES[self.kind], _ENCRYPT_THEN_MAC * self.encrypt_then_mac])
            + (self.max_fragment_length or 0).to_bytes(2, "big")
            + self.master_secret
            + encode_time(self.not_after)
            + self.context
            + encode_identity(self.peer)
        )

    @classmethod
    def parse_untrusted(cls, data: bytes) -> Session:
        """Read it again.

        Raises:
            HandshakeFailure: these are not exactly the bytes of a session of this version.
        """
        reader = Reader(data, "session")
        version, suite = reader.integer_untrusted(1), reader.integer_untrusted(2)
        kind, flags = _KINDS.get(reader.integer_untrusted(1)), reader.integer_untrusted(1)
        if version != _VERSION or kind is None or flags > _ENCRYPT_THEN_MAC:
            raise HandshakeFailure(
                AlertDescription.DECODE_ERROR, "the session is of a form that we do not know"
            )
        return cls(
            suite=suite,
            kind=kind,
            encrypt_then_mac=bool(flags & _ENCRYPT_THEN_MAC),
            max_fragment_length=reader.integer_untrusted(2) or None,
            master_secret=reader.take_untrusted(MASTER_SECRET_BYTES),
            not_after=parse_time_untrusted(reader),
            context=reader.take_untrusted(CONTEXT_BYTES),
            peer=parse_identity_untrusted(reader.take_untrusted(reader.remaining)),
        )


@dataclass(frozen=True, slots=True)
class HeldSession:
    """A session as one side keeps it, with the name by which the server finds it again.

    A client has a ticket (RFC 5077) or a session ID (RFC 5246 section 7.4.1.2); a server has the ID, if it
    gave one.
    """

    session: Session
    session_id: bytes = b""
    """1 to 32 bytes, or none."""
    ticket: bytes = field(default=b"", repr=False)
    """Opaque to the client, at most 2^16-1 bytes, or none."""
