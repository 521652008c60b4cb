"""How a ticket gets in: not too often, verified, with the AC's word where that is wanted, and told of."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest
from publisher_world import AC, NOW, IssuingAC, access_control, peer

from twoway.clock import ManualClock
from twoway.identity import Identity, Unauthenticated
from twoway.publisher.admission import ADDRESS_BURST, Admission, Throttled, nothing_learnt
from twoway.publisher.rate import BURST, AttemptRate
from twoway.publisher.refusal import AccessRefused
from twoway.tickets import SigningKey, Ticket, TicketReason, TicketRejected
from twoway.trace import TraceEvent

HOST, OTHER_HOST = "192.0.2.7", "192.0.2.8"


class Word:
    """The AC's word on tickets, and when it was asked for."""

    def __init__(self, answer: TicketReason | None = None) -> None:
        self.answer = answer
        self.asked: list[Ticket] = []

    async def require_active(self, ticket: Ticket) -> None:
        self.asked.append(ticket)
        if self.answer is not None:
            raise TicketRejected(self.answer)


class Scene:
    def __init__(self, **more: object) -> None:
        self.ac = IssuingAC()
        self.clock = ManualClock(NOW)
        self.access = access_control(self.ac, capacity=64)
        self.told: list[TraceEvent] = []
        self.admission = Admission(
            self.access,
            clock=self.clock,
            trace=self.told.append,
            **more,  # type: ignore[arg-type]
        )
        self.reader = peer("reader")

    async def bring(
        self, encoded: bytes | None = None, who: Identity | None = None, host: str = HOST
    ) -> TicketReason | int | None:
        """Bring a ticket; return why it was refused, or how long to wait, or None."""
        encoded = self.ac.ticket(self.reader) if encoded is None else encoded
        try:
            await self.admission.take_untrusted(encoded, who or self.reader, host=host)
        except TicketRejected as rejection:
            return rejection.reason
        except Throttled as throttled:
            return throttled.wait
        return None

    def stands(self) -> bool:
        try:
            self.access.require_standing(self.reader, now=self.clock.now())
        except AccessRefused:
            return False
        return True


class TestHowOften:
    """RFC 8516."""

    async def test_one_peer_has_so_many_attempts_whatever_its_address(self):
        scene = Scene()
        for number in range(BURST):
            assert await scene.bring(b"", host=f"192.0.2.{number}") is TicketReason.MALFORMED
        assert await scene.bring(host=OTHER_HOST) == 1
        assert not scene.stands()
        assert await scene.bring(b"", peer("other"), OTHER_HOST) is TicketReason.MALFORMED
        scene.clock.advance(1)
        assert await scene.bring(host=OTHER_HOST) is None

    async def test_one_host_has_so_many_whoever_its_peers_are(self):
        scene = Scene()
        for number in range(ADDRESS_BURST):
            assert await scene.bring(b"", peer(f"peer{number}")) is TicketReason.MALFORMED
        assert await scene.bring(who=peer("another")) == 1
        assert not scene.stands()
        assert await scene.bring(host=OTHER_HOST) is None

    async def test_those_who_proved_nothing_are_bounded_by_their_host_alone(self):
        scene = Scene(by_identity=AttemptRate(burst=1))
        for host in (HOST, OTHER_HOST, HOST):
            assert await scene.bring(b"", Unauthenticated(), host) is TicketReason.MALFORMED
        assert await scene.bring(b"") is TicketReason.MALFORMED
        assert await scene.bring() == 1

    async def test_a_host_that_has_to_wait_uses_up_no_attempt_of_its_peer(self):
        scene = Scene(by_host=AttemptRate(burst=1), by_identity=AttemptRate(burst=2))
        assert await scene.bring(b"") is TicketReason.MALFORMED
        assert await scene.bring(b"") == 1
        assert await scene.bring(host=OTHER_HOST) is None

    async def test_whoever_has_to_wait_is_told_where_and_how_long(self):
        scene = Scene(by_host=AttemptRate(burst=1, refill_interval=7))
        await scene.bring(b"")
        with pytest.raises(Throttled) as caught:
            await scene.admission.take_untrusted(b"", scene.reader, host=HOST)
        assert (caught.value.where, caught.value.wait) == (HOST, 7)
        assert "the next one in 7 s" in str(caught.value)

    async def test_what_comes_too_often_is_not_even_verified(self):
        learnt: list[int] = []

        async def learn() -> bool:
            learnt.append(1)
            return False

        scene = Scene(by_host=AttemptRate(burst=1), learn_keys=learn)
        foreign = IssuingAC().ticket(scene.reader)
        assert await scene.bring(foreign) is TicketReason.UNKNOWN_ISSUER
        assert await scene.bring(foreign) == 1
        assert learnt == [1]


class TestKeysThatAreNotKnown:
    def learning(self, scene: Scene, *acs: IssuingAC) -> Callable[[], Awaitable[bool]]:
        async def learn() -> bool:
            self.asked += 1
            keys = [SigningKey(ac.key.public_key()) for ac in acs]
            return scene.access.holdings.authority.learn(keys, certified_until=NOW)

        self.asked = 0
        return learn

    async def test_a_ticket_by_a_new_key_of_the_ac_is_taken_once_the_ac_has_named_it(self):
        scene = Scene()
        second = IssuingAC(uri=AC)
        scene.admission = Admission(
            scene.access, clock=scene.clock, learn_keys=self.learning(scene, scene.ac, second)
        )
        assert await scene.bring(second.ticket(scene.reader)) is None
        assert self.asked == 1
        assert scene.stands()
        assert await scene.bring() is None
        assert self.asked == 1

    async def test_a_ticket_by_a_key_of_nobody_stays_refused(self):
        scene = Scene()
        scene.admission = Admission(
            scene.access, clock=scene.clock, learn_keys=self.learning(scene, scene.ac, IssuingAC())
        )
        foreign = IssuingAC().ticket(scene.reader)
        for _ in range(2):  # something new is learnt the first time, nothing the second
            assert await scene.bring(foreign) is TicketReason.UNKNOWN_ISSUER
        assert self.asked == 2

    async def test_for_another_fault_the_ac_is_not_asked(self):
        scene = Scene()
        scene.admission = Admission(scene.access, clock=scene.clock, learn_keys=self.learning(scene))
        assert await scene.bring(b"") is TicketReason.MALFORMED
        elsewhere = scene.ac.ticket(scene.reader, audience="urn:dev:org:32473-other")
        assert await scene.bring(elsewhere) is TicketReason.WRONG_AUDIENCE
        assert self.asked == 0

    async def test_where_keys_are_not_followed_nothing_is_learnt(self):
        assert await nothing_learnt() is False


class TestTheWordOfTheAC:
    """RFC 9200 section 5.9."""

    async def test_a_verified_ticket_is_asked_about_before_it_is_kept(self):
        word = Word()
        scene = Scene(introspection=word)
        encoded = scene.ac.ticket(scene.reader)
        assert await scene.bring(encoded) is None
        assert [ticket.encoded for ticket in word.asked] == [encoded]
        assert scene.stands()

    @pytest.mark.parametrize("answer", [TicketReason.NOT_ACTIVE, TicketReason.UNCONFIRMED])
    async def test_without_a_yes_it_is_not_kept(self, answer):
        scene = Scene(introspection=Word(answer))
        assert await scene.bring() is answer
        assert not scene.stands()
        assert list(scene.access.holdings) == []

    async def test_what_does_not_verify_is_not_asked_about(self):
        word = Word()
        assert await Scene(introspection=word).bring(b"") is TicketReason.MALFORMED
        assert word.asked == []


class TestWritingDown:
    async def test_a_verified_ticket_is_written_down_before_it_is_kept_and_not_kept_where_it_is_not(self):
        written: list[tuple[bytes, int]] = []

        async def record(ticket: Ticket) -> None:
            written.append((ticket.encoded, len(list(scene.access.holdings))))
            if len(written) > 1:
                raise TicketRejected(TicketReason.NOT_RECORDED)

        scene = Scene(record=record)
        first, second = scene.ac.ticket(scene.reader), scene.ac.ticket(peer("other"))
        assert await scene.bring(b"") is TicketReason.MALFORMED
        assert await scene.bring(first) is None
        assert await scene.bring(second) is TicketReason.NOT_RECORDED
        assert written == [(first, 0), (second, 1)]
        assert [kept.encoded for kept in scene.access.holdings] == [first]


class TestWhatIsTold:
    async def test_of_a_ticket_that_is_taken_its_name_and_whether_it_is_the_bringers(self):
        scene = Scene()
        encoded = scene.ac.ticket(scene.reader)
        name = scene.access.holdings.verify_untrusted(encoded, now=NOW).ticket_id.hex()
        thief = peer("thief")
        await scene.bring(encoded)
        await scene.bring(encoded, thief, OTHER_HOST)
        assert [(event.name, event.source) for event in scene.told] == [("ticket stored", "publisher")] * 2
        own = {"peer": scene.reader.uri, "host": HOST, "ticket": name, "is_bringers": True}
        anothers = {"peer": thief.uri, "host": OTHER_HOST, "ticket": name, "is_bringers": False}
        assert [event.data for event in scene.told] == [own, anothers]

    async def test_of_one_that_is_refused_the_reason(self):
        scene = Scene(by_host=AttemptRate(burst=1))
        await scene.bring(b"")
        await scene.bring(b"")
        reasons = [(event.name, event.data["because"], event.data["host"]) for event in scene.told]
        assert reasons == [("ticket refused", "malformed", HOST), ("ticket refused", "throttled", HOST)]
        assert all(event.data["peer"] == scene.reader.uri for event in scene.told)
