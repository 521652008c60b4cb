"""Saving and restoring associations: how long 4,000 take together, and how many bytes each has.

    python bench/snapshots.py

Saved is what `Association.save` returns; restored means that `Association.restore` has returned and the
deletion of the snapshot is confirmed: the association may send. Then each of them sends its first record,
which is measured apart: ciphers are made when they are first needed. Each case runs in a process of its own;
seconds are the processor's, and medians of the rounds.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import platform
import statistics
import subprocess
import sys
import time
from typing import NamedTuple

from handshakes import connect, now
from memory import CASES, NAMES, settled

from twoway.dtls import Association, DTLSConfig, SnapshotKey

ASSOCIATIONS = 4_000
ROUNDS = 9
AIM_SECONDS = 0.1
AIM_BYTES = 284


class Round(NamedTuple):
    """What one round took, in seconds, and what came of it."""

    save: float
    restore: float
    first_records: float
    snapshot_bytes: float
    """The mean."""

    @property
    def together(self) -> float:
        return self.save + self.restore


def servers(case: str, count: int) -> tuple[list[Association], DTLSConfig]:
    """Return the servers' sides of so many associations, each with a client of its own."""
    pairs = list(CASES[case](count))
    return [settled(*connect(*pair))[1] for pair in pairs], pairs[0][1]


def one_round(associations: list[Association], config: DTLSConfig, key: SnapshotKey) -> Round:
    gc.collect()
    begin = time.process_time()
    saved = [each.save(key, sends_ahead=0, receipts_ahead=0).data for each in associations]
    between = time.process_time()
    restored = []
    for data in saved:
        association = Association.restore(data, key, config, entropy=os.urandom, wall_clock=now)
        association.confirm_deleted()
        restored.append(association)
    end = time.process_time()
    for association in restored:
        association.send(b"hello")
        association.datagrams_to_send()
    sent = time.process_time()
    for each in associations:
        each.confirm_deleted()
    return Round(between - begin, end - between, sent - end, sum(map(len, saved)) / len(saved))


def measure(case: str, count: int, rounds: int) -> list[Round]:
    """Save and restore so many associations, so many times; to be called in a fresh process."""
    associations, config = servers(case, count)
    key = SnapshotKey(os.urandom(32))
    # Who restores has just been started: the collector must not walk through what was made up to here.
    gc.collect()
    gc.freeze()
    return [one_round(associations, config, key) for _ in range(rounds)]


def measured(case: str, count: int, rounds: int) -> list[Round]:
    """Return the same, measured in a fresh process."""
    command = [sys.executable, __file__, "--case", case]
    command += ["--associations", str(count), "--rounds", str(rounds)]
    answer = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout
    return [Round(*each) for each in json.loads(answer)]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--case", choices=CASES, help="measure this one, in this process")
    parser.add_argument("--associations", type=int, default=ASSOCIATIONS)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    options = parser.parse_args()
    if options.case:
        print(json.dumps(measure(options.case, options.associations, options.rounds)))
        return
    print(f"{platform.platform()}, {os.cpu_count()} processors, Python {platform.python_version()}\n")
    heading = f"{options.associations} associations, median of {options.rounds}"
    columns = ("save s", "restore s", "together", "aim", "first records s", "bytes", "aim")
    print(f"{heading:40}" + "".join(f"{column:>17}" for column in columns))
    for case, name in NAMES.items():
        rounds = measured(case, options.associations, options.rounds)
        save, restore, first, size = (statistics.median(column) for column in zip(*rounds, strict=True))
        together = statistics.median(each.together for each in rounds)
        print(
            f"{name:40}{save:17.3f}{restore:17.3f}{together:17.3f}{AIM_SECONDS:17.1f}"
            f"{first:17.3f}{size:17.0f}{AIM_BYTES:17}"
        )


if __name__ == "__main__":
    sys.exit(main())
