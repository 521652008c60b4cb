"""ACs with a good certificate and odd answers, and hints that want more than is good, over real sockets."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from deployment import Deployment
from odd_parties import Gate, OddAC, odd_ac, odd_publisher

from twoway.clock import SystemClock
from twoway.errors import PeerError, RefusedError
from twoway.identity import identity_uri
from twoway.subscriber import Handshake, Request, Step, Subscriber
from twoway.tickets import CreationHints, Method, Scope, TokenRequest, TokenResponse

METER, WATER = identity_uri("meter"), identity_uri("water")


@pytest.fixture
def deployment(tmp_path: Path) -> Deployment:
    return Deployment(tmp_path)


@pytest.fixture
async def ac(deployment: Deployment) -> AsyncIterator[OddAC]:
    async with odd_ac(deployment) as running:
        yield running


def gate(ac: OddAC, audience: str = METER) -> Gate:
    return Gate(CreationHints(as_uri=ac.reference.uri, audience=audience))


class MovedClock(SystemClock):
    """A clock whose wall clock somebody sets."""

    moved = timedelta(0)

    def now(self) -> datetime:
        return super().now() + self.moved


class TestHints:
    """T11: a hint is from anybody who has a certificate of our authority."""

    async def test_a_hint_at_more_than_is_read_does_not_get_more_asked_for(
        self, deployment: Deployment, ac: OddAC
    ):
        wide = Scope((("/count", Method.GET), ("/count", Method.PUT), ("/doors", Method.POST)))
        greedy = gate(ac)
        greedy.hints = replace(greedy.hints, scope=wide.encode())
        async with odd_publisher(deployment, greedy) as uri:
            async with Subscriber(deployment.identity("reader"), ac=ac.reference) as reader:
                await reader.read(uri)
        (request,) = ac.requests
        assert request.requested_scope() == Scope((("/count", Method.GET),))

    async def test_a_hint_at_the_audience_of_another_publisher_gets_no_ticket_asked_for(
        self, deployment: Deployment, ac: OddAC
    ):
        async with odd_publisher(deployment, gate(ac, audience=WATER)) as uri:
            async with Subscriber(deployment.identity("reader"), ac=ac.reference) as reader:
                with pytest.raises(RefusedError, match="a ticket for somebody else"):
                    await reader.read(uri)
        assert ac.requests == []

    async def test_a_nonce_in_a_hint_is_copied_into_the_request(self, deployment: Deployment, ac: OddAC):
        clockless = gate(ac)
        clockless.hints = replace(clockless.hints, cnonce=b"as fresh as can be")
        async with odd_publisher(deployment, clockless) as uri:
            async with Subscriber(deployment.identity("reader"), ac=ac.reference) as reader:
                await reader.read(uri)
        (request,) = ac.requests
        assert request.cnonce == b"as fresh as can be"


class TestAnswers:
    async def test_answers_that_are_swapped_between_two_requests_are_both_refused(
        self, deployment: Deployment, ac: OddAC
    ):
        """T27: each ticket comes with the other publisher's key, so neither is shown to anybody."""
        other = {METER: WATER, WATER: METER}
        ac.answer = lambda request: ac.grant(replace(request, audience=other[request.audience or ""]))
        ac.gather = 2
        meter, water = gate(ac), gate(ac, audience=WATER)
        async with odd_publisher(deployment, meter) as one, odd_publisher(deployment, water, "water") as two:
            async with Subscriber(deployment.identity("reader"), ac=ac.reference) as reader:
                failures = await asyncio.gather(reader.read(one), reader.read(two), return_exceptions=True)
        assert [type(failure) for failure in failures] == [PeerError, PeerError]
        assert meter.uploads == water.uploads == []

    async def test_requests_at_once_get_their_own_answers_each(self, deployment: Deployment, ac: OddAC):
        """T27, with an AC that answers when both have asked."""
        ac.gather = 2
        ac.answer = lambda request: replace(ac.grant(request), access_token=(request.audience or "").encode())
        meter, water = gate(ac), gate(ac, audience=WATER)
        async with odd_publisher(deployment, meter) as one, odd_publisher(deployment, water, "water") as two:
            async with Subscriber(deployment.identity("reader"), ac=ac.reference) as reader:
                await asyncio.gather(reader.read(one), reader.read(two))
        assert (meter.uploads, water.uploads) == ([METER.encode()], [WATER.encode()])

    @pytest.mark.parametrize(
        ("change", "complaint"),
        [
            ({"expires_in": 2**40}, "for how long the ticket is valid"),
            ({"expires_in": 0}, "for how long the ticket is valid"),
            ({"rs_cnf_spki": None}, "does not say with which key"),
            ({"ace_profile": None}, "not for the DTLS profile"),
        ],
    )
    async def test_a_ticket_that_does_not_fit_is_shown_to_nobody(
        self, deployment: Deployment, ac: OddAC, change: dict[str, int | None], complaint: str
    ):
        ac.answer = lambda request: replace(ac.grant(request), **change)
        door = gate(ac)
        async with odd_publisher(deployment, door) as uri:
            async with Subscriber(deployment.identity("reader"), ac=ac.reference) as reader:
                with pytest.raises(PeerError, match=complaint):
                    await reader.read(uri)
        assert door.uploads == []

    async def test_a_part_that_leaves_out_what_is_to_be_read_is_refused_with_the_command_that_says_why(
        self, deployment: Deployment, ac: OddAC
    ):
        other = Scope((("/other", Method.GET),)).encode()
        ac.answer = lambda request: replace(ac.grant(request), scope=other)
        door = gate(ac)
        async with odd_publisher(deployment, door) as uri:
            async with Subscriber(deployment.identity("reader"), ac=ac.reference) as reader:
                with pytest.raises(RefusedError, match="twoway ac check CONFIG .* --resource /count"):
                    await reader.read(uri)
        assert door.uploads == []

    async def test_another_node_of_our_authority_cannot_pose_as_the_publisher(
        self, deployment: Deployment, ac: OddAC
    ):
        """It has a good certificate for the same host, and gets neither a ticket nor a second request."""
        door = gate(ac, audience=WATER)
        ac.answer = lambda request: replace(ac.grant(request), rs_cnf_spki=ac.spki(METER))
        steps: list[Step] = []
        async with odd_publisher(deployment, door, "water") as uri:
            async with Subscriber(
                deployment.identity("reader"), ac=ac.reference, steps=steps.append
            ) as reader:
                with pytest.raises(PeerError, match="is not the one that this publisher proved"):
                    await reader.read(uri)
        assert door.uploads == []
        assert [step.target for step in steps if isinstance(step, Request)] == ["/count", "/token"]


class TestTime:
    async def test_a_wall_clock_that_is_set_back_does_not_make_a_ticket_last_longer(
        self, deployment: Deployment, ac: OddAC
    ):
        ac.lifetime = 1
        clock = MovedClock()
        door = gate(ac)
        async with odd_publisher(deployment, door) as uri:
            async with Subscriber(deployment.identity("reader"), ac=ac.reference, clock=clock) as reader:
                await reader.read(uri)
                clock.moved = -timedelta(minutes=1)
                await asyncio.sleep(1.1)
                door.forgets = 1
                await reader.read(uri)
        assert door.uploads == [b"ticket 1", b"ticket 2"]
        assert ac.list_asked == 0, "an expired ticket is not asked after"

    async def test_a_wall_clock_that_is_set_forward_costs_a_new_ticket_and_no_more(
        self, deployment: Deployment, ac: OddAC
    ):
        clock = MovedClock()
        door = gate(ac)
        async with odd_publisher(deployment, door) as uri:
            async with Subscriber(deployment.identity("reader"), ac=ac.reference, clock=clock) as reader:
                await reader.read(uri)
                clock.moved = timedelta(hours=1)
                door.forgets = 1
                await reader.read(uri)
        assert door.uploads == [b"ticket 1", b"ticket 2"]

    async def test_a_publisher_whose_certificate_has_ended_is_asked_nothing_more(
        self, deployment: Deployment, ac: OddAC
    ):
        """T28, from the subscriber's side: the handshake was good, and is good no longer."""
        clock = MovedClock()
        door = gate(ac)
        steps: list[Step] = []
        async with odd_publisher(deployment, door) as uri:
            async with Subscriber(
                deployment.identity("reader"), ac=ac.reference, clock=clock, steps=steps.append
            ) as reader:
                await reader.read(uri)
                asked = len([step for step in steps if isinstance(step, Request)])
                clock.moved = timedelta(days=20_000)
                with pytest.raises((PeerError, RefusedError)):
                    await reader.read(uri)
        assert len([step for step in steps if isinstance(step, Request)]) == asked
        assert len([step for step in steps if isinstance(step, Handshake)]) == 2


def test_the_odd_ac_is_odd_only_where_it_is_told_to_be(deployment: Deployment):
    """Else the tests above might refuse it for another reason than theirs."""
    request = TokenRequest(audience=METER, scope=None, req_cnf=None)
    granted = OddAC(deployment).grant(request)
    assert TokenResponse.parse_untrusted(granted.encode()) == granted
