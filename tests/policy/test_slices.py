"""Which policies a question is put to: a head is read rightly, or its policy is asked every time."""

from __future__ import annotations

import pytest
from rights_world import METER, TENANT, question

from twoway.policy.cedar import parse
from twoway.policy.documents import documents_of
from twoway.policy.slices import Slices, named_in

HOUSE = ("Organisation", "House")
IN_HOUSE = 'principal in Twoway::Organisation::"House"'
SUBSCRIBER_IN_HOUSE = 'principal is Twoway::Subscriber in Twoway::Organisation::"House"'
TWO = """
@id("theirs") forbid({theirs}, action, resource);
@id("ours") permit({ours}, action, resource);
"""


def sources_of(text: str) -> dict[str, dict]:
    policies, faults = parse(text)
    assert not faults
    return {policy.policy_id: policy.source for policy in policies}


@pytest.mark.parametrize(
    ("head", "entity"),
    [
        ("principal", None),
        ("principal is Twoway::Subscriber", None),
        (f'principal == Twoway::Subscriber::"{TENANT.uri}"', ("Subscriber", TENANT.uri)),
        (IN_HOUSE, HOUSE),
        (SUBSCRIBER_IN_HOUSE, HOUSE),
    ],
)
def test_each_form_of_a_head_names_its_entity_or_nobody(head, entity):
    sources = sources_of(f'@id("it") permit({head}, action, resource);')
    assert named_in(sources["it"]["principal"]) == entity


@pytest.mark.parametrize(
    "constraint",
    [
        {"op": "All"},
        {"op": "like", "entity": {"type": "Twoway::Organisation", "id": "House"}},
        {"op": "==", "slot": "?principal"},
        {"op": "==", "in": {"entity": {"type": "Twoway::Organisation", "id": "House"}}},
    ],
)
def test_a_head_that_is_not_understood_names_nobody_so_that_its_policy_is_always_asked(constraint):
    assert named_in(constraint) is None


@pytest.mark.parametrize(
    "ours", [IN_HOUSE, SUBSCRIBER_IN_HOUSE, "principal is Twoway::Subscriber", "principal"]
)
def test_a_question_is_put_to_the_policies_whose_head_may_fit_and_to_no_other(ours):
    theirs = 'principal == Twoway::Subscriber::"urn:dev:org:32473-rival"'
    slices = Slices(sources_of(TWO.format(theirs=theirs, ours=ours)))
    found = slices.evaluate(documents_of(question()))
    assert (found.permits, found.forbids, found.errors) == ({"ours"}, frozenset(), ())


def test_a_forbid_for_a_group_is_met_by_its_members():
    for theirs in (IN_HOUSE, SUBSCRIBER_IN_HOUSE):
        slices = Slices(sources_of(TWO.format(theirs=theirs, ours="principal")))
        assert slices.evaluate(documents_of(question())).forbids == {"theirs"}


def test_resources_are_found_by_their_publisher_as_well():
    publisher = f'resource is Twoway::Resource in Twoway::Publisher::"{METER.uri}"'
    slices = Slices(sources_of(f'@id("no") forbid(principal, action, {publisher});'))
    assert slices.evaluate(documents_of(question())).forbids == {"no"}
