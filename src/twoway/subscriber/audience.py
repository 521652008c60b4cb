"""A publisher as tickets are asked for and kept: who it is, and by what it proves that.

It owns the two kinds. A publisher with a certificate is known by its identity and the key that it proved. One
without proves that it knows the key of a ticket, which the AC made for that publisher and one subscriber (RFC
9202 section 3.3); there is nothing to know it by before, so which publishers are of that kind, and where,
stands in the configuration. Were it taken from the network, anybody on the path could have us do without a
certificate.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from twoway.identity import X509Identity


@dataclass(frozen=True, slots=True)
class Audience:
    """For whom a ticket is."""

    uri: str
    """Its identity URI, the audience of RFC 9200."""
    spki: bytes | None = field(default=None, repr=False)
    """The key that it proved, DER SubjectPublicKeyInfo; None: it proves itself by the ticket's key."""
    certificate: bytes | None = field(default=None, repr=False, compare=False)
    """The certificate that it showed, DER; None where it showed none in this handshake."""

    @classmethod
    def proved(cls, publisher: X509Identity) -> Audience:
        """The audience that a publisher with a certificate is."""
        return cls(publisher.uri, publisher.spki, publisher.chain[0] if publisher.chain else None)


@dataclass(frozen=True, slots=True)
class KeyedPublisher:
    """A publisher without a certificate, as a subscriber is configured with it."""

    identity: str
    """Its identity URI, under which the AC knows it."""
    uri: str
    """``coaps://host:port``: where it is."""
    upload: str | None = None
    """``coap://host:port/authz-info``: where it takes tickets before the handshake.

    With it, the handshake names the ticket by the ``kid`` of its key, in 17 bytes; without it, the handshake
    shows the whole ticket, which saves the upload and needs no unprotected port. Which of the two a publisher
    can do depends on its DTLS stack (some take names of 32 bytes at most), so its operator says it here.
    """

    @property
    def audience(self) -> Audience:
        """The audience that it is."""
        return Audience(self.identity)
