"""Which policies a question has to be put to: policies indexed by their heads.

The head of a policy, ``(principal ..., action ..., resource ...)``, is a conjunction that Cedar evaluates
before any condition and that cannot fail. So a policy whose head does not fit can neither apply nor err,
and leaving it out changes neither the decision nor its errors. Conditions are never looked at here: to
guess at them is how a forbid, or its error, would be lost. Where a head is not understood, its policy is
asked every time. See docs/adr/0018-slices-by-heads.md.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeAlias

from twoway.policy.cedar import Engine, Evaluation, Source
from twoway.policy.documents import UID, Documents, uid_of

_Key: TypeAlias = tuple[UID | None, UID | None]
"""The entities that a head names as principal and as resource; None: any."""


class Slices:
    """Policies in groups of equal heads, each group compiled."""

    def __init__(self, policies: Mapping[str, Source]) -> None:
        # Policies for anybody and anything are there even if there are none: the engine is asked at least
        # once, so that a question it cannot read is an error with few policies as with many.
        groups: dict[_Key, dict[str, Source]] = {(None, None): {}}
        for policy_id, source in policies.items():
            key = named_in(source["principal"]), named_in(source["resource"])
            groups.setdefault(key, {})[policy_id] = source
        self._engines = {key: Engine.of(group) for key, group in groups.items()}

    def evaluate(self, asked: Documents) -> Evaluation:
        """Put a question to every policy whose head may fit."""
        principals = [None, *asked.lineage(asked.principal)]
        resources = [None, *asked.lineage(asked.resource)]
        found = Evaluation()
        for principal in principals:
            for resource in resources:
                engine = self._engines.get((principal, resource))
                if engine is not None:
                    found = found.and_also(engine.evaluate(asked))
        return found


def named_in(constraint: Source) -> UID | None:
    """Return the entity that the principal's or resource's part of a head names, for ``==`` and for ``in``.

    Whoever fits the part is that entity or in it.
    """
    holder = constraint["in"] if constraint["op"] == "is" and "in" in constraint else constraint
    entity = holder.get("entity") if constraint["op"] in ("==", "in", "is") else None
    return None if entity is None else uid_of(entity)
