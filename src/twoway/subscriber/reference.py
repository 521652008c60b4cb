"""The AC that a subscriber is configured to trust, and how two URIs of it are compared.

It owns ``ac.toml`` of an identity folder and the normal form of a ``coaps`` URI. It never learns an AC
from the network: what a publisher says about it is only ever compared with what stands here.
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, NamedTuple, Self
from urllib.parse import unquote, urlsplit

from twoway.configuration import (
    COAPS_PORT,
    CoapsURI,
    IdentityURI,
    Section,
    load_toml,
    parse_coaps_uri,
    validated_by,
)
from twoway.errors import ConfigurationError
from twoway.subscriber.audience import KeyedPublisher
from twoway.tickets import DEFAULT_NUMBERS, ProvisionalNumbers

FILE_NAME = "ac.toml"
"""Where an identity folder names its AC."""


def parse_upload_uri(text: str) -> str:
    """Check that ``text`` is a ``coap`` URI with a host (RFC 7252 section 6.1) and return it.

    Raises:
        ConfigurationError: it is not one.
    """
    scheme, colon, rest = text.partition(":")
    try:
        if scheme == "coap" and colon:
            parse_coaps_uri(f"coaps:{rest}")
            return text
    except ConfigurationError:
        pass
    raise ConfigurationError(f"{text!r} is not a coap URI", remedy="write it as coap://host:port/authz-info")


class _KeyedPublisherTable(Section):
    identity: IdentityURI
    uri: CoapsURI
    upload: Annotated[str, validated_by(parse_upload_uri)] | None = None


class _ACFile(Section):
    uri: CoapsURI
    identity: IdentityURI
    trl: CoapsURI | None = None
    keyed_publisher: tuple[_KeyedPublisherTable, ...] = ()
    provisional: ProvisionalNumbers = DEFAULT_NUMBERS


@dataclass(frozen=True, slots=True)
class ACReference:
    """Where the AC is and who it must prove to be."""

    uri: str
    """Its token endpoint, a ``coaps`` URI."""
    identity: str
    """The identity URI that its certificate must carry."""
    trl: str | None = None
    """Where it lists revoked tickets, where that is not the default of :attr:`trl_uri`."""
    keyed_publishers: tuple[KeyedPublisher, ...] = ()
    """The publishers that have no certificate and prove themselves by the keys of this AC's tickets."""
    numbers: ProvisionalNumbers = DEFAULT_NUMBERS
    """What drafts call the hash of a certificate; the same as at the AC."""

    @property
    def trl_uri(self) -> str:
        """Where it lists revoked tickets: ``/revoke/trl`` (RFC 9770 section 6) beside its token endpoint."""
        return self.trl or urlsplit(self.uri)._replace(path="/revoke/trl", query="").geturl()

    def keyed_publisher(self, uri: str) -> KeyedPublisher | None:
        """Return the publisher without a certificate that is configured for the place of ``uri``, if any.

        Raises:
            ConfigurationError: ``uri`` is no ``coaps`` URI.
        """
        place = place_of(uri)
        return next((known for known in self.keyed_publishers if place_of(known.uri) == place), None)

    @classmethod
    def load(cls, folder: Path) -> Self | None:
        """Read ``ac.toml`` in an identity folder; None where the folder has none.

        Raises:
            ConfigurationError: the file cannot be used.
        """
        path = folder / FILE_NAME
        if not path.exists():
            return None
        found = load_toml(path, _ACFile)
        places = [place_of(table.uri) for table in found.keyed_publisher]
        if len(set(places)) < len(places):
            raise ConfigurationError(
                "there are two publishers at one place",
                where=f"{path}: keyed_publisher",
                remedy="leave one [[keyed_publisher]] for each host and port",
            )
        return cls(
            uri=found.uri,
            identity=found.identity,
            trl=found.trl,
            keyed_publishers=tuple(
                KeyedPublisher(table.identity, table.uri, table.upload) for table in found.keyed_publisher
            ),
            numbers=found.provisional,
        )


class URIForm(NamedTuple):
    """A ``coaps`` URI taken apart so that equal meanings are equal values (RFC 7252 section 6.3)."""

    host: str
    """A name in lower case without a final dot, or the canonical text of an address."""
    port: int
    path: tuple[str, ...]
    """Percent-decoded segments."""
    query: tuple[str, ...]
    """Percent-decoded queries."""


def uri_form(uri: str) -> URIForm:
    """Take a ``coaps`` URI apart.

    Raises:
        ConfigurationError: it is not one.
    """
    parts = urlsplit(parse_coaps_uri(uri))
    path = parts.path.removeprefix("/")
    return URIForm(
        host=host_form(parts.hostname or ""),
        port=parts.port or COAPS_PORT,
        path=tuple(unquote(segment) for segment in path.split("/")) if path else (),
        query=tuple(unquote(query) for query in parts.query.split("&")) if parts.query else (),
    )


def place_of(uri: str) -> tuple[str, int]:
    """Return host and port of a ``coaps`` URI so that equal places are equal values.

    Raises:
        ConfigurationError: it is not one.
    """
    form = uri_form(uri)
    return form.host, form.port


def host_form(host: str) -> str:
    """Write a host so that equal hosts are equal texts: names in lower case, addresses canonical."""
    try:
        return str(ipaddress.ip_address(host))
    except ValueError:
        return host.lower().removesuffix(".")
