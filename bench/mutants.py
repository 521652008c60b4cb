"""Mutation testing: is there a test that fails when a check is taken out or turned around?

    make mutants MODULE=replay                 # or "record epochs", or messages/hello: below dtls/
    make mutants MODULE=tickets/aif            # or "ac/binding ac/rights": where access is decided
    make mutants MODULE=access                 # all of these; "engine", or nothing, is all below dtls/
    .venv/bin/python bench/mutants.py --again record  # only those that survived, after tests were added
    .venv/bin/python bench/mutants.py --paper         # only write the paper, from results that are there

mutmut changes each function in many small ways. Here the tests are collected and run once, all of them, to
see that they are green and which functions each one reaches; then each mutant gets a process of its own,
forked from that one, and runs the tests that reach it until one fails, those of the module before others:
each test once, quick ones before slow ones, then each with its second parameters, and so on. Each may run
tests worth a few seconds (`--budget`). Results are kept in build/mutants/, and docs/mutants.md gets a
section for each module: how many were made, how many the tests noticed, and each one that survived. Why a
survivor is no gap is written into the paper by hand and kept when it is written anew.
"""

from __future__ import annotations

import argparse
import gc
import hashlib
import json
import os
import re
import resource
import signal
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from contextlib import chdir
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from itertools import zip_longest
from pathlib import Path
from textwrap import fill
from types import FunctionType, ModuleType

import pytest
from mutant_sources import ORIGINAL, Change, changes, is_wording
from mutmut.__main__ import create_mutants
from mutmut.configuration import config
from mutmut.mutation.trampoline import set_mutant_under_test
from mutmut.state import state
from mutmut.utils.file_utils import copy_also_copy_files, copy_src_dir, setup_source_paths

ROOT = Path(__file__).parents[1]
SOURCES = ROOT / "src" / "twoway"
MADE = ROOT / "mutants" / "src" / "twoway"
RESULTS = ROOT / "build" / "mutants"
PAPER = ROOT / "docs" / "mutants.md"
LINE_CHARACTERS = 120
NO_REASON = "no reason given yet"
BUDGET_SECONDS = 8.0
"""What the tests of one mutant may take together, by what they take without it."""
PYTEST = ["--rootdir=.", "-q", "-s", "-o", "addopts=--import-mode=importlib", "-o", "timeout=0"]
PLUGINS_OFF = [f"-pno:{name}" for name in ("xdist", "cacheprovider")]
INTRODUCTION = f"""
Written by `bench/mutants.py` (`make mutants`), with mutmut {version("mutmut")}: it changes each function
in many small ways, one thing at a time, and runs the tests that reach it, some seconds' worth for each
mutant ({BUDGET_SECONDS:.0f} unless it is told otherwise); what survived was tried again, where a test
seemed able to notice it. A mutant that none of them notices has survived, and stands here with the reason
why it is no gap. The reasons are written by hand; the rest is generated, and keeps them. Changes of nothing
but words (a sentence, the sentence that an error has lost, or the label of a reason or of a trace event) are
counted and not listed. A source is the beginning of the SHA-256 of the file that was measured.
"""


@dataclass(frozen=True)
class Part:
    """Modules that are measured against the same tests."""

    name: str
    """What it is called on the command line."""
    title: str
    introduction: str
    modules: tuple[str, ...]
    """Below twoway, `dtls/messages/hello` for example."""
    tests: tuple[str, ...]
    """pytest's arguments."""


def below(package: str) -> tuple[str, ...]:
    """Every module of a package."""
    paths = [path for path in (SOURCES / package).rglob("*.py") if path.stem != "__init__"]
    return tuple(sorted(path.relative_to(SOURCES).with_suffix("").as_posix() for path in paths))


ENGINE = Part(
    "engine",
    "The engine",
    "The tests of damaged and lossy wires are too slow for this and are left out.",
    below("dtls"),
    (
        "tests/dtls",
        # Thousands of handshakes each, on damaged and lossy wires.
        *(f"--ignore=tests/dtls/test_{slow}.py" for slow in ("damaged_wire", "injected_garbage")),
        *(f"--ignore=tests/dtls/test_{slow}.py" for slow in ("loss_matrix", "lossy_wire")),
    ),
)
_DECIDING = {
    "tickets": "aif cnonce confirmation cose encrypt0 exi psk_identity shared_secret store token_hash trl"
    " verification",
    "policy": "cedar regions slices",
    "publisher": "admission authority credentials guard holdings plain_door revocation",
    "ac": "approval binding introspection requester revocation rights service",
}
ACCESS = Part(
    "access",
    "Access control",
    """The modules in which it is decided who gets a ticket, whether it is one, and what it opens. The tests
    are those of the four packages; the ones that kill whole processes, or need a database server, are left
    out: a mutant lives in one process.""",
    tuple(sorted(f"{package}/{name}" for package, names in _DECIDING.items() for name in names.split())),
    (
        *(f"tests/{package}" for package in _DECIDING),
        *(f"--ignore=tests/ac/test_{other}.py" for other in ("crash", "killed", "monotonic", "served")),
        "--ignore=tests/ac/test_storage.py",
    ),
)
PARTS = (ENGINE, ACCESS)


def line(change: Change, reason: str) -> str:
    """A survivor's entry in the paper."""
    text = f"- `{change.function}`: `{change.was}` becomes `{change.becomes}`: {reason}"
    return fill(text, LINE_CHARACTERS, subsequent_indent="  ", break_long_words=False, break_on_hyphens=False)


ENTRY = re.compile(r"- `(.*?)`: `(.*?)` becomes `(.*?)`: (.*)")


def chosen_part(names: list[str]) -> tuple[Part, list[str]]:
    """Return the part that was chosen and its modules, all of them if none is named."""
    for part in PARTS:
        if names in ([], [part.name]):
            return part, list(part.modules)
        found = [name if name in part.modules else f"dtls/{name}" for name in names]
        if set(found) <= set(part.modules):
            return part, found
    raise SystemExit(f"these are not modules of one part: {', '.join(names)}")


def dotted(module: str) -> str:
    """A module's name as it is imported."""
    return f"twoway.{module.replace('/', '.')}"


def made(module: str) -> dict[str, Change]:
    """A module's mutants by name; none if those that there are now are another part's."""
    return changes(MADE / f"{module}.py", dotted(module))


class Results:
    """What became of a module's mutants, in a file."""

    def __init__(self, module: str) -> None:
        self._path = RESULTS / f"{module.replace('/', '.')}.json"
        digest = hashlib.sha256((SOURCES / f"{module}.py").read_bytes()).hexdigest()[:12]
        self.source = digest
        self.statuses: dict[str, str] = {}
        if self._path.exists():
            stored = json.loads(self._path.read_text())
            if stored["source"] == digest:
                self.statuses = stored["statuses"]

    def save(self) -> None:
        """Keep them."""
        RESULTS.mkdir(parents=True, exist_ok=True)
        self._path.write_text(json.dumps({"source": self.source, "statuses": self.statuses}, indent=1))


_UNTRIED = frozenset({""})
_OPEN = _UNTRIED | {"survived", "no tests"}


def functions_of(name: str) -> str:
    """The name under which mutmut records that a test reached a mutant's function."""
    return name.partition("__mutmut_")[0]


class Loop:
    """A pytest plugin that runs every test once, and then for each mutant those that reach it."""

    def __init__(self, chosen: list[str], budget_seconds: float, processes: int, *, again: bool) -> None:
        self._modules = chosen
        self._again = again
        self._budget_seconds = budget_seconds
        self._processes = processes
        self._failed = False
        self._running: dict[int, tuple[Results, str]] = {}
        self._reaching: dict[str, list[pytest.Item]] = defaultdict(list)
        self._seconds: dict[pytest.Item, float] = {}

    def pytest_sessionstart(self) -> None:
        """Nobody waits for a property test's smallest example."""
        from hypothesis import HealthCheck, Phase, settings  # pytest rewrites its plugins before

        calm = {"deadline": None, "suppress_health_check": list(HealthCheck), "database": None}
        phases = (Phase.explicit, Phase.generate)
        settings.register_profile("mutants", derandomize=True, phases=phases, **calm)  # type: ignore[arg-type]
        settings.load_profile("mutants")

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        """Leave out what meets the database server: each process would stop it at its end."""
        items[:] = [item for item in items if "postgresql" not in (*item.fixturenames, *params(item))]  # type: ignore[attr-defined]

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Remember that a test failed."""
        self._failed = self._failed or report.failed

    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        """Instead of pytest's own."""
        if session.testsfailed:
            raise pytest.UsageError("the tests cannot be collected")
        self._survey(session.items)
        for (
            module,
            mangled,
            table,
        ) in tables():  # mutmut leads every call through one that asks for the mutant
            put(module, mangled, table["_mutmut_orig"])
        gc.collect()
        gc.freeze()
        for chosen in self._modules:
            self._try(chosen)
        return True

    def _survey(self, items: list[pytest.Item]) -> None:
        for name, item in enumerate(items):
            set_mutant_under_test("stats")
            state()._stats.clear()
            forget()
            began = time.perf_counter()
            self._run([item])
            self._seconds[item] = time.perf_counter() - began
            if self._failed:
                raise pytest.UsageError(f"{item.nodeid} fails without any mutant")
            for function in state()._stats:
                self._reaching[function].append(item)
            if name % 500 == 0:
                print(f"  {name} of {len(items)} tests seen", flush=True)

    def _run(self, items: list[pytest.Item]) -> None:
        for item, following in zip(items, [*items[1:], None], strict=True):
            item.ihook.pytest_runtest_protocol(item=item, nextitem=following)
            if self._failed:
                return

    def _try(self, module: str) -> None:
        results = Results(module)
        tried = made(module)
        results.statuses = dict.fromkeys(tried, "") | {
            name: status for name, status in results.statuses.items() if name in tried
        }
        began = time.monotonic()
        for name, change in tried.items():
            if results.statuses[name] not in (_OPEN if self._again else _UNTRIED):
                continue
            tests = list(self._worth(module, name))
            if is_wording(change) and " " in change.words:
                results.statuses[name] = "wording"
            elif not tests:
                results.statuses[name] = "no tests"
            else:
                while len(self._running) >= self._processes:
                    self._reap()
                self._running[self._fork(name, tests)] = results, name
        while self._running:
            self._reap()
        results.save()
        count = Counter(results.statuses.values())
        print(f"{module}: {dict(count)}, {time.monotonic() - began:.0f} s", flush=True)

    def _worth(self, module: str, name: str) -> Iterator[pytest.Item]:
        own = f"/test_{module.rpartition('/')[2]}."
        left = self._budget_seconds
        cases: dict[str, list[pytest.Item]] = defaultdict(list)
        for item in sorted(self._reaching[functions_of(name)], key=self._seconds.__getitem__):
            cases[item.nodeid.partition("[")[0]].append(item)
        quickest = sorted(cases, key=lambda test: self._seconds[cases[test][0]])
        for is_own in (True, False):
            for turn in zip_longest(*(cases[test] for test in quickest if (own in test) is is_own)):
                for item in filter(None, turn):
                    left -= self._seconds[item]
                    yield item
                    if left < 0:
                        return

    def _fork(self, name: str, tests: list[pytest.Item]) -> int:
        pid = os.fork()
        if pid:
            return pid
        nothing = os.open(os.devnull, os.O_RDWR)
        for number in (1, 2):
            os.dup2(nothing, number)
        patience = int(4 * sum(self._seconds[test] for test in tests)) + 5
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        signal.alarm(4 * patience)
        used = int(time.process_time())
        resource.setrlimit(resource.RLIMIT_CPU, (used + patience, used + patience + 1))
        set_mutant_under_test(name)
        function = functions_of(name).rpartition(".")[2]
        for module, mangled, table in tables():
            if mangled == function and name.startswith(f"{module.__name__}."):
                put(module, mangled, table[name.removeprefix(f"{module.__name__}.")])
        forget()
        try:
            self._run(tests)
        except BaseException:  # noqa: BLE001 - whatever it is, it was noticed, and the parent reads the status
            os._exit(1)
        os._exit(1 if self._failed else 0)

    def _reap(self) -> None:
        pid, ended = os.wait()
        results, name = self._running.pop(pid)
        code = os.waitstatus_to_exitcode(ended)
        results.statuses[name] = {0: "survived", 1: "killed"}.get(code, "timeout")


def params(item: pytest.Item) -> list[object]:
    """The values that a test was given as parameters."""
    call = getattr(item, "callspec", None)
    return [] if call is None else list(call.params.values())


def put(module: ModuleType, mangled: str, instead: FunctionType) -> None:
    """Let a function or method be another one, wherever it has been imported."""
    owner, _, function = mangled.removeprefix("xǁ").removeprefix("x_").rpartition("ǁ")
    if owner:
        holder = getattr(module, owner)
        if isinstance(vars(holder).get(function), FunctionType):
            setattr(holder, function, instead)
        return
    known = getattr(module, function)
    for other in list(sys.modules.values()):
        names = [name for name, value in list(vars(other).items()) if value is known]
        for name in names:
            setattr(other, name, instead)


def forget() -> None:
    """Empty every cache: what an earlier test left there, no mutant would be asked for again."""
    for module in [sys.modules[name] for name in sorted(sys.modules) if name.startswith("twoway.")]:
        for value in list(vars(module).values()):
            if callable(clear := getattr(value, "cache_clear", None)):
                clear()


def tables() -> Iterator[tuple[ModuleType, str, dict[str, FunctionType]]]:
    """Each function's mutants: its module, its name in mutmut's spelling, the mutants by name."""
    for module in [sys.modules[name] for name in sorted(sys.modules) if name.startswith("twoway.")]:
        for name, table in list(vars(module).items()):
            if name.startswith("mutants_x") and name.endswith("__mutmut"):
                yield module, name.removeprefix("mutants_").removesuffix("__mutmut"), table


def sections() -> dict[str, str]:
    """The paper's sections, by module."""
    text = PAPER.read_text() if PAPER.exists() else ""
    pieces = re.split(r"^### `(.*)\.py`\n|^## .*\n", text, flags=re.MULTILINE)
    named = zip(pieces[1::2], pieces[2::2], strict=True)
    return {name: f"### `{name}.py`\n{body}" for name, body in named if name}


def reasons(section: str) -> dict[Change, str]:
    """The reasons that somebody has written into a section."""
    unwrapped = re.sub(r"\n  +", " ", section)
    return {Change(*entry[:3]): entry[3] for entry in ENTRY.findall(unwrapped)}


def survivors(module: str, statuses: dict[str, str]) -> Iterable[Change]:
    """The changes that no test noticed, those of words left out, each once."""
    tried = made(module)
    found = (tried[name] for name, status in statuses.items() if status in ("survived", "no tests"))
    return dict.fromkeys(change for change in found if not is_wording(change))


def section(module: str, known: dict[Change, str]) -> str | None:
    """A module's section, generated anew; None if not all of its mutants are there and have been tried."""
    results = Results(module)
    count = Counter(results.statuses.values())
    if not results.statuses or count[""] or not results.statuses.keys() <= made(module).keys():
        return None
    listed = list(survivors(module, results.statuses))
    noticed = count["killed"] + count["timeout"]
    wording = len(results.statuses) - noticed - len(listed)
    summary = (
        f"{len(results.statuses)} mutants, {noticed} of them noticed, {wording} of wording, "
        f"{len(listed)} survived. {datetime.now(UTC):%Y-%m-%d}, source {results.source}."
    )
    entries = [line(change, known.get(change, NO_REASON)) for change in listed]
    parts = [f"### `{module}.py`", fill(summary, LINE_CHARACTERS), "\n".join(entries)]
    return "\n\n".join(part for part in parts if part) + "\n"


def paragraph(text: str) -> str:
    """A text in lines of the paper."""
    return fill(" ".join(text.split()), LINE_CHARACTERS)


def write_paper(chosen: list[str]) -> None:
    """Write the sections of these modules anew, in the order of their names."""
    paper = sections()
    for module in chosen:
        anew = section(module, reasons(paper.get(module, "")))
        if anew is not None:
            paper[module] = anew
    parts = ["# Mutants", paragraph(INTRODUCTION)]
    for part in PARTS:
        written = [paper[name].rstrip() for name in part.modules if name in paper]
        parts += [f"## {part.title}", paragraph(part.introduction), *written]
    PAPER.write_text("\n\n".join(parts) + "\n")


def forget_copies() -> None:
    """Remove what mutmut only copied: it takes a copy for mutants that are up to date, whoever asks next."""
    for path in MADE.rglob("*.py"):
        if ORIGINAL not in path.read_text():
            path.unlink()


def measure(part: Part, chosen: list[str], budget_seconds: float, processes: int, *, again: bool) -> int:
    """Make the mutants and try them."""
    with chdir(ROOT):
        forget_copies()
        config().only_mutate = [f"src/twoway/{module}.py" for module in part.modules]
        set_mutant_under_test("mutant_generation")
        copy_src_dir()
        copy_also_copy_files()
        setup_source_paths()
        create_mutants(processes)
    with chdir(ROOT / "mutants"):
        plugin = Loop(chosen, budget_seconds, processes, again=again)
        return int(pytest.main([*PYTEST, *PLUGINS_OFF, *part.tests], plugins=[plugin]))


def main() -> int:
    """Try the chosen modules' mutants and write their sections."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    arguments.add_argument("modules", nargs="*", help="such as replay or tickets/aif, or a part")
    arguments.add_argument("--paper", action="store_true", help="run nothing, write the paper")
    arguments.add_argument("--again", action="store_true", help="try those anew that survived")
    arguments.add_argument("--budget", type=float, default=BUDGET_SECONDS, help="seconds of tests a mutant")
    arguments.add_argument("--processes", type=int, default=2, help="at the same time")
    chosen = arguments.parse_args()
    part, names = chosen_part(chosen.modules)
    if not chosen.paper:
        code = measure(part, names, chosen.budget, chosen.processes, again=chosen.again)
        if code:
            return code
    write_paper(names)
    print(f"wrote {PAPER}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
