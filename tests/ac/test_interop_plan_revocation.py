"""Revocation (RFC 9770), as lines of an interop test plan: what an AC answers.

The plan of the ACE working group (test_interop_plan) is older than RFC 9770 and has no lines about it. These
are ours, in its manner: a test for each behaviour that another implementation would meet, numbered from 6.1,
with the section that asks for it. 6.1 to 6.17 are about the AC, which runs here and is asked over sockets;
those about the publisher are in its tests. Answers are read as the maps that they are, not by our codecs, and
hashes are made as section 4 describes it.

``tenant`` and ``rival`` hold tickets for the publisher ``meter``; ``sink`` is registered and holds none;
``unknown`` is listed as an administrator, and nowhere else.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Self

import aiocoap
import cbor2
import pytest
from ac_world import METER, ACWorld
from deployment import until
from publisher_running import Client, client
from running_ac import RunningAC, running_ac
from small_pki import BOTH, Credential
from token_client import obtain

from twoway.ac import AuditLog, Database, TicketRecords
from twoway.ac.revocation import MAX_DIFF_BATCH, MAX_N
from twoway.coap import TransportFailed
from twoway.tickets import Confirmation

FULL_SET, DIFF_SET, CURSOR, MORE = range(4)
"""Keys of an answer (section 12)."""
ACE_TRL_ERROR = 1
"""Key of what is wrong in an error (section 15.3): a map of error-id under 0, cursor under 1."""
INVALID_VALUE, INVALID_SET, OUT_OF_BOUND = range(3)
"""Error identifiers (section 13)."""
MANY = "[limits]\nburst_per_identity = 1000\nrate_per_identity = 1000.0"


def hash_of(token: bytes) -> bytes:
    """The token hash of section 4: SHA-256, number 1, over the base64url text without padding."""
    text = base64.urlsafe_b64encode(token).rstrip(b"=")
    return b"\x01" + hashlib.sha256(text).digest()


class Plan:
    """A running AC, and those who ask it for the list."""

    def __init__(self, world: ACWorld, ac: RunningAC, open_things: AsyncExitStack) -> None:
        self.world = world
        self.ac = ac
        self._open_things = open_things
        self._clients: dict[str, Client] = {}
        self._records: TicketRecords
        self._seen: list[aiocoap.Message] = []
        self._listeners: list[asyncio.Task[None]] = []

    async def start(self) -> Self:
        database = Database.existing(self.ac.database)
        self._open_things.callback(database.close)
        self._records = TicketRecords(database, AuditLog(database))
        self._seen = await self.observe(self.world.unknown)
        return self

    async def client_of(self, who: Credential) -> Client:
        if who.uri not in self._clients:
            self._clients[who.uri] = await self._open_things.enter_async_context(client(who))
        return self._clients[who.uri]

    async def obtain(self, holder: Credential) -> bytes:
        """A ticket for the meter."""
        own = Confirmation.of_key(holder.spki)
        granted = await obtain(self.ac.token_uri, await self.client_of(holder), METER, "/power", req_cnf=own)
        return granted.access_token

    async def revoke(self, *tokens: bytes) -> None:
        """Revoke one after the other beside the AC, as a command does, until the administrator sees it."""
        for token in tokens:
            await self._records.revoke_by_hash(hash_of(token), reason="lost", now=datetime.now(UTC))
        await until(lambda: {hash_of(token) for token in tokens} <= self._listed)

    async def let_expire(self, *tokens: bytes) -> None:
        """Let another replica see that the tickets have expired, long after."""
        await self._records.prune(datetime.now(UTC) + timedelta(days=1))
        await until(lambda: not {hash_of(token) for token in tokens} & self._listed)

    @property
    def _listed(self) -> set[bytes]:
        return set(cbor2.loads(self._seen[-1].payload)[FULL_SET])

    async def get(self, who: Credential, query: str = "", **options: object) -> aiocoap.Message:
        asking = await self.client_of(who)
        return await asking.get(f"{self.ac.uri}/revoke/trl{query}", **options)

    async def answer(self, who: Credential, query: str = "") -> dict[int, object]:
        return read(await self.get(who, query))

    async def error(self, who: Credential, query: str) -> dict[int, object]:
        """What is wrong with a query (section 6.1)."""
        answer = await self.get(who, query)
        assert (answer.code, answer.opt.content_format) == (aiocoap.BAD_REQUEST, 257)
        return cbor2.loads(answer.payload)[ACE_TRL_ERROR]

    async def observe(self, who: Credential, query: str = "") -> list[aiocoap.Message]:
        """Begin an observation; what it brings comes into the list."""
        asking = await self.client_of(who)
        request = asking.observe(f"{self.ac.uri}/revoke/trl{query}")
        told = [await request.response]

        async def listen() -> None:
            with suppress(aiocoap.error.Error):
                async for notification in request.observation:
                    told.append(notification)

        self._listeners.append(asyncio.create_task(listen()))
        return told

    async def stop(self) -> None:
        for listener in self._listeners:
            listener.cancel()
        await asyncio.wait(self._listeners)


def read(message: aiocoap.Message) -> dict[int, object]:
    assert (message.code, message.opt.content_format) == (aiocoap.CONTENT, 262)
    return cbor2.loads(message.payload)


@pytest.fixture
async def plan(tmp_path: Path) -> AsyncIterator[Plan]:
    world = ACWorld.make(tmp_path / "plan")
    async with AsyncExitStack() as open_things:
        top = f'administrators = ["{world.unknown.uri}"]'
        ac = await open_things.enter_async_context(running_ac(world, top=top, more=MANY))
        plan = Plan(world, ac, open_things)
        open_things.push_async_callback(plan.stop)
        yield await plan.start()


class TestWhoAsks:
    async def test_6_1_who_is_not_registered_gets_no_list(self, plan: Plan) -> None:
        """Section 6: neither at once nor by an observation; who is of another authority gets no answer."""
        world = plan.world
        stranger = world.pki.ca.mint("stranger", hosts=["127.0.0.1"], usages=BOTH)
        ticket = await plan.obtain(world.tenant)
        told = await plan.observe(stranger)
        await plan.revoke(ticket)
        for answer in (*told, await plan.get(stranger), await plan.get(stranger, "?diff=0")):
            assert (answer.code, answer.payload) == (aiocoap.FORBIDDEN, b"")
            assert answer.opt.observe is None
        assert len(told) == 1
        with pytest.raises(TransportFailed):
            await plan.get(world.pki.outsider)

    async def test_6_2_the_list_is_only_read(self, plan: Plan) -> None:
        """Section 6: GET is the only method, whoever asks (section 14.1)."""
        ticket = await plan.obtain(plan.world.tenant)
        for who in (plan.world.meter, plan.world.unknown):
            asking = await plan.client_of(who)
            for code in (aiocoap.POST, aiocoap.PUT, aiocoap.DELETE, aiocoap.FETCH, aiocoap.PATCH):
                payload = cbor2.dumps({FULL_SET: [hash_of(ticket)]})
                answer = await asking.ask(
                    code, f"{plan.ac.uri}/revoke/trl", payload=payload, content_format=262
                )
                assert answer.code is aiocoap.METHOD_NOT_ALLOWED
        assert (await plan.answer(plan.world.unknown))[FULL_SET] == []

    async def test_6_3_each_sees_what_pertains_to_it_and_administrators_all(self, plan: Plan) -> None:
        """Sections 7 and 14.1: of the full list and of its changes."""
        world = plan.world
        one, other = await plan.obtain(world.tenant), await plan.obtain(world.rival)
        await plan.revoke(one, other)
        both = [hash_of(one), hash_of(other)]
        for who, hashes in (
            (world.tenant, both[:1]),
            (world.rival, both[1:]),
            (world.meter, both),
            (world.unknown, both),
            (world.pki.sink, []),
        ):
            assert set((await plan.answer(who))[FULL_SET]) == set(hashes)
            entries = (await plan.answer(who, "?diff=0"))[DIFF_SET]
            assert entries == [[[], [token_hash]] for token_hash in reversed(hashes)]


class TestFullQuery:
    async def test_6_4_before_the_first_revocation_it_is_empty_without_a_cursor(self, plan: Plan) -> None:
        """Sections 5, 7 and 9.1."""
        answer = await plan.get(plan.world.meter)
        assert read(answer) == {FULL_SET: [], CURSOR: None}
        assert answer.payload == bytes.fromhex("a2008002f6")
        assert answer.opt.max_age == 0

    async def test_6_5_it_has_the_hashes_of_section_4_and_the_last_index(self, plan: Plan) -> None:
        """Sections 4, 7 and 9.1."""
        tickets = [await plan.obtain(plan.world.tenant) for _ in range(3)]
        await plan.revoke(*tickets)
        answer = await plan.answer(plan.world.meter)
        assert answer.keys() == {FULL_SET, CURSOR}
        assert sorted(answer[FULL_SET]) == sorted(map(hash_of, tickets))
        assert answer[CURSOR] == 2

    async def test_6_6_a_parameter_that_nobody_knows_is_ignored(self, plan: Plan) -> None:
        """Section 6.3."""
        await plan.revoke(await plan.obtain(plan.world.tenant))
        plain = await plan.answer(plan.world.meter)
        for query in ("?x=1", "?c.pmax=60", "?diffs=1&Cursor=x", "?diff2"):
            assert await plan.answer(plan.world.meter, query) == plain


class TestDiffQuery:
    async def test_6_7_without_changes_it_is_empty_whatever_the_cursor(self, plan: Plan) -> None:
        """Section 9.2.1."""
        for query in ("?diff=0", "?diff=3", "?diff=0&cursor=0", "?diff=1&cursor=99"):
            assert await plan.answer(plan.world.meter, query) == {DIFF_SET: [], CURSOR: None, MORE: False}

    async def test_6_8_what_came_and_went_stands_there_the_newest_first(self, plan: Plan) -> None:
        """Sections 6.2, 8 and 9.2.2: each change as what was removed and what was added."""
        first = await plan.obtain(plan.world.tenant)
        await plan.revoke(first)
        await plan.let_expire(first)
        second = await plan.obtain(plan.world.tenant)
        await plan.revoke(second)
        changes = [[[], [hash_of(second)]], [[hash_of(first)], []], [[], [hash_of(first)]]]
        for number in ("0", "3", "4", "64", "9" * 40):  # as many as there are
            answer = await plan.answer(plan.world.meter, f"?diff={number}")
            assert answer == {DIFF_SET: changes, CURSOR: 2, MORE: False}
        assert await plan.answer(plan.world.meter, "?diff=2") == {
            DIFF_SET: changes[:2],
            CURSOR: 2,
            MORE: False,
        }

    async def test_6_9_a_cursor_goes_on_from_where_it_stands(self, plan: Plan) -> None:
        """Section 9.2.3, case B."""
        tickets = [await plan.obtain(plan.world.tenant) for _ in range(4)]
        await plan.revoke(*tickets[:2])
        cursor = (await plan.answer(plan.world.meter))[CURSOR]
        nothing = {DIFF_SET: [], CURSOR: 1, MORE: False}
        assert await plan.answer(plan.world.meter, f"?diff=0&cursor={cursor}") == nothing
        await plan.revoke(*tickets[2:])
        news = [[[], [hash_of(tickets[3])]], [[], [hash_of(tickets[2])]]]
        answer = await plan.answer(plan.world.meter, f"?diff=0&cursor={cursor}")
        assert answer == {DIFF_SET: news, CURSOR: 3, MORE: False}

    async def test_6_10_a_long_history_comes_in_batches_that_the_cursor_connects(self, plan: Plan) -> None:
        """Sections 6.2.1, 9.2.2 and 9.2.3: the eldest first, and whether there is more."""
        tickets = [await plan.obtain(plan.world.tenant) for _ in range(2 * MAX_DIFF_BATCH + 1)]
        await plan.revoke(*tickets)
        found, query = list[bytes](), "?diff=0"
        for batch in (MAX_DIFF_BATCH, MAX_DIFF_BATCH, 1):
            answer = await plan.answer(plan.world.meter, query)
            entries = [added for removed, (added,) in reversed(answer[DIFF_SET])]
            assert (len(entries), answer[MORE]) == (batch, batch > 1)
            found += entries
            assert answer[CURSOR] == len(found) - 1
            query = f"?diff=0&cursor={answer[CURSOR]}"
        assert found == list(map(hash_of, tickets))

    async def test_6_11_who_was_away_for_too_long_is_sent_to_the_whole_list(self, plan: Plan) -> None:
        """Sections 6.2 and 9.2.3, case A: no entry, no cursor, and yet more."""
        tickets = [await plan.obtain(plan.world.tenant) for _ in range(MAX_N + 2)]
        await plan.revoke(*tickets)
        lost = await plan.answer(plan.world.meter, "?diff=0&cursor=0")
        assert lost == {DIFF_SET: [], CURSOR: None, MORE: True}
        assert (await plan.answer(plan.world.meter, "?diff=0&cursor=1"))[DIFF_SET], "the next one is known"
        whole = await plan.answer(plan.world.meter)
        assert set(whole[FULL_SET]) == set(map(hash_of, tickets))
        again = await plan.answer(plan.world.meter, f"?diff=0&cursor={whole[CURSOR]}")
        assert again == {DIFF_SET: [], CURSOR: MAX_N + 1, MORE: False}


class TestWrongQueries:
    """Section 6.3; each before the first change and after it."""

    @pytest.fixture(params=["empty", "one change"])
    async def last_index(self, plan: Plan, request: pytest.FixtureRequest) -> int | None:
        if request.param == "empty":
            return None
        await plan.revoke(await plan.obtain(plan.world.tenant))
        return 0

    async def test_6_12_a_diff_that_is_no_number_from_0(self, plan: Plan, last_index: int | None) -> None:
        """An invalid value, without a cursor, whatever cursor comes with it."""
        for value in ("-1", "x", "", "1.5", "%31%20"):
            for cursor in ("", "&cursor=0", "&cursor=x"):
                assert await plan.error(plan.world.meter, f"?diff={value}{cursor}") == {0: INVALID_VALUE}
        logged = [event.data for event in plan.ac.events if event.name == "query for revoked tickets refused"]
        assert {each["requester"] for each in logged} == {METER}, "section 6.1: it is logged"
        assert all("diff" in str(each["reason"]) for each in logged)

    async def test_6_13_a_cursor_without_diff(self, plan: Plan, last_index: int | None) -> None:
        """An invalid set of parameters, without a cursor, whatever the value."""
        for value in ("0", "7", "-1", "x"):
            assert await plan.error(plan.world.meter, f"?cursor={value}") == {0: INVALID_SET}

    async def test_6_14_a_cursor_that_cannot_be(self, plan: Plan, last_index: int | None) -> None:
        """An invalid value, with the cursor that the requester should have; null before the first change."""
        for value in ("-1", "x", "", str(2**64), "9" * 40):
            error = await plan.error(plan.world.meter, f"?diff=0&cursor={value}")
            assert error == {0: INVALID_VALUE, 1: last_index}

    async def test_6_15_a_cursor_beyond_the_last_change(self, plan: Plan, last_index: int | None) -> None:
        """Out of bound, where there is a change; and each requester's cursor is its own."""
        if last_index is not None:
            assert await plan.error(plan.world.meter, "?diff=0&cursor=1") == {0: OUT_OF_BOUND}
        empty = {DIFF_SET: [], CURSOR: None, MORE: False}
        assert await plan.answer(plan.world.rival, "?diff=0&cursor=1") == empty


class TestObservation:
    async def test_6_16_those_whom_a_change_concerns_are_notified(self, plan: Plan) -> None:
        """Sections 5.1 and 11: of a revocation and of an expiry, each in the form that was asked for."""
        world = plan.world
        one, other = await plan.obtain(world.tenant), await plan.obtain(world.rival)
        full, changes = await plan.observe(world.meter), await plan.observe(world.meter, "?diff=1")
        tenant, sink = await plan.observe(world.tenant), await plan.observe(world.pki.sink)
        await plan.revoke(one)
        await until(lambda: {len(full), len(changes), len(tenant)} == {2})
        assert [read(answer) for answer in full] == [
            {FULL_SET: [], CURSOR: None},
            {FULL_SET: [hash_of(one)], CURSOR: 0},
        ]
        assert read(changes[1]) == {DIFF_SET: [[[], [hash_of(one)]]], CURSOR: 0, MORE: False}
        await plan.revoke(other)
        await plan.let_expire(one, other)
        await until(lambda: [read(told[-1])[CURSOR] for told in (full, changes, tenant)] == [3, 3, 1])
        assert read(full[-1]) == {FULL_SET: [], CURSOR: 3}, "two came, two went"
        assert [read(answer)[CURSOR] for answer in tenant] == [None, 0, 1]
        assert len(sink) == 1
        assert all(answer.opt.observe is not None for answer in (*full, *changes, *tenant))

    async def test_6_17_a_ticket_is_revoked_once(self, plan: Plan) -> None:
        """Section 5: the list is a set, so a second revocation is no change and nobody is notified."""
        one, other = await plan.obtain(plan.world.tenant), await plan.obtain(plan.world.tenant)
        told = await plan.observe(plan.world.meter)
        await plan.revoke(one)
        await until(lambda: len(told) == 2)
        before = await plan.answer(plan.world.meter)
        await plan.revoke(one, one)
        assert await plan.answer(plan.world.meter) == before
        await plan.revoke(other)
        await until(lambda: read(told[-1])[CURSOR] == 1)
        assert [read(answer)[CURSOR] for answer in told] == [None, 0, 1]
        assert (await plan.answer(plan.world.meter, "?diff=0"))[DIFF_SET] == [
            [[], [hash_of(other)]],
            [[], [hash_of(one)]],
        ]
