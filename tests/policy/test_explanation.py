"""Explanations: what decided, and for a denial what would have to be different."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from rights_world import METER, NOW, TENANT, load, question

from twoway.policy import LinkedGrant
from twoway.policy.conditions import parts_of
from twoway.policy.explanation import explain

TEXT = """
@id("own-tenant")
@description("Whoever lives in a flat reads the meters of the flat.")
@advice("Ask the landlord to register you as the flat's tenant.")
permit(principal, action == Twoway::Action::"GET", resource)
when {
  principal has tenant && resource.publisher has tenant &&
  principal.tenant == resource.publisher.tenant
};

@id("billing")
permit(principal in Twoway::Organisation::"Grid", action, resource)
when { principal.purposes.contains("billing") && resource has category && resource.category == "billing" };

@id("no-strangers")
@description("Nothing leaves the country and its treaty partners.")
forbid(principal, action, resource)
unless {
  principal has jurisdiction && resource.publisher has jurisdiction &&
  (principal.jurisdiction == resource.publisher.jurisdiction ||
   resource.publisher.jurisdiction.partners.contains(principal.jurisdiction))
};
"""


@pytest.fixture
def policies(tmp_path):
    return load(tmp_path, TEXT)


def lines(policies, **changes):
    return list(explain(policies, question(**changes)).sentences())


def test_what_is_allowed_names_the_policy_and_what_it_says(policies):
    assert lines(policies) == [
        "allowed by own-tenant",
        "  own-tenant says: Whoever lives in a flat reads the meters of the flat.",
    ]


def test_a_denial_names_the_nearest_permit_and_exactly_what_it_misses(policies):
    explanation = explain(policies, question(principal=replace(TENANT, tenant="flat-4")))
    assert explanation.decision.policies == ("default-deny",)
    first = explanation.nearest[0]
    assert first.policy == "own-tenant"
    assert [str(finding) for finding in first.findings] == [
        "the subscriber's tenant is the publisher's tenant"
        " (now the subscriber's tenant: flat-4; the publisher's tenant: flat-3)"
    ]
    assert first.advice.startswith("Ask the landlord")


def test_what_hangs_on_an_unknown_attribute_is_not_told_beside_it(policies):
    explanation = explain(policies, question(principal=replace(TENANT, tenant="")))
    assert [str(each) for each in explanation.nearest[0].findings] == [
        "the subscriber's tenant is known (now the subscriber's tenant: unknown)"
    ]


def test_all_that_a_permit_misses_is_told_head_first(policies):
    explanation = explain(policies, question(principal=replace(TENANT, tenant="", purposes=frozenset())))
    assert [str(each) for each in explanation.nearest[1].findings] == [
        "the subscriber belongs to the organisation Grid",
        "\"billing\" is among the subscriber's purposes (now the subscriber's purposes: {})",
        'the resource\'s category is "billing" (now the resource\'s category: "live")',
    ]


def test_a_method_that_is_not_permitted_is_told(policies):
    assert any("the method is GET" in line for line in lines(policies, action="PUT"))


def test_a_forbid_is_told_with_what_it_says_and_what_it_saw(policies):
    said = lines(policies, principal=replace(TENANT, jurisdiction=None))
    assert said[0] == "denied by no-strangers"
    assert said[1] == "  no-strangers says: Nothing leaves the country and its treaty partners."
    assert said[2] == "  one of these would have to be so:"
    assert "now the subscriber's jurisdiction: unknown" in said[3]
    assert "the publisher's jurisdiction: CH" in said[3]
    assert not any("nearest" in line for line in said)


def test_what_the_registry_does_not_know_is_told_instead_of_policies(policies):
    said = lines(policies, principal=replace(TENANT, region=""))
    assert said == [
        "denied by default-deny",
        "  not judged: urn:dev:org:32473-tenant has no region in the registry",
    ]


def test_a_claim_that_took_the_right_away_is_told(tmp_path):
    policies = load(
        tmp_path,
        '@id("b") permit(principal, action, resource) when { principal.purposes.contains("billing") };',
    )
    said = lines(policies, purpose="comfort")
    assert said[1] == "  the claimed purpose decided: without it this is permitted"
    assert 'the subscriber\'s purposes: {"comfort"}' in said[4]


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"until": NOW - timedelta(seconds=1)}, "it ended at 2026-03-01T11:59:59+00:00"),
        ({"path": "/water"}, "it is for /water"),
        ({"methods": frozenset({"PUT"})}, "it is for PUT"),
    ],
)
def test_a_grant_that_does_not_apply_says_why(tmp_path, changes, why):
    grant = replace(LinkedGrant("7", TENANT.uri, METER.uri, None, frozenset({"GET"}), None), **changes)
    said = lines(load(tmp_path, "").with_grants([grant]))
    assert said == ["denied by default-deny", f"  grant:7 does not apply: {why}"]


def test_permits_beyond_the_nearest_are_counted(tmp_path):
    text = "".join(
        f'@id("p{n}") permit(principal == Twoway::Subscriber::"urn:x{n}", action, resource);'
        for n in range(5)
    )
    assert lines(load(tmp_path, text))[-1] == "  and 2 permits further away"


def test_a_permit_about_the_same_parties_is_nearer_than_one_that_misses_fewer_parts(tmp_path):
    text = """
    @id("other") permit(principal == Twoway::Subscriber::"urn:other", action, resource);
    @id("mine") permit(principal, action, resource)
    when { principal.region == "south" && principal.purposes.contains("alarm") };
    """
    assert [each.policy for each in explain(load(tmp_path, text), question()).nearest] == ["mine", "other"]


def test_each_form_of_a_policy_is_taken_apart_and_parts_together_say_what_the_policy_says(tmp_path):
    text = """
    @id("all") permit(
      principal is Twoway::Subscriber in Twoway::Organisation::"House",
      action in [Twoway::Action::"GET", Twoway::Action::"PUT"],
      resource in Twoway::Site::"tower"
    )
    when { principal.hasTag("floor") && principal.getTag("floor") == "3" }
    unless { principal.region == "south" || context.now < datetime("2020-01-01") };
    """
    policies = load(tmp_path, text)
    assert [part.text for part in parts_of(policies.sources["all"])] == [
        'principal in Twoway::Organisation::"House"',
        'action in [Twoway::Action::"GET", Twoway::Action::"PUT"]',
        'resource in Twoway::Site::"tower"',
        'principal.hasTag("floor")',
        '(principal.getTag("floor")) == "3"',
        '!(principal.region == "south")',
        '!(context.now < (datetime("2020-01-01")))',
    ]
    assert policies.decide(question()).allowed
    wrong = question(principal=replace(TENANT, region="south", attributes={"floor": "4"}), action="POST")
    (nearest,) = explain(policies, wrong).nearest
    assert [str(each) for each in nearest.findings] == [
        "the method is one of GET, PUT",
        'the subscriber\'s floor is "3" (now the subscriber\'s floor: "4")',
        'the subscriber\'s region is not "south" (now the subscriber\'s region: "south")',
    ]


def test_parentheses_inside_of_quoted_text_stay(tmp_path):
    policies = load(
        tmp_path, '@id("q") permit(principal, action, resource) when { principal.region == "(north)" };'
    )
    assert parts_of(policies.sources["q"])[0].text == 'principal.region == "(north)"'
