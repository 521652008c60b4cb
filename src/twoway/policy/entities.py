"""Who asks and who measures, as the registry knows them: the values that policies judge.

Attributes come from the AC's registry, never from what a peer claims about itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Self


@dataclass(frozen=True)
class SubscriberEntity:
    """The party that asks: ``principal`` in a policy."""

    uri: str
    """Its identity, as it proved it."""
    organisation: str
    """``principal.organisation``. Empty is unknown, and nothing is permitted to the unknown."""
    region: str
    """``principal.region``, likewise."""
    purposes: frozenset[str] = frozenset()
    """``principal.purposes``: what it may use readings for."""
    attributes: Mapping[str, str] = field(default_factory=dict)
    """Everything else in the registry: ``principal.getTag("floor")``."""

    @classmethod
    def from_attributes(cls, uri: str, attributes: Mapping[str, str]) -> Self:
        """Sort the attributes of a registry entry into an entity.

        ``organisation`` and ``region`` are empty where they are missing; ``purposes`` is a list with commas.
        """
        rest = dict(attributes)
        purposes = (purpose.strip() for purpose in rest.pop("purposes", "").split(","))
        return cls(
            uri=uri,
            organisation=rest.pop("organisation", ""),
            region=rest.pop("region", ""),
            purposes=frozenset(purpose for purpose in purposes if purpose),
            attributes=rest,
        )


@dataclass(frozen=True)
class PublisherEntity:
    """The party that measures: ``resource.publisher`` in a policy."""

    uri: str
    """Its identity."""
    organisation: str
    """``resource.publisher.organisation``. Empty is unknown, and nothing of the unknown is permitted."""
    region: str
    """``resource.publisher.region``, likewise."""
    attributes: Mapping[str, str] = field(default_factory=dict)
    """Everything else in the registry: ``resource.publisher.getTag("model")``."""

    @classmethod
    def from_attributes(cls, uri: str, attributes: Mapping[str, str]) -> Self:
        """Sort the attributes of a registry entry into an entity; missing ones are empty."""
        rest = dict(attributes)
        return cls(
            uri=uri,
            organisation=rest.pop("organisation", ""),
            region=rest.pop("region", ""),
            attributes=rest,
        )
