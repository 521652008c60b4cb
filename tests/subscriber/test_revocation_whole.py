"""Revocation with everything real (RFC 9770): an AC, a publisher that follows it, an observing subscriber."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing
from dataclasses import dataclass
from pathlib import Path

import aiocoap
import pytest
from answers_only import AnswersOnly
from deployment import Deployment, until
from publisher_running import Client, client
from token_client import obtain

from twoway.ac import GrantBook, TicketRecord, load_config
from twoway.errors import NetworkError, RefusedError
from twoway.identity import identity_uri
from twoway.policy import LinkedGrant
from twoway.subscriber import ACReference, Handshake, Step, Subscriber, TicketObtained, TicketRevoked
from twoway.tickets import Confirmation, token_hash

METER = identity_uri("meter")
END_TIMEOUT = 2.0
"""Seconds from a revocation to the end of what it revokes."""
RARELY = 3600.0
"""A poll interval that no test lasts."""


@pytest.fixture
async def deployment(tmp_path: Path) -> AsyncIterator[Deployment]:
    async with Deployment(tmp_path) as deployment:
        yield deployment


async def revoke(deployment: Deployment, ticket: bytes) -> list[TicketRecord]:
    return await deployment.records(
        lambda records: records.revoke_by_hash(token_hash(ticket), reason="lost", now=deployment.now())
    )


async def obtain_for(deployment: Deployment, holder: Client, name: str, path: str = "/count") -> bytes:
    own = Confirmation.of_key(deployment.identity(name).identity.spki)
    granted = await obtain(deployment.token_uri, holder, METER, path, req_cnf=own)
    return granted.access_token


@dataclass(frozen=True)
class Bearer:
    """A holder of a ticket, as far as its publisher goes."""

    client: Client
    uri: str

    async def upload(self, ticket: bytes) -> aiocoap.Code:
        answer = await self.client.ask(
            aiocoap.POST, f"{self.uri}/authz-info", payload=ticket, content_format=61
        )
        return answer.code

    async def read(self) -> aiocoap.Code:
        return (await self.client.get(f"{self.uri}/count")).code

    async def last_notification(self, request: aiocoap.protocol.Request) -> aiocoap.Message:
        async for notification in request.observation:
            if not notification.code.is_successful():
                return notification
        raise AssertionError("the observation ended without a word")


class TestTheEnd:
    async def test_observation_and_association_end_within_two_seconds_and_for_good(
        self, deployment: Deployment
    ):
        """T7, T8."""
        await deployment.start_ac()
        uri = await deployment.start_publisher("meter", poll_interval=RARELY)
        async with client(deployment.identity("reader")) as asking:
            ticket = await obtain_for(deployment, asking, "reader")
        async with client(deployment.identity("reader")) as reading:
            bearer = Bearer(reading, uri)
            assert await bearer.upload(ticket) is aiocoap.CREATED
            request = reading.observe(f"{uri}/count")
            assert (await request.response).code is aiocoap.CONTENT
            connection = reading.connection
            assert len(await revoke(deployment, ticket)) == 1
            async with asyncio.timeout(END_TIMEOUT):
                last = await bearer.last_notification(request)
                closed = await connection.wait_closed()
            assert (last.code, last.opt.observe) == (aiocoap.UNAUTHORIZED, None)
            assert closed.alert.label == "close_notify"
            assert await bearer.upload(ticket) is aiocoap.UNAUTHORIZED
            assert await bearer.read() is aiocoap.UNAUTHORIZED
        # Nor does the publisher take it after it has forgotten everything but what the AC lists.
        await until(lambda: deployment.told("revoked tickets recorded") == [{"tickets": 1}])
        await deployment.stop("meter")
        (deployment.folder / "meter.revoked").unlink()
        uri = await deployment.start_publisher("meter", poll_interval=RARELY)
        await until(lambda: deployment.told("tickets revoked") == [{"tickets": 1}] * 2)
        async with client(deployment.identity("reader")) as again:
            assert await Bearer(again, uri).upload(ticket) is aiocoap.UNAUTHORIZED

    async def test_a_right_that_is_taken_back_ends_what_runs_on_it_and_the_reader_is_told(
        self, deployment: Deployment
    ):
        """By ``twoway ac revoke``: the subscriber asks the list, then the AC, which says no."""
        await deployment.start_ac()
        uri = await deployment.start_publisher("meter", poll_interval=RARELY)
        grant = LinkedGrant("guest", identity_uri("distant"), METER, "/count", frozenset({"GET"}), None)
        with GrantBook.open(load_config(deployment.ac_toml), operator="olga") as book:
            book.give(grant, now=deployment.now())
        steps: list[Step] = []
        reader = Subscriber(deployment.identity("distant"), ac=deployment.ac_reference, steps=steps.append)
        async with reader, asyncio.timeout(20):
            await until_granted(reader, f"{uri}/count")
            async with aclosing(reader.observe(f"{uri}/count")) as readings:
                await anext(readings)
                with GrantBook.open(load_config(deployment.ac_toml), operator="olga") as book:
                    (revoked,) = book.take_back("guest", now=deployment.now())
                with pytest.raises(RefusedError, match="the AC refuses a ticket"):
                    async for _ in readings:
                        pass
        assert revoked.requester == identity_uri("distant")
        assert deployment.told("rights ended")[-1]["observations"] == 1

    async def test_whoever_may_still_read_goes_on_with_another_ticket(self, deployment: Deployment):
        """The subscriber follows the list as well, and knows why it was cut off."""
        await deployment.start_ac()
        uri = await deployment.start_publisher("meter", poll_interval=RARELY)
        steps: list[Step] = []
        reader = Subscriber(
            deployment.identity("reader"),
            ac=deployment.ac_reference,
            steps=steps.append,
            revocation_interval=RARELY,
        )
        async with reader, aclosing(reader.observe(f"{uri}/count")) as readings, asyncio.timeout(20):
            await anext(readings)
            await deployment.records(
                lambda records: records.revoke_by_holder(
                    identity_uri("reader"), reason="lost", now=deployment.now()
                )
            )
            await until(lambda: TicketRevoked(METER) in steps)
            while len(of(steps, TicketObtained)) < 2:
                await anext(readings)
            await anext(readings)
        assert [step.renewal for step in of(steps, TicketObtained)] == [False, False]
        assert len([step for step in of(steps, Handshake) if str(step.peer) == METER]) == 2


class TestWhenTheACIsAway:
    async def test_running_tickets_go_on_and_new_ones_are_not_to_be_had(self, deployment: Deployment):
        await deployment.start_ac()
        uri = await deployment.start_publisher("meter", poll_interval=0.3)
        running = Subscriber(deployment.identity("reader"), ac=deployment.ac_reference)
        late = Subscriber(deployment.identity("sink"), ac=deployment.ac_reference)
        distant = Subscriber(deployment.identity("distant"), ac=deployment.ac_reference, answer_timeout=1.0)
        async with running, late, distant, asyncio.timeout(40):
            async with aclosing(running.observe(f"{uri}/count")) as readings:
                await anext(readings)
                await deployment.stop("ac")
                await until(lambda: deployment.told("revocation list question failed"))
                for _ in range(5):
                    await anext(readings)
                assert (await running.read(f"{uri}/count")).records
                with pytest.raises(NetworkError):
                    await distant.read(f"{uri}/count")
                assert (await late.read(f"{uri}/count")).records, "a default subscriber needs no ticket"
                await deployment.start_ac()
                with pytest.raises(RefusedError, match="the AC refuses a ticket"):
                    await distant.read(f"{uri}/count")
                await anext(readings)
        assert deployment.told("rights ended") == []

    async def test_what_is_revoked_meanwhile_is_learnt_when_it_is_back(self, deployment: Deployment):
        await deployment.start_ac()
        uri = await deployment.start_publisher("meter", poll_interval=0.3)
        async with client(deployment.identity("reader")) as asking:
            ticket = await obtain_for(deployment, asking, "reader")
        async with client(deployment.identity("reader")) as reading:
            bearer = Bearer(reading, uri)
            assert await bearer.upload(ticket) is aiocoap.CREATED
            assert await bearer.read() is aiocoap.CONTENT
            await deployment.stop("ac")
            await revoke(deployment, ticket)
            await until(lambda: deployment.told("revocation list question failed"))
            assert await bearer.read() is aiocoap.CONTENT
            await deployment.start_ac()
            assert (await reading.connection.wait_closed()).alert.label == "close_notify"
            assert await bearer.upload(ticket) is aiocoap.UNAUTHORIZED


class TestASuppressedNotification:
    async def test_asking_finds_what_was_held_back(self, deployment: Deployment):
        """Whoever is on the path between AC and publisher can drop, but neither read nor forge."""
        await deployment.start_ac()
        async with AnswersOnly.before(deployment.ports["ac"]) as path:
            token_uri = f"coaps://127.0.0.1:{path.port}/token"
            uri = await deployment.start_publisher("meter", token_uri=token_uri, poll_interval=3.0)
            steps: list[Step] = []
            reader = Subscriber(
                deployment.identity("reader"),
                ac=ACReference(token_uri, identity_uri("ac")),
                steps=steps.append,
            )
            async with reader, aclosing(reader.observe(f"{uri}/count")) as readings, asyncio.timeout(30):
                await anext(readings)
                path.is_closed, asked = True, path.asked
                await until(lambda: path.asked > asked)
                await asyncio.sleep(0.5)  # Between two questions, when nothing is taken for an answer.
                await deployment.records(
                    lambda records: records.revoke_by_holder(
                        identity_uri("reader"), reason="lost", now=deployment.now()
                    )
                )
                await until(lambda: path.lost > 0)
                assert deployment.told("tickets revoked") == []
                await until(lambda: deployment.told("rights ended"))
                path.is_closed = False
                await anext(readings)
        assert deployment.told("tickets revoked") == [{"tickets": 1}]


def of(steps: list[Step], kind: type[Step]) -> list[Step]:
    return [step for step in steps if isinstance(step, kind)]


async def until_granted(reader: Subscriber, uri: str) -> None:
    """Read as soon as the AC has heard of a new grant."""
    while True:
        try:
            await reader.read(uri)
        except RefusedError:
            await asyncio.sleep(0.1)
        else:
            return
