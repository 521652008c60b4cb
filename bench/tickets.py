"""How many tickets an AC issues, and how long each takes, on SQLite.

    PYTHONPATH=src python bench/tickets.py [SECONDS]

With 1,000 policies, and 10,000 grants by hand: those of 200 identities at 50 publishers (``town.py``).
Identities take turns; each asks for one resource of one publisher, and no pair comes twice before all have.

The first table is without the network: from the bytes of a request to the committed answer. The second has an
AC in a process of its own, met with DTLS and CoAP over loopback; this process plays the clients. Columns: how
many wait at the same time; tickets a second; from asking to the answer, its median and 99th percentile; and
what a ticket costs the AC of a processor, all threads together, whatever else the machine does.
"""

from __future__ import annotations

import asyncio
import gc
import itertools
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "support"))

import aiocoap
from run import table
from running_ac import client_of, served_ac
from town import Town

from twoway.ac import Asking, AuditLog, Database, Refusal, TicketRecords, TokenService, load_config
from twoway.tickets import CONTENT_FORMAT_ACE

CLIENTS = (1, 8, 32)


async def measure(
    clients: int, seconds: float, ask: Callable[[int], Awaitable[None]], used: Callable[[], float]
) -> list[str]:
    """Let so many clients ask one after the other for some seconds, and return a row.

    Args:
        clients: how many.
        seconds: how long.
        ask: asks for a ticket, as the client of that number.
        used: the AC's seconds of a processor so far.
    """
    latencies: list[float] = []
    end = time.perf_counter() + seconds

    async def client(number: int) -> None:
        while (begun := time.perf_counter()) < end:
            await ask(number)
            latencies.append(time.perf_counter() - begun)

    begun, before = time.perf_counter(), used()
    await asyncio.gather(*(client(number) for number in range(clients)))
    rate = len(latencies) / (time.perf_counter() - begun)
    middle, worst = statistics.median(latencies), statistics.quantiles(latencies, n=100)[98]
    cost = (used() - before) / len(latencies)
    milliseconds = [f"{seconds * 1e3:.2f}" for seconds in (middle, worst, cost)]
    return [str(clients), f"{rate:,.0f}", *milliseconds]


async def without_network(town: Town, seconds: float) -> list[list[str]]:
    """From bytes to bytes, in this process."""
    database = Database(load_config(town.config).database)
    service = TokenService(town.picture(database), entropy=os.urandom)
    records = TicketRecords(database, AuditLog(database))
    gc.collect()
    gc.freeze()  # as a server does that is ready

    async def ask(_: int) -> None:
        turn = next(town.turns)
        asking = Asking(turn.identity, "192.0.2.7", datetime.now(UTC))
        request = service.read_untrusted(turn.payload, asking)
        assert not isinstance(request, Refusal)
        approval = service.decide(request, asking)
        assert not isinstance(approval, Refusal), approval
        grant = await records.issue(approval.issue, now=asking.now)
        assert grant.response.encode()

    try:
        return [await measure(clients, seconds, ask, time.process_time) for clients in CLIENTS]
    finally:
        database.close()


async def over_loopback(town: Town, seconds: float) -> list[list[str]]:
    """Everything that a subscriber meets, but for the handshake, which it has made before."""
    async with AsyncExitStack() as running:
        ac = await running.enter_async_context(served_ac(town.config))
        credentials = town.subscribers[: max(CLIENTS)]
        contexts = [await running.enter_async_context(client_of(credential)) for credential in credentials]
        payloads = [
            itertools.cycle([turn.payload for turn in town.requests if turn.number == number])
            for number in range(len(credentials))
        ]

        async def ask(number: int) -> None:
            message = aiocoap.Message(
                code=aiocoap.POST,
                uri=ac.token_uri,
                payload=next(payloads[number]),
                content_format=CONTENT_FORMAT_ACE,
            )
            answer = await contexts[number].request(message).response
            assert answer.code is aiocoap.CREATED, answer

        for number in range(max(CLIENTS)):
            await ask(number)
        return [await measure(clients, seconds, ask, lambda: _used_by(ac.process.pid)) for clients in CLIENTS]


def _used_by(process: int) -> float:
    """Return the seconds of a processor that a process has used, all its threads together."""
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def main() -> None:
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 5.0
    with tempfile.TemporaryDirectory() as folder:
        town = Town.make(Path(folder) / "town")
        for title, measured in (("without the network", without_network), ("over loopback", over_loopback)):
            print()
            heading = [f"waiting, {title}", "tickets a second", "median ms", "99 % ms", "processor ms"]
            print(table(heading, asyncio.run(measured(town, seconds))), flush=True)


if __name__ == "__main__":
    main()
