"""The AC's configuration file, as frozen models. No decision is taken here and nothing is opened."""

from __future__ import annotations

import base64
import hashlib
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from twoway.ac.server_config import LimitsSection, SigningSection
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
from twoway.tickets import DEFAULT_NUMBERS, ProvisionalNumbers

_LIFETIME_MINIMUM_SECONDS = 10
"""A ticket has to outlive the handshake with the publisher, retransmissions included."""
LIFETIME_MAXIMUM_SECONDS = 86_400
"""A publisher that cannot be reached learns of no revocation: a wrong ticket may live for a day at most."""

MethodName = Literal["GET", "POST", "PUT", "DELETE", "FETCH", "PATCH", "iPATCH"]
"""The methods that a scope can name (RFC 9237 section 3)."""

_RESOURCES_MAXIMUM = 64
"""As many as a ticket's scope takes entries, so that one ticket can always hold all of them."""

Word = Annotated[str, Field(min_length=1, max_length=255)]
"""An attribute's value: some text."""
Attributes = dict[Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]{0,63}$")], Word]
"""Further attributes, which policies see as tags."""


class JurisdictionSection(Section):
    """``[[jurisdiction]]``: whose law holds, and with whom it has a treaty."""

    name: Word
    """What other tables call it, ``"CH"``."""
    partners: tuple[Word, ...] = ()
    """The jurisdictions that it has a treaty with. A treaty goes one way unless both say so."""


class SiteSection(Section):
    """``[[site]]``: a building, a plant, a vehicle."""

    name: Word
    """What publishers call it."""
    jurisdiction: Word
    """Where it stands, hence where its publishers stand."""


class OrganisationSection(Section):
    """``[[organisation]]``: what holds for all who belong to it."""

    name: Word
    """What publishers and subscribers call it."""
    jurisdiction: Word | None = None
    """The jurisdiction of its subscribers that have none of their own."""
    certifications: tuple[Word, ...] = ()
    """What each of its subscribers is certified for, beside its own certifications."""


class RegionsSection(Section):
    """``[regions]``: the ISP region of an address, and whether it has to be the registered one."""

    file: Path
    """A table of prefixes (CSV: ``prefix,region``) or a MaxMind DB (``*.mmdb``)."""
    field: Word = "region"
    """Where in a MaxMind DB's records the region is: ``"country.iso_code"``."""
    require_agreement: bool = False
    """Refuse whoever asks from another region than the registered one, or from none that is known."""


def parse_raw_key_name(text: str) -> bytes:
    """Read the name of a public key, ``ni:///sha-256;`` and 43 characters of base64url, as its 32 bytes.

    Raises:
        ConfigurationError: it is something else.
    """
    scheme, _, digits = text.partition(";")
    try:
        digest = base64.b64decode(digits + "=" * (-len(digits) % 4), altchars=b"-_", validate=True)
    except ValueError:
        digest = b""
    if scheme != "ni:///sha-256" or len(digest) != hashlib.sha256().digest_size:
        raise ConfigurationError(
            f"{text!r} is not the name of a public key", remedy="write it as ni:///sha-256; and its hash"
        )
    return digest


class ResourceSection(Section):
    """One resource that a publisher offers."""

    path: ResourcePath
    """Its path, ``/power``."""
    methods: tuple[MethodName, ...] = Field(("GET",), min_length=1)
    """The methods that a ticket may ever grant on it."""
    category: Word | None = None
    """The category of its data, for policies: ``"live"``, ``"billing"``."""


class PublisherSection(Section):
    """``[[publisher]]``: who may be the audience of a ticket, and what it offers."""

    identity: IdentityURI
    """Its identity."""
    resources: tuple[ResourceSection, ...] = Field(min_length=1, max_length=_RESOURCES_MAXIMUM)
    """What it offers: no more than fits into one ticket."""
    organisation: Word | None = None
    """Who owns it; unset: as the ledger says."""
    region: Word | None = None
    """The ISP region in which it stands; unset: as the ledger says."""
    site: Word | None = None
    """The ``[[site]]`` where it stands; unset: as the ledger says."""
    tenant: Word | None = None
    """Whose it is at its site; unset: as the ledger says."""
    jurisdiction: Word | None = None
    """Whose law holds; unset: its site's, else as the ledger says."""
    attributes: Attributes = Field(default_factory=dict)
    """Further ones; each beats the ledger's of the same name."""
    certificate: Path | None = None
    """Its certificate (PEM, leaf first), where no ledger has it."""
    compact_tickets: bool = False
    """Bind tickets by the key's thumbprint, 41 bytes shorter (RFC 9679): the publisher must know that."""
    pin: Literal["key", "certificate"] = "key"
    """What tickets are bound to: the holder's key, or its certificate as well, which ends with the
    certificate and of which the publisher must know."""
    clockless: bool = False
    """It has no clock: its tickets say for how many seconds they are valid (``exi``, RFC 9200 section
    5.10.3)."""


class SubscriberSection(Section):
    """``[[subscriber]]``: attributes of somebody whom no ledger describes, or not fully."""

    identity: IdentityURI
    """Its identity."""
    organisation: Word | None = None
    """Who owns it; unset: as the ledger says."""
    region: Word | None = None
    """The ISP region in which it is served; unset: as the ledger says."""
    purposes: tuple[Word, ...] | None = None
    """What it may use data for; unset: as the ledger says."""
    certifications: tuple[Word, ...] | None = None
    """What it is certified for, beside what its organisation is; unset: as the ledger says."""
    tenant: Word | None = None
    """Which tenant it is or works for; unset: as the ledger says."""
    jurisdiction: Word | None = None
    """Whose law it is under; unset: as the ledger says, else its organisation's."""
    attributes: Attributes = Field(default_factory=dict)
    """Further ones; each beats the ledger's of the same name."""
    certificate: Path | None = None
    """Its certificate (PEM, leaf first): no other key is accepted then."""
    raw_key: Path | None = None
    """Its public key (PEM), with which it may come without a certificate (RFC 9202 section 3.2)."""
    raw_key_name: Annotated[bytes, validated_by(parse_raw_key_name)] | None = None
    """The same by its name, ``ni:///sha-256;...`` (RFC 6920)."""


@dataclass(frozen=True)
class Places:
    """What publishers and subscribers belong to, each table by itself."""

    organisations: Sequence[OrganisationSection] = ()
    """``[[organisation]]``."""
    sites: Sequence[SiteSection] = ()
    """``[[site]]``."""
    jurisdictions: Sequence[JurisdictionSection] = ()
    """``[[jurisdiction]]``."""


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
    ticket_lifetime: int = Field(600, ge=_LIFETIME_MINIMUM_SECONDS, le=LIFETIME_MAXIMUM_SECONDS)
    """The longest life of a ticket, in seconds."""
    audit_rows: int = Field(1_000_000, ge=1_000)
    """How many decisions the audit keeps; the oldest make room, so that no requester can fill the disk."""
    ledgers: tuple[Path, ...] = ()
    """Issuance ledgers of the CA: who exists, with which role, attributes and key."""
    publishers: tuple[PublisherSection, ...] = Field((), alias="publisher")
    """The possible audiences."""
    subscribers: tuple[SubscriberSection, ...] = Field((), alias="subscriber")
    """Requesters that no ledger describes, or not fully."""
    organisations: tuple[OrganisationSection, ...] = Field((), alias="organisation")
    """What holds for all who belong to an organisation."""
    sites: tuple[SiteSection, ...] = Field((), alias="site")
    """Where publishers stand."""
    jurisdictions: tuple[JurisdictionSection, ...] = Field((), alias="jurisdiction")
    """Whose law holds, and treaties."""
    regions: RegionsSection | None = None
    """How the region of an address is found; unset: policies see none."""

    administrators: frozenset[IdentityURI] = frozenset()
    """Who sees the whole list of revoked tickets, by certificate."""
    sealing_key: Path | None = None
    """The file with the key (64 hexadecimal digits, 0600) that publishers' secrets and signing keys in the
    database are sealed with; needed only where there are such."""
    control: Path = Path("ac.sock")
    """The control socket of this process, for ``twoway ac reload``. Replicas on one machine need one each."""
    limits: LimitsSection = LimitsSection()
    """What requesters may take."""
    signing: SigningSection = SigningSection()
    """How the signing key changes."""
    provisional: ProvisionalNumbers = DEFAULT_NUMBERS
    """The numbers that drafts suggest: the same as at the publishers and subscribers."""

    @property
    def places(self) -> Places:
        """What publishers and subscribers name: organisations, sites, jurisdictions."""
        return Places(organisations=self.organisations, sites=self.sites, jurisdictions=self.jurisdictions)


def load_config(path: Path) -> ACConfig:
    """Read ``ac.toml``.

    Raises:
        ConfigurationError: the file, a key or a value is wrong, or an identity or a name stands in it twice.
    """
    config = load_toml(path, ACConfig)
    _require_unique(path, "publisher", "identity", (item.identity for item in config.publishers))
    _require_unique(path, "subscriber", "identity", (item.identity for item in config.subscribers))
    _require_unique(path, "organisation", "name", (item.name for item in config.organisations))
    _require_unique(path, "site", "name", (item.name for item in config.sites))
    _require_unique(path, "jurisdiction", "name", (item.name for item in config.jurisdictions))
    return config


def _require_unique(path: Path, table: str, key: str, names: Iterable[str]) -> None:
    for name, count in Counter(names).items():
        if count > 1:
            raise ConfigurationError(
                f"the {key} {name} stands in two [[{table}]] tables",
                where=str(path),
                remedy="keep one of them",
            )
