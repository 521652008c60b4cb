"""The door without a handshake: tickets go in, almost nothing comes out, little is kept (T9, T12, T15)."""

from __future__ import annotations

import asyncio

import aiocoap
import pytest
from aiocoap.numbers.codes import Code
from publisher_world import NOW, TOKEN_URI, IssuingAC, access_control, peer

from twoway.clock import ManualClock
from twoway.publisher.admission import Admission
from twoway.publisher.plain_bodies import BODIES, BODY_TIMEOUT
from twoway.publisher.plain_door import (
    AMPLIFICATION_LIMIT,
    ANSWER_LIFETIME,
    ANSWERS_REMEMBERED,
    UPLOADS_AT_ONCE,
    PlainDoor,
)
from twoway.publisher.refusal import AccessRefused
from twoway.publisher.target import Target
from twoway.tickets import CreationHints, Method

SENDER = ("192.0.2.7", 40000)
OTHER = ("192.0.2.8", 40000)


class Doorway:
    """A plain door, and somebody in front of it."""

    def __init__(self) -> None:
        self.ac = IssuingAC()
        self.clock = ManualClock(NOW)
        self.access = access_control(self.ac)
        self.door = PlainDoor(
            Admission(self.access, clock=self.clock),
            hints=lambda: CreationHints(as_uri=TOKEN_URI),
            clock=self.clock,
        )
        self.message_id = 0

    def datagram(self, code=aiocoap.POST, path=("authz-info",), *, mtype=aiocoap.CON, **options) -> bytes:
        self.message_id += 1
        message = aiocoap.Message(code=code, uri_path=path, _mtype=mtype, _mid=self.message_id, **options)
        message.token = b"tk"
        return message.encode()

    async def send(self, data: bytes, sender=SENDER) -> aiocoap.Message | None:
        answer = await self.door.answer_untrusted(data, sender)
        if answer is None:
            return None
        assert len(answer) <= AMPLIFICATION_LIMIT * len(data)
        return aiocoap.Message.decode(answer)

    async def ask(self, code=aiocoap.POST, path=("authz-info",), *, sender=SENDER, **options) -> Code:
        answer = await self.send(self.datagram(code, path, **options), sender)
        assert answer is not None
        assert answer.payload == b""
        return answer.code

    async def upload(self, ticket: bytes, sender=SENDER, **options) -> Code:
        return await self.ask(sender=sender, payload=ticket, content_format=61, **options)

    def block(self, content: bytes, number: int, more: bool, exponent: int = 4) -> dict[str, object]:
        size = 1 << exponent + 4
        return {
            "payload": content[number * size : (number + 1) * size],
            "content_format": 61,
            "block1": (number, more, exponent),
        }

    async def upload_in_blocks(self, ticket: bytes, sender=SENDER) -> list[Code]:
        last = (len(ticket) - 1) // 256
        return [
            await self.ask(sender=sender, **self.block(ticket, number, number < last))
            for number in range(last + 1)
        ]


def stands(doorway: Doorway, who) -> bool:
    try:
        doorway.access.require_access(who, Target(("power",)), Method.GET, now=doorway.clock.now())
    except AccessRefused:
        return False
    return True


async def test_a_ticket_counts_for_whoever_proves_its_key_later():
    doorway, reader = Doorway(), peer("reader")
    assert await doorway.upload(doorway.ac.ticket(reader)) is aiocoap.CREATED
    assert stands(doorway, reader)
    assert not stands(doorway, peer("thief"))


async def test_a_ticket_in_blocks_is_put_together():
    doorway, reader = Doorway(), peer("reader")
    codes = await doorway.upload_in_blocks(doorway.ac.ticket(reader))
    assert codes == [aiocoap.CONTINUE, aiocoap.CREATED]
    assert stands(doorway, reader)


async def test_a_bad_ticket_gets_its_code_and_no_words():
    doorway = Doorway()
    foreign = doorway.ac.ticket(peer("reader"), audience="urn:dev:org:32473-other")
    assert await doorway.upload(foreign) is aiocoap.FORBIDDEN
    assert await doorway.upload(b"\xff") is aiocoap.BAD_REQUEST
    assert await doorway.upload(IssuingAC().ticket(peer("reader"))) is aiocoap.UNAUTHORIZED


@pytest.mark.parametrize("code", [aiocoap.GET, aiocoap.PUT, aiocoap.DELETE, aiocoap.FETCH])
async def test_only_a_post_gets_in(code):
    """T12."""
    doorway, reader = Doorway(), peer("reader")
    ticket = doorway.ac.ticket(reader)
    answer = await doorway.ask(code, payload=ticket, content_format=61)
    assert answer is aiocoap.METHOD_NOT_ALLOWED
    assert not stands(doorway, reader)


@pytest.mark.parametrize(
    "path",
    [
        ("power",),
        (),
        ("",),
        ("x", "authz-info"),
        ("authz-info", ""),
        ("authz-info/",),
        ("Authz-Info",),
        (".well-known", "core"),
    ],
    ids=repr,
)
@pytest.mark.parametrize("code", [aiocoap.GET, aiocoap.POST])
async def test_every_other_path_says_where_tickets_come_from_and_nothing_else(path, code):
    """T9, T12: the same for what exists and for what does not."""
    doorway, reader = Doorway(), peer("reader")
    padded = {"payload": doorway.ac.ticket(reader), "content_format": 61}
    answer = await doorway.send(doorway.datagram(code, path, **padded))
    assert answer.code is aiocoap.UNAUTHORIZED
    assert answer.opt.content_format == 19
    assert CreationHints.parse_untrusted(answer.payload) == CreationHints(as_uri=TOKEN_URI)
    assert not stands(doorway, reader)


async def test_a_small_request_gets_no_more_than_three_times_its_size():
    doorway = Doorway()
    data = doorway.datagram(aiocoap.GET, ("a",))
    answer = await doorway.send(data)
    assert answer.code is aiocoap.UNAUTHORIZED
    assert answer.payload == b""
    assert answer.opt.content_format is None


async def test_a_query_or_an_option_that_is_not_understood_leads_nowhere():
    doorway, reader = Doorway(), peer("reader")
    ticket = {"payload": doorway.ac.ticket(reader), "content_format": 61}
    assert await doorway.ask(uri_query=["x"], **ticket) is aiocoap.BAD_OPTION
    assert await doorway.ask(if_none_match=True, **ticket) is aiocoap.BAD_OPTION
    assert await doorway.ask(proxy_scheme="coap", **ticket) is aiocoap.PROXYING_NOT_SUPPORTED
    assert await doorway.ask(payload=ticket["payload"]) is aiocoap.UNSUPPORTED_CONTENT_FORMAT
    assert not stands(doorway, reader)


async def test_what_is_no_request_gets_no_answer():
    doorway = Doorway()
    for mtype in (aiocoap.ACK, aiocoap.RST):
        assert await doorway.send(doorway.datagram(mtype=mtype)) is None
    assert await doorway.send(doorway.datagram(aiocoap.CONTENT)) is None
    assert await doorway.send(b"") is None
    assert await doorway.send(b"\x00" * 40) is None


async def test_a_malformed_confirmable_message_is_reset():
    doorway = Doorway()
    answer = await doorway.send(b"\x49\x01\x12\x34" + bytes(9))
    assert (answer.mtype, answer.mid) == (aiocoap.RST, 0x1234)


async def test_an_answer_has_the_token_and_fits_the_kind_of_request():
    doorway = Doorway()
    answer = await doorway.send(doorway.datagram())
    assert (answer.mtype, answer.mid, answer.token) == (aiocoap.ACK, doorway.message_id, b"tk")
    answer = await doorway.send(doorway.datagram(mtype=aiocoap.NON))
    assert (answer.mtype, answer.token) == (aiocoap.NON, b"tk")


async def test_a_repeated_request_gets_the_same_answer_without_being_looked_at_again():
    doorway, reader = Doorway(), peer("reader")
    data = doorway.datagram(payload=doorway.ac.ticket(reader), content_format=61)
    for _ in range(100):
        assert (await doorway.send(data)).code is aiocoap.CREATED
    # The hundred repetitions have not used up the attempts of this address.
    assert await doorway.upload(doorway.ac.ticket(reader)) is aiocoap.CREATED


class TestFloods:
    """T15."""

    async def test_one_address_may_try_so_often_and_no_more(self):
        doorway = Doorway()
        codes = [await doorway.upload(b"\xff", ("192.0.2.7", port)) for port in range(30)]
        assert codes.count(aiocoap.BAD_REQUEST) == 20
        assert codes[20:] == [aiocoap.TOO_MANY_REQUESTS] * 10
        assert await doorway.upload(b"\xff", OTHER) is aiocoap.BAD_REQUEST
        doorway.clock.advance(1)
        assert await doorway.upload(b"\xff") is aiocoap.BAD_REQUEST

    async def test_a_body_of_more_than_4096_bytes_is_not_kept(self):
        doorway = Doorway()
        codes = [await doorway.ask(**doorway.block(bytes(5000), number, True, 6)) for number in range(4)]
        assert codes == [aiocoap.CONTINUE] * 4
        code = await doorway.ask(**doorway.block(bytes(6000), 4, True, 6))
        assert code is aiocoap.REQUEST_ENTITY_TOO_LARGE
        assert len(doorway.door._bodies) == 0

    async def test_so_many_bodies_are_kept_at_once_and_for_so_long(self):
        doorway = Doorway()
        senders = [("192.0.2.9", port) for port in range(100)]
        codes = [await doorway.ask(sender=sender, **doorway.block(bytes(512), 0, True)) for sender in senders]
        assert codes == [aiocoap.CONTINUE] * BODIES + [aiocoap.REQUEST_ENTITY_TOO_LARGE] * (100 - BODIES)
        doorway.clock.advance(BODY_TIMEOUT)
        late = await doorway.ask(sender=senders[0], **doorway.block(bytes(512), 1, False))
        assert late is aiocoap.REQUEST_ENTITY_INCOMPLETE
        assert await doorway.ask(sender=OTHER, **doorway.block(bytes(512), 0, True)) is aiocoap.CONTINUE

    async def test_a_body_lives_no_longer_for_growing_slowly(self):
        doorway = Doorway()
        for number in range(3):
            assert await doorway.ask(**doorway.block(bytes(2048), number, True)) is aiocoap.CONTINUE
            doorway.clock.advance(BODY_TIMEOUT / 3)
        code = await doorway.ask(**doorway.block(bytes(2048), 3, True))
        assert code is aiocoap.REQUEST_ENTITY_INCOMPLETE

    async def test_blocks_of_two_senders_are_not_put_together(self):
        doorway, reader = Doorway(), peer("reader")
        ticket = doorway.ac.ticket(reader)
        assert await doorway.ask(**doorway.block(ticket, 0, True)) is aiocoap.CONTINUE
        code = await doorway.ask(sender=OTHER, **doorway.block(ticket, 1, False))
        assert code is aiocoap.REQUEST_ENTITY_INCOMPLETE

    @pytest.mark.parametrize(("number", "exponent", "size"), [(0, 7, 1024), (0, 4, 255), (1, 4, 256)])
    async def test_a_block_that_cannot_be_is_refused(self, number, exponent, size):
        doorway = Doorway()
        code = await doorway.ask(payload=bytes(size), content_format=61, block1=(number, True, exponent))
        assert code in (aiocoap.BAD_REQUEST, aiocoap.REQUEST_ENTITY_INCOMPLETE)
        assert len(doorway.door._bodies) == 0

    async def test_answers_are_remembered_within_a_bound(self):
        doorway = Doorway()
        for port in range(2 * ANSWERS_REMEMBERED):
            await doorway.send(doorway.datagram(aiocoap.GET, ("a",)), ("192.0.2.7", port))
        assert len(doorway.door._answered) == ANSWERS_REMEMBERED


class TestAnswers:
    async def test_a_message_id_names_one_exchange_for_so_long_and_one_sender(self):
        """RFC 7252 sections 4.5 and 4.8.2."""
        doorway, reader = Doorway(), peer("reader")
        data = doorway.datagram(payload=doorway.ac.ticket(reader, seconds=60), content_format=61)
        assert (await doorway.send(data)).code is aiocoap.CREATED
        doorway.clock.advance(ANSWER_LIFETIME - 0.5)
        assert (await doorway.send(data)).code is aiocoap.CREATED
        assert (await doorway.send(data, OTHER)).code is aiocoap.UNAUTHORIZED  # looked at, and expired
        doorway.clock.advance(0.5)
        assert (await doorway.send(data)).code is aiocoap.UNAUTHORIZED

    async def test_the_answer_that_was_given_longest_ago_is_forgotten_first(self, monkeypatch):
        monkeypatch.setattr("twoway.publisher.plain_door.ANSWERS_REMEMBERED", 2)
        doorway = Doorway()
        first, second, third = (doorway.datagram(payload=b"\xff", content_format=61) for _ in range(3))
        for data in (first, second):
            await doorway.send(data)
        doorway.clock.advance(ANSWER_LIFETIME)
        await doorway.send(first)
        await doorway.send(third)
        assert [mid for (_, mid) in doorway.door._answered] == [1, 3]

    async def test_an_answer_may_have_three_times_the_bytes_of_its_request_and_not_one_more(self):
        doorway = Doorway()
        data = doorway.datagram(aiocoap.GET, ("a" * 60,))
        whole: dict[int, bool] = {}
        for characters in range(100, 250):
            hints = CreationHints(as_uri="u" * characters)
            doorway.door = PlainDoor(
                Admission(doorway.access, clock=doorway.clock),
                hints=lambda hints=hints: hints,
                clock=doorway.clock,
            )
            answer = await doorway.door.answer_untrusted(data, SENDER)
            decoded = aiocoap.Message.decode(answer)
            assert (decoded.payload, decoded.opt.content_format) in ((hints.encode(), 19), (b"", None))
            if decoded.payload:
                whole[characters] = len(answer)
        assert max(whole.values()) == AMPLIFICATION_LIMIT * len(data)
        assert sorted(whole) == list(range(100, 100 + len(whole)))
        assert len(whole) < 150

    async def test_where_nothing_may_be_told_the_refusal_is_bare(self):
        doorway = Doorway()
        doorway.door = PlainDoor(
            Admission(doorway.access, clock=doorway.clock), hints=lambda: None, clock=doorway.clock
        )
        answer = await doorway.send(doorway.datagram(aiocoap.GET, ("power",)))
        assert (answer.code, answer.payload, answer.opt.content_format) == (aiocoap.UNAUTHORIZED, b"", None)

    async def test_answers_that_are_not_confirmed_have_message_ids_of_their_own(self):
        doorway = Doorway()
        ids = []
        for _ in range(2):
            answer = await doorway.send(doorway.datagram(mtype=aiocoap.NON))
            ids.append(answer.mid)
        assert ids == [1, 2]
        doorway.door._message_id = 0xFFFF
        assert (await doorway.send(doorway.datagram(mtype=aiocoap.NON))).mid == 0

    async def test_each_block_is_acknowledged_by_its_number(self):
        """RFC 7959 section 2.3."""
        doorway = Doorway()
        ticket = doorway.ac.ticket(peer("reader"))
        for number, code in ((0, aiocoap.CONTINUE), (1, aiocoap.CREATED)):
            options = doorway.block(ticket, number, code is aiocoap.CONTINUE)
            answer = await doorway.send(doorway.datagram(**options))
            assert (answer.code, tuple(answer.opt.block1)) == (code, options["block1"])
        whole = doorway.datagram(payload=ticket, content_format=61)
        assert (await doorway.send(whole)).opt.block1 is None

    async def test_so_many_uploads_are_under_way_at_once_and_the_next_is_told_to_wait(self):
        """Each may wait for the AC; a flood of keys that nobody knows must not pile up."""
        doorway, answered = Doorway(), asyncio.Event()

        async def ask_the_ac() -> bool:
            await answered.wait()
            return False

        admission = Admission(doorway.access, clock=doorway.clock, learn_keys=ask_the_ac)
        doorway.door = PlainDoor(admission, hints=lambda: None, clock=doorway.clock)
        foreign, own = IssuingAC().ticket(peer("reader")), doorway.ac.ticket(peer("reader"))
        for round_ in range(2):  # after the first one there is as much room again, and no more
            answered.clear()
            senders = [(f"192.0.2.{round_}", port) for port in range(UPLOADS_AT_ONCE)]
            waiting = [asyncio.create_task(doorway.upload(foreign, sender)) for sender in senders]
            await asyncio.sleep(0)
            answer = await doorway.send(doorway.datagram(payload=own, content_format=61))
            assert (answer.code, answer.opt.max_age) == (aiocoap.TOO_MANY_REQUESTS, 1)
            answered.set()
            assert await asyncio.gather(*waiting) == [aiocoap.UNAUTHORIZED] * UPLOADS_AT_ONCE
        assert await doorway.upload(own) is aiocoap.CREATED
