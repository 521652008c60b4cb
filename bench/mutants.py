"""Mutation testing of the engine: is there a test that fails when a check is taken out or turned around?

    make mutants MODULE=replay                 # or "record epochs", or messages/hello; without MODULE: all
    .venv/bin/python bench/mutants.py --paper  # only write the paper, from results that are there

Runs mutmut over the modules, which changes each function in many small ways and runs the tests that reach it,
and writes a section for each module into docs/mutants.md: how many were made, how many the tests noticed, and
each one that survived. Why a survivor is no gap is written into the paper by hand and kept when it is written
anew. The slow tests of damaged and lossy wires are left out (`tool.mutmut` in pyproject.toml), so a survivor
is something that the quick tests do not notice. mutmut keeps its results in `mutants/`.
"""

from __future__ import annotations

import argparse
import hashlib
import re
import subprocess
import sys
import time
from collections import Counter, defaultdict
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from textwrap import fill

ROOT = Path(__file__).parents[1]
DTLS = ROOT / "src" / "twoway" / "dtls"
PAPER = ROOT / "docs" / "mutants.md"
MUTMUT = str(Path(sys.executable).with_name("mutmut"))
PROCESSES = 2
LINE_CHARACTERS = 120
NO_REASON = "no reason given yet"
INTRODUCTION = f"""
Written by `bench/mutants.py` (`make mutants`), with mutmut {version("mutmut")}: it changes each function of
the engine in many small ways, one thing at a time, and runs the tests that reach it. A mutant that no test
notices has survived, and stands here with the reason why it is no gap. The reasons are written by hand; the
rest is generated, and keeps them. Mutants that change nothing but the wording of a reason, a label or a trace
event are counted and not listed. The tests of damaged and lossy wires are too slow for this and are left out.
A module without a section has not been measured yet; a source is the beginning of the SHA-256 of the file
that was measured.
"""


@dataclass(frozen=True)
class Survivor:
    """A change that no test noticed."""

    function: str
    was: str
    becomes: str

    def line(self, reason: str) -> str:
        """Its entry in the paper."""
        text = f"- `{self.function}`: `{self.was}` becomes `{self.becomes}`: {reason}"
        return fill(
            text, LINE_CHARACTERS, subsequent_indent="  ", break_long_words=False, break_on_hyphens=False
        )


ENTRY = re.compile(r"- `(.*?)`: `(.*?)` becomes `(.*?)`: (.*)")


def mutmut(*arguments: str) -> str:
    """Run mutmut and return what it said."""
    command = [MUTMUT, *arguments]
    return subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout


def modules(chosen: list[str]) -> list[str]:
    """The modules' names below twoway.dtls, `messages/hello` for example; all of them if none is chosen."""
    every = sorted(
        path.relative_to(DTLS).with_suffix("").as_posix()
        for path in DTLS.rglob("*.py")
        if path.name != "__init__.py"
    )
    for name in chosen:
        if name not in every:
            raise SystemExit(f"there is no module {name!r} below {DTLS.relative_to(ROOT)}")
    return chosen or every


def statuses(module: str) -> dict[str, str]:
    """What became of each of a module's mutants that have been tried, by name."""
    prefix = f"twoway.dtls.{module.replace('/', '.')}."
    found = re.findall(r"^\s+(\S+): (.*)$", mutmut("results", "--all", "true"), re.MULTILINE)
    return {
        name: status
        for name, status in found
        if name.startswith(prefix) and "." not in name.removeprefix(prefix) and status != "not checked"
    }


def survivor(name: str) -> Survivor:
    """A mutant as a change of lines."""
    diff = mutmut("show", name).splitlines()
    was = " ".join(line[1:].strip() for line in diff if re.match(r"-(?!--)", line))
    becomes = " ".join(line[1:].strip() for line in diff if re.match(r"\+(?!\+\+)", line))
    function = name.rpartition(".")[2].rpartition("__mutmut_")[0]
    return Survivor(function.removeprefix("xǁ").removeprefix("x_").replace("ǁ", "."), was, becomes)


def is_wording(change: Survivor) -> bool:
    """Whether nothing but the text of string literals differs."""
    literal = r'"[^"]*"'
    return re.sub(literal, '""', change.was) == re.sub(literal, '""', change.becomes)


def sections() -> dict[str, str]:
    """The paper's sections, by module."""
    text = PAPER.read_text() if PAPER.exists() else ""
    pieces = re.split(r"^## `dtls/(.*)\.py`\n", text, flags=re.MULTILINE)
    return {
        name: f"## `dtls/{name}.py`\n{body}" for name, body in zip(pieces[1::2], pieces[2::2], strict=True)
    }


def reasons(section: str) -> dict[Survivor, str]:
    """The reasons that somebody has written into a section."""
    unwrapped = re.sub(r"\n  +", " ", section)
    return {Survivor(*entry[:3]): entry[3] for entry in ENTRY.findall(unwrapped)}


def section(module: str, known: dict[Survivor, str], seconds: float | None) -> str:
    """A module's section, generated anew."""
    by_name = statuses(module)
    count = Counter(by_name.values())
    survivors: dict[Survivor, int] = defaultdict(int)
    for name, status in by_name.items():
        if status in ("survived", "no tests"):
            survivors[survivor(name)] += 1
    wording = sum(number for change, number in survivors.items() if is_wording(change))
    listed = [change for change in survivors if not is_wording(change)]
    noticed = count["killed"] + count["timeout"] + count["segfault"]
    took = f", {seconds / 60:.0f} minutes" if seconds is not None else ""
    survived = len(by_name) - noticed - wording
    digest = hashlib.sha256((DTLS / f"{module}.py").read_bytes()).hexdigest()[:12]
    summary = (
        f"{len(by_name)} mutants, {noticed} of them noticed, {wording} of wording, {survived} survived. "
        f"{datetime.now(UTC):%Y-%m-%d}{took}, source {digest}."
    )
    entries = [change.line(known.get(change, NO_REASON)) for change in listed]
    parts = [f"## `dtls/{module}.py`", fill(summary, LINE_CHARACTERS), "\n".join(entries)]
    return "\n\n".join(part for part in parts if part) + "\n"


def write(paper: dict[str, str]) -> None:
    """Write the paper, its sections in the order of their names."""
    introduction = fill(" ".join(INTRODUCTION.split()), LINE_CHARACTERS)
    parts = ["# Mutants", introduction, *(paper[name].rstrip() for name in sorted(paper))]
    PAPER.write_text("\n\n".join(parts) + "\n")


def main() -> int:
    """Run mutmut over the chosen modules and write their sections."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    arguments.add_argument("modules", nargs="*", help="such as replay or messages/hello; none: all")
    arguments.add_argument("--paper", action="store_true", help="run nothing, write the paper")
    chosen = arguments.parse_args()
    paper = sections()
    for module in modules(chosen.modules):
        seconds = None
        if not chosen.paper:
            began = time.monotonic()
            pattern = f"twoway.dtls.{module.replace('/', '.')}.*"
            command = [MUTMUT, "run", "--max-children", str(PROCESSES), pattern]
            subprocess.run(command, cwd=ROOT, check=True)
            seconds = time.monotonic() - began
        elif not statuses(module):
            continue
        paper[module] = section(module, reasons(paper.get(module, "")), seconds)
        write(paper)
    print(f"wrote {PAPER}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
