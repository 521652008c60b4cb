"""What a subscriber does about its own tickets once they are revoked, or might be (RFC 9770)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing
from pathlib import Path

import aiocoap
import pytest
from deployment import Deployment, until
from odd_parties import Gate, OddAC, odd_ac, odd_publisher

from twoway.errors import PeerError, RefusedError
from twoway.identity import identity_uri
from twoway.subscriber import ACReference, Step, Subscriber, TicketRevoked
from twoway.subscriber.grant import revoked_untrusted
from twoway.tickets import CONTENT_FORMAT_TRL, CreationHints, FullSet, token_hash

METER = identity_uri("meter")
FIRST, SECOND = b"ticket 1", b"ticket 2"


def task_name(task: asyncio.Task[object]) -> str:
    """Which coroutine it runs."""
    return task.get_coro().__qualname__


@pytest.fixture
async def deployment(tmp_path: Path) -> Deployment:
    return Deployment(tmp_path)


@pytest.fixture
async def ac(deployment: Deployment) -> AsyncIterator[OddAC]:
    async with odd_ac(deployment) as running:
        yield running


@pytest.fixture
def gate(ac: OddAC) -> Gate:
    return Gate(CreationHints(as_uri=ac.reference.uri, audience=METER))


@pytest.fixture
async def uri(deployment: Deployment, gate: Gate) -> AsyncIterator[str]:
    async with odd_publisher(deployment, gate) as running:
        yield running


@pytest.fixture
def steps() -> list[Step]:
    return []


@pytest.fixture
async def reader(deployment: Deployment, ac: OddAC, steps: list[Step]) -> AsyncIterator[Subscriber]:
    async with Subscriber(deployment.identity("reader"), ac=ac.reference, steps=steps.append) as reader:
        yield reader


class TestARefusalAlthoughTheTicketShouldBeGood:
    """RFC 9770 section 14.4: the list is asked before the AC is asked for another ticket."""

    async def test_a_ticket_that_is_not_revoked_is_shown_again(
        self, reader: Subscriber, ac: OddAC, gate: Gate, uri: str
    ):
        await reader.read(uri)
        assert ac.list_asked == 0
        gate.forgets = 1
        await reader.read(uri)
        assert ac.list_asked == 1
        assert gate.uploads == [FIRST, FIRST]
        assert len(ac.requests) == 1

    async def test_a_revoked_ticket_is_given_up_and_another_asked_for(
        self, reader: Subscriber, ac: OddAC, gate: Gate, uri: str, steps: list[Step]
    ):
        await reader.read(uri)
        gate.forgets = 1
        ac.revoked.add(token_hash(FIRST))
        await reader.read(uri)
        assert gate.uploads == [FIRST, SECOND]
        assert [step for step in steps if isinstance(step, TicketRevoked)] == [TicketRevoked(METER)]

    async def test_the_tickets_of_others_in_the_list_change_nothing(
        self, reader: Subscriber, ac: OddAC, gate: Gate, uri: str
    ):
        await reader.read(uri)
        gate.forgets = 1
        ac.revoked.add(token_hash(SECOND))
        await reader.read(uri)
        assert gate.uploads == [FIRST, FIRST]

    @pytest.mark.parametrize(
        "answer",
        [
            aiocoap.Message(code=aiocoap.NOT_FOUND),
            aiocoap.Message(payload=b"\xff", content_format=CONTENT_FORMAT_TRL),
            aiocoap.Message(payload=b"gone", content_format=0),
        ],
    )
    async def test_an_ac_that_cannot_say_leaves_it_to_the_publisher(
        self, reader: Subscriber, ac: OddAC, gate: Gate, uri: str, answer: aiocoap.Message
    ):
        await reader.read(uri)
        gate.forgets = 1
        ac.list_error = answer
        await reader.read(uri)
        assert gate.uploads == [FIRST, FIRST]

    async def test_a_ticket_that_is_refused_when_shown_again_is_replaced(
        self, reader: Subscriber, ac: OddAC, gate: Gate, uri: str
    ):
        await reader.read(uri)
        gate.forgets = 1
        gate.refused.add(FIRST)
        await reader.read(uri)
        assert gate.uploads == [FIRST, FIRST, SECOND]

    async def test_a_publisher_that_refuses_for_ever_is_not_asked_for_ever(
        self, reader: Subscriber, ac: OddAC, gate: Gate, uri: str
    ):
        await reader.read(uri)
        gate.forgets = 1000
        with pytest.raises(RefusedError, match=r"4\.01 Unauthorized; ask the operator"):
            await reader.read(uri)
        assert len(gate.uploads) == 2
        assert len(ac.requests) == 1


class TestFollowing:
    @pytest.fixture
    def interval(self) -> float:
        return 0.5

    @pytest.fixture
    async def reader(
        self, deployment: Deployment, ac: OddAC, steps: list[Step], interval: float
    ) -> AsyncIterator[Subscriber]:
        async with Subscriber(
            deployment.identity("reader"), ac=ac.reference, steps=steps.append, revocation_interval=interval
        ) as reader:
            yield reader

    @pytest.mark.parametrize(("is_observable", "interval"), [(True, 3600.0), (False, 0.5)])
    async def test_a_ticket_is_given_up_while_it_is_in_use(
        self, reader: Subscriber, ac: OddAC, gate: Gate, uri: str, steps: list[Step], is_observable: bool
    ):
        """By a notification; and where somebody suppresses those, by asking again and again."""
        ac.is_observable = is_observable
        async with aclosing(reader.observe(uri)) as readings, asyncio.timeout(20):
            await anext(readings)
            await until(lambda: ac.list_asked >= 2)
            gate.is_open = False
            ac.revoked.add(token_hash(FIRST))
            ac.say()
            await anext(readings)
        assert TicketRevoked(METER) in steps
        assert gate.uploads == [FIRST, SECOND]

    async def test_nobody_asks_when_nothing_is_observed_any_more(
        self, reader: Subscriber, ac: OddAC, uri: str
    ):
        async with aclosing(reader.observe(uri)) as one:
            await anext(one)
            async with aclosing(reader.observe(uri)) as another:
                await anext(another)
            await until(lambda: ac.list_asked >= 4)
        await until(lambda: not any("RevocationWatch" in task_name(task) for task in asyncio.all_tasks()))

    async def test_an_ac_that_is_away_does_not_disturb_what_runs(
        self, reader: Subscriber, ac: OddAC, gate: Gate, uri: str
    ):
        ac.list_error = aiocoap.Message(code=aiocoap.SERVICE_UNAVAILABLE)
        async with aclosing(reader.observe(uri)) as readings, asyncio.timeout(20):
            await anext(readings)
            await until(lambda: ac.list_asked >= 4)
            gate.count.updated_state()
            await anext(readings)
        assert gate.uploads == [FIRST]


def test_the_list_is_read_or_refused_with_the_one_error():
    ac = ACReference("coaps://127.0.0.1:5684/token?x", identity_uri("ac"))
    listed = frozenset({token_hash(FIRST)})
    read = revoked_untrusted(FullSet(listed).encode(), CONTENT_FORMAT_TRL, "2.05 Content", ac=ac)
    assert read == listed
    for payload, content_format in [(FullSet(listed).encode(), None), (b"", CONTENT_FORMAT_TRL)]:
        with pytest.raises(PeerError):
            revoked_untrusted(payload, content_format, "2.05 Content", ac=ac)
    assert ac.trl_uri == "coaps://127.0.0.1:5684/revoke/trl"
