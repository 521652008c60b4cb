"""Saving and restoring associations: how long 4,000 take together, and how many bytes each has.

    python bench/snapshots.py

Saved is what `Association.save` returns; restored means that `Association.restore` has returned and the
deletion of the snapshot is confirmed: the association may send. Then each of them sends its first record,
which is measured apart: ciphers are made when they are first needed. The median of several rounds.
"""

from __future__ import annotations

import gc
import os
import platform
import statistics
import sys
import time

from handshakes import connect, now
from memory import NAMES, p256_configs, psk_configs, settled

from twoway.dtls import Association, DTLSConfig, SnapshotKey

ASSOCIATIONS = 4_000
ROUNDS = 7
AIM_SECONDS = 0.1
AIM_BYTES = 284
CASES = {"psk": psk_configs, "p256": p256_configs}


def servers(case: str) -> tuple[list[Association], DTLSConfig]:
    """Return the servers' sides of so many associations, each with a client of its own."""
    configs = CASES[case]()
    pairs = [next(configs) for _ in range(ASSOCIATIONS)]
    return [settled(*connect(*pair))[1] for pair in pairs], pairs[0][1]


def one_round(
    associations: list[Association], config: DTLSConfig, key: SnapshotKey
) -> tuple[float, float, float, float]:
    """Return the seconds of saving, restoring and first records, and the bytes of a snapshot."""
    gc.collect()
    begin = time.perf_counter()
    saved = [each.save(key, sends_ahead=0, receipts_ahead=0).data for each in associations]
    between = time.perf_counter()
    restored = []
    for data in saved:
        association = Association.restore(data, key, config, entropy=os.urandom, wall_clock=now)
        association.confirm_deleted()
        restored.append(association)
    end = time.perf_counter()
    for association in restored:
        association.send(b"hello")
        association.datagrams_to_send()
    sent = time.perf_counter()
    size = sum(map(len, saved)) / len(saved)
    for each in associations:
        each.confirm_deleted()
    return between - begin, end - between, sent - end, size


def main() -> None:
    print(f"{platform.platform()}, {os.cpu_count()} processors, Python {platform.python_version()}\n")
    heading = f"{ASSOCIATIONS} associations, median of {ROUNDS}"
    columns = ("save s", "restore s", "together", "aim", "first record s", "bytes", "aim")
    print(f"{heading:40}" + "".join(f"{column:>15}" for column in columns))
    key = SnapshotKey(os.urandom(32))
    for case, name in NAMES.items():
        associations, config = servers(case)
        # Who restores has just been started: the collector must not walk through what was made up to here.
        gc.collect()
        gc.freeze()
        rounds = [one_round(associations, config, key) for _ in range(ROUNDS)]
        save, restore, first, size = (statistics.median(column) for column in zip(*rounds, strict=True))
        together = statistics.median(each[0] + each[1] for each in rounds)
        print(
            f"{name:40}{save:15.3f}{restore:15.3f}{together:15.3f}{AIM_SECONDS:15.1f}"
            f"{first:15.3f}{size:15.0f}{AIM_BYTES:15}"
        )


if __name__ == "__main__":
    sys.exit(main())
