"""The interop matrix: each cell is carried out, and is what docs/interop.md says it is."""

from __future__ import annotations

import functools
from collections import Counter

import pytest
from foreign_cases import OUR_SUITES, We, short
from foreign_cells import CASES, LIMITS, STACKS
from foreign_matrix import offered_suites, run, run_limit
from foreign_paper import PAPER, key, limit_row, read, read_limits, versions

each_case = pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])


@functools.cache
def paper():
    return PAPER.read_text()


@functools.cache
def version_of(stack):
    return STACKS[stack].version()


@pytest.mark.peers
@each_case
def test_the_cell_is_what_the_paper_says(case):
    cell = run(case)
    written = read(paper())[key(case)]
    assert cell.ours == written.ours
    if version_of(case.peer) == versions(paper())[case.peer]:  # Another version may choose other words.
        assert cell.theirs == written.theirs


@pytest.mark.peers
@pytest.mark.parametrize("limit", LIMITS, ids=[limit.name for limit in LIMITS])
def test_the_limit_is_still_one(limit):
    run_limit(limit)


def test_the_paper_has_each_cell_and_no_other():
    assert set(read(paper())) == set(map(key, CASES))
    assert sorted(versions(paper())) == sorted(STACKS)


def test_the_paper_has_each_limit_and_no_other():
    assert read_limits(paper()) == [limit_row(limit) for limit in LIMITS]


def test_no_two_cells_have_one_name():
    assert [name for name, count in Counter(map(key, CASES)).items() if count > 1] == []


@pytest.mark.parametrize("peer", STACKS)
def test_each_suite_that_a_stack_has_of_ours_is_met_in_both_roles(peer):
    met = {
        (case.suite.code, case.we) for case in CASES if case.peer == peer and short(case.suite) == case.tried
    }
    common = [suite.code for suite in OUR_SUITES if suite.code in STACKS[peer].suites]
    assert [(code, we) for code in common for we in We if (code, we) not in met] == []


@pytest.mark.peers
@pytest.mark.parametrize("peer", STACKS)
def test_a_stack_has_no_other_suites_of_ours_than_we_say(peer):
    ours = {suite.code for suite in OUR_SUITES}
    assert offered_suites(STACKS[peer]) & ours == set(STACKS[peer].suites) & ours
