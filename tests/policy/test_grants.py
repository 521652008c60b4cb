"""Grants by hand, and a purpose that is claimed: each in small, beside what holds for all of them."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from rights_world import METER, NOW, TENANT, load, question

from twoway.errors import CallerError
from twoway.policy import LinkedGrant

GRANT = LinkedGrant("7", TENANT.uri, METER.uri, "/power", frozenset({"GET", "PUT"}), NOW + timedelta(hours=1))


@pytest.mark.parametrize(
    ("changes", "allowed"),
    [
        ({}, True),
        ({"action": "PUT"}, True),
        ({"action": "DELETE"}, False),
        ({"path": "/quarters"}, False),
        ({"path": "/power/x"}, False),
        ({"principal": replace(TENANT, uri="urn:other")}, False),
        ({"publisher": replace(METER, uri="urn:other")}, False),
        ({"now": NOW + timedelta(minutes=59)}, True),
        ({"now": NOW + timedelta(hours=1)}, False),
    ],
)
def test_a_grant_permits_what_it_names_until_it_ends(tmp_path, changes, allowed):
    decision = load(tmp_path, "").with_grants([GRANT]).decide(question(**changes))
    assert (decision.allowed, decision.policies) == (allowed, ("grant:7",) if allowed else ("default-deny",))


def test_a_grant_without_a_path_is_for_all_resources_of_its_publisher(tmp_path):
    policies = load(tmp_path, "").with_grants([replace(GRANT, path=None)])
    assert policies.decide(question(path="/quarters")).allowed
    assert not policies.decide(question(publisher=replace(METER, uri="urn:other"))).allowed


def test_a_forbid_beats_a_grant(tmp_path):
    policies = load(tmp_path, '@id("no") forbid(principal, action, resource);').with_grants([GRANT])
    assert policies.decide(question()).policies == ("no",)


def test_grants_replace_those_before(tmp_path):
    policies = load(tmp_path, "").with_grants([GRANT])
    assert not policies.with_grants([]).decide(question()).allowed
    assert policies.decide(question()).allowed


def test_a_grant_of_the_same_name_that_says_less_takes_the_place_of_what_was_remembered(tmp_path):
    policies = load(tmp_path, "").with_grants([GRANT])
    assert policies.decide(question()).allowed
    for less in ({"path": "/other"}, {"methods": frozenset({"PUT"})}, {"until": NOW}):
        assert not policies.with_grants([replace(GRANT, **less)]).decide(question()).allowed


@pytest.mark.parametrize(
    "changes",
    [
        {"grant_id": ""},
        {"grant_id": "a b"},
        {"grant_id": "a\n"},
        {"methods": frozenset()},
        {"methods": frozenset({"OBSERVE"})},
        {"path": "power"},
        {"until": NOW.replace(tzinfo=None)},
    ],
)
def test_a_grant_that_means_nothing_cannot_be_made(changes):
    with pytest.raises(CallerError):
        replace(GRANT, **changes)


def test_two_grants_of_one_name_are_refused(tmp_path):
    with pytest.raises(CallerError, match="two grants are called 7"):
        load(tmp_path, "").with_grants([GRANT, replace(GRANT, path=None)])


def test_a_claim_gives_no_right_that_is_not_there_without_it(tmp_path):
    text = '@id("p") permit(principal, action, resource) when { context has purpose };'
    assert not load(tmp_path, text).decide(question(purpose="billing")).allowed


def test_a_claim_does_not_shake_off_a_forbid_on_another_purpose(tmp_path):
    text = """
    @id("p") permit(principal, action, resource);
    @id("f") forbid(principal, action, resource) when { principal.purposes.contains("comfort") };
    """
    assert load(tmp_path, text).decide(question(purpose="billing")).policies == ("f",)


def test_a_claim_leaves_the_rights_of_that_purpose_alone(tmp_path):
    text = """
    @id("b") permit(principal, action, resource) when { principal.purposes.contains("billing") };
    @id("c") permit(principal, action, resource) when { principal.purposes.contains("comfort") };
    """
    policies = load(tmp_path, text)
    assert policies.decide(question()).policies == ("b", "c")
    assert policies.decide(question(purpose="billing")).policies == ("b",)


def test_a_claim_for_which_nobody_registered_the_subscriber_is_denied(tmp_path):
    decision = load(tmp_path, '@id("p") permit(principal, action, resource);').decide(question(purpose="x"))
    assert not decision.allowed
    assert decision.errors == (
        "urn:dev:org:32473-tenant is not registered for the purpose 'x' that it claims",
    )
