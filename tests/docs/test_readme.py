"""The papers are held against the code: commands are run or parsed; paths, limits and states looked up."""

from __future__ import annotations

import importlib
import json
import re
import shlex
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer.main
from workshop import Workshop, block, blocks

import twoway
from twoway.cli.app import app

ROOT = Path(__file__).parents[2]
PACKAGE = Path(twoway.__file__).parent
ADRS = ROOT / "docs" / "adr"
PAPERS = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
README, ARCHITECTURE = ROOT / "README.md", ROOT / "docs" / "architecture.md"
LINE_CHARACTERS = 120
SECTIONS = ["Context", "Options", "Outcome", "Consequences"]
OUR_FILE = re.compile(r"[\w./-]+\.(py|md|cedarschema)$|(src|tests|docs|scripts)/")

each_paper = pytest.mark.parametrize("paper", PAPERS, ids=[str(paper.relative_to(ROOT)) for paper in PAPERS])


def prose(paper: Path) -> str:
    """A paper without its fenced blocks."""
    return re.sub(r"^```.*?^```$", "", paper.read_text(), flags=re.MULTILINE | re.DOTALL)


def code_spans(paper: Path) -> list[str]:
    """What stands in backticks outside of blocks, on one line each."""
    return [" ".join(span.split()) for span in re.findall(r"`([^`]+)`", prose(paper))]


def table(paper: Path, first_heading: str) -> list[list[str]]:
    """The rows of the table whose first column has this heading."""
    lines = iter(paper.read_text().splitlines())
    for line in lines:
        if line.startswith(f"| {first_heading} |"):
            next(lines)
            break
    rows = []
    for line in lines:
        if not line.startswith("|"):
            break
        rows.append([cell.strip() for cell in line.strip("|").split("|")])
    assert rows, f"{paper.name} has no table that begins with {first_heading!r}"
    return rows


# --- what the README lets a person type ---------------------------------------------------------------


@pytest.fixture(scope="module")
def workshop(tmp_path_factory) -> Iterator[Workshop]:
    """What somebody has who followed the README's section about setting up by hand."""
    workshop = Workshop(tmp_path_factory.mktemp("by-hand"), ports=("5684", "5685"))
    try:
        workshop.run("bash", "-euc", block(README, "sh", "twoway ca init"))
        for line in block(README, "sh", "twoway ac serve").splitlines():
            workshop.serve(line)
        yield workshop
    finally:
        workshop.close()


@pytest.mark.xdist_group("readme by hand")
class TestByHand:
    """One deployment serves all of these."""

    def test_the_example_reads_and_observes_as_it_stands(self, workshop):
        (example,) = blocks(README, "python")
        said = workshop.run(sys.executable, "-W", "error", "-c", example).splitlines()
        assert said[0] == "read from urn:dev:org:32473-meter"
        assert any(line.startswith("urn:dev:org:32473-meter/electricity/power/imported ") for line in said)
        assert len([line for line in said if re.fullmatch(r"notified of \d+ records", line)]) == 3

    def test_the_commands_that_read_print_readings_and_the_audit_names_the_policy(self, workshop):
        get, observe, audit = block(README, "sh", "twoway get").splitlines()
        assert "urn:dev:org:32473-meter/electricity/energy/imported/1 " in workshop.run(*shlex.split(get))
        observed = [json.loads(line) for line in workshop.run(*shlex.split(observe)).splitlines()]
        assert [reading["peer"] for reading in observed] == ["urn:dev:org:32473-meter"] * 3
        (decision, *_) = json.loads(workshop.run(*shlex.split(audit), "--json"))
        assert (decision["decision"], decision["policies"]) == ("granted", ["own-organisation-reads"])

    def test_the_question_about_rights_is_answered_as_the_ac_decides(self, workshop):
        said = workshop.run(*shlex.split(block(README, "sh", "twoway ac check")))
        assert said.splitlines()[0] == "allowed by own-organisation-reads"


def test_the_library_example_is_as_short_as_it_says():
    (example,) = blocks(README, "python")
    assert len([line for line in example.splitlines() if line.strip()]) <= 20


# --- what the papers name -----------------------------------------------------------------------


def documented_commands() -> list[str]:
    """Every line of a shell block and every span of code that calls twoway with something."""
    lines = [line for paper in PAPERS for text in blocks(paper, "sh") for line in text.splitlines()]
    spans = [span for paper in PAPERS for span in code_spans(paper)]
    return sorted({text for text in lines + spans if re.match(r"twoway [a-z]", text)})


def test_commands_are_found_to_be_checked():
    assert len(documented_commands()) >= 10


@pytest.mark.parametrize("line", documented_commands())
def test_each_command_that_the_papers_show_is_one(line):
    command = typer.main.get_command(app)
    _, *words = shlex.split(line, comments=True)
    while words and hasattr(command, "commands"):
        assert words[0] in command.commands, f"there is no command {words[0]!r}"
        command = command.commands[words.pop(0)]
    if words:  # A mere name, such as `twoway ca`, is a mention; with arguments all of it has to parse.
        command.make_context(line, words).close()


def anchors(paper: Path) -> list[str]:
    """What headings are called in links."""
    headings = re.findall(r"^#+ (.*)$", prose(paper), re.MULTILINE)
    return [re.sub(r"[^\w -]", "", heading).lower().replace(" ", "-") for heading in headings]


@each_paper
def test_each_link_within_the_project_leads_somewhere(paper):
    for target in re.findall(r"\]\(([^)]+)\)", prose(paper)):
        if "://" in target:
            continue
        path, _, anchor = target.partition("#")
        linked = (paper.parent / path).resolve() if path else paper
        assert linked.exists(), target
        if anchor:
            assert anchor in anchors(linked)


@each_paper
def test_each_file_that_a_paper_names_exists(paper):
    for span in code_spans(paper):
        if OUR_FILE.match(span):
            assert any((place / span).exists() for place in (ROOT, PACKAGE, ROOT / "tests")), span


@each_paper
def test_each_line_of_a_paper_can_be_read_beside_another(paper):
    assert [line for line in paper.read_text().splitlines() if len(line) > LINE_CHARACTERS] == []


@each_paper
def test_each_make_target_that_a_paper_names_exists(paper):
    targets = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    for span in code_spans(paper):
        if target := re.fullmatch(r"make ([a-z-]+)", span):
            assert target[1] in targets


def test_each_row_of_the_table_of_rfcs_has_a_status_and_what_is_there_says_where():
    rows = table(README, "RFC")
    for rfc, status, where in rows:
        assert status in ("supported", "partly", "not yet", "not"), rfc
        assert bool(re.search(r"`[\w/]+\.py`", where)) == (status in ("supported", "partly")), rfc
    numbers = [number for rfc, _, _ in rows for number in re.findall(r"\b\d{4}\b", rfc)]
    assert len(numbers) == len(set(numbers))


def test_every_module_of_dtls_stands_on_the_map():
    text = ARCHITECTURE.read_text()
    modules = {path.stem for path in (PACKAGE / "dtls").glob("*.py")} - {"__init__", "wire"}
    assert [name for name in sorted(modules) if f"dtls/{name}" not in text] == []


def test_each_limit_is_what_the_architecture_says():
    for module, name, value, _ in table(ARCHITECTURE, "module"):
        found = importlib.import_module("twoway." + module.strip("`").removesuffix(".py").replace("/", "."))
        for part in name.strip("`").split("."):
            found = getattr(found, part)
        assert found == int(value), f"{module} {name}"


def test_the_index_of_decisions_lists_each_of_them_under_its_title():
    listed = re.findall(
        r"^\| \[(\d{4})\]\(([\w.-]+)\) \| (.*) \|$", (ADRS / "README.md").read_text(), re.MULTILINE
    )
    there = sorted(path for path in ADRS.glob("*.md") if path.name != "README.md")
    assert [name for _, name, _ in listed] == [path.name for path in there]
    for number, name, title in listed:
        text = (ADRS / name).read_text()
        assert text.startswith(f"# {number}. {title}\n")
        assert re.findall(r"^## (.*)$", text, re.MULTILINE) == SECTIONS


def test_the_changelog_knows_the_version():
    version = re.search(r'^version = "(.*)"$', (ROOT / "pyproject.toml").read_text(), re.MULTILINE)[1]
    assert f"\n## {version}\n" in (ROOT / "CHANGELOG.md").read_text()
