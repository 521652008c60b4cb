"""Who exists, as the AC knows it: one immutable picture of publishers and requesters.

Decisions read this picture and nothing else. It is compiled from the operator's configuration and
the CA's issuance ledgers; what a peer says about itself never enters it. No database and no clock is
touched here, and of files only the certificates that the operator pinned.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from types import MappingProxyType

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_public_key

from twoway.ac.atlas import Atlas
from twoway.ac.config import Places, PublisherSection, ResourceSection, SubscriberSection
from twoway.ac.entity import Entity
from twoway.errors import CallerError, ConfigurationError
from twoway.pki import LedgerEntry, Role, latest_by_uri, read_identity
from twoway.pki.files import read_file
from twoway.tickets import Method, Scope, target_from_options


@dataclass(frozen=True)
class Directory:
    """Everybody, by identity."""

    entities: Mapping[str, Entity] = field(default_factory=lambda: MappingProxyType({}))

    def publisher(self, uri: str) -> Entity | None:
        """Return the publisher called ``uri``, if it offers anything."""
        found = self.entities.get(uri)
        return found if found and found.role is Role.PUBLISHER and found.offer else None

    def requester(self, uri: str) -> Entity | None:
        """Return whoever is called ``uri``."""
        return self.entities.get(uri)

    def holder_of_raw_key(self, spki_sha256: bytes) -> Entity | None:
        """Return whose key this is that needs no certificate, by the SHA-256 of its SubjectPublicKeyInfo."""
        return self.raw_keys.get(spki_sha256)

    @cached_property
    def raw_keys(self) -> Mapping[bytes, Entity]:
        """The keys that are believed without a certificate, by their SHA-256."""
        return MappingProxyType(
            {item.raw_key: item for item in self.entities.values() if item.raw_key is not None}
        )


def compile_directory(
    ledgers: Iterable[LedgerEntry],
    publishers: Sequence[PublisherSection] = (),
    subscribers: Sequence[SubscriberSection] = (),
    places: Places | None = None,
) -> Directory:
    """Merge what the CA issued with what the operator wrote; the operator's word wins.

    Args:
        ledgers: issued certificates, oldest first. The newest of an identity counts, so that issuing it
            again takes the rights from a key that was lost.
        publishers: the possible audiences.
        subscribers: requesters that the ledgers do not describe, or not fully.
        places: organisations, sites and jurisdictions.

    Raises:
        ConfigurationError: the file and the ledgers contradict each other, or a certificate is unusable.
    """
    atlas = Atlas(places or Places())
    entities = {uri: _certified(entry, atlas) for uri, entry in latest_by_uri(ledgers).items()}
    for section in publishers:
        atlas.require_site_of(section)
        known = _in_role(entities, section.identity, Role.PUBLISHER, "publisher")
        entities[section.identity] = replace(
            _described(known, section, atlas),
            site=section.site or known.site,
            offer=_offer(section),
            categories=_categories(section),
            compact_tickets=section.compact_tickets,
            pins_certificates=section.pin == "certificate",
            is_clockless=section.clockless,
        )
    for requester in subscribers:
        known = _in_role(entities, requester.identity, Role.SUBSCRIBER, "subscriber")
        entities[requester.identity] = replace(
            _described(known, requester, atlas),
            purposes=_set_or(requester.purposes, known.purposes),
            certifications=_set_or(requester.certifications, known.certifications),
            raw_key=_raw_key(requester),
        )
    _require_raw_keys_of_one_each(entities.values())
    return Directory(MappingProxyType({uri: atlas.placed(entity) for uri, entity in entities.items()}))


def _certified(entry: LedgerEntry, atlas: Atlas) -> Entity:
    """Return the entity that a line of a ledger describes."""
    rest = dict(entry.attributes)
    return Entity(
        uri=entry.uri,
        role=entry.role,
        organisation=rest.pop("organisation", ""),
        region=rest.pop("region", ""),
        site=rest.pop("site", "") if entry.role is Role.PUBLISHER else "",
        tenant=rest.pop("tenant", ""),
        jurisdiction=atlas.jurisdiction(rest.pop("jurisdiction", None)),
        purposes=_words(rest.pop("purposes", "")),
        certifications=_words(rest.pop("certifications", "")),
        attributes=rest,
        spki=entry.spki,
    )


def _words(text: str) -> frozenset[str]:
    return frozenset(text.replace(",", " ").split())


def _set_or(written: Sequence[str] | None, known: frozenset[str]) -> frozenset[str]:
    return known if written is None else frozenset(written)


def _in_role(entities: Mapping[str, Entity], uri: str, role: Role, table: str) -> Entity:
    """Return the known entity or a new one; a publisher cannot be configured as a subscriber, nor back."""
    known = entities.get(uri)
    if known is None:
        return Entity(uri=uri, role=role)
    if (known.role is Role.PUBLISHER) != (role is Role.PUBLISHER):
        raise ConfigurationError(
            f"{uri} stands in a [[{table}]] table but is known as a {known.role.value}",
            remedy="move it to the other table or issue it a certificate of that role",
        )
    return known


def _described(known: Entity, section: PublisherSection | SubscriberSection, atlas: Atlas) -> Entity:
    """Return ``known`` with what the operator wrote about it."""
    pinned = section.certificate
    return replace(
        known,
        organisation=section.organisation or known.organisation,
        region=section.region or known.region,
        tenant=section.tenant or known.tenant,
        jurisdiction=atlas.jurisdiction(section.jurisdiction) or known.jurisdiction,
        attributes={**known.attributes, **section.attributes},
        spki=known.spki if pinned is None else _pinned_key(section.identity, pinned),
    )


def _offer(section: PublisherSection) -> Scope:
    try:
        return Scope(
            tuple(
                (_target(item), Method[name.upper()]) for item in section.resources for name in item.methods
            )
        )
    except CallerError:
        raise ConfigurationError(
            f"a resource of {section.identity} has a path that no request can name",
            remedy="write paths as /name/name, without dot segments",
        ) from None


def _categories(section: PublisherSection) -> dict[str, str]:
    """Return the categories of a publisher's resources; a path may stand in several entries."""
    found: dict[str, str] = {}
    for item in section.resources:
        if item.category is not None and found.setdefault(_target(item), item.category) != item.category:
            raise ConfigurationError(
                f"the resource {item.path} of {section.identity} has two categories",
                remedy="keep one of them",
            )
    return found


def _target(resource: ResourceSection) -> str:
    return target_from_options(resource.path[1:].split("/"), ())


def _raw_key(section: SubscriberSection) -> bytes | None:
    """Return the SHA-256 of the key that the operator registered without a certificate."""
    if section.raw_key is None:
        return section.raw_key_name
    try:
        key = load_pem_public_key(read_file(section.raw_key))
    except (ValueError, UnsupportedAlgorithm):
        raise ConfigurationError(
            "this is not a public key in PEM",
            where=str(section.raw_key),
            remedy="write one with: openssl pkey -in key.pem -pubout",
        ) from None
    return hashlib.sha256(key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).digest()


def _require_raw_keys_of_one_each(entities: Iterable[Entity]) -> None:
    holders: dict[bytes, str] = {}
    for entity in entities:
        if entity.raw_key is not None and holders.setdefault(entity.raw_key, entity.uri) != entity.uri:
            raise ConfigurationError(
                f"{holders[entity.raw_key]} and {entity.uri} are registered with the same raw key",
                remedy="give each its own",
            )


def _pinned_key(identity: str, path: Path) -> bytes:
    """Return the key of the certificate file that the operator named for ``identity``."""
    holder = read_identity(path)
    if holder.uri != identity:
        raise ConfigurationError(
            f"this is the certificate of {holder.uri}, not of {identity}",
            where=str(path),
            remedy="name the certificate that was issued to it",
        )
    return holder.spki
