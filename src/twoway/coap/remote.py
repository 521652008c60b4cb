"""Remotes: how CoAP addresses a connection, and how a resource learns who is asking."""

from __future__ import annotations

import copy
from typing import Final, Self

import aiocoap
from aiocoap.interfaces import EndpointAddress

from twoway.errors import CallerError
from twoway.identity import Identity
from twoway.net import Connection

COAPS_PORT: Final = 5684  # RFC 7252 section 12.7
BLOCK_SIZE_EXPONENT: Final = 6
MAX_PAYLOAD_BYTES: Final = 1 << (BLOCK_SIZE_EXPONENT + 4)
"""1024, the largest block (RFC 7959 section 2.2). With options and the record around it a datagram stays
under the 1280 bytes that every IPv6 link carries."""
UNCUT_PAYLOAD_BYTES: Final = 1 << 31


class SecureRemote(EndpointAddress):  # type: ignore[misc]  # aiocoap ships no types
    """A connection as aiocoap addresses it.

    Two remotes are equal if they are the same connection: messages of different associations never belong
    to one exchange, even between the same two addresses (RFC 7252 section 9.1.2). Hash, equality and repr
    are called many times a request, so they look at nothing but the connection's number.
    """

    scheme = "coaps"
    is_multicast = False
    is_multicast_locally = False
    maximum_block_size_exp = BLOCK_SIZE_EXPONENT
    """Block sizes towards this peer are at most 2 to the power of this plus 4; may be lowered."""
    maximum_payload_size = MAX_PAYLOAD_BYTES
    """Larger payloads are cut into blocks."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        """The association with this peer."""
        self._hash = hash((type(self), connection.number))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, SecureRemote) and self.connection is other.connection

    def __hash__(self) -> int:
        return self._hash

    def __repr__(self) -> str:
        return f"<SecureRemote {self.connection.number}>"

    @property
    def identity(self) -> Identity:
        """Who the peer proved to be in the handshake."""
        return self.connection.peer

    @property
    def authenticated_claims(self) -> tuple[Identity]:
        """The identity, under the name that aiocoap gives to what was proved."""
        return (self.connection.peer,)

    @property
    def blockwise_key(self) -> tuple[str, int]:
        """The same for two remotes only if blocks from them may be put together."""
        return (self.scheme, self.connection.number)

    @property
    def hostinfo(self) -> str:
        """The authority of URIs that name the peer; an IPv6 address stands in brackets."""
        return _hostinfo(self.connection.remote)

    @property
    def hostinfo_local(self) -> str:
        """The authority of URIs that name us, as far as the socket knows."""
        return _hostinfo(self.connection.local)

    @property
    def uri_base(self) -> str:
        """The base of URIs at the peer."""
        return f"{self.scheme}://{self.hostinfo}"

    @property
    def uri_base_local(self) -> str:
        """The base of URIs at us."""
        return f"{self.scheme}://{self.hostinfo_local}"

    def uncut(self) -> Self:
        """Return an equal remote which no payload is too large for: whoever holds it cuts by himself."""
        view = copy.copy(self)
        view.maximum_payload_size = UNCUT_PAYLOAD_BYTES
        return view


def connection_of(message: aiocoap.Message) -> Connection:
    """Return the connection that a message came by or goes by.

    Raises:
        CallerError: if it did not come by this transport, or has not been sent yet.
    """
    if not isinstance(message.remote, SecureRemote):
        raise CallerError("this message does not belong to a secured connection")
    return message.remote.connection


def peer_of(message: aiocoap.Message) -> Identity:
    """Return who is asking, or who answered: the identity that was proved in the handshake.

    Raises:
        CallerError: as :func:`connection_of`.
    """
    return connection_of(message).peer


def _hostinfo(address: tuple[str, int]) -> str:
    host, port = address
    # RFC 6874 section 2: the percent sign before a zone is itself written as %25.
    host = f"[{host.replace('%', '%25')}]" if ":" in host else host
    return host if port == COAPS_PORT else f"{host}:{port}"
