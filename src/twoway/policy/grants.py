"""Grants by hand: one subscriber, one publisher, and what it may do there.

A grant is a permit like any other, linked from one of the templates below, so that every ``forbid`` still
beats it. Grants are found by who asks whom: of ten thousand, a decision sees the few of that pair.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from twoway.errors import CallerError
from twoway.policy.entities import ACTIONS

GRANT_PREFIX = "grant:"
"""Before a grant's name where the name of a policy stands. No policy's ``@id`` may begin so."""


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
    """Of :data:`~twoway.policy.entities.ACTIONS`, at least one."""
    until: datetime | None
    """From when on it counts no more, aware; None: it has no end."""

    def __post_init__(self) -> None:
        if not self.grant_id or not self.grant_id.isprintable() or " " in self.grant_id:
            raise CallerError(f"{self.grant_id!r} cannot be the name of a grant")
        if not self.methods or not self.methods <= set(ACTIONS):
            raise CallerError(f"the methods of grant {self.grant_id} are not {', '.join(ACTIONS)}")
        if self.path is not None and not self.path.startswith("/"):
            raise CallerError(f"the path of grant {self.grant_id} does not begin with a slash")
        if self.until is not None and self.until.tzinfo is None:
            raise CallerError(f"the end of grant {self.grant_id} has no time zone")

    def covers(self, action: str, path: str) -> bool:
        """Whether its head fits that method on that resource of the publisher's."""
        return action in self.methods and self.path in (None, path)

    def is_over_at(self, now: datetime) -> bool:
        """Whether it has ended."""
        return self.until is not None and now >= self.until


class GrantIndex:
    """Grants by principal and publisher."""

    def __init__(self, grants: Iterable[LinkedGrant] = ()) -> None:
        self._grants: dict[tuple[str, str], list[LinkedGrant]] = {}
        seen: set[str] = set()
        for grant in grants:
            if grant.grant_id in seen:
                raise CallerError(f"two grants are called {grant.grant_id}")
            seen.add(grant.grant_id)
            self._grants.setdefault((grant.principal, grant.publisher), []).append(grant)

    def between(self, principal: str, publisher: str) -> tuple[LinkedGrant, ...]:
        """Return the grants of a pair, those that are over among them."""
        return tuple(self._grants.get((principal, publisher), ()))
