"""How many tickets an AC issues: from the bytes of a request to the committed answer, without the network.

    PYTHONPATH=src python bench/tickets.py [SECONDS]

With 1,000 policies, 10,000 grants by hand and 200 identities, on SQLite in a temporary folder. The first
column says how many wait at the same time; latency is from when a request is taken up to its answer; the last
column is what a ticket costs of a processor, all threads together, whatever else the machine does.
"""

from __future__ import annotations

import asyncio
import os
import platform
import statistics
import sys
import tempfile
import time
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "support"))

from ac_world import METER, ACWorld, request_for, scope

from twoway.ac import (
    Asking,
    AuditLog,
    Database,
    Picture,
    Refusal,
    TicketRecords,
    TokenService,
)
from twoway.policy import LinkedGrant
from twoway.tickets import Method

POLICIES, GRANTS, IDENTITIES = 1_000, 10_000, 200


def picture_of(world: ACWorld) -> Picture:
    """A registry, policies and grants of the size of a town."""
    for number in range(POLICIES - 3):
        who = f'Twoway::Subscriber::"urn:dev:org:32473-s{number}"'
        (world.policies / f"site-{number}.cedar").write_text(
            f'@id("site-{number}") permit (principal == {who}, action, resource) '
            f'when {{ resource.path == "/site/{number}" }};'
        )
    picture = world.picture()
    tenant = picture.directory.entities[world.tenant.uri]
    entities = dict(picture.directory.entities) | {
        f"urn:dev:org:32473-s{number}": replace(tenant, uri=f"urn:dev:org:32473-s{number}")
        for number in range(IDENTITIES)
    }
    names = [world.tenant.uri, *(f"urn:dev:org:32473-s{number}" for number in range(1, IDENTITIES))]
    grants = [
        LinkedGrant(
            grant_id=f"g{number}",
            principal=names[number % IDENTITIES],
            publisher=METER,
            path="/power",
            methods=frozenset({"GET"}),
            until=None,
        )
        for number in range(GRANTS)
    ]
    return replace(
        picture,
        directory=replace(picture.directory, entities=entities),
        policies=picture.policies.with_grants(grants),
    )


async def issue(service: TokenService, records: TicketRecords, payload: bytes, asking: Asking) -> float:
    """One request; returns its seconds."""
    begun = time.perf_counter()
    request = service.read_untrusted(payload, asking)
    assert not isinstance(request, Refusal)
    approval = service.decide(request, asking)
    assert not isinstance(approval, Refusal), approval
    grant = await records.issue(approval.issue, now=asking.now)
    assert grant.response.encode()
    return time.perf_counter() - begun


async def measure(picture: Picture, world: ACWorld, database: Database, clients: int, seconds: float) -> None:
    """Let so many clients ask one after the other for some seconds, and print a row."""
    service = TokenService(picture, entropy=os.urandom)
    records = TicketRecords(database, AuditLog(database))
    payload = request_for(world.tenant, scope=scope(("/power", Method.GET))).encode()
    identity = world.tenant.identity
    latencies: list[float] = []
    end = time.perf_counter() + seconds

    async def client() -> None:
        while time.perf_counter() < end:
            asking = Asking(identity, "192.0.2.7", datetime.now(UTC))
            latencies.append(await issue(service, records, payload, asking))

    begun, used = time.perf_counter(), time.process_time()
    await asyncio.gather(*(client() for _ in range(clients)))
    rate = len(latencies) / (time.perf_counter() - begun)
    middle, worst = statistics.median(latencies), statistics.quantiles(latencies, n=100)[98]
    cost = (time.process_time() - used) / len(latencies)
    times = f"{middle * 1e3:.2f} | {worst * 1e3:.2f} | {cost * 1e3:.2f}"
    print(f"| {clients} | {rate:,.0f} | {times} |", flush=True)


def main() -> None:
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 5.0
    print(f"Python {platform.python_version()}, {platform.machine()}, {os.cpu_count()} cores, SQLite")
    with tempfile.TemporaryDirectory() as folder:
        world = ACWorld.make(Path(folder) / "world")
        picture = picture_of(world)
        database = Database(Path(folder) / "ac.sqlite")
        print("\n| clients | tickets a second | median ms | p99 ms | CPU ms |\n|---|---|---|---|---|")
        try:
            for clients in (1, 8, 32):
                asyncio.run(measure(picture, world, database, clients, seconds))
        finally:
            database.close()


if __name__ == "__main__":
    main()
