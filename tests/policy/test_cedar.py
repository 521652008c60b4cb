"""The engine: what it is asked, and what becomes of its answers."""

from __future__ import annotations

from dataclasses import replace

import pytest
from rights_world import METER, TENANT, question

from twoway.policy import LinkedGrant
from twoway.policy.cedar import Engine, Fault, may_apply, parse
from twoway.policy.documents import documents_of

TEMPLATE = "permit(principal == ?principal, action, resource);"


def sources_of(*texts: str) -> dict[str, dict]:
    return {str(number): parse(text)[0][0].source for number, text in enumerate(texts)}


def grant(**changes: object) -> LinkedGrant:
    fields = {"grant_id": "g", "principal": TENANT.uri, "publisher": METER.uri, "path": "/power"}
    return LinkedGrant(**(fields | {"methods": frozenset({"GET"}), "until": None} | changes))


# Reading


def test_a_template_is_no_policy_and_all_faults_are_told_in_the_order_of_the_file():
    wrong = "permit(principal, action, resource) when { principal.nope == 1 };"
    policies, faults = parse("\n".join([TEMPLATE, wrong, wrong.replace("nope", "gnu"), TEMPLATE]))
    assert [policy.position for policy in policies] == [2, 3]
    assert [fault.position for fault in faults] == [1, 2, 3, 4]
    assert faults[0] == Fault(1, "a template is not a policy")
    assert faults[3] == Fault(4, "a template is not a policy")


# Evaluating


def test_where_a_forbid_applies_no_permit_is_told():
    found = Engine.of(
        sources_of("permit(principal, action, resource);", "forbid(principal, action, resource);")
    ).evaluate(documents_of(question()))
    assert (found.permits, found.forbids) == (frozenset(), {"1"})


def test_a_question_that_cannot_be_put_says_why():
    asked = documents_of(question(principal=replace(TENANT, uri=TENANT.uri + "\ud800")))
    found = Engine.of(sources_of("permit(principal, action, resource);")).evaluate(asked)
    assert not found.permits
    (error,) = found.errors
    assert "entity" in error


# Grants


@pytest.mark.parametrize(
    ("granted", "asked", "allowed"),
    [
        ({}, {}, True),
        ({}, {"path": "/history"}, False),
        ({}, {"action": "PUT"}, False),
        ({"path": None}, {"path": "/history"}, True),
        ({"path": None}, {"publisher": replace(METER, uri="urn:dev:org:32473-other")}, False),
        ({"principal": "urn:dev:org:32473-rival"}, {}, False),
        ({"publisher": "urn:dev:org:32473-other"}, {}, False),
        ({"methods": frozenset({"PUT", "FETCH"})}, {"action": "FETCH"}, True),
        ({"methods": frozenset({"PUT", "FETCH"})}, {}, False),
    ],
)
def test_a_grant_permits_its_pair_its_path_and_its_methods(granted, asked, allowed):
    found = Engine.of_grants([grant(**granted)]).evaluate(documents_of(question(**asked)))
    assert found.permits == ({"grant:g"} if allowed else frozenset())
    assert not found.errors


def test_every_method_of_a_grant_is_one_grant_in_decisions():
    everything = grant(methods=frozenset({"GET", "POST", "PUT", "DELETE", "FETCH", "PATCH", "iPATCH"}))
    for action in everything.methods:
        found = Engine.of_grants([everything]).evaluate(documents_of(question(action=action)))
        assert found.permits == {"grant:g"}


# What may apply


@pytest.mark.parametrize(
    ("condition", "may"),
    [
        ("true", True),
        ("false", False),
        ("context has address", True),
        ("context has address && false", False),
        ("(context has address && false) && context has region", False),
        ("(context has address && false) || (context has region && false)", False),
        ("(context has address && false) || context has region", True),
        ("context has address || (context has region && false)", True),
    ],
)
def test_what_no_circumstances_can_make_true_applies_never_and_the_rest_may(condition, may):
    """Cedar leaves a rest of what hangs on the circumstances; what it cannot tell counts as possible."""
    policies = sources_of(f"permit(principal, action, resource) when {{ {condition} }};")
    for asked in (documents_of(question()), None):
        assert may_apply(policies, "GET", asked) == ({"0"} if may else set())


@pytest.mark.parametrize("suffix", ["", "-z\u00e4hler", "-\u96fb", '-"quoted"', "-back\\slash"])
def test_a_name_in_any_script_is_the_same_name_to_the_engine(suffix):
    who = replace(TENANT, uri=TENANT.uri + suffix)
    named = who.uri.replace("\\", "\\\\").replace('"', '\\"')
    mine, others = (
        f'permit(principal == Twoway::Subscriber::"{uri}", action, resource);' for uri in (named, "urn:x")
    )
    assert may_apply(sources_of(mine, others), "GET", documents_of(question(principal=who))) == {"0"}
