"""The AC's configuration file, as frozen models. No decision is taken here and nothing is opened."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from twoway.ac.storage import DatabaseAddress, parse_address
from twoway.configuration import (
    CoapsURI,
    IdentityURI,
    Listen,
    ResourcePath,
    Section,
    load_toml,
    validated_by,
)
from twoway.errors import ConfigurationError

_LIFETIME_MINIMUM_SECONDS = 10
"""A ticket has to outlive the handshake with the publisher, retransmissions included."""
_LIFETIME_MAXIMUM_SECONDS = 86_400
"""There is no revocation of single tickets yet: a day is the most that a wrong one may live."""

MethodName = Literal["GET", "POST", "PUT", "DELETE", "FETCH", "PATCH", "iPATCH"]
"""The methods that a scope can name (RFC 9237 section 3)."""

_RESOURCES_MAXIMUM = 64
"""As many as a ticket's scope takes entries, so that one ticket can always hold all of them."""

Word = Annotated[str, Field(min_length=1, max_length=255)]
"""An attribute's value: some text."""


class ResourceSection(Section):
    """One resource that a publisher offers."""

    path: ResourcePath
    """Its path, ``/power``."""
    methods: tuple[MethodName, ...] = Field(("GET",), min_length=1)
    """The methods that a ticket may ever grant on it."""


class PublisherSection(Section):
    """``[[publisher]]``: who may be the audience of a ticket, and what it offers."""

    identity: IdentityURI
    """Its identity."""
    resources: tuple[ResourceSection, ...] = Field(min_length=1, max_length=_RESOURCES_MAXIMUM)
    """What it offers: no more than fits into one ticket."""
    organisation: Word | None = None
    """Who owns it; unset: as the ledger says."""
    region: Word | None = None
    """Where it stands; unset: as the ledger says."""
    certificate: Path | None = None
    """Its certificate (PEM, leaf first), where no ledger has it."""
    compact_tickets: bool = False
    """Bind tickets by the key's thumbprint, 41 bytes shorter (RFC 9679): the publisher must know that."""


class SubscriberSection(Section):
    """``[[subscriber]]``: attributes of somebody whom no ledger describes, or not fully."""

    identity: IdentityURI
    """Its identity."""
    organisation: Word | None = None
    """Who owns it; unset: as the ledger says."""
    region: Word | None = None
    """Where it is served; unset: as the ledger says."""
    purposes: tuple[Word, ...] | None = None
    """What it may use data for; unset: as the ledger says."""
    certificate: Path | None = None
    """Its certificate (PEM, leaf first): no other key is accepted then."""


class ACConfig(Section):
    """The whole of ``ac.toml``."""

    identity: Path
    """The identity folder of the AC; its key must be P-256, since it signs the tickets."""
    listen: Listen
    """Where to listen, ``host:port``."""
    uri: CoapsURI | None = None
    """How others reach the AC; unset: from ``listen``."""
    database: Annotated[DatabaseAddress, validated_by(parse_address)]
    """Where registry, tickets and audit are: a SQLite file, or ``postgresql://user@host/name``."""
    policies: Path
    """The folder with ``*.cedar`` files."""
    ticket_lifetime: int = Field(600, ge=_LIFETIME_MINIMUM_SECONDS, le=_LIFETIME_MAXIMUM_SECONDS)
    """The longest life of a ticket, in seconds."""
    audit_rows: int = Field(1_000_000, ge=1_000)
    """How many decisions the audit keeps; the oldest make room, so that no requester can fill the disk."""
    ledgers: tuple[Path, ...] = ()
    """Issuance ledgers of the CA: who exists, with which role, attributes and key."""
    publishers: tuple[PublisherSection, ...] = Field((), alias="publisher")
    """The possible audiences."""
    subscribers: tuple[SubscriberSection, ...] = Field((), alias="subscriber")
    """Requesters that no ledger describes, or not fully."""


def load_config(path: Path) -> ACConfig:
    """Read ``ac.toml``.

    Raises:
        ConfigurationError: the file, a key or a value is wrong, or an identity stands in it twice.
    """
    config = load_toml(path, ACConfig)
    for table, sections in (("publisher", config.publishers), ("subscriber", config.subscribers)):
        seen: set[str] = set()
        for section in sections:
            if section.identity in seen:
                raise ConfigurationError(
                    f"the identity {section.identity} stands in two [[{table}]] tables",
                    where=str(path),
                    remedy="keep one of them",
                )
            seen.add(section.identity)
    return config
