"""Rights that were given by hand: one principal, one publisher, what it may do there and until when."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class LinkedGrant:
    """One grant by hand."""

    grant_id: str
    """Its name: printable, without spaces."""
    principal: str
    """The identity of the subscriber."""
    publisher: str
    """The identity of the publisher."""
    path: str | None
    """The one resource, ``/power``; None: all of the publisher's."""
    methods: frozenset[str]
    """What is granted there, at least one method."""
    until: datetime | None
    """From when on it counts no more, aware; None: it has no end."""
