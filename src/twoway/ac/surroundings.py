"""What surrounds a question at the AC: when, from which address and hence region, for which purpose."""

from __future__ import annotations

from datetime import datetime
from typing import Self

from twoway.ac.config import RegionsSection
from twoway.policy import Circumstances
from twoway.policy.regions import RegionTable, plain_address


class Surroundings:
    """Derives circumstances from what the AC observed.

    Args:
        regions: the regions of addresses; None: no region is known of any.
        require_agreement: deny whoever is not seen in the region in which it is registered.
    """

    def __init__(self, regions: RegionTable | None = None, *, require_agreement: bool = False) -> None:
        self._regions = regions
        self._require_agreement = require_agreement

    @classmethod
    def load(cls, section: RegionsSection | None) -> Self:
        """Read what ``[regions]`` names.

        Raises:
            ConfigurationError: the table cannot be read.
        """
        if section is None:
            return cls()
        return cls(RegionTable.load(section.file, section.field), require_agreement=section.require_agreement)

    def circumstances(
        self, now: datetime, *, address: str | None = None, purpose: str | None = None
    ) -> Circumstances:
        """Return the circumstances of a question.

        Args:
            now: the time, aware.
            address: from where the AC saw it asked, as a socket names it; None where nobody saw it.
            purpose: what the subscriber claims to want the readings for. It can only narrow.
        """
        seen = None if address is None else plain_address(address)
        return Circumstances(
            now=now,
            address=seen,
            region=None if seen is None or self._regions is None else self._regions.region_of(seen),
            agreement_required=self._require_agreement,
            purpose=purpose,
        )
