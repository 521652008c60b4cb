"""``twoway ac serve`` as processes that are killed: replicas on one database, and one that starts anew."""

from __future__ import annotations

import asyncio
import statistics
import time
from datetime import UTC, datetime
from pathlib import Path

import aiocoap
import cbor2
import pytest
from ac_world import ACWorld, request_for, scope
from postgres import PostgreSQL
from running_ac import TIMEOUT, RunningAC, ask, client_of, served_ac, write_config
from sqlalchemy import URL

from twoway.ac import AuditLog, Database, TicketRecords
from twoway.ac.audit import verify_audit
from twoway.ac.storage import DatabaseAddress
from twoway.tickets import (
    CONTENT_FORMAT_ACE,
    FullSet,
    IntrospectionRequest,
    Method,
    TokenResponse,
    parse_trl_untrusted,
    token_hash,
)

POWER = scope(("/power", Method.GET))


@pytest.fixture
def world(tmp_path: Path) -> ACWorld:
    return ACWorld.make(tmp_path / "world")


def config_of(world: ACWorld, name: str, address: DatabaseAddress) -> Path:
    """The configuration of one replica on the database ``address``."""
    text = address.render_as_string(hide_password=False) if isinstance(address, URL) else str(address)
    more = "[limits]\nburst_per_identity = 1000"
    written = write_config(world, top=f'control = "{name}.sock"', more=more)
    path = written.with_name(f"{name}.toml")
    path.write_text(written.read_text().replace('"ac.sqlite"', f'"{text}"'))
    return path


async def post(ac: RunningAC, client: aiocoap.Context, path: str, payload: bytes) -> bytes:
    message = aiocoap.Message(
        code=aiocoap.POST, uri=f"{ac.uri}/{path}", payload=payload, content_format=CONTENT_FORMAT_ACE
    )
    answer = await ask(client, message)
    assert answer.code == aiocoap.CREATED, answer
    return answer.payload


async def obtain(ac: RunningAC, client: aiocoap.Context, world: ACWorld) -> bytes:
    """A ticket of the tenant for the meter."""
    payload = await post(ac, client, "token", request_for(world.tenant, scope=POWER).encode())
    return TokenResponse.parse_untrusted(payload).access_token


async def is_active(ac: RunningAC, meter: aiocoap.Context, ticket: bytes) -> bool:
    answer = await post(ac, meter, "introspect", IntrospectionRequest(ticket).encode())
    return cbor2.loads(answer).get(10) is not False


async def listed(ac: RunningAC, meter: aiocoap.Context, query: str = "") -> object:
    """What the list of revoked tickets answers."""
    answer = await ask(meter, aiocoap.Message(code=aiocoap.GET, uri=f"{ac.uri}/revoke/trl{query}"))
    assert answer.code == aiocoap.CONTENT, answer
    return parse_trl_untrusted(answer.payload)


class Operator:
    """Revokes beside the ACs, as a command does, and knows what was acknowledged."""

    def __init__(self, database: Database) -> None:
        self._records = TicketRecords(database, AuditLog(database))
        self.acknowledged: list[bytes] = []

    async def revoke(self, *tickets: bytes) -> None:
        for ticket in tickets:
            name = token_hash(ticket)
            revoked = await self._records.revoke_by_hash(name, reason="lost", now=datetime.now(UTC))
            assert [record.token_hash for record in revoked] == [name]
            self.acknowledged.append(name)


async def until_listed(ac: RunningAC, meter: aiocoap.Context, name: bytes) -> float:
    """Ask until a ticket is on the list; return the seconds that it took."""
    begun = time.monotonic()
    async with asyncio.timeout(TIMEOUT):
        while name not in (await listed(ac, meter)).hashes:
            await asyncio.sleep(0.02)
    return time.monotonic() - begun


async def test_of_two_replicas_one_is_killed_and_its_tickets_are_revoked_at_the_other(
    world: ACWorld, postgresql: PostgreSQL
) -> None:
    address = postgresql.new_database()
    paths = config_of(world, "one", address), config_of(world, "other", address)
    async with (
        served_ac(paths[0]) as one,
        served_ac(paths[1]) as other,
        client_of(world.tenant) as tenant,
        client_of(world.meter) as meter,
    ):
        both = await asyncio.gather(*(obtain(ac, tenant, world) for ac in (one, other) * 5))
        await one.kill()
        both += [await obtain(other, tenant, world) for _ in range(3)]
        numbers = [world.verify(ticket, now=datetime.now(UTC)).ticket_id for ticket in both]
        assert len(set(numbers)) == len(both) == 13
        of_the_killed = both[0:6:2]
        assert [await is_active(other, meter, ticket) for ticket in of_the_killed] == [True] * 3
        database = Database.existing(address)
        try:
            operator = Operator(database)
            delays = []
            for ticket in of_the_killed:
                await operator.revoke(ticket)
                delays.append(await until_listed(other, meter, token_hash(ticket)))
            # The middle one of three: a machine under load may hold up one of them.
            assert statistics.median(delays) < 1
            assert [await is_active(other, meter, ticket) for ticket in of_the_killed] == [False] * 3
            assert (await listed(other, meter)).hashes == set(operator.acknowledged)
            database.read(verify_audit)
        finally:
            database.close()


async def test_revocations_go_on_while_an_ac_is_killed_and_all_are_listed_when_it_is_back(
    world: ACWorld, address: DatabaseAddress
) -> None:
    path = config_of(world, "ac", address)
    async with client_of(world.tenant) as tenant, client_of(world.meter) as meter:
        async with served_ac(path) as ac:
            tickets = [await obtain(ac, tenant, world) for _ in range(10)]
            database = Database.existing(address)
            try:
                operator = Operator(database)
                await operator.revoke(tickets[0])
                await until_listed(ac, meter, token_hash(tickets[0]))
                before = await listed(ac, meter)
                await operator.revoke(*tickets[1:3])
                going_on = asyncio.create_task(operator.revoke(*tickets[3:8]))
                asking = asyncio.create_task(obtain(ac, tenant, world))
                await ac.kill()
                await going_on
                asking.cancel()
                await asyncio.wait({asking})
            finally:
                database.close()
        async with served_ac(path) as again:
            assert (await listed(again, meter)) == FullSet(frozenset(operator.acknowledged), cursor=7)
            assert len(operator.acknowledged) == 8
            missed = await listed(again, meter, f"?diff=0&cursor={before.cursor}")
            assert set().union(*(entry.added for entry in missed.entries)) == set(operator.acknowledged[1:])
            active = [await is_active(again, meter, ticket) for ticket in tickets]
            assert active == [False] * 8 + [True] * 2
