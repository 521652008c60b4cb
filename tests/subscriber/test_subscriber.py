"""The subscriber against the real AC and real publishers, over real sockets."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing
from dataclasses import replace
from pathlib import Path

import pytest
from deployment import NORTH, Deployment, until
from small_pki import small_pki

from twoway.errors import CallerError, ConfigurationError, NetworkError, PeerError, RefusedError, TwowayError
from twoway.identity import identity_uri
from twoway.pki import Role, StoredIdentity
from twoway.readings import CONTENT_FORMAT_SENML_CBOR
from twoway.subscriber import (
    ACReference,
    Handshake,
    Hint,
    Reading,
    Request,
    Response,
    Step,
    Subscriber,
    TicketObtained,
    TicketPresented,
)
from twoway.tickets import Method
from twoway.trace import TraceEvent

METER = identity_uri("meter")


@pytest.fixture
async def deployment(tmp_path: Path) -> AsyncIterator[Deployment]:
    async with Deployment(tmp_path) as running:
        await running.start_ac()
        yield running


class Story:
    """A subscriber and the steps that it told."""

    def __init__(
        self,
        deployment: Deployment,
        name: str = "reader",
        *,
        ac: ACReference | None = None,
        timeout: float = 10.0,
    ) -> None:
        self.steps: list[Step] = []
        self.failures: list[TraceEvent] = []
        self.subscriber = Subscriber(
            deployment.identity(name),
            ac=ac or deployment.ac_reference,
            steps=self.steps.append,
            answer_timeout=timeout,
            trace=lambda event: self.failures.append(event) if event.name == "renewal failed" else None,
        )

    async def __aenter__(self) -> Story:
        await self.subscriber.__aenter__()
        return self

    async def __aexit__(self, *exception: object) -> None:
        await self.subscriber.__aexit__(None, None, None)

    def of(self, kind: type[Step]) -> list[Step]:
        return [step for step in self.steps if isinstance(step, kind)]

    @property
    def posts(self) -> list[str]:
        return [step.target for step in self.of(Request) if step.method == "POST"]


class TestReading:
    async def test_a_key_log_has_a_line_for_each_association(self, deployment: Deployment):
        """Here one with the publisher and one with the AC."""
        uri = await deployment.start_publisher("meter")
        lines: list[str] = []
        identity, ac = deployment.identity("reader"), deployment.ac_reference
        async with Subscriber(identity, ac=ac, unsafe_key_log=lines.append) as subscriber:
            await subscriber.read(f"{uri}/count")
        assert [line.split()[0] for line in lines] == ["CLIENT_RANDOM", "CLIENT_RANDOM"]

    async def test_a_reading_is_read_with_a_ticket_that_the_subscriber_got_by_itself(
        self, deployment: Deployment
    ):
        uri = await deployment.start_publisher("meter")
        async with Story(deployment) as story:
            reading = await story.subscriber.read(f"{uri}/count")
        assert reading.peer.uri == METER
        assert reading.content_format == CONTENT_FORMAT_SENML_CBOR
        (record,) = reading.records
        assert record.name == f"{METER}/count/count"
        kinds = [type(step).__name__ for step in story.steps]
        assert kinds == [
            *("Handshake", "Request", "Response", "Hint"),
            *("Handshake", "Request", "Response", "TicketObtained"),
            *("Request", "Response", "TicketPresented"),
            *("Request", "Response"),
        ]
        codes = [step.code.split()[0] for step in story.of(Response)]
        assert codes == ["4.01", "2.01", "2.01", "2.05"]
        first, second = story.of(Handshake)
        assert (first.peer.uri, second.peer.uri) == (METER, identity_uri("ac"))
        assert first.kind == "fully authenticated"
        assert first.suite.startswith("TLS_ECDHE_ECDSA")
        assert first.bytes > 1000
        assert first.datagrams >= 6
        (obtained,) = story.of(TicketObtained)
        assert obtained.audience == METER
        assert obtained.scope.entries == (("/count", Method.GET),)
        assert obtained.lifetime_seconds in (599, 600)
        assert all(step.wire_bytes > 0 for step in story.of(Response))

    async def test_an_rsa_publisher_is_read_alike(self, deployment: Deployment):
        uri = await deployment.start_publisher("water")
        async with Story(deployment) as story:
            reading = await story.subscriber.read(f"{uri}/count")
        assert reading.peer.uri == identity_uri("water")
        assert "ECDHE_RSA" in story.of(Handshake)[0].suite

    async def test_a_second_reading_needs_neither_handshake_nor_ticket(self, deployment: Deployment):
        uri = await deployment.start_publisher("meter")
        async with Story(deployment) as story:
            await story.subscriber.read(f"{uri}/count")
            before = len(story.steps)
            await story.subscriber.read(f"{uri}/count")
        assert [type(step) for step in story.steps[before:]] == [Request, Response]

    async def test_no_ticket_is_asked_for_where_none_is_needed(self, deployment: Deployment):
        uri = await deployment.start_publisher("meter")
        async with Story(deployment, "sink") as story:
            await story.subscriber.read(f"{uri}/count")
        assert [type(step) for step in story.steps] == [Handshake, Request, Response]

    async def test_a_second_resource_does_not_cost_the_right_to_the_first(self, deployment: Deployment):
        uri = await deployment.start_publisher("meter")
        async with Story(deployment) as story:
            await story.subscriber.read(f"{uri}/count")
            await story.subscriber.read(f"{uri}/other")
            await story.subscriber.read(f"{uri}/count")
        scopes = [[target for target, _ in step.scope.entries] for step in story.of(TicketObtained)]
        assert scopes == [["/count"], ["/count", "/other"]]

    async def test_a_ticket_of_an_earlier_run_does_not_stand_in_the_way_of_another_right(
        self, deployment: Deployment
    ):
        """The publisher keeps that ticket and answers 4.03; whoever reads now has never seen it."""
        uri = await deployment.start_publisher("meter")
        async with Story(deployment) as story:
            await story.subscriber.read(f"{uri}/count")
        async with Story(deployment) as story:
            reading = await story.subscriber.read(f"{uri}/other")
        assert reading.peer.uri == METER
        assert [step.code.split()[0] for step in story.of(Response)] == ["4.03", "2.01", "2.01", "2.05"]

    async def test_a_publisher_that_restarted_is_shown_the_same_ticket_again(self, deployment: Deployment):
        uri = await deployment.start_publisher("meter")
        async with Story(deployment) as story:
            await story.subscriber.read(f"{uri}/count")
            await deployment.stop("meter")
            await deployment.start_publisher("meter")
            await story.subscriber.read(f"{uri}/count")
        assert len(story.of(TicketObtained)) == 1
        assert len(story.of(TicketPresented)) == 2
        assert len(story.of(Handshake)) == 3

    async def test_a_ticket_that_the_publisher_no_longer_accepts_is_replaced(self, deployment: Deployment):
        uri = await deployment.start_publisher("meter")
        async with Story(deployment) as story:
            await story.subscriber.read(f"{uri}/count")
            await deployment.stop("ac")
            await deployment.stop("meter")
            deployment.issue("ac", Role.AC, hosts=["127.0.0.1"], replace=True)
            await deployment.start_publisher("meter")
            with pytest.raises(NetworkError):
                await story.subscriber.read(f"{uri}/count")
            await deployment.start_ac()
            await story.subscriber.read(f"{uri}/count")
        accepted = [step.accepted for step in story.of(TicketPresented)]
        assert accepted == [True, False, True], "what was refused once is not shown again"

    async def test_many_readings_at_once_get_one_ticket(self, deployment: Deployment):
        uri = await deployment.start_publisher("meter")
        async with Story(deployment) as story:
            readings = await asyncio.gather(*(story.subscriber.read(f"{uri}/count") for _ in range(5)))
        assert len(readings) == 5
        assert len(story.of(TicketObtained)) == 1
        assert len(story.of(TicketPresented)) == 1

    async def test_two_publishers_at_once_do_not_mix_up_their_tickets(self, deployment: Deployment):
        meter, water = await deployment.start_publisher("meter"), await deployment.start_publisher("water")
        async with Story(deployment) as story:
            readings = await asyncio.gather(
                *(story.subscriber.read(f"{uri}/count") for uri in (meter, water, meter, water))
            )
        assert [reading.peer.uri for reading in readings] == [METER, identity_uri("water")] * 2
        assert sorted(step.audience for step in story.of(TicketObtained)) == [METER, identity_uri("water")]

    async def test_a_publisher_is_read_by_its_hosts_name(self, deployment: Deployment):
        uri = (await deployment.start_publisher("meter")).replace("127.0.0.1", "localhost")
        async with Story(deployment) as story:
            assert (await story.subscriber.read(f"{uri}/count")).peer.uri == METER

    async def test_the_expected_identity_takes_the_hosts_place(self, deployment: Deployment):
        deployment.issue("nameless", Role.PUBLISHER)
        uri = await deployment.start_publisher("nameless")
        async with Story(deployment, "sink") as story:
            with pytest.raises(RefusedError, match="does not name the host"):
                await story.subscriber.read(f"{uri}/count")
            reading = await story.subscriber.read(f"{uri}/count", publisher=identity_uri("nameless"))
        assert reading.peer.uri == identity_uri("nameless")


class TestRefusals:
    async def test_the_wrong_region_is_refused_with_the_policys_name(self, deployment: Deployment):
        uri = await deployment.start_publisher("meter")
        async with Story(deployment, "distant") as story:
            with pytest.raises(
                RefusedError, match=r"the AC refuses a ticket \(invalid_scope\): .*default-deny"
            ):
                await story.subscriber.read(f"{uri}/count")
        assert story.posts == ["/token"]

    async def test_a_hint_at_another_ac_is_not_followed(self, deployment: Deployment):
        uri = await deployment.start_publisher("meter", token_uri="coaps://127.0.0.1:9/token")
        async with Story(deployment) as story:
            with pytest.raises(RefusedError, match=r"sends us to the AC coaps://127\.0\.0\.1:9/token"):
                await story.subscriber.read(f"{uri}/count")
        assert [step.peer.uri for step in story.of(Handshake)] == [METER], "nobody else was spoken to"
        assert story.posts == []
        assert not story.of(Hint)

    async def test_a_hint_at_another_ac_is_not_followed_even_with_a_ticket_in_hand(
        self, deployment: Deployment
    ):
        uri = await deployment.start_publisher("meter")
        async with Story(deployment) as story:
            await story.subscriber.read(f"{uri}/count")
            await deployment.stop("meter")
            await deployment.start_publisher("meter", token_uri="coaps://127.0.0.1:9/token")
            with pytest.raises(RefusedError, match=r"sends us to the AC coaps://127\.0\.0\.1:9/token"):
                await story.subscriber.read(f"{uri}/count")

    async def test_a_publisher_with_another_key_than_the_ac_knows_is_refused(self, deployment: Deployment):
        deployment.pin("meter")
        deployment.issue("meter", Role.PUBLISHER, hosts=["127.0.0.1"], attributes=NORTH, replace=True)
        await deployment.stop("ac")
        await deployment.start_ac()
        uri = await deployment.start_publisher("meter")
        async with Story(deployment) as story:
            with pytest.raises(PeerError, match="is not the one that this publisher proved"):
                await story.subscriber.read(f"{uri}/count")
        assert story.posts == ["/token"], "the ticket was shown to nobody"

    async def test_somebody_else_at_the_acs_address_is_not_asked(self, deployment: Deployment):
        uri = await deployment.start_publisher("meter")
        ac = replace(deployment.ac_reference, identity=identity_uri("other-ac"))
        async with Story(deployment, ac=ac) as story:
            with pytest.raises(RefusedError, match="not the AC urn:dev:org:32473-other-ac"):
                await story.subscriber.read(f"{uri}/count")
        assert story.posts == []

    async def test_without_an_ac_the_sentence_says_how_to_name_one(self, deployment: Deployment):
        uri = await deployment.start_publisher("meter")
        async with Subscriber(deployment.identity("reader")) as subscriber:
            with pytest.raises(RefusedError, match=r"write an ac\.toml"):
                await subscriber.read(f"{uri}/count")

    async def test_a_publisher_that_the_ac_does_not_know_stays_closed(self, deployment: Deployment):
        deployment.issue("stranger", Role.PUBLISHER, hosts=["127.0.0.1"])
        uri = await deployment.start_publisher("stranger")
        async with Story(deployment) as story:
            with pytest.raises(RefusedError, match="not a publisher known here"):
                await story.subscriber.read(f"{uri}/count")

    async def test_a_ticket_that_the_publisher_does_not_accept_is_said_to_be_so(self, deployment: Deployment):
        deployment.issue("other-ac", Role.AC, hosts=["127.0.0.1"])
        uri = await deployment.start_publisher("meter", trusted_ac="other-ac")
        async with Story(deployment) as story:
            with pytest.raises(RefusedError, match="does not accept the ticket that the AC issued"):
                await story.subscriber.read(f"{uri}/count")

    async def test_another_identity_than_the_expected_is_asked_nothing(self, deployment: Deployment):
        uri = await deployment.start_publisher("meter")
        async with Story(deployment) as story:
            with pytest.raises(RefusedError, match=f"proved to be {METER}, not {identity_uri('water')}"):
                await story.subscriber.read(f"{uri}/count", publisher=identity_uri("water"))
        assert story.steps == []

    async def test_a_subscriber_of_another_authority_does_not_get_through_the_handshake(
        self, deployment: Deployment, tmp_path: Path
    ):
        uri = await deployment.start_publisher("meter")
        outsider = small_pki().stored(small_pki().outsider, tmp_path / "outsider")
        async with Subscriber(outsider) as subscriber:
            with pytest.raises(PeerError):
                await subscriber.read(f"{uri}/count")
        trusting = StoredIdentity(
            outsider.folder,
            outsider.chain,
            outsider.private_key,
            deployment.identity("reader").trust,
            outsider.identity,
        )
        async with Subscriber(trusting) as subscriber:
            with pytest.raises(RefusedError, match="unknown_ca"):
                await subscriber.read(f"{uri}/count")

    async def test_a_publisher_that_has_only_a_key_refuses_and_is_refused(self, deployment: Deployment):
        uri = await deployment.start_publisher("host")
        async with Story(deployment) as story:
            with pytest.raises(TwowayError):
                await story.subscriber.read(f"{uri}/count")

    async def test_a_resource_that_does_not_exist_is_said_not_to_exist(self, deployment: Deployment):
        uri = await deployment.start_publisher("meter")
        async with Story(deployment, "sink") as story:
            with pytest.raises(PeerError, match=r"4\.04"):
                await story.subscriber.read(f"{uri}/nothing")

    async def test_nobody_there_is_said_in_one_sentence(self, deployment: Deployment):
        uri = await deployment.start_publisher("meter")
        await deployment.stop("meter")
        async with Story(deployment, timeout=1.0) as story:
            with pytest.raises(NetworkError) as raised:
                await story.subscriber.read(f"{uri}/count")
        assert "\n" not in str(raised.value)

    async def test_an_ac_that_is_away_is_said_in_one_sentence(self, deployment: Deployment):
        uri = await deployment.start_publisher("meter")
        await deployment.stop("ac")
        async with Story(deployment, timeout=1.0) as story:
            with pytest.raises(NetworkError, match=f"127.0.0.1:{deployment.ports['ac']}"):
                await story.subscriber.read(f"{uri}/count")

    @pytest.mark.parametrize(
        "uri",
        [
            "http://127.0.0.1/count",
            "coap://127.0.0.1/count",
            "count",
            "coaps://",
            "coaps://127.0.0.1/%f0",
            "coaps://h%ff/",
        ],
    )
    async def test_a_uri_that_is_none_is_said_to_be_none(self, deployment: Deployment, uri: str):
        async with Story(deployment) as story:
            with pytest.raises(ConfigurationError, match="is not a coaps URI"):
                await story.subscriber.read(uri)

    async def test_a_subscriber_that_is_not_open_says_so(self, deployment: Deployment):
        subscriber = Subscriber(deployment.identity("reader"))
        with pytest.raises(CallerError, match="async with"):
            await subscriber.read("coaps://127.0.0.1/count")


async def drained(readings: AsyncIterator[Reading]) -> None:
    """Take what comes until it ends."""
    async with asyncio.timeout(20):
        async for _ in readings:
            pass


class TestObserving:
    async def test_three_readings_are_observed_one_after_the_other(self, deployment: Deployment):
        uri = await deployment.start_publisher("meter", interval=0.3)
        async with Story(deployment) as story:
            values = [r.records[0].value async for r in story.subscriber.observe(f"{uri}/count", count=3)]
        assert values == [values[0], values[0] + 1, values[0] + 2]
        assert [step.notification for step in story.of(Response)].count(True) == 2
        assert len(story.of(TicketObtained)) == 1

    async def test_a_count_under_one_is_a_mistake_of_the_caller(self, deployment: Deployment):
        async with Story(deployment) as story:
            with pytest.raises(CallerError):
                async for _ in story.subscriber.observe("coaps://127.0.0.1/count", count=0):
                    pass

    async def test_a_ticket_is_renewed_before_it_expires_and_no_reading_is_missed(
        self, deployment: Deployment
    ):
        await deployment.stop("ac")
        await deployment.start_ac(lifetime=3)
        uri = await deployment.start_publisher("meter", interval=0.25)
        async with Story(deployment) as story:
            values = [r.records[0].value async for r in story.subscriber.observe(f"{uri}/count", count=28)]
        assert values == [values[0] + n for n in range(28)]
        renewals = [step for step in story.of(TicketObtained) if step.renewal]
        assert len(renewals) >= 2
        assert all(step.accepted for step in story.of(TicketPresented))
        registrations = [step for step in story.of(Request) if step.observe]
        assert len(registrations) == 2, "refused once, registered once, never again"
        assert len(story.of(Handshake)) == 2

    async def test_a_renewal_that_fails_is_tried_again_while_the_ticket_lasts(self, deployment: Deployment):
        await deployment.stop("ac")
        await deployment.start_ac(lifetime=9)
        uri = await deployment.start_publisher("meter", interval=0.25)
        async with Story(deployment) as story:
            readings = story.subscriber.observe(f"{uri}/count")
            async with aclosing(readings), asyncio.timeout(30):
                await anext(readings)
                await deployment.stop("ac")
                while not story.failures:
                    await anext(readings)
                await deployment.start_ac(lifetime=9)
                while len(story.of(TicketObtained)) < 2:
                    await anext(readings)
        assert story.of(TicketObtained)[1].renewal
        assert len(story.failures) < 10, "there are pauses between the attempts"
        assert len([step for step in story.of(Request) if step.observe]) == 2, "it never ended"

    async def test_two_observations_of_one_publisher_share_their_renewals(self, deployment: Deployment):
        await deployment.stop("ac")
        await deployment.start_ac(lifetime=3)
        uri = await deployment.start_publisher("meter", interval=0.25)
        async with Story(deployment) as story:

            async def observe(path: str) -> None:
                async for _ in story.subscriber.observe(f"{uri}/{path}", count=20):
                    pass

            async with asyncio.timeout(30), asyncio.TaskGroup() as observing:
                observing.create_task(observe("count"))
                observing.create_task(observe("other"))
        renewed_at = [step for step in story.of(TicketObtained) if step.renewal]
        assert 1 <= len(renewed_at) <= 3, "about two in five seconds, not twice as many"
        assert len(renewed_at[-1].scope.entries) == 2

    async def test_an_observation_ends_with_its_ticket_when_the_ac_says_no(self, deployment: Deployment):
        await deployment.stop("ac")
        await deployment.start_ac(lifetime=3)
        uri = await deployment.start_publisher("meter", interval=0.25)
        async with Story(deployment) as story:
            readings = story.subscriber.observe(f"{uri}/count")
            async with aclosing(readings):
                await anext(readings)
                await deployment.stop("ac")
                (deployment.folder / "policies" / "region.cedar").write_text("")
                await deployment.start_ac(lifetime=3)
                with pytest.raises(RefusedError, match="the AC refuses a ticket"):
                    await drained(readings)

    async def test_an_observation_ends_with_its_ticket_when_the_ac_is_gone(self, deployment: Deployment):
        await deployment.stop("ac")
        await deployment.start_ac(lifetime=3)
        uri = await deployment.start_publisher("meter", interval=0.25)
        async with Story(deployment, timeout=1.0) as story:
            readings = story.subscriber.observe(f"{uri}/count")
            async with aclosing(readings):
                await anext(readings)
                await deployment.stop("ac")
                with pytest.raises(NetworkError, match=f"127.0.0.1:{deployment.ports['ac']}"):
                    await drained(readings)

    async def test_an_observation_that_ended_with_its_ticket_is_taken_up_again_with_a_new_one(
        self, deployment: Deployment, monkeypatch: pytest.MonkeyPatch
    ):
        monkeypatch.setattr("twoway.subscriber.wallet.RENEWAL_SHARE", 1000.0)
        await deployment.stop("ac")
        await deployment.start_ac(lifetime=2)
        uri = await deployment.start_publisher("meter", interval=0.25)
        async with Story(deployment) as story:
            async with asyncio.timeout(20):
                values = [
                    r.records[0].value async for r in story.subscriber.observe(f"{uri}/count", count=14)
                ]
        assert values == sorted(set(values)), "nothing is yielded twice"
        obtained = [step.renewal for step in story.of(TicketObtained)]
        assert len(obtained) >= 2
        assert not any(obtained)
        codes = [step.code.split()[0] for step in story.of(Response)]
        assert codes.count("4.01") >= 2

    async def test_leaving_an_observation_half_way_leaves_nothing_running(self, deployment: Deployment):
        uri = await deployment.start_publisher("meter", follow=False)  # its tasks come and go by themselves
        before = asyncio.all_tasks()
        async with Story(deployment) as story:
            async for _ in story.subscriber.observe(f"{uri}/count"):
                break
        await until(lambda: not (asyncio.all_tasks() - before))

    async def test_a_publisher_that_is_gone_for_good_ends_the_observation(self, deployment: Deployment):
        uri = await deployment.start_publisher("meter")
        async with Story(deployment, timeout=1.0) as story:
            readings = story.subscriber.observe(f"{uri}/count")
            async with aclosing(readings):
                await anext(readings)
                await deployment.stop("meter")
                with pytest.raises(NetworkError):
                    await drained(readings)
