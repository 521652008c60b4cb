"""Tickets that the AC's database takes: rows, number and audit on the disk before each answer.

    python bench/issuing.py [--seconds 5] [--clients 1 16 64]

So many clients issue without a pause, each waiting for its answer before it asks again, in one process.
Nothing is decided and nothing signed: what is measured is the storage. "One each" does the same with one
commit for every ticket. PostgreSQL is a server of our own with fsync, on this machine. A rate counts the
clock's seconds, since what is waited for is the disk; the latency of an answer is given as its median and
its 99th percentile. "Processor" is this process's, without the server's.
"""

from __future__ import annotations

import argparse
import asyncio
import sqlite3
import statistics
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "support"))

from issuing import made
from postgres import PostgreSQL, program
from run import table

from twoway.ac import AuditLog, Database
from twoway.ac.storage import DatabaseAddress, database
from twoway.ac.tickets import TicketRecords


async def issue(records: TicketRecords, until: float, latencies: list[float]) -> None:
    while (begin := time.perf_counter()) < until:
        now = datetime.now(UTC)
        await records.issue(made(now=now), now=now)
        latencies.append(time.perf_counter() - begin)


async def measure(address: DatabaseAddress, clients: int, seconds: float) -> tuple[float, float, list[float]]:
    opened = Database(address)
    records = TicketRecords(opened, AuditLog(opened))
    warm: list[float] = []
    await issue(records, time.perf_counter() + 0.5, warm)
    latencies: list[float] = []
    begin, worked = time.perf_counter(), time.process_time()
    await asyncio.gather(*(issue(records, begin + seconds, latencies) for _ in range(clients)))
    elapsed, worked = time.perf_counter() - begin, time.process_time() - worked
    opened.close()
    return len(latencies) / elapsed, worked / len(latencies), latencies


def row(kind: str, address: DatabaseAddress, clients: int, seconds: float, batch: int) -> list[str]:
    database.BATCH_WORKS = batch
    rate, worked, latencies = asyncio.run(measure(address, clients, seconds))
    middle, worst = statistics.median(latencies), statistics.quantiles(latencies, n=100)[98]
    commits = "one each" if batch == 1 else "shared"
    milliseconds = [f"{seconds * 1e3:.2f}" for seconds in (middle, worst, worked)]
    return [kind, str(clients), commits, f"{rate:,.0f}", *milliseconds]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--clients", type=int, nargs="+", default=[1, 16, 64])
    arguments = parser.parse_args()
    print(f"SQLite {sqlite3.sqlite_version}, PostgreSQL {Path(program('postgres')).parts[-3]}\n")
    heading = ["database", "waiting", "commits", "tickets a second", "median ms", "99 % ms", "processor ms"]
    rows: list[list[str]] = []
    shared = database.BATCH_WORKS
    with tempfile.TemporaryDirectory() as folder, PostgreSQL(durable=True) as postgresql:
        for clients in arguments.clients:
            for batch in (1, shared):
                path = Path(folder) / f"{clients}-{batch}.sqlite"
                rows.append(row("SQLite", path, clients, arguments.seconds, batch))
                rows.append(row("PostgreSQL", postgresql.new_database(), clients, arguments.seconds, batch))
    print(table(heading, rows))


if __name__ == "__main__":
    main()
