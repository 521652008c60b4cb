"""A sink's configuration file: which publishers it follows, who must answer there, and how to prove itself.

It owns the shape of ``sink.toml`` and the checks that need the whole file. It never opens a connection,
and reads no secret: a pre-shared key stays in its own file until the sink starts.
"""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

from pydantic import Field

from twoway.configuration import COAPS_PORT, CoapsURI, IdentityURI, Section, load_toml
from twoway.errors import ConfigurationError


class Place(NamedTuple):
    """Where a publisher listens."""

    host: str
    """A host name in lower case, or an address without brackets."""
    port: int
    """A UDP port."""


class PSKConfig(Section):
    """The pre-shared key that the sink and one publisher hold, and nobody else."""

    identity: str = Field(min_length=1, max_length=128)
    """The key's name, sent in clear; 128 bytes are what RFC 4279 section 5.3 has everyone support."""
    key_file: Path
    """A file with the key in hexadecimal digits, readable by its owner alone."""


class PublisherConfig(Section):
    """One resource that the sink follows."""

    uri: CoapsURI
    """The resource to observe."""
    identity: IdentityURI
    """Who must answer there, and whose name the readings are stored under. With a certificate the peer
    proves it. With a pre-shared key it is what this file says: the key is known to these two alone, so
    whoever proves it is that publisher."""
    psk: PSKConfig | None = None
    """The key to use in place of the sink's certificate."""
    max_silence: float | None = Field(default=None, ge=0.1)
    """Seconds without a reading after which the sink asks again; by default three times the Max-Age
    that the publisher states."""

    @property
    def place(self) -> Place:
        """The host and port of :attr:`uri`."""
        parts = urlsplit(self.uri)
        return Place((parts.hostname or "").lower(), parts.port or COAPS_PORT)


class SinkConfig(Section):
    """A whole ``sink.toml``."""

    identity: Path | None = None
    """The sink's identity folder; may be left out where every publisher has a pre-shared key."""
    database: Path
    """The SQLite file for the readings; made when it does not exist."""
    publisher: tuple[PublisherConfig, ...] = Field(min_length=1)
    """What to follow, one ``[[publisher]]`` each."""
    answer_timeout: float = Field(default=30.0, gt=0)
    """Seconds for a handshake, and for each answer, before a connection is given up."""
    retry_initial_interval: float = Field(default=1.0, gt=0)
    """Seconds before the first new attempt on a publisher that was lost."""
    retry_max_interval: float = Field(default=60.0, gt=0)
    """The longest pause between two attempts; the pauses double up to it."""


def load_config(path: Path) -> SinkConfig:
    """Read and check a ``sink.toml``; paths in it count from its folder.

    Raises:
        ConfigurationError: one sentence that names the file, the key and what to do.
    """
    config = load_toml(path, SinkConfig)
    _require_distinct_resources(config, path)
    _require_credentials(config, path)
    return config


def _require_distinct_resources(config: SinkConfig, path: Path) -> None:
    seen: set[str] = set()
    for entry in config.publisher:
        if entry.uri in seen:
            raise ConfigurationError(
                f"{entry.uri} is listed twice", where=str(path), remedy="keep one [[publisher]] for it"
            )
        seen.add(entry.uri)


def _require_credentials(config: SinkConfig, path: Path) -> None:
    """Refuse what could not connect: no credential at all, or two of them for one place."""
    answering: defaultdict[Place, set[tuple[str, PSKConfig | None]]] = defaultdict(set)
    for entry in config.publisher:
        if entry.psk is None and config.identity is None:
            raise ConfigurationError(
                f"there is no credential for {entry.uri}",
                where=str(path),
                remedy='add identity = "FOLDER" at the top, or psk = {...} to that publisher',
            )
        answering[entry.place].add((entry.identity, entry.psk))
        if len(answering[entry.place]) > 1:
            raise ConfigurationError(
                f"{entry.uri} shares host and port with an entry of another identity or key",
                where=str(path),
                remedy="give all entries of one host and port the same identity and psk",
            )
