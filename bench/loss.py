"""The loss matrix: does every handshake succeed on a bad path, how long does it take, and what does it cost?

    make loss                                  # writes docs/loss.md
    .venv/bin/python bench/loss.py --handshakes 20 --seed 5 --to /tmp/loss.md

Time is virtual, so the figures are those of the protocol and its timers, not of this machine. A cell that
does not reach 100 % makes the exit status 1 and says which seeds failed and what each side said.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import platform
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from importlib.metadata import version
from pathlib import Path
from textwrap import fill

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "tests" / "support"))

from dtls_pair import LATENCY  # noqa: E402 - found through the line above
from loss_matrix import (  # noqa: E402 - found through the line above
    CREDENTIALS,
    DISORDER,
    DUPLICATION,
    HANDSHAKE_TIMEOUT,
    LATE_BY,
    PRESETS,
    REPEATED_WITHIN,
    Cell,
    Row,
    cells,
    measure,
)

SEED = 1
HANDSHAKES = 200
PROCESSES = 2
LINE_CHARACTERS = 120
COLUMNS = ["credential", "MTU", "loss", "succeeded", "median s", "95 % s", "median bytes", "95 % bytes"]


def measured(rows_of: Callable[[Cell], Row]) -> list[Row]:
    """Measure all cells in several processes and say how far it is."""
    everything = list(cells())
    began = time.monotonic()
    rows = []
    with multiprocessing.Pool(PROCESSES) as pool:
        for number, row in enumerate(pool.imap(rows_of, everything), start=1):
            rows.append(row)
            cell = row.cell
            print(
                f"{number:3}/{len(everything)}  {time.monotonic() - began:5.0f} s  {cell.preset}  "
                f"{CREDENTIALS[cell.credential]:8}  MTU {cell.mtu_bytes:4}  loss {percent(cell.loss):>4}  "
                f"{row.success_percent:.1f} % of {len(row.handshakes)}",
                flush=True,
            )
            for failed in row.failures:
                print(f"    seed {failed.seed}: {failed.failure}", flush=True)
    return rows


def table(rows: list[Row]) -> str:
    """One preset's rows in Markdown."""
    lines = ["| " + " | ".join(COLUMNS) + " |", "|---" + "|---:" * (len(COLUMNS) - 1) + "|"]
    for row in rows:
        seconds, sent = row.quantiles("seconds"), row.quantiles("sent_bytes")
        figures = [
            CREDENTIALS[row.cell.credential],
            str(row.cell.mtu_bytes),
            percent(row.cell.loss),
            f"{row.success_percent:g} %",
            *(f"{value:,.2f}" for value in seconds),
            *(f"{value:,.0f}" for value in sent),
        ]
        lines.append("| " + " | ".join(figures) + " |")
    return "\n".join(lines)


def paper(rows: list[Row], *, handshakes: int, seed: int) -> str:
    """The whole of docs/loss.md."""
    paragraphs = [
        f"""Written by `bench/loss.py` (`make loss`); do not edit. Two engines shake hands over a path in
        virtual time: every datagram is lost with the probability of its row, {percent(DUPLICATION)} arrive
        twice within {REPEATED_WITHIN} s, {percent(DISORDER)} are late by up to {LATE_BY} s and overtaken, and
        each travels {LATENCY * 1000:.0f} ms. Both sides check each other's certificate chain, or prove the
        shared key, and both speak afterwards; otherwise the handshake counts as failed. The cookie exchange
        is included. No bandwidth is modelled, and no computing time.""",
        f"""Each row is {handshakes} handshakes with the seeds {seed} to {seed + handshakes - 1}, the same for
        every row. Time is from the first hello until the later side is connected; bytes are the UDP payloads
        of both sides until then. A handshake may take {HANDSHAKE_TIMEOUT:,.0f} s: the question is how long it
        takes, not who gives up first. ECDSA signatures vary by a byte or two from run to run, and with them
        the figures of bytes.""",
        f"""{datetime.now(UTC):%Y-%m-%d}, twoway {version("twoway")}, cryptography {version("cryptography")},
        Python {platform.python_version()}.""",
    ]
    parts = ["# The loss matrix", *(fill(" ".join(text.split()), LINE_CHARACTERS) for text in paragraphs)]
    for preset in PRESETS:
        parts += [f"## {preset}", table([row for row in rows if row.cell.preset == preset])]
    return "\n\n".join(parts) + "\n"


def percent(share: float) -> str:
    """A share in words: `0.1` is `10 %`."""
    return f"{100 * share:g} %"


def main() -> int:
    """Measure, print, write."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    arguments.add_argument("--handshakes", type=int, default=HANDSHAKES, help="in each cell")
    arguments.add_argument("--seed", type=int, default=SEED, help="of the first handshake of a cell")
    arguments.add_argument("--to", type=Path, default=ROOT / "docs" / "loss.md", help="the paper")
    chosen = arguments.parse_args()
    os.nice(5)
    rows = measured(partial(measure, handshakes=chosen.handshakes, seed=chosen.seed))
    chosen.to.write_text(paper(rows, handshakes=chosen.handshakes, seed=chosen.seed))
    print(f"wrote {chosen.to}")
    return 1 if any(row.failures for row in rows) else 0


if __name__ == "__main__":
    sys.exit(main())
