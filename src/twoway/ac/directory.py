"""Who exists, as the AC knows it: one immutable picture of publishers and requesters.

Decisions read this picture and nothing else. It is compiled from the operator's configuration and
the CA's issuance ledgers; what a peer says about itself never enters it. No database and no clock is
touched here, and of files only the certificates that the operator pinned.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any, Self

from twoway.ac.config import PublisherSection, SubscriberSection
from twoway.errors import CallerError, ConfigurationError
from twoway.pki import LedgerEntry, Role, latest_by_uri, read_identity
from twoway.tickets import Method, Scope, target_from_options


@dataclass(frozen=True)
class Entity:
    """Somebody whom the AC knows."""

    uri: str
    """The identity."""
    role: Role
    """What it was certified as."""
    organisation: str = ""
    """Who owns it; empty is unknown, and policies permit nothing to the unknown."""
    region: str = ""
    """Where it stands or is served; likewise."""
    purposes: frozenset[str] = frozenset()
    """What it may use data for."""
    attributes: Mapping[str, str] = field(default_factory=dict)
    """Everything else that the CA's ledger says of it."""
    spki: bytes | None = field(default=None, repr=False)
    """DER SubjectPublicKeyInfo of its key; None: any key that a trusted authority certifies for it."""
    offer: Scope = field(default_factory=Scope)
    """What it offers, hence the most that a ticket can ever grant; publishers only."""
    compact_tickets: bool = False
    """Whether its tickets name the holder's key by thumbprint; publishers only."""

    def to_document(self) -> dict[str, object]:
        """Return it as JSON takes it; :meth:`from_document` makes the same entity of that."""
        return {
            "uri": self.uri,
            "role": self.role.value,
            "organisation": self.organisation,
            "region": self.region,
            "purposes": sorted(self.purposes),
            "attributes": dict(self.attributes),
            "spki": None if self.spki is None else self.spki.hex(),
            "offer": [[target, int(methods)] for target, methods in self.offer.entries],
            "compact_tickets": self.compact_tickets,
        }

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> Self:
        """Read what :meth:`to_document` wrote. For the AC's own database: nothing is checked."""
        spki = document["spki"]
        return cls(
            uri=document["uri"],
            role=Role(document["role"]),
            organisation=document["organisation"],
            region=document["region"],
            purposes=frozenset(document["purposes"]),
            attributes=document["attributes"],
            spki=None if spki is None else bytes.fromhex(spki),
            offer=Scope(tuple((target, Method(methods)) for target, methods in document["offer"])),
            compact_tickets=document["compact_tickets"],
        )


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


def compile_directory(
    ledgers: Iterable[LedgerEntry],
    publishers: Sequence[PublisherSection] = (),
    subscribers: Sequence[SubscriberSection] = (),
) -> Directory:
    """Merge what the CA issued with what the operator wrote; the operator's word wins.

    Args:
        ledgers: issued certificates, oldest first. The newest of an identity counts, so that issuing it
            again takes the rights from a key that was lost.
        publishers: the possible audiences.
        subscribers: requesters that the ledgers do not describe, or not fully.

    Raises:
        ConfigurationError: the file and the ledgers contradict each other, or a certificate is unusable.
    """
    entities = {uri: _certified(entry) for uri, entry in latest_by_uri(ledgers).items()}
    for section in publishers:
        known = _in_role(entities, section.identity, Role.PUBLISHER, "publisher")
        entities[section.identity] = replace(
            _described(known, section),
            offer=_offer(section),
            compact_tickets=section.compact_tickets,
        )
    for requester in subscribers:
        known = _in_role(entities, requester.identity, Role.SUBSCRIBER, "subscriber")
        purposes = known.purposes if requester.purposes is None else frozenset(requester.purposes)
        entities[requester.identity] = replace(_described(known, requester), purposes=purposes)
    return Directory(MappingProxyType(entities))


def _certified(entry: LedgerEntry) -> Entity:
    """Return the entity that a line of a ledger describes."""
    rest = dict(entry.attributes)
    return Entity(
        uri=entry.uri,
        role=entry.role,
        organisation=rest.pop("organisation", ""),
        region=rest.pop("region", ""),
        purposes=frozenset(rest.pop("purposes", "").replace(",", " ").split()),
        attributes=rest,
        spki=entry.spki,
    )


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


def _described(known: Entity, section: PublisherSection | SubscriberSection) -> Entity:
    """Return ``known`` with what the operator wrote about it."""
    pinned = section.certificate
    return replace(
        known,
        organisation=section.organisation or known.organisation,
        region=section.region or known.region,
        spki=known.spki if pinned is None else _pinned_key(section.identity, pinned),
    )


def _offer(section: PublisherSection) -> Scope:
    try:
        return Scope(
            tuple(
                (target_from_options(item.path[1:].split("/"), ()), Method[name.upper()])
                for item in section.resources
                for name in item.methods
            )
        )
    except CallerError:
        raise ConfigurationError(
            f"a resource of {section.identity} has a path that no request can name",
            remedy="write paths as /name/name, without dot segments",
        ) from None


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
