"""Who may do what at a publisher: the policies asked once for each resource and method."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from twoway.ac.directory import Entity
from twoway.policy import PolicySet, PublisherEntity, SubscriberEntity
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
    policies: PolicySet, requester: Entity, publisher: Entity, scope: Scope, now: datetime
) -> Judgement:
    """Split ``scope`` into what ``requester`` may do at ``publisher`` and what not."""
    principal, place = _subscriber(requester), _publisher(publisher)
    granted: list[tuple[str, Method]] = []
    # Dictionaries as ordered sets: each policy once, in the order in which they spoke.
    granted_by: dict[str, None] = {}
    refused_by: dict[str, None] = {}
    errors: dict[str, None] = {}
    for target, methods in scope.entries:
        for method in methods:
            decision = policies.decide(
                principal=principal,
                action=_ACTIONS.get(method, str(method)),
                publisher=place,
                path=target,
                now=now,
            )
            if decision.allowed:
                granted.append((target, method))
            (granted_by if decision.allowed else refused_by).update(dict.fromkeys(decision.policies))
            errors.update(dict.fromkeys(decision.errors))
    return Judgement(Scope(tuple(granted)), tuple(granted_by), tuple(refused_by), tuple(errors))


def _subscriber(entity: Entity) -> SubscriberEntity:
    return SubscriberEntity(
        uri=entity.uri,
        organisation=entity.organisation,
        region=entity.region,
        purposes=entity.purposes,
        attributes=entity.attributes,
    )


def _publisher(entity: Entity) -> PublisherEntity:
    return PublisherEntity(
        uri=entity.uri,
        organisation=entity.organisation,
        region=entity.region,
        attributes=entity.attributes,
    )
