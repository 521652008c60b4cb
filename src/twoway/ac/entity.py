"""Somebody whom the AC knows, as one value: what the registry keeps and what policies judge."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self

from twoway.pki import Role
from twoway.policy import Jurisdiction, PublisherEntity, SubscriberEntity
from twoway.tickets import Method, Scope

_REQUESTING_ROLES = frozenset({Role.SUBSCRIBER, Role.SINK, Role.CACHE})
"""Who reads from publishers. A publisher and an AC have nothing to ask for."""


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
    """The ISP region where it stands or is served; likewise."""
    site: str = ""
    """Where it stands; publishers only. Empty: no site."""
    tenant: str = ""
    """Whose it is at its site, or which tenant it works for. Empty: no tenant's."""
    jurisdiction: Jurisdiction | None = None
    """Whose law holds, with its treaty partners; None is unknown."""
    purposes: frozenset[str] = frozenset()
    """What it may use data for."""
    certifications: frozenset[str] = frozenset()
    """What it or its organisation is certified for."""
    attributes: Mapping[str, str] = field(default_factory=dict)
    """Everything else that the CA's ledger and the operator say of it."""
    spki: bytes | None = field(default=None, repr=False)
    """DER SubjectPublicKeyInfo of its key; None: any key that a trusted authority certifies for it."""
    offer: Scope = field(default_factory=Scope)
    """What it offers, hence the most that a ticket can ever grant; publishers only."""
    categories: Mapping[str, str] = field(default_factory=dict)
    """The category of the data of a resource, by its target in ``offer``; publishers only."""
    compact_tickets: bool = False
    """Whether its tickets name the holder's key by thumbprint; publishers only."""
    pins_certificates: bool = False
    """Whether its tickets are bound to the holder's certificate beside the key; publishers only."""
    is_clockless: bool = False
    """Whether it has no clock, so that its tickets carry ``exi``; publishers only."""
    raw_key: bytes | None = None
    """SHA-256 of the SubjectPublicKeyInfo (DER) that it may prove without a certificate, 32 bytes."""

    @property
    def may_ask(self) -> bool:
        """Whether it is one of those who may ask for tickets at all."""
        return self.role in _REQUESTING_ROLES

    def to_document(self) -> dict[str, object]:
        """Return it as JSON takes it; :meth:`from_document` makes the same entity of that."""
        jurisdiction = self.jurisdiction
        return {
            "uri": self.uri,
            "role": self.role.value,
            "organisation": self.organisation,
            "region": self.region,
            "site": self.site,
            "tenant": self.tenant,
            "jurisdiction": None
            if jurisdiction is None
            else {"name": jurisdiction.name, "partners": sorted(jurisdiction.partners)},
            "purposes": sorted(self.purposes),
            "certifications": sorted(self.certifications),
            "attributes": dict(self.attributes),
            "spki": None if self.spki is None else self.spki.hex(),
            "offer": [[target, int(methods)] for target, methods in self.offer.entries],
            "categories": dict(self.categories),
            "compact_tickets": self.compact_tickets,
            "pins_certificates": self.pins_certificates,
            "is_clockless": self.is_clockless,
            "raw_key": None if self.raw_key is None else self.raw_key.hex(),
        }

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> Self:
        """Read what :meth:`to_document` wrote. For the AC's own database: nothing is checked."""
        jurisdiction, spki, raw_key = document["jurisdiction"], document["spki"], document["raw_key"]
        return cls(
            uri=document["uri"],
            role=Role(document["role"]),
            organisation=document["organisation"],
            region=document["region"],
            site=document["site"],
            tenant=document["tenant"],
            jurisdiction=jurisdiction
            and Jurisdiction(jurisdiction["name"], frozenset(jurisdiction["partners"])),
            purposes=frozenset(document["purposes"]),
            certifications=frozenset(document["certifications"]),
            attributes=document["attributes"],
            spki=None if spki is None else bytes.fromhex(spki),
            offer=Scope(tuple((target, Method(methods)) for target, methods in document["offer"])),
            categories=document["categories"],
            compact_tickets=document["compact_tickets"],
            pins_certificates=document["pins_certificates"],
            is_clockless=document["is_clockless"],
            raw_key=None if raw_key is None else bytes.fromhex(raw_key),
        )

    def as_subscriber(self) -> SubscriberEntity:
        """Return what policies see of it when it asks."""
        return SubscriberEntity(
            uri=self.uri,
            organisation=self.organisation,
            region=self.region,
            purposes=self.purposes,
            certifications=self.certifications,
            tenant=self.tenant,
            jurisdiction=self.jurisdiction,
            attributes=self.attributes,
        )

    def as_publisher(self) -> PublisherEntity:
        """Return what policies see of it when it is asked."""
        return PublisherEntity(
            uri=self.uri,
            organisation=self.organisation,
            region=self.region,
            site=self.site,
            tenant=self.tenant,
            jurisdiction=self.jurisdiction,
            categories=self.categories,
            attributes=self.attributes,
        )
