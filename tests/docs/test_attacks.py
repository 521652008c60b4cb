"""docs/attacks.md is held against the tests: what it names exists, and no attack's test is left unnamed."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[1]
PAPER = TESTS.parent / "docs" / "attacks.md"
PARTS = ["Attack", "Answer", "Source", "Tests"]
NAMED = re.compile(r"`([\w/]+\.py)::(test_\w+)`")


def entries() -> dict[str, str]:
    """The attacks, by name."""
    pieces = re.split(r"^### (.*)$", PAPER.read_text(), flags=re.MULTILINE)
    return {name: text.partition("\n## ")[0] for name, text in zip(pieces[1::2], pieces[2::2], strict=True)}


def names_of_tests_in(path: Path) -> set[str]:
    """The names of a module's tests."""
    functions = (ast.FunctionDef, ast.AsyncFunctionDef)
    return {node.name for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, functions)}


@pytest.mark.parametrize("name", entries())
def test_each_attack_says_what_is_tried_what_happens_where_it_stands_and_what_shows_it(name):
    text = entries()[name]
    assert re.findall(r"^- \*\*(\w+)\*\*:", text, re.MULTILINE) == PARTS
    shown = text.partition("- **Tests**:")[2]
    assert NAMED.findall(shown)
    assert not re.sub(r"[,\s]", "", NAMED.sub("", shown)), "only tests stand there"


@pytest.mark.parametrize("name", entries())
def test_each_test_that_an_attack_names_exists(name):
    for module, test in NAMED.findall(entries()[name]):
        assert (TESTS / module).exists(), module
        assert test in names_of_tests_in(TESTS / module), f"{module}::{test}"


def test_each_test_of_an_attack_is_named():
    named = set(NAMED.findall(PAPER.read_text()))
    there = {
        (path.relative_to(TESTS).as_posix(), test)
        for path in (TESTS / "dtls" / "attacks").glob("test_*.py")
        for test in names_of_tests_in(path)
        if test.startswith("test_")
    }
    assert there
    assert there - named == set()
