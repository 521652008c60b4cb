"""Lint: all faults at once, and policies that do not say what was meant."""

from __future__ import annotations

from dataclasses import replace

import pytest
from rights_world import METER, TENANT, load

from twoway.errors import ConfigurationError
from twoway.policy import lint
from twoway.policy.lint import Offer, Remark, lint_files, lint_policies

OFFERS = (Offer(METER, (("/power", "GET"), ("/quarters", "GET"), ("/valve", "PUT"))),)


def remarks(tmp_path, text, subscribers=(TENANT,), offers=OFFERS):
    return lint_policies(load(tmp_path, text).sources, subscribers, offers)


def test_every_fault_of_every_file_is_told(tmp_path):
    (tmp_path / "a.cedar").write_text(
        '@id("typo") permit(principal, action, resource) when { principal.regoin == "x" };'
        "permit(principal, action, resource);"
    )
    (tmp_path / "b.cedar").write_text("nonsense")
    found = lint_files(tmp_path)
    assert [remark.where for remark in found] == ["a.cedar, policy typo", "a.cedar, policy 2", "b.cedar"]
    assert "regoin" in found[0].what
    assert found[1].what == "it has no @id"


def test_one_id_in_two_files_is_told(tmp_path):
    for name in ("a.cedar", "b.cedar"):
        (tmp_path / name).write_text('@id("x") permit(principal, action, resource);')
    assert lint_files(tmp_path) == [Remark("b.cedar", 'a policy @id("x") is already in a.cedar')]


def test_good_files_have_no_faults(tmp_path):
    load(tmp_path, '@id("x") permit(principal, action, resource);')
    assert lint_files(tmp_path) == []


def test_a_folder_that_is_not_there_is_no_remark(tmp_path):
    with pytest.raises(ConfigurationError):
        lint_files(tmp_path / "missing")


def test_policies_that_apply_to_somebody_get_no_remark(tmp_path):
    text = """
    @id("a") permit(principal in Twoway::Organisation::"House", action, resource in Twoway::Site::"tower");
    @id("b") permit(principal, action, resource == Twoway::Resource::"urn:dev:org:32473-meter/power")
    when { context.now < datetime("2020-01-01") };
    @id("c") forbid(principal, action, resource) unless { principal has jurisdiction };
    @id("d") forbid(principal, action, resource) when { context has purpose && context.purpose == "x" };
    """
    assert remarks(tmp_path, text) == [
        Remark("c", "it never applies to anybody in the registry"),  # the tenant has a jurisdiction
    ]
    abroad = replace(TENANT, jurisdiction=None)
    assert remarks(tmp_path, text, (TENANT, abroad)) == []


@pytest.mark.parametrize(
    ("head", "what"),
    [
        ('principal == Twoway::Subscriber::"urn:x", action, resource', "the subscriber urn:x"),
        ('principal in Twoway::Organisation::"Hause", action, resource', "the organisation Hause"),
        ('principal, action, resource in Twoway::Site::"towre"', "the site towre"),
        (
            'principal, action, resource == Twoway::Resource::"urn:dev:org:32473-meter/pwoer"',
            "the resource urn:dev:org:32473-meter/pwoer",
        ),
        ('principal is Twoway::Subscriber in Twoway::Tenant::"x", action, resource', "the tenant x"),
    ],
)
def test_a_head_that_names_nobody_is_told(tmp_path, head, what):
    found = remarks(tmp_path, f'@id("p") permit({head});')
    assert Remark("p", f"its head names {what}, who is not in the registry") in found
    assert Remark("p", "it never applies to anybody in the registry") in found


@pytest.mark.parametrize("condition", ["false", 'context.now < datetime("2020-01-01") && false'])
def test_conditions_that_nobody_can_meet_are_told(tmp_path, condition):
    text = f'@id("p") permit(principal, action, resource) when {{ {condition} }};'
    assert remarks(tmp_path, text) == [
        Remark("p", "its conditions contradict each other: it can never apply to anybody")
    ]


@pytest.mark.parametrize(
    "policy",
    [
        '(principal, action == Twoway::Action::"DELETE", resource)',
        '(principal, action, resource) when { principal.region == "south" }',
        '(principal, action, resource) when { principal.region == "a" && principal.region == "b" }',
        '(principal, action == Twoway::Action::"PUT", resource) when { resource.path == "/power" }',
        '(principal, action, resource) when { resource has category && resource.category == "x" }',
    ],
)
def test_what_applies_in_no_question_of_the_registry_is_told(tmp_path, policy):
    assert remarks(tmp_path, f'@id("p") permit{policy};') == [
        Remark("p", "it never applies to anybody in the registry")
    ]


def test_a_permit_that_waits_for_a_claim_is_told(tmp_path):
    text = (
        '@id("p") permit(principal, action, resource) when { context has purpose && context.purpose == "x" };'
    )
    (found,) = remarks(tmp_path, text)
    assert "a claim never widens" in found.what


@pytest.mark.parametrize(
    ("condition", "guard"),
    [
        ('principal has tenant && principal.tenant != Twoway::Tenant::"x"', "principal has tenant"),
        ('principal.hasTag("floor") && principal.getTag("floor") == "3"', 'principal.hasTag("floor")'),
    ],
)
def test_a_forbid_that_the_unknown_escape_is_told(tmp_path, condition, guard):
    (found,) = remarks(tmp_path, f'@id("p") forbid(principal, action, resource) when {{ {condition} }};')
    assert found.what.startswith(f"it forbids only where {guard}, so whoever is unknown there escapes it")


def test_a_registry_too_large_to_be_asked_whole_is_said(tmp_path, monkeypatch):
    monkeypatch.setattr(lint, "QUESTIONS_ASKED", 2)
    text = '@id("p") permit(principal, action == Twoway::Action::"PUT", resource);'
    (found,) = remarks(tmp_path, text)
    assert found.what == "it never applies to anybody in the registry, of which only 2 questions were asked"
