"""A small world for tests of policies: parties of two organisations, and strategies that make many others."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

from hypothesis import strategies as st

from twoway.policy import (
    ACTIONS,
    Circumstances,
    Jurisdiction,
    LinkedGrant,
    PolicySet,
    PublisherEntity,
    Question,
    SubscriberEntity,
)

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
TENANT = SubscriberEntity(
    uri="urn:dev:org:32473-tenant",
    organisation="House",
    region="north",
    purposes=frozenset({"billing", "comfort"}),
    certifications=frozenset({"gdpr"}),
    tenant="flat-3",
    jurisdiction=Jurisdiction("CH", frozenset({"DE"})),
    attributes={"floor": "3"},
)
METER = PublisherEntity(
    uri="urn:dev:org:32473-meter",
    organisation="House",
    region="north",
    site="tower",
    tenant="flat-3",
    jurisdiction=Jurisdiction("CH", frozenset({"DE"})),
    categories={"/power": "live", "/quarters": "billing"},
    attributes={"model": "T210"},
)


def question(**changes: object) -> Question:
    """A tenant asks its meter; what is no part of a question is one of its circumstances."""
    fields: dict[str, object] = {
        "principal": TENANT,
        "action": "GET",
        "publisher": METER,
        "path": "/power",
    }
    circumstances: dict[str, object] = {"now": NOW}
    for name, value in changes.items():
        (fields if name in fields else circumstances)[name] = value
    return Question(**fields, circumstances=Circumstances(**circumstances))  # type: ignore[arg-type]


def load(folder: Path, text: str) -> PolicySet:
    """The policies of a text."""
    (folder / "policies.cedar").write_text(text, "utf-8")
    return PolicySet.load(folder)


_NAMES = st.sampled_from(["a", "b", "c"])
_MAYBE = st.sampled_from(["", "a", "b"])
_JURISDICTIONS = st.none() | st.builds(Jurisdiction, _NAMES, st.frozensets(_NAMES, max_size=2))
SUBSCRIBERS = st.builds(
    SubscriberEntity,
    uri=st.sampled_from(["urn:s1", "urn:s2"]),
    organisation=_NAMES,
    region=_NAMES,
    purposes=st.frozensets(_NAMES),
    certifications=st.frozensets(_NAMES),
    tenant=_MAYBE,
    jurisdiction=_JURISDICTIONS,
    attributes=st.dictionaries(_NAMES, _NAMES, max_size=2),
)
PUBLISHERS = st.builds(
    PublisherEntity,
    uri=st.sampled_from(["urn:p1", "urn:p2"]),
    organisation=_NAMES,
    region=_NAMES,
    site=_MAYBE,
    tenant=_MAYBE,
    jurisdiction=_JURISDICTIONS,
    categories=st.dictionaries(st.sampled_from(["/x", "/y"]), _NAMES, max_size=2),
    attributes=st.dictionaries(_NAMES, _NAMES, max_size=2),
)
TIMES = st.sampled_from([NOW + timedelta(hours=hours) for hours in (-1, 0, 1)])
QUESTIONS = st.builds(
    Question,
    principal=SUBSCRIBERS,
    action=st.sampled_from(ACTIONS),
    publisher=PUBLISHERS,
    path=st.sampled_from(["/x", "/y"]),
    circumstances=st.builds(Circumstances, now=TIMES, region=st.none() | _NAMES, purpose=st.none() | _NAMES),
)
GRANTS = st.lists(
    st.builds(
        LinkedGrant,
        grant_id=st.integers(0, 10**6).map(str),
        principal=st.sampled_from(["urn:s1", "urn:s2"]),
        publisher=st.sampled_from(["urn:p1", "urn:p2"]),
        path=st.none() | st.sampled_from(["/x", "/y"]),
        methods=st.frozensets(st.sampled_from(ACTIONS), min_size=1, max_size=3),
        until=st.none() | TIMES,
    ),
    max_size=6,
    unique_by=lambda grant: grant.grant_id,
)
_PRINCIPAL_HEADS = st.sampled_from(
    [
        "principal",
        'principal == Twoway::Subscriber::"urn:s1"',
        'principal in Twoway::Subscriber::"urn:s2"',
        'principal in Twoway::Organisation::"a"',
        'principal in Twoway::Tenant::"a"',
        'principal in Twoway::Jurisdiction::"b"',
        "principal is Twoway::Subscriber",
        'principal is Twoway::Subscriber in Twoway::Organisation::"b"',
    ]
)
_ACTION_HEADS = st.sampled_from(
    ["action", 'action == Twoway::Action::"GET"', 'action in [Twoway::Action::"PUT", Twoway::Action::"GET"]']
)
_RESOURCE_HEADS = st.sampled_from(
    [
        "resource",
        'resource == Twoway::Resource::"urn:p1/x"',
        'resource in Twoway::Publisher::"urn:p1"',
        'resource in Twoway::Site::"a"',
        'resource in Twoway::Jurisdiction::"a"',
        'resource in Twoway::Tenant::"b"',
        "resource is Twoway::Resource",
        'resource is Twoway::Resource in Twoway::Organisation::"a"',
    ]
)
CONDITIONS = st.sampled_from(
    [
        "",
        "when { principal.region == resource.publisher.region }",
        "unless { principal.organisation == resource.publisher.organisation }",
        'when { principal.purposes.contains("a") }',
        'unless { principal.purposes.contains("b") }',
        'when { context has purpose && context.purpose == "a" }',
        'unless { context has purpose && context.purpose == "a" }',
        'when { resource has category && resource.category == "a" }',
        "unless { principal has jurisdiction && resource.publisher has jurisdiction &&"
        " (principal.jurisdiction == resource.publisher.jurisdiction ||"
        " resource.publisher.jurisdiction.partners.contains(principal.jurisdiction)) }",
        'when { context.now < datetime("2026-03-01T12:00:00Z") }',
        'when { context has region && context.region == "a" }',
        # It passes the validator and fails whenever it is evaluated.
        'when { principal.region == "a" && 1 + 9223372036854775807 > 2 }',
    ]
)
POLICY_TEXTS = st.lists(
    st.tuples(
        st.sampled_from(["permit", "permit", "forbid"]),
        _PRINCIPAL_HEADS,
        _ACTION_HEADS,
        _RESOURCE_HEADS,
        CONDITIONS,
    ),
    max_size=8,
).map(
    lambda parts: "\n".join(
        f'@id("p{number}") {effect}({principal}, {action}, {resource}) {condition};'
        for number, (effect, principal, action, resource, condition) in enumerate(parts)
    )
)
"""Texts of policies, with heads of every form."""
