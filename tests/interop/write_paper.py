"""Carry out the whole interop matrix and write docs/interop.md: `make interop`.

Cells that do not end as they have to are printed with what the peer said; then nothing is written.
"""

from __future__ import annotations

import os
import sys
import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "support"))

import pytest
from foreign_cases import Case, Limit
from foreign_cells import CASES, LIMITS
from foreign_matrix import Cell, prepare, run, run_limit
from foreign_paper import PAPER, render

WORKERS = 4  # Most of a cell is waiting for a process to start.


def attempt(item: Case | Limit) -> Cell | Exception | None:
    try:
        return run(item) if isinstance(item, Case) else run_limit(item)
    except (AssertionError, pytest.fail.Exception) as failure:
        return AssertionError(f"FAILED {item.name}\n{failure}")


def main() -> int:
    os.environ["TWOWAY_PEERS"] = "required"
    warnings.simplefilter("ignore")
    prepare()
    with ThreadPoolExecutor(WORKERS) as pool:
        results = list(pool.map(attempt, [*CASES, *LIMITS]))
    failures = [result for result in results if isinstance(result, Exception)]
    for failure in failures:
        print(failure)
    print(f"{len(results) - len(failures)} of {len(results)} cells ended as they have to")
    if failures:
        return 1
    PAPER.write_text(render(dict(zip(CASES, results, strict=False)), LIMITS))
    return 0


if __name__ == "__main__":
    sys.exit(main())
