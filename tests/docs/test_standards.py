"""docs/standards.md against code and tests: what it names exists; each rule says what became of it."""

from __future__ import annotations

import ast
import re
from collections import defaultdict
from functools import cache
from pathlib import Path

import pytest

import twoway

TESTS = Path(__file__).parents[1]
PACKAGE = Path(twoway.__file__).parent
PAPER = TESTS.parent / "docs" / "standards.md"
PARTIES = {"AC", "Publisher", "Subscriber", "Both", "All"}
RULE = re.compile(r"^- \*\*(\w+)\*\*: (.*?)(?=^- \*\*|^#|\Z)", re.MULTILINE | re.DOTALL)
PART = re.compile(r"^  - (Code|Tests|Not done)(?:: (.*?))?\s*(?=^  - |\Z)", re.MULTILINE | re.DOTALL)
MODULE = re.compile(r"`([\w/]+\.py)`")
TEST = re.compile(r"`([\w/]+\.py)::(test_\w+)`")

LINES = re.compile(r"^\| (\d)\.(\d+) to \1\.(\d+) \| [^|]+ \| `([\w/]+\.py)` \|$", re.MULTILINE)
"""A row of the table of the interop test plan: first line, last line, where their tests are."""
LINE_OF_TEST = re.compile(r"test_(\d)_(\d+)_")


def rules() -> list[tuple[str, str, dict[str, str]]]:
    """Each rule: who has to keep it, in which words, and the parts that say what became of it."""
    found = []
    for party, text in RULE.findall(PAPER.read_text()):
        wording = " ".join(text.partition("\n  - ")[0].split())
        parts = {name: " ".join(said.split()) for name, said in PART.findall(text)}
        found.append((party, wording, parts))
    return found


@cache
def names_of_functions_in(path: Path) -> tuple[str, ...]:
    """The names of a module's functions, its tests among them."""
    functions = (ast.FunctionDef, ast.AsyncFunctionDef)
    return tuple(node.name for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, functions))


each_rule = pytest.mark.parametrize(
    ("party", "wording", "parts"), rules(), ids=[wording[:60] for _, wording, _ in rules()]
)


def test_the_rules_are_found():
    assert len(rules()) >= 90
    assert len(rules()) == len(re.findall(r"^- \*\*", PAPER.read_text(), re.MULTILINE))


def test_no_rule_is_open():
    """Neither marked so nor without a word of what became of it."""
    assert "Open" not in re.findall(r"^ *- (\w+)", PAPER.read_text(), re.MULTILINE)
    assert [wording for _, wording, parts in rules() if not parts] == []


@each_rule
def test_each_rule_says_whom_it_binds_and_where_it_is_kept_or_why_not(party, wording, parts):
    assert party in PARTIES
    assert wording.endswith(".")
    assert set(parts) in ({"Code", "Tests"}, {"Not done"})
    if "Not done" in parts:
        assert parts["Not done"].endswith(".")


@each_rule
def test_each_module_that_a_rule_names_exists(party, wording, parts):
    if "Code" in parts:
        assert not re.sub(r"[,\s]", "", MODULE.sub("", parts["Code"])), "only modules stand there"
        for module in MODULE.findall(parts["Code"]):
            assert (PACKAGE / module).exists(), module


@each_rule
def test_each_test_that_a_rule_names_exists(party, wording, parts):
    if "Tests" in parts:
        assert TEST.findall(parts["Tests"])
        assert not re.sub(r"[,\s]", "", TEST.sub("", parts["Tests"])), "only tests stand there"
        for module, test in TEST.findall(parts["Tests"]):
            assert (TESTS / module).exists(), module
            assert test in names_of_functions_in(TESTS / module), f"{module}::{test}"


def test_each_line_of_the_interop_test_plan_has_its_one_test():
    promised = defaultdict[str, list[tuple[int, int]]](list)
    for chapter, first, last, module in LINES.findall(PAPER.read_text()):
        promised[module] += [(int(chapter), line) for line in range(int(first), int(last) + 1)]
    assert sum(map(len, promised.values())) == 12 + 15 + 5 + 25
    for module, lines in promised.items():
        named = map(LINE_OF_TEST.match, names_of_functions_in(TESTS / module))
        assert sorted((int(found[1]), int(found[2])) for found in named if found) == sorted(lines)
