"""What a certificate is for: the roles of the actors, and the two purposes that a handshake knows.

It owns which extended key usages a role's leaf carries, and which one each purpose demands.
"""

from __future__ import annotations

from enum import Enum, StrEnum

from cryptography.x509 import ObjectIdentifier
from cryptography.x509.oid import ExtendedKeyUsageOID


class Role(StrEnum):
    """What an actor does; the CA writes it into its ledger and chooses the key usages by it."""

    PUBLISHER = "publisher"
    """Serves readings to those who bring a ticket; pushes them to its default subscribers."""
    SUBSCRIBER = "subscriber"
    """Reads. It never serves, so its certificate cannot be used to pose as a server."""
    AC = "ac"
    """The access control server: issues tickets."""
    SINK = "sink"
    """Collects readings as a default subscriber; data may be pushed to it, so it serves as well."""
    CACHE = "cache"
    """Acts as a publisher with data of others."""

    @property
    def purposes(self) -> tuple[Purpose, ...]:
        """The sides of a handshake on which this role's certificate is accepted."""
        return (Purpose.CLIENT,) if self is Role.SUBSCRIBER else (Purpose.SERVER, Purpose.CLIENT)


class Purpose(Enum):
    """Which side of the handshake a peer is on, hence which extended key usage its leaf must carry."""

    CLIENT = "client"
    """The peer began the handshake; its leaf must carry clientAuth."""
    SERVER = "server"
    """The peer was asked; its leaf must carry serverAuth."""

    @property
    def extended_key_usage(self) -> ObjectIdentifier:
        """The usage of RFC 5280 section 4.2.1.12; anyExtendedKeyUsage never stands in for it."""
        return ExtendedKeyUsageOID.CLIENT_AUTH if self is Purpose.CLIENT else ExtendedKeyUsageOID.SERVER_AUTH
