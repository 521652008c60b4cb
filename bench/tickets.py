"""How many tickets an AC issues: from the bytes of a request to the committed answer, without the network.

    PYTHONPATH=src python bench/tickets.py [SECONDS]

With 1,000 policies and 10,000 grants by hand, as many as 200 identities at 50 publishers come to, on SQLite
in a temporary folder. Identities take turns; each asks for one resource of one publisher. The first column
says how many wait at the same time; latency is from when a request is taken up to its answer; the last column
is what a ticket costs of a processor, all threads together, whatever else the machine does.
"""

from __future__ import annotations

import asyncio
import itertools
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

from ac_world import METER, ACWorld, scope
from small_pki import CLIENT_AUTH, Credential

from twoway.ac import (
    Asking,
    AuditLog,
    Database,
    Picture,
    Refusal,
    TicketRecords,
    TokenService,
)
from twoway.identity import Identity
from twoway.policy import LinkedGrant
from twoway.tickets import Confirmation, Method, TokenRequest

POLICIES, SUBSCRIBERS, PUBLISHERS = 1_000, 200, 50
"""Each subscriber has a policy or some, and a grant at each publisher."""


class Town:
    """A registry, policies and grants of the size of a town, and whoever asks next."""

    def __init__(self, world: ACWorld) -> None:
        self.subscribers = [
            world.pki.ca.mint(f"s{number}", usages=(CLIENT_AUTH,)) for number in range(SUBSCRIBERS)
        ]
        self.publishers = [f"urn:dev:org:32473-p{number}" for number in range(PUBLISHERS)]
        for number in range(POLICIES - 3):
            who = f'Twoway::Subscriber::"{self.subscribers[number % SUBSCRIBERS].uri}"'
            (world.policies / f"site-{number}.cedar").write_text(
                f'@id("site-{number}") permit (principal == {who}, action, resource) '
                f'when {{ resource.path == "/site/{number}" }};'
            )
        self.picture = self._picture(world)
        pairs = itertools.product(self.publishers, self.subscribers)
        self._turns = itertools.cycle([self._request(*pair) for pair in pairs])

    def next(self) -> tuple[Identity, bytes]:
        """Return who asks next, and the payload: of ten thousand pairs none comes twice before all have."""
        return next(self._turns)

    def _request(self, publisher: str, subscriber: Credential) -> tuple[Identity, bytes]:
        request = TokenRequest(
            audience=publisher,
            scope=scope(("/power", Method.GET)),
            req_cnf=Confirmation.of_key(subscriber.spki),
        )
        return subscriber.identity, request.encode()

    def _picture(self, world: ACWorld) -> Picture:
        picture = world.picture()
        known = picture.directory.entities
        entities = dict(known)
        for subscriber in self.subscribers:
            entities[subscriber.uri] = replace(
                known[world.tenant.uri], uri=subscriber.uri, spki=subscriber.spki
            )
        for publisher in self.publishers:
            entities[publisher] = replace(known[METER], uri=publisher)
        grants = [
            LinkedGrant(
                grant_id=f"g{number}",
                principal=subscriber.uri,
                publisher=publisher,
                path="/power",
                methods=frozenset({"GET"}),
                until=None,
            )
            for number, (publisher, subscriber) in enumerate(
                itertools.product(self.publishers, self.subscribers)
            )
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


async def measure(town: Town, database: Database, clients: int, seconds: float) -> None:
    """Let so many clients ask one after the other for some seconds, and print a row."""
    service = TokenService(town.picture, entropy=os.urandom)
    records = TicketRecords(database, AuditLog(database))
    latencies: list[float] = []
    end = time.perf_counter() + seconds

    async def client() -> None:
        while time.perf_counter() < end:
            identity, payload = town.next()
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
        town = Town(world)
        database = Database(Path(folder) / "ac.sqlite")
        print("\n| clients | tickets a second | median ms | p99 ms | CPU ms |\n|---|---|---|---|---|")
        try:
            for clients in (1, 8, 32):
                asyncio.run(measure(town, database, clients, seconds))
        finally:
            database.close()


if __name__ == "__main__":
    main()
