"""Conditions in plain words: what has to be so, and never that something is not not so."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from rights_world import load

import twoway.policy
from twoway.policy.conditions import parts_of
from twoway.policy.wording import demand, name_of

BROKER = "principal has jurisdiction && resource.publisher has jurisdiction && "


def words(folder: Path, condition: str) -> tuple[str, str]:
    """What a condition says, and what its opposite does."""
    text = f'@id("it") permit (principal, action, resource) when {{ ({condition}) || false }};'
    (part,) = parts_of(load(folder, text).sources["it"])
    inner = part.expression["||"]["left"]
    return demand(inner), demand(inner, holds=False)


@pytest.mark.parametrize(
    ("condition", "so", "not_so"),
    [
        ("principal has tenant", "the subscriber's tenant is known", "the subscriber's tenant is unknown"),
        ("!(principal has tenant)", "the subscriber's tenant is unknown", "the subscriber's tenant is known"),
        (
            "!(!(principal has tenant))",
            "the subscriber's tenant is known",
            "the subscriber's tenant is unknown",
        ),
        (
            'resource.publisher.hasTag("a b")',
            "the publisher's a b is known",
            "the publisher's a b is unknown",
        ),
        (
            'principal.hasTag("floor") && principal.getTag("floor") == "3"',
            'the subscriber\'s floor is "3"',
            "the subscriber's floor is unknown or the subscriber's floor is not \"3\"",
        ),
        (
            "principal.region == resource.publisher.region",
            "the subscriber's region is the publisher's region",
            "the subscriber's region is not the publisher's region",
        ),
        (
            'principal.region != "south"',
            'the subscriber\'s region is not "south"',
            'the subscriber\'s region is "south"',
        ),
        (
            'principal in Twoway::Organisation::"Grid"',
            "the subscriber belongs to the organisation Grid",
            "the subscriber does not belong to the organisation Grid",
        ),
        (
            "principal in resource.publisher.organisation",
            "the subscriber belongs to the publisher's organisation",
            "the subscriber does not belong to the publisher's organisation",
        ),
        (
            'action in [Twoway::Action::"GET", Twoway::Action::"PUT"]',
            "the method is one of GET, PUT",
            "the method is none of GET, PUT",
        ),
        (
            'principal.organisation == Twoway::Organisation::"Grid"',
            "the subscriber's organisation is Grid",
            "the subscriber's organisation is not Grid",
        ),
        (
            BROKER + "resource.publisher.jurisdiction.partners.contains(principal.jurisdiction)",
            "the subscriber's jurisdiction is among the partners of the publisher's jurisdiction",
            "the subscriber's jurisdiction is unknown or the publisher's jurisdiction is unknown or "
            "the subscriber's jurisdiction is not among the partners of the publisher's jurisdiction",
        ),
        (
            'context.now.toTime() >= duration("1h") && context.now.toTime() < duration("3h")',
            "the time of day is not before 1h and the time of day is before 3h",
            "the time of day is before 1h or the time of day is not before 3h",
        ),
        (
            'context.now > datetime("2026-03-10T00:00:00Z")',
            "the time is after 2026-03-10T00:00:00Z",
            "the time is not after 2026-03-10T00:00:00Z",
        ),
        (
            'context.now <= datetime("2026-03-10T00:00:00Z")',
            "the time is not after 2026-03-10T00:00:00Z",
            "the time is after 2026-03-10T00:00:00Z",
        ),
        (
            'context has purpose && context.purpose == "billing"',
            'the claimed purpose is "billing"',
            'the claimed purpose is unknown or the claimed purpose is not "billing"',
        ),
        (
            'principal.region == "a" || (principal.region == "b" && resource.path == "/x")',
            'the subscriber\'s region is "a" or both the subscriber\'s region is "b" and '
            'the resource\'s path is "/x"',
            'the subscriber\'s region is not "a" and either the subscriber\'s region is not "b" or '
            'the resource\'s path is not "/x"',
        ),
        (
            'principal.region like "a*"',
            'this holds: principal.region like "a*"',
            'this does not hold: principal.region like "a*"',
        ),
        (
            "principal.purposes.isEmpty()",
            "this holds: principal.purposes.isEmpty()",
            "this does not hold: principal.purposes.isEmpty()",
        ),
        (
            'context has address && context.address.isInRange(ip("10.0.0.0/8"))',
            'this holds: context.address.isInRange(ip("10.0.0.0/8"))',
            'the address is unknown or this does not hold: context.address.isInRange(ip("10.0.0.0/8"))',
        ),
        (
            "principal.purposes.containsAll(principal.certifications)",
            "this holds: principal.purposes.containsAll(principal.certifications)",
            "this does not hold: principal.purposes.containsAll(principal.certifications)",
        ),
    ],
)
def test_a_condition_and_its_opposite_each_have_their_words(tmp_path, condition, so, not_so):
    said = words(tmp_path, condition)
    assert [_bare(text) for text in said] == [_bare(so), _bare(not_so)]
    assert words(tmp_path, f"!({condition})") == said[::-1]


def _bare(text: str) -> str:
    """Without the parentheses that Cedar's own words come with, and where they stand."""
    return re.sub(r"[()]", "", text)


def test_each_circumstance_of_the_schema_has_a_name():
    schema = Path(twoway.policy.__file__).with_name("schema.cedarschema").read_text()
    attributes = re.findall(
        r"^ +(\w+)\??:", schema[schema.index("context: {") :].split("\n", 1)[1], re.MULTILINE
    )
    assert sorted(attributes) == ["address", "now", "purpose", "region"]
    for attribute in attributes:
        assert name_of(("context", attribute)).startswith("the ")
