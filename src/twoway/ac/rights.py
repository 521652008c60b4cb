"""Who may do what at a publisher: the policies asked once for each resource and method."""

from __future__ import annotations

from dataclasses import dataclass

from twoway.ac.entity import Entity
from twoway.policy import Circumstances, PolicySet, Question
from twoway.tickets import Method, Scope

_ACTIONS = {Method.IPATCH: "iPATCH"}
"""What policies call a method, where it is not its plain name."""


@dataclass(frozen=True)
class Judgement:
    """What the policies said about a scope."""

    granted: Scope
    """The part that is permitted; may be empty."""
    granted_by: tuple[str, ...]
    """The policies that permitted it."""
    refused_by: tuple[str, ...]
    """The policies that refused the rest."""
    errors: tuple[str, ...]
    """What could not be judged, and was refused therefore."""


def judge(
    policies: PolicySet, requester: Entity, publisher: Entity, scope: Scope, circumstances: Circumstances
) -> Judgement:
    """Split ``scope`` into what ``requester`` may do at ``publisher`` and what not."""
    principal, place = requester.as_subscriber(), publisher.as_publisher()
    granted: list[tuple[str, Method]] = []
    # Dictionaries as ordered sets: each policy once, in the order in which they spoke.
    granted_by: dict[str, None] = {}
    refused_by: dict[str, None] = {}
    errors: dict[str, None] = {}
    for target, methods in scope.entries:
        for method in methods:
            decision = policies.decide(Question(principal, action_of(method), place, target, circumstances))
            if decision.allowed:
                granted.append((target, method))
            (granted_by if decision.allowed else refused_by).update(dict.fromkeys(decision.policies))
            errors.update(dict.fromkeys(decision.errors))
    return Judgement(Scope(tuple(granted)), tuple(granted_by), tuple(refused_by), tuple(errors))


def action_of(method: Method) -> str:
    """Return what policies call a method."""
    return _ACTIONS.get(method, str(method))
