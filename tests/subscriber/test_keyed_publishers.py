"""Reading from publishers without a certificate, by the key of a ticket (RFC 9202 section 3.3)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing
from dataclasses import replace
from pathlib import Path

import pytest
from deployment import Deployment, until
from odd_parties import Gate, KeyedDoor, OddAC, keyed_publisher, odd_ac

from twoway.errors import PeerError, RefusedError, TwowayError
from twoway.identity import identity_uri
from twoway.subscriber import (
    ACReference,
    Handshake,
    KeyedPublisher,
    Request,
    Step,
    Subscriber,
    TicketObtained,
    TicketPresented,
)
from twoway.subscriber.narration import describe
from twoway.tickets import (
    CreationHints,
    ErrorCode,
    KeyName,
    KeyReference,
    SymmetricConfirmation,
    TokenError,
    token_hash,
)

HOST, OTHER = identity_uri("host"), identity_uri("other-host")
FIRST, SECOND = "\N{KEY} 1".encode(), "\N{KEY} 2".encode()


@pytest.fixture
def deployment(tmp_path: Path) -> Deployment:
    return Deployment(tmp_path)


@pytest.fixture
async def ac(deployment: Deployment) -> AsyncIterator[OddAC]:
    async with odd_ac(deployment) as running:
        running.answer = running.grant_key
        yield running


@pytest.fixture
def door(ac: OddAC) -> KeyedDoor:
    return KeyedDoor(ac, Gate(CreationHints()))


@pytest.fixture
async def uri(door: KeyedDoor) -> AsyncIterator[str]:
    async with keyed_publisher(door) as running:
        yield running


@pytest.fixture
def steps() -> list[Step]:
    return []


@pytest.fixture
def reference(ac: OddAC, uri: str) -> ACReference:
    return replace(ac.reference, keyed_publishers=(KeyedPublisher(HOST, uri),))


@pytest.fixture
async def reader(
    deployment: Deployment, reference: ACReference, steps: list[Step]
) -> AsyncIterator[Subscriber]:
    async with Subscriber(deployment.identity("reader"), ac=reference, steps=steps.append) as reader:
        yield reader


class TestEntering:
    async def test_the_ticket_itself_is_shown_in_the_handshake(
        self, reader: Subscriber, ac: OddAC, door: KeyedDoor, uri: str, steps: list[Step]
    ):
        reading = await reader.read(uri)
        assert set(door.shown) == {FIRST}, "byte for byte as the AC sent it"
        assert door.uploads == []
        assert reading.peer.uri == f"psk:{HOST}"
        (request,) = ac.requests
        assert (request.audience, request.req_cnf) == (HOST, None)
        kinds = [type(step).__name__ for step in steps]
        assert kinds == [
            *("Handshake", "Request", "Response", "TicketObtained"),
            *("Handshake", "Request", "Response"),
        ]

    async def test_a_publisher_that_takes_short_names_gets_the_ticket_before(
        self, deployment: Deployment, ac: OddAC, door: KeyedDoor, uri: str, steps: list[Step]
    ):
        publisher = KeyedPublisher(HOST, uri, door.upload_uri)
        reference = replace(ac.reference, keyed_publishers=(publisher,))
        async with Subscriber(deployment.identity("reader"), ac=reference, steps=steps.append) as reader:
            await reader.read(uri)
        assert door.uploads == [FIRST]
        assert set(door.shown) == {KeyName(ac.keys[FIRST].kid).encode()}
        assert len(door.shown[0]) == 17
        assert TicketPresented(HOST, True, "2.01 Created") in steps

    async def test_a_refused_upload_is_a_refusal(
        self, deployment: Deployment, ac: OddAC, door: KeyedDoor, uri: str
    ):
        door.gate.refused.add(FIRST)
        publisher = KeyedPublisher(HOST, uri, door.upload_uri)
        reference = replace(ac.reference, keyed_publishers=(publisher,))
        async with Subscriber(deployment.identity("reader"), ac=reference) as reader:
            with pytest.raises(RefusedError, match=r"answered 4\.01 Unauthorized to the ticket"):
                await reader.read(uri)
        assert door.shown == [], "there was no handshake"

    async def test_a_second_reading_needs_nothing_new(self, reader: Subscriber, uri: str, steps: list[Step]):
        await reader.read(uri)
        before = len(steps)
        await reader.read(uri)
        assert [type(step).__name__ for step in steps[before:]] == ["Request", "Response"]

    async def test_no_step_tells_the_ticket_or_the_key(
        self, reader: Subscriber, ac: OddAC, uri: str, steps: list[Step]
    ):
        """The name in the handshake is the ticket: it must not become the peer's name."""
        await reader.read(uri)
        told = "".join(describe(step) + repr(step) for step in steps)
        secret = ac.keys[FIRST].key
        assert secret is not None
        assert secret.hex() not in told
        assert repr(secret) not in told
        assert "%F0%9F%94%91" not in told

    async def test_another_publisher_than_the_configured_one_is_not_asked_for(
        self, reader: Subscriber, ac: OddAC, uri: str
    ):
        with pytest.raises(RefusedError, match=f"configured there is {HOST}, not {OTHER}"):
            await reader.read(uri, publisher=OTHER)
        assert ac.requests == []

    async def test_a_place_that_is_not_configured_is_met_with_a_certificate_alone(
        self, deployment: Deployment, ac: OddAC, door: KeyedDoor, uri: str
    ):
        """Else anybody on the path could have us do without one."""
        async with Subscriber(deployment.identity("reader"), ac=ac.reference) as reader:
            with pytest.raises(TwowayError):
                await reader.read(uri)
        assert door.shown == []
        assert ac.requests == []


class TestKeys:
    @pytest.mark.parametrize(
        ("cnf", "complaint"),
        [
            (None, "sends no key to meet"),
            (SymmetricConfirmation(b"nametag8"), "sends no key to meet"),
            (SymmetricConfirmation(b"name\x00tag", bytes(range(16))), "holds a zero byte"),
            (SymmetricConfirmation(b"nametag8", b"15 bytes of key"), "of no use"),
            (SymmetricConfirmation(b"nametag8", b"x" * 65), "of no use"),
        ],
    )
    async def test_a_key_that_is_none_is_not_used(
        self,
        reader: Subscriber,
        ac: OddAC,
        door: KeyedDoor,
        uri: str,
        cnf: SymmetricConfirmation | None,
        complaint: str,
    ):
        ac.answer = lambda request: replace(ac.grant_key(request), cnf=cnf)
        with pytest.raises(PeerError, match=complaint):
            await reader.read(uri)
        assert door.shown == []

    async def test_a_public_key_in_its_place_is_not_used(
        self, reader: Subscriber, deployment: Deployment, ac: OddAC, door: KeyedDoor, uri: str
    ):
        ac.answer = lambda request: replace(
            ac.grant(replace(request, audience=identity_uri("meter"))), access_token=FIRST
        )
        with pytest.raises(PeerError, match="sends no key to meet"):
            await reader.read(uri)
        assert door.shown == []

    async def test_one_key_for_two_publishers_is_refused(
        self, deployment: Deployment, ac: OddAC, door: KeyedDoor, uri: str
    ):
        """The first could pose as the second."""
        other = KeyedDoor(ac, Gate(CreationHints()))
        always = SymmetricConfirmation(b"nametag8", b"0123456789abcdef")

        def same_key(request):
            granted = replace(ac.grant_key(request), cnf=always)
            ac.keys[granted.access_token] = always
            return granted

        ac.answer = same_key
        async with keyed_publisher(other) as second:
            both = (KeyedPublisher(HOST, uri), KeyedPublisher(OTHER, second))
            reference = replace(ac.reference, keyed_publishers=both)
            async with Subscriber(deployment.identity("reader"), ac=reference) as reader:
                await reader.read(uri)
                with pytest.raises(PeerError, match="one key for two publishers"):
                    await reader.read(second)
        assert other.shown == []

    async def test_another_subscriber_of_the_publisher_cannot_pose_as_it(
        self, reader: Subscriber, ac: OddAC, door: KeyedDoor, uri: str
    ):
        """T22: it has a ticket and a key of its own there, and is shown ours."""
        door.stolen[FIRST] = b"the other's key."
        with pytest.raises(TwowayError):
            await reader.read(uri)
        assert door.gate.count.value == 0


class TestTime:
    async def test_a_key_is_used_only_as_long_as_its_ticket(
        self, reader: Subscriber, ac: OddAC, door: KeyedDoor, uri: str
    ):
        ac.lifetime = 1
        await reader.read(uri)
        await asyncio.sleep(1.1)
        await reader.read(uri)
        assert list(dict.fromkeys(door.shown)) == [FIRST, SECOND]

    async def test_a_renewal_names_the_key_and_interrupts_nothing(
        self, reader: Subscriber, ac: OddAC, door: KeyedDoor, uri: str, steps: list[Step]
    ):
        """RFC 9202 section 4."""
        ac.lifetime = 2
        async with aclosing(reader.observe(uri)) as readings, asyncio.timeout(20):
            await anext(readings)
            await until(lambda: len(door.gate.uploads) >= 2)
            door.gate.count.updated_state()
            await anext(readings)
        kid = ac.keys[FIRST].kid
        assert [request.req_cnf for request in ac.requests][:3] == [
            None,
            KeyReference(kid),
            KeyReference(kid),
        ]
        assert door.gate.uploads[:2] == [SECOND, "\N{KEY} 3".encode()]
        assert len([step for step in steps if isinstance(step, Handshake)]) == 2, "one with each"
        assert [step.renewal for step in steps if isinstance(step, TicketObtained)][:2] == [False, True]

    async def test_a_renewal_for_another_key_is_refused(
        self, reader: Subscriber, ac: OddAC, door: KeyedDoor, uri: str
    ):
        await reader.read(uri)
        ac.answer = lambda request: ac.grant_key(replace(request, req_cnf=None))
        with pytest.raises(PeerError, match="another key than that of the association"):
            await reader.read(uri.replace("/count", "/other"))
        assert door.gate.uploads == []

    async def test_where_rights_cannot_be_widened_there_is_a_new_key_and_a_new_handshake(
        self, reader: Subscriber, ac: OddAC, door: KeyedDoor, uri: str, steps: list[Step]
    ):
        await reader.read(uri)
        unknown = TokenError(ErrorCode.UNSUPPORTED_POP_KEY)
        ac.answer = lambda request: unknown if request.req_cnf is not None else ac.grant_key(request)
        with pytest.raises(PeerError, match=r"4\.04"):
            await reader.read(uri.replace("/count", "/other"))
        assert len(set(door.shown)) == 2


class TestRefusals:
    async def test_a_ticket_that_is_refused_later_is_asked_after_and_shown_again(
        self, reader: Subscriber, ac: OddAC, door: KeyedDoor, uri: str
    ):
        await reader.read(uri)
        door.gate.forgets = 1
        await reader.read(uri)
        assert ac.list_asked == 1
        assert set(door.shown) == {FIRST}
        assert len(ac.requests) == 1

    async def test_a_revoked_ticket_is_replaced(
        self, reader: Subscriber, ac: OddAC, door: KeyedDoor, uri: str
    ):
        await reader.read(uri)
        door.gate.forgets = 1
        ac.revoked.add(token_hash(FIRST))
        await reader.read(uri)
        assert list(dict.fromkeys(door.shown)) == [FIRST, SECOND]

    async def test_a_publisher_that_refuses_for_ever_is_not_asked_for_ever(
        self, reader: Subscriber, ac: OddAC, door: KeyedDoor, uri: str, steps: list[Step]
    ):
        await reader.read(uri)
        door.gate.forgets = 1000
        with pytest.raises(RefusedError, match=r"4\.01 Unauthorized; ask the operator"):
            await reader.read(uri)
        asked = [step.target for step in steps if isinstance(step, Request)]
        assert asked.count("/count") == 3

    async def test_a_publisher_that_no_longer_knows_the_ticket_gets_a_new_one(
        self, reader: Subscriber, ac: OddAC, door: KeyedDoor, uri: str
    ):
        await reader.read(uri)
        ac.keys.pop(FIRST)
        door.gate.forgets = 1
        await reader.read(uri)
        assert list(dict.fromkeys(door.shown)) == [FIRST, SECOND]
