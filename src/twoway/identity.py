"""Who a peer is: the identity that it proved in a handshake, as a value.

An identity is made by whoever verified the proof (``pki`` for certificates, ``dtls`` for pre-shared
keys) and is read by everybody above: resources, policies, ticket checks, logs. It holds no secret.
"""

from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property

from twoway.errors import ConfigurationError

NAMESPACE = "urn:dev:org:32473-"
"""Prefix of the identities made from short names: RFC 9039 section 4.3, under the enterprise number
that RFC 5612 reserves for documentation. An operator with a number of their own writes whole URNs."""

NAME_BYTES_MAX = 128
"""Of a pre-shared key's name that is shown as it is; every stack takes as many (RFC 4279 section 5.3)."""

_NAME_CHARACTERS = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-")


def identity_uri(name: str) -> str:
    """Turn a short name into an identity URI; a name that is already a URI stays as it is.

    Args:
        name: letters, digits, dots and hyphens (RFC 9039 section 3.2), or a URI with a scheme.

    Raises:
        ConfigurationError: for any other character, or an empty name.
    """
    if name.startswith("urn:"):
        return name
    if not name or not set(name) <= _NAME_CHARACTERS:
        raise ConfigurationError(
            f"{name!r} is not a name for a device",
            remedy="use letters, digits, dots and hyphens, or a whole URN",
        )
    return NAMESPACE + name


@dataclass(frozen=True)
class X509Identity:
    """A peer that proved the private key of a certificate whose chain was verified."""

    uri: str
    """The one ``urn:`` URI in the leaf's subject alternative name, or, where the leaf has none, the URI
    form of its first DNS name (``dns:meter.example``)."""
    spki: bytes = field(repr=False)
    """DER SubjectPublicKeyInfo of the key that was proved."""
    chain: tuple[bytes, ...] = field(repr=False, compare=False)
    """DER certificates as the peer sent them, leaf first. Empty where the handshake was abbreviated: what
    was read from them comes back with a session, they themselves do not."""
    not_after: datetime
    """When the first certificate on the verified path ends, aware, UTC; where no path was verified, as for
    our own certificate, the leaf."""
    hosts: tuple[str, ...] = ()
    """DNS names and IP addresses (text form) in the leaf's subject alternative name."""

    @cached_property
    def spki_sha256(self) -> bytes:
        """SHA-256 of :attr:`spki`, 32 bytes."""
        return hashlib.sha256(self.spki).digest()

    def __str__(self) -> str:
        return self.uri


@dataclass(frozen=True)
class PSKIdentity:
    """A peer that proved a pre-shared key."""

    psk_identity: bytes
    """The ``psk_identity`` of RFC 4279 section 2: the name of the key, any bytes."""

    @property
    def uri(self) -> str:
        """The identity as a URI: ``psk:`` and the name, percent-encoded where it is not plain text.

        A name of more than 128 bytes is a ticket rather than a name (RFC 9202 section 3.3.2), and goes into
        logs as its hash: ``psk-ticket:sha-256;`` and the digest in hexadecimal digits. No name looks so.
        """
        if len(self.psk_identity) > NAME_BYTES_MAX:
            return f"psk-ticket:sha-256;{hashlib.sha256(self.psk_identity).hexdigest()}"
        return "psk:" + "".join(
            chr(byte) if 0x21 <= byte <= 0x7E and byte != 0x25 else f"%{byte:02X}"
            for byte in self.psk_identity
        )

    def __str__(self) -> str:
        return self.uri


@dataclass(frozen=True)
class RawPublicKeyIdentity:
    """A peer that proved a private key whose public key we had pinned (RFC 7250)."""

    spki: bytes = field(repr=False)
    """DER SubjectPublicKeyInfo of the key that was proved."""

    @cached_property
    def spki_sha256(self) -> bytes:
        """SHA-256 of :attr:`spki`, 32 bytes."""
        return hashlib.sha256(self.spki).digest()

    @property
    def uri(self) -> str:
        """The key's name (RFC 6920 section 3): ``ni:///sha-256;`` and the hash of its SubjectPublicKeyInfo in
        base64url."""
        return "ni:///sha-256;" + base64.urlsafe_b64encode(self.spki_sha256).decode().rstrip("=")

    def __str__(self) -> str:
        return self.uri


@dataclass(frozen=True)
class Unauthenticated:
    """A peer that proved nothing; met only where a configuration admits such handshakes."""

    @property
    def uri(self) -> str:
        """Nobody's name: ``unauthenticated:``. No certificate and no key can have it."""
        return "unauthenticated:"

    def __str__(self) -> str:
        return self.uri


Identity = X509Identity | PSKIdentity | RawPublicKeyIdentity | Unauthenticated
"""Whoever a peer can have proved to be."""
