"""Bodies in blocks: what is put together, what is cut, and how much of it is kept."""

import asyncio

import aiocoap
import pytest
from aiocoap import Message
from aiocoap.resource import Resource
from live_coap import Note, PlainSpeaker, coap_client, coap_server, get_bytes, site_of
from live_endpoints import until
from small_pki import small_pki

from twoway.coap import BodyLimits
from twoway.coap.context import SecureContext

pki = small_pki()

LIMITS = BodyLimits(body_bytes=4096, bodies_per_peer=2, bodies=3)


def put_block(number, *, more, payload=bytes(16), path=b"note", mid=None, exponent=0, size1=None):
    """A confirmable PUT of one block, by hand."""
    block = (number << 4 | more << 3 | exponent).to_bytes(3).lstrip(b"\0")
    message = b"\x41\x03" + (mid if mid is not None else 1000 + number).to_bytes(2) + b"\x07"
    message += bytes([0xB0 | len(path)]) + path + bytes([0xD0 | len(block), 27 - 11 - 13]) + block
    if size1 is not None:
        message += b"\xd4\x14" + size1.to_bytes(4)
    return message + b"\xff" + payload


def code_of(answer):
    return aiocoap.Code(answer[1])


async def test_a_body_beyond_the_bound_is_refused_with_the_bound():
    note = Note()
    async with coap_server(site_of(note=note), body_limits=LIMITS) as server, coap_client() as client:
        response = await client.put(server.uri("note"), bytes(4097))
        assert response.code == aiocoap.REQUEST_ENTITY_TOO_LARGE
        assert response.opt.size1 == 4096
        assert (await client.put(server.uri("note"), bytes(4096))).code == aiocoap.CHANGED
        assert len(note.requests) == 1


async def test_a_body_that_grows_beyond_the_bound_unannounced_is_refused_on_the_way():
    async with (
        coap_server(site_of(note=Note()), body_limits=LIMITS) as server,
        await PlainSpeaker.towards(server) as peer,
    ):
        for number in range(4):
            block = put_block(number, more=True, payload=bytes(1024), exponent=6)
            assert code_of(await peer.answer_to(block)) == aiocoap.CONTINUE
        too_much = put_block(4, more=True, payload=bytes(1024), exponent=6)
        assert code_of(await peer.answer_to(too_much)) == aiocoap.REQUEST_ENTITY_TOO_LARGE
        assert len(server.context.requests) == 0


async def test_an_announced_size_beyond_the_bound_is_refused_at_once():
    async with (
        coap_server(site_of(note=Note()), body_limits=LIMITS) as server,
        await PlainSpeaker.towards(server) as peer,
    ):
        answer = await peer.answer_to(put_block(0, more=True, size1=5000))
        assert code_of(answer) == aiocoap.REQUEST_ENTITY_TOO_LARGE


async def test_one_identity_begins_a_bounded_number_of_bodies_however_many_connections_it_has():
    async with (
        coap_server(site_of(note=Note()), body_limits=LIMITS) as server,
        await PlainSpeaker.towards(server) as one,
        await PlainSpeaker.towards(server) as two,
    ):
        answers = [
            await one.answer_to(put_block(0, more=True, path=b"a")),
            await two.answer_to(put_block(0, more=True, path=b"b")),
            await one.answer_to(put_block(0, more=True, path=b"c", mid=2)),
        ]
        assert [code_of(each) for each in answers] == [
            aiocoap.CONTINUE,
            aiocoap.CONTINUE,
            aiocoap.REQUEST_ENTITY_TOO_LARGE,
        ]
        async with await PlainSpeaker.towards(server, pki.sink) as other:
            assert code_of(await other.answer_to(put_block(0, more=True))) == aiocoap.CONTINUE
            # Three bodies are all there may be.
            async with await PlainSpeaker.towards(server, pki.ac) as last:
                answer = await last.answer_to(put_block(0, more=True))
                assert code_of(answer) == aiocoap.REQUEST_ENTITY_TOO_LARGE


async def test_a_body_that_was_begun_again_takes_the_place_of_its_first_attempt():
    note = Note()
    async with (
        coap_server(site_of(note=note), body_limits=LIMITS) as server,
        await PlainSpeaker.towards(server) as peer,
    ):
        for mid in range(5):
            answer = await peer.answer_to(put_block(0, more=True, mid=mid))
            assert code_of(answer) == aiocoap.CONTINUE
        last = await peer.answer_to(put_block(1, more=False, payload=b"end"))
        assert code_of(last) == aiocoap.CHANGED
        assert note.content == bytes(16) + b"end"


async def test_what_a_lost_connection_has_begun_is_forgotten():
    async with (
        coap_server(site_of(note=Note(bytes(5000)))) as server,
        await PlainSpeaker.towards(server) as peer,
    ):
        await peer.answer_to(put_block(0, more=True))
        await peer.answer_to(get_bytes(mid=2))
        context: SecureContext = server.context
        assert (len(context.requests), len(context.responses)) == (1, 1)
        peer.connection.close()
        await until(lambda: not server.endpoint.connections)
        assert (len(context.requests), len(context.responses)) == (0, 0)


async def test_what_nobody_goes_on_with_is_forgotten_after_its_time():
    limits = BodyLimits(bodies_per_peer=1, body_timeout=0.1)
    async with (
        coap_server(site_of(note=Note()), body_limits=limits) as server,
        await PlainSpeaker.towards(server) as peer,
    ):
        assert code_of(await peer.answer_to(put_block(0, more=True, path=b"a"))) == aiocoap.CONTINUE
        await asyncio.sleep(0.15)
        assert code_of(await peer.answer_to(put_block(0, more=True, path=b"b", mid=2))) == aiocoap.CONTINUE
        late = await peer.answer_to(put_block(1, more=False, path=b"a"))
        assert code_of(late) == aiocoap.REQUEST_ENTITY_INCOMPLETE


@pytest.mark.parametrize(
    ("blocks", "code"),
    [
        ([(1, True)], aiocoap.REQUEST_ENTITY_INCOMPLETE),
        ([(0, True), (2, True)], aiocoap.REQUEST_ENTITY_INCOMPLETE),
        ([(0, True), (1, True), (1, True)], aiocoap.REQUEST_ENTITY_INCOMPLETE),
    ],
)
async def test_a_gap_is_told(blocks, code):
    async with coap_server(site_of(note=Note())) as server, await PlainSpeaker.towards(server) as peer:
        for mid, (number, more) in enumerate(blocks):
            answer = await peer.answer_to(put_block(number, more=more, mid=mid))
        assert code_of(answer) == code


async def test_a_block_of_another_size_than_it_says_is_refused():
    async with coap_server(site_of(note=Note())) as server, await PlainSpeaker.towards(server) as peer:
        for mid, (more, payload) in enumerate([(True, b"short"), (True, bytes(17)), (False, bytes(17))]):
            answer = await peer.answer_to(put_block(0, more=more, payload=payload, mid=mid))
            assert code_of(answer) == aiocoap.BAD_REQUEST


async def test_the_reserved_block_size_is_refused():
    async with coap_server(site_of(note=Note())) as server, coap_client() as client:
        for options in ({"block2": (0, False, 7)}, {"block2": (1, False, 7)}):
            message = Message(code=aiocoap.GET, uri=server.uri("note"), **options)
            async with asyncio.timeout(5):
                response = await client.context.request(message, handle_blockwise=False).response
            assert response.code == aiocoap.BAD_REQUEST
        async with await PlainSpeaker.towards(server) as peer:
            answer = await peer.answer_to(put_block(0, more=True, payload=bytes(1024), exponent=7))
            assert code_of(answer) == aiocoap.BAD_REQUEST


async def block2(client, server, number, exponent=6):
    message = Message(code=aiocoap.GET, uri=server.uri("note"), block2=(number, False, exponent))
    async with asyncio.timeout(5):
        return await client.context.request(message, handle_blockwise=False).response


async def test_a_peer_chooses_smaller_blocks():
    content = bytes(range(200))
    async with coap_server(site_of(note=Note(content))) as server, coap_client() as client:
        first = await block2(client, server, 0, exponent=1)
        assert (first.payload, tuple(first.opt.block2)) == (content[:32], (0, True, 1))
        second = await block2(client, server, 1, exponent=1)
        assert (second.payload, tuple(second.opt.block2)) == (content[32:64], (1, True, 1))
        last = await block2(client, server, 3, exponent=2)
        assert (last.payload, tuple(last.opt.block2)) == (content[192:], (3, False, 2))
        assert first.opt.etag == second.opt.etag == last.opt.etag
        assert (await block2(client, server, 99)).code == aiocoap.BAD_REQUEST


async def test_a_later_block_of_nothing_that_was_begun_is_told():
    async with coap_server(site_of(note=Note(bytes(5000)))) as server, coap_client() as client:
        assert (await block2(client, server, 1)).code == aiocoap.REQUEST_ENTITY_INCOMPLETE


async def test_blocks_of_one_peer_are_nothing_to_another():
    async with (
        coap_server(site_of(note=Note(bytes(5000)))) as server,
        coap_client() as one,
        coap_client() as other,
    ):
        assert (await block2(one, server, 0)).code == aiocoap.CONTENT
        assert (await block2(other, server, 1)).code == aiocoap.REQUEST_ENTITY_INCOMPLETE


async def test_begun_responses_make_room_for_newer_ones():
    resources = {name: Note(bytes(2000)) for name in "abcdef"}
    async with coap_server(site_of(**resources), body_limits=LIMITS) as server, coap_client() as client:
        for name in resources:
            assert len((await client.get(server.uri(name))).payload) == 2000
        assert len(server.context.responses) == LIMITS.bodies_per_peer


async def test_a_representation_that_changes_between_blocks_does_not_get_mixed():
    note = Note(b"a" * 2000)
    async with coap_server(site_of(note=note)) as server, coap_client() as client:
        first = await block2(client, server, 0)
        note.content = b"b" * 2000
        assert (await block2(client, server, 1)).payload == b"a" * 976
        again = await block2(client, server, 0)
        assert again.payload == b"b" * 1024
        assert again.opt.etag != first.opt.etag


async def test_a_resource_that_wants_its_blocks_for_itself_gets_them():
    class Cutter(Resource):
        async def needs_blockwise_assembly(self, request):
            return False

        async def render_get(self, request):
            number = request.opt.block2.block_number if request.opt.block2 else 0
            return Message(payload=b"%d" % number, block2=(number, False, 0))

    async with coap_server(site_of(note=Cutter())) as server, coap_client() as client:
        response = await block2(client, server, 5, exponent=0)
        assert response.payload == b"5"


async def test_a_server_that_sends_without_end_is_given_up():
    class Endless(Resource):
        async def needs_blockwise_assembly(self, request):
            return False

        async def render_get(self, request):
            number = request.opt.block2.block_number if request.opt.block2 else 0
            return Message(payload=bytes(1024), block2=(number, True, 6))

    async with coap_server(site_of(endless=Endless())) as server, coap_client() as client:
        with pytest.raises(aiocoap.error.NetworkError, match="it sent a body of more than 1048576 bytes"):
            await client.get(server.uri("endless"))
        assert client.endpoint.connections == ()
