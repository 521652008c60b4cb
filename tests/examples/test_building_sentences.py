"""What would have to be so for the refused of the worked building: sentences that anybody can read."""

from __future__ import annotations

from pathlib import Path

import pytest

from twoway.ac import InquiryDesk, compare, load_config, load_expectations

EXPECTED = load_expectations(Path(__file__).parents[2] / "examples" / "building" / "expected.toml")
DENIED = {
    outcome.case.says: list(outcome.explanation.sentences())
    for outcome in compare(EXPECTED, InquiryDesk.open(load_config(EXPECTED.config)))
    if not outcome.explanation.decision.allowed
}


def demands(says: str) -> list[str]:
    """The lines of a denial that say what would have to be so."""
    return [line.strip() for line in DENIED[says] if line.startswith("    - ")]


def test_there_are_denials_to_look_at():
    assert len(DENIED) > 10


@pytest.mark.parametrize("says", DENIED)
def test_no_denial_is_explained_in_code_or_by_a_double_negation(says):
    for line in demands(says):
        condition = line.partition(" (now ")[0]
        for code in ("!", "::", "&&", "||", "==", ".", "this holds", "this does not hold"):
            assert code not in condition.replace("2026-03-10T00:00:00Z", ""), line
        for claim in condition.replace(" or ", " and ").split(" and "):
            assert claim.count(" not ") + claim.count("unknown") + claim.count("none of") <= 1, line


def test_the_neighbour_is_told_what_the_flats_are_kept_apart_by():
    tenants = "(now the subscriber's tenant: flat-2; the publisher's tenant: flat-1)"
    assert demands(
        "A tenant never reads the neighbour's flat, although the neighbour agreed to research"
    ) == [
        "- the resource does not belong to the site tower",
        "- the subscriber's tenant is unknown (now the subscriber's tenant: flat-2)",
        "- the publisher's tenant is unknown (now the publisher's tenant: flat-1)",
        f"- the subscriber's tenant is the publisher's tenant {tenants}",
    ]


def test_research_is_told_that_consent_is_missing():
    assert demands("The same institute reads nothing where consent was withdrawn")[-1] == (
        '- the publisher\'s consent is "given" (now the publisher\'s consent: "withdrawn")'
    )


def test_the_grid_operator_is_told_that_it_sees_billing_alone():
    assert demands("The grid operator does not read live power") == [
        "- the subscriber does not belong to the organisation Grid",
        '- the resource\'s category is "billing" (now the resource\'s category: "live")',
    ]


def test_the_broker_is_told_of_the_treaty():
    says = "A broker of another jurisdiction reads nothing, certified or not"
    assert [line.partition(" (now ")[0] for line in demands(says)] == [
        "- the resource does not belong to the jurisdiction A",
        "- the subscriber belongs to the jurisdiction A",
        "- the subscriber's jurisdiction is among the partners of the publisher's jurisdiction",
    ]


def test_the_maintenance_firm_is_told_of_its_window():
    assert demands("At noon the maintenance firm waits outside")[0] == (
        "- the time of day is before 3h (now the time: 2026-03-02T12:00:00.000Z)"
    )
