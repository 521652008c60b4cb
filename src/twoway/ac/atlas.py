"""Organisations, sites and jurisdictions, and what follows from them for who belongs to them."""

from __future__ import annotations

from dataclasses import replace

from twoway.ac.config import Places, PublisherSection
from twoway.ac.entity import Entity
from twoway.errors import ConfigurationError
from twoway.pki import Role
from twoway.policy import Jurisdiction


class Atlas:
    """The places of a configuration, by name."""

    def __init__(self, places: Places) -> None:
        self._partners = {item.name: frozenset(item.partners) for item in places.jurisdictions}
        self._sites = {item.name: item.jurisdiction for item in places.sites}
        self._organisations = {item.name: item for item in places.organisations}

    def jurisdiction(self, name: str | None) -> Jurisdiction | None:
        """Return the jurisdiction called so; one without a table has no partners."""
        return Jurisdiction(name, self._partners.get(name, frozenset())) if name else None

    def require_site_of(self, section: PublisherSection) -> None:
        """Check that the operator said where the site is, and nothing else of its publisher.

        Raises:
            ConfigurationError: the site has no table, or stands in another jurisdiction.
        """
        if section.site is None:
            return
        where = self._sites.get(section.site)
        if where is None:
            raise ConfigurationError(
                f"{section.identity} stands at the site {section.site}, which has no [[site]] table",
                remedy="add one or correct the name",
            )
        if section.jurisdiction not in (None, where):
            raise ConfigurationError(
                f"{section.identity} is in the jurisdiction {section.jurisdiction}, its site in {where}",
                remedy="leave out the publisher's jurisdiction",
            )

    def placed(self, entity: Entity) -> Entity:
        """Return the entity with what its site or its organisation gives it."""
        if entity.role is Role.PUBLISHER:
            # Where a thing stands is where its site stands, whatever a ledger says.
            site = self.jurisdiction(self._sites.get(entity.site))
            return replace(entity, jurisdiction=site or entity.jurisdiction)
        organisation = self._organisations.get(entity.organisation)
        if organisation is None:
            return entity
        return replace(
            entity,
            jurisdiction=entity.jurisdiction or self.jurisdiction(organisation.jurisdiction),
            certifications=entity.certifications | frozenset(organisation.certifications),
        )
