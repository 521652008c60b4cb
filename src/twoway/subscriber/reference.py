"""The AC that a subscriber is configured to trust, and how two URIs of it are compared.

It owns ``ac.toml`` of an identity folder and the normal form of a ``coaps`` URI. It never learns an AC
from the network: what a publisher says about it is only ever compared with what stands here.
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, Self
from urllib.parse import unquote, urlsplit

from twoway.configuration import COAPS_PORT, CoapsURI, IdentityURI, Section, load_toml, parse_coaps_uri

FILE_NAME = "ac.toml"
"""Where an identity folder names its AC."""


class _ACFile(Section):
    uri: CoapsURI
    identity: IdentityURI


@dataclass(frozen=True, slots=True)
class ACReference:
    """Where the AC is and who it must prove to be."""

    uri: str
    """Its token endpoint, a ``coaps`` URI."""
    identity: str
    """The identity URI that its certificate must carry."""

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
        return cls(uri=found.uri, identity=found.identity)


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


def host_form(host: str) -> str:
    """Write a host so that equal hosts are equal texts: names in lower case, addresses canonical."""
    try:
        return str(ipaddress.ip_address(host))
    except ValueError:
        return host.lower().removesuffix(".")
