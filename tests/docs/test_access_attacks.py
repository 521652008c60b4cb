"""docs/access-attacks.md is held against the tests: what it names exists, and nothing is left out."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from .test_attacks import NAMED, TESTS, names_of_tests_in

PAPER = TESTS.parent / "docs" / "access-attacks.md"
IMPLIED_BY_THE_STANDARDS = 28


def entries() -> dict[str, str]:
    """The attacks, by their headings."""
    pieces = re.split(r"^## (.*)$", PAPER.read_text(), flags=re.MULTILINE)
    return dict(zip(pieces[1::2], pieces[2::2], strict=True))


def test_they_are_numbered_and_none_is_missing():
    numbers = [int(name.partition(".")[0]) for name in entries()]
    assert numbers == list(range(1, len(numbers) + 1))
    assert len(numbers) > IMPLIED_BY_THE_STANDARDS


@pytest.mark.parametrize("name", entries())
def test_each_says_what_is_tried_what_happens_and_what_shows_it(name):
    text = entries()[name]
    assert re.findall(r"^- \*\*(\w+)\*\*:", text, re.MULTILINE) == ["Attack", "Answer", "Tests"]
    named = NAMED.findall(text.partition("- **Tests**:")[2])
    assert named
    for module, test in named:
        assert test in names_of_tests_in(Path(TESTS / module)), f"{module}::{test}"
