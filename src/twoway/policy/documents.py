"""What the Cedar engine is handed for one question: entities and request in Cedar's JSON form.

All entities that a policy can reach from the question are given, each with its parents: an attribute of an
entity that is missing would be an error, and every error denies. A point in time goes in as a ``datetime``
and an address as an ``ipaddr``, never as text.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from typing import Any, TypeAlias

from twoway.policy.entities import Circumstances, Jurisdiction, PublisherEntity, Question, SubscriberEntity

UID: TypeAlias = tuple[str, str]
"""An entity's type without the namespace, and its identifier: ``("Publisher", "urn:...-meter")``."""
NAMESPACE = "Twoway::"


@dataclass(frozen=True)
class Documents:
    """One question, as the engine takes it."""

    request: dict[str, Any]
    """Principal, action, resource and context."""
    entities: dict[UID, dict[str, Any]]
    """Everybody and everything that the question is about."""
    principal: UID
    resource: UID

    @cached_property
    def entities_text(self) -> str:
        """The entities in JSON."""
        return json.dumps(list(self.entities.values()))

    def lineage(self, uid: UID) -> set[UID]:
        """Return ``uid`` and everything that it is in."""
        found: set[UID] = set()
        waiting = [uid]
        while waiting:
            each = waiting.pop()
            if each not in found:
                found.add(each)
                waiting += [uid_of(parent) for parent in self.entities[each]["parents"]]
        return found


def documents_of(question: Question) -> Documents:
    """Put a question into Cedar's form."""
    subscriber, publisher = question.principal, question.publisher
    resource = ("Resource", publisher.uri + question.path)
    entities = {
        **_jurisdictions(subscriber.jurisdiction, publisher.jurisdiction),
        **_plain("Organisation", subscriber.organisation, publisher.organisation),
        **_plain("Tenant", subscriber.tenant, publisher.tenant),
        **_site(publisher),
        ("Subscriber", subscriber.uri): _subscriber(subscriber),
        ("Publisher", publisher.uri): _publisher(publisher),
        resource: _resource(resource, publisher, question.path),
    }
    principal = ("Subscriber", subscriber.uri)
    request = {
        "principal": reference(principal),
        "action": reference(("Action", question.action)),
        "resource": reference(resource),
        "context": _context(question.circumstances),
    }
    return Documents(request, entities, principal, resource)


def reference(uid: UID) -> dict[str, str]:
    """Return an entity's name as Cedar's JSON has it."""
    return {"type": NAMESPACE + uid[0], "id": uid[1]}


def uid_of(document: dict[str, str]) -> UID:
    """Read an entity's name back."""
    return document["type"].removeprefix(NAMESPACE), document["id"]


def _subscriber(subscriber: SubscriberEntity) -> dict[str, Any]:
    belongs = [
        ("Organisation", subscriber.organisation),
        *_known("Tenant", subscriber.tenant),
        *_known("Jurisdiction", subscriber.jurisdiction.name if subscriber.jurisdiction else ""),
    ]
    return _entity(
        ("Subscriber", subscriber.uri),
        {
            **_attributes(belongs),
            "region": subscriber.region,
            "purposes": sorted(subscriber.purposes),
            "certifications": sorted(subscriber.certifications),
        },
        belongs,
        tags=dict(subscriber.attributes),
    )


def _publisher(publisher: PublisherEntity) -> dict[str, Any]:
    belongs = [
        ("Organisation", publisher.organisation),
        *_known("Site", publisher.site),
        *_known("Tenant", publisher.tenant),
        *_known("Jurisdiction", publisher.jurisdiction.name if publisher.jurisdiction else ""),
    ]
    attributes = {**_attributes(belongs), "region": publisher.region}
    return _entity(("Publisher", publisher.uri), attributes, belongs, tags=dict(publisher.attributes))


def _resource(uid: UID, publisher: PublisherEntity, path: str) -> dict[str, Any]:
    parent = ("Publisher", publisher.uri)
    attributes: dict[str, Any] = {"path": path, **_attributes([parent])}
    if path in publisher.categories:
        attributes["category"] = publisher.categories[path]
    return _entity(uid, attributes, [parent])


def _site(publisher: PublisherEntity) -> dict[UID, dict[str, Any]]:
    """A site is where its publishers are, hence in their jurisdiction."""
    if not publisher.site:
        return {}
    parents = _known("Jurisdiction", publisher.jurisdiction.name if publisher.jurisdiction else "")
    return {("Site", publisher.site): _entity(("Site", publisher.site), {}, parents)}


def _jurisdictions(*known: Jurisdiction | None) -> dict[UID, dict[str, Any]]:
    """Both sides' jurisdictions with their partners. The partners' own treaties are not looked at."""
    found: dict[UID, dict[str, Any]] = {}
    for jurisdiction in filter(None, known):
        for name in jurisdiction.partners:
            found.setdefault(("Jurisdiction", name), _entity(("Jurisdiction", name), {"partners": []}, []))
    for jurisdiction in filter(None, known):
        partners = [{"__entity": reference(("Jurisdiction", name))} for name in sorted(jurisdiction.partners)]
        uid = ("Jurisdiction", jurisdiction.name)
        found[uid] = _entity(uid, {"partners": partners}, [])
    return found


def _plain(kind: str, *names: str) -> dict[UID, dict[str, Any]]:
    return {(kind, name): _entity((kind, name), {}, []) for name in names if name}


def _known(kind: str, name: str) -> list[UID]:
    return [(kind, name)] if name else []


def _attributes(belongs: Iterable[UID]) -> dict[str, Any]:
    """An attribute for each entity that somebody belongs to, under its type's name: ``organisation``."""
    return {uid[0].lower(): {"__entity": reference(uid)} for uid in belongs}


def _entity(
    uid: UID, attributes: dict[str, Any], parents: Iterable[UID], *, tags: dict[str, str] | None = None
) -> dict[str, Any]:
    document: dict[str, Any] = {
        "uid": reference(uid),
        "attrs": attributes,
        "parents": [reference(parent) for parent in parents],
    }
    return document if tags is None else document | {"tags": tags}


def _context(circumstances: Circumstances) -> dict[str, Any]:
    context: dict[str, Any] = {"now": _extension("datetime", _instant(circumstances.now))}
    if circumstances.address is not None:
        context["address"] = _extension("ip", str(circumstances.address))
    if circumstances.region is not None:
        context["region"] = circumstances.region
    if circumstances.purpose is not None:
        context["purpose"] = circumstances.purpose
    return context


def _extension(function: str, argument: str) -> dict[str, Any]:
    return {"__extn": {"fn": function, "arg": argument}}


def _instant(now: datetime) -> str:
    """Cedar's form of a point in time: UTC, milliseconds."""
    return now.astimezone(UTC).replace(tzinfo=None).isoformat(timespec="milliseconds") + "Z"
