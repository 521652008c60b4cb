"""What holds for all policies, grants and questions."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st
from rights_world import GRANTS, POLICY_TEXTS, QUESTIONS, load

from twoway.policy import PolicySet
from twoway.policy.cedar import Engine
from twoway.policy.documents import documents_of
from twoway.policy.slices import Slices

checked = settings(deadline=None, max_examples=100)
CLAIMS = st.none() | st.text(max_size=5) | st.sampled_from(["a", "b", "c"])


def policies_of(text: str) -> PolicySet:
    with tempfile.TemporaryDirectory() as folder:
        return load(Path(folder), text)


@checked
@given(POLICY_TEXTS, QUESTIONS)
def test_slices_say_what_all_policies_at_once_say_errors_included(text, question):
    sources = policies_of(text).sources
    asked = documents_of(question)
    whole, sliced = Engine.of(sources).evaluate(asked), Slices(sources).evaluate(asked)
    assert sliced.forbids == whole.forbids
    assert set(sliced.errors) == set(whole.errors)
    if not whole.forbids:
        assert sliced.permits == whole.permits


@checked
@given(GRANTS, QUESTIONS)
def test_the_grants_of_a_pair_say_what_all_living_grants_at_once_say(grants, question):
    living = [grant for grant in grants if not grant.is_over_at(question.circumstances.now)]
    whole = Engine.of_grants(living).evaluate(documents_of(question))
    (unclaimed, *_) = question.views()
    decision = policies_of("").with_grants(grants).decide(unclaimed)
    assert decision.allowed == bool(whole.permits)
    assert set(decision.policies) - {"default-deny"} == whole.permits


@checked
@given(POLICY_TEXTS, GRANTS, QUESTIONS, CLAIMS)
def test_what_a_subscriber_says_of_itself_never_widens_a_decision(text, grants, question, claim):
    policies = policies_of(text).with_grants(grants)
    silent = replace(question, circumstances=replace(question.circumstances, purpose=None))
    claiming = replace(question, circumstances=replace(question.circumstances, purpose=claim))
    if policies.decide(claiming).allowed:
        assert policies.decide(silent).allowed
        assert claim is None or claim in question.principal.purposes


@checked
@given(POLICY_TEXTS, POLICY_TEXTS, GRANTS, QUESTIONS)
def test_a_forbid_more_never_allows_more(text, more, grants, question):
    forbids = more.replace('@id("p', '@id("f').replace("permit(", "forbid(")
    with_forbids = policies_of(text + "\n" + forbids).with_grants(grants)
    if with_forbids.decide(question).allowed:
        assert policies_of(text).with_grants(grants).decide(question).allowed


@checked
@given(POLICY_TEXTS, GRANTS, QUESTIONS)
def test_whatever_errs_denies(text, grants, question):
    policies = policies_of(text).with_grants(grants)
    decision = policies.decide(question)
    assert not (decision.allowed and decision.errors)
    failing = '\n@id("fails") forbid(principal, action, resource) when { 1 + 9223372036854775807 > 2 };'
    denied = policies_of(text + failing).with_grants(grants).decide(question)
    assert not denied.allowed
    assert denied.errors


@checked
@given(POLICY_TEXTS, GRANTS, QUESTIONS, st.sampled_from(["organisation", "region"]), st.booleans())
def test_who_has_no_organisation_or_region_is_denied(text, grants, question, attribute, asks):
    party = "principal" if asks else "publisher"
    unknown = replace(question, **{party: replace(getattr(question, party), **{attribute: ""})})
    decision = policies_of(text).with_grants(grants).decide(unknown)
    assert not decision.allowed
    assert decision.errors


@checked
@given(POLICY_TEXTS, GRANTS, QUESTIONS)
def test_a_decision_names_who_decided(text, grants, question):
    policies = policies_of(text).with_grants(grants)
    decision = policies.decide(question)
    known = {*policies.ids, *(f"grant:{grant.grant_id}" for grant in grants), "default-deny"}
    assert decision.policies
    assert set(decision.policies) <= known
    assert not (decision.allowed and "default-deny" in decision.policies)
