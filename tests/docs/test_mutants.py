"""docs/mutants.md is what `make mutants` writes, and every mutant that survived has its reason."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAPER = ROOT / "docs" / "mutants.md"
ACCESS = ["tickets", "policy", "publisher", "ac"]


@pytest.mark.parametrize(("title", "packages"), [("The engine", ["dtls"]), ("Access control", ACCESS)])
def test_every_section_is_of_a_module_that_there_is(title, packages):
    parts = dict(re.findall(r"^## (.*)\n((?:(?!## ).*\n)*)", PAPER.read_text(), re.MULTILINE))
    modules = re.findall(r"^### `(.*\.py)`$", parts[title], re.MULTILINE)
    assert modules == sorted(set(modules))
    assert {module.split("/")[0] for module in modules} == set(packages)
    for module in modules:
        assert (ROOT / "src" / "twoway" / module).exists()


def test_every_survivor_has_its_reason():
    unwrapped = re.sub(r"\n  +", " ", PAPER.read_text())
    for entry in re.findall(r"^- .*$", unwrapped, re.MULTILINE):
        reason = re.fullmatch(r"- `.*?`: `.*?` becomes `.*?`: (.+)", entry)
        assert reason, entry
        assert reason[1] != "no reason given yet", entry


def test_as_many_are_listed_as_survived():
    """Mutants with the same lines are one entry."""
    for section in PAPER.read_text().split("\n### ")[1:]:
        survived = int(re.search(r"(\d+) survived", section)[1])
        listed = len(re.findall(r"^- ", section, re.MULTILINE))
        assert (listed > 0) == (survived > 0)
        assert listed <= survived
