"""Peers with a good certificate and bad manners: nothing they say disturbs anybody else."""

import random

import pytest
from live_coap import Note, PlainSpeaker, coap_client, coap_server, get_bytes, site_of
from live_endpoints import until
from small_pki import small_pki

pki = small_pki()

GOOD = [
    get_bytes(),
    get_bytes(options=b"\x41q"),
    b"\x41\x01\x00\x01\x05\x60\x54note",  # observe
    b"\x41\x03\x00\x02\x06\xb4note\xd1\x03\x08\xff" + bytes(16),  # a first block
    b"\x41\x03\x00\x03\x07\xb4note\xffbody",
    b"\x40\x00\x00\x04",  # ping
    b"\x60\x00\x00\x05",  # an acknowledgement of nothing
    b"\x70\x00\x00\x06",  # a reset of nothing
    b"\x61\x45\x00\x07\x01\xffanswer",  # an answer to nothing
    b"\x41\x45\x00\x08\x01\xffanswer",
]


@pytest.fixture
def listeners_of(caplog):
    """Whatever goes through a log must not be a traceback."""
    yield
    assert not [record for record in caplog.records if record.exc_info]


@pytest.mark.usefixtures("listeners_of")
@pytest.mark.parametrize("seed", range(4))
async def test_noise_and_mutations_of_good_messages_disturb_nobody(seed):
    noise = random.Random(seed)
    note = Note()
    async with coap_server(site_of(note=note)) as server, coap_client(pki.sink) as honest:
        uri = server.uri("note")
        async with await PlainSpeaker.towards(server) as peer:
            for round_number in range(400):
                data = bytearray(noise.choice(GOOD))
                for _ in range(noise.randrange(4)):
                    match noise.randrange(3):
                        case 0:
                            data[noise.randrange(len(data))] = noise.randrange(256)
                        case 1:
                            del data[noise.randrange(len(data)) :]
                            data += noise.randbytes(noise.randrange(1, 20))
                        case 2:
                            data.insert(noise.randrange(len(data)), noise.randrange(256))
                peer.say(bytes(data))
                peer.say(noise.randbytes(noise.randrange(60)))
                if round_number % 50 == 0:
                    assert (await honest.get(uri)).code.is_successful()
            assert peer.connection.closed is None
            # It has not locked itself out either.
            answer = await peer.answer_to(b"\x40\x00\xab\xcd")
            while answer != b"\x70\x00\xab\xcd":
                answer = await peer.answer_to(b"\x40\x00\xab\xcd")
        assert server.endpoint.counters["listeners failed"] == 0
        assert (await honest.put(uri, b"still")).code.is_successful()
        assert (await honest.get(uri)).payload == b"still"


async def test_a_malformed_message_is_reset_if_it_asks_for_confirmation_and_ignored_else():
    async with coap_server(site_of(note=Note())) as server, await PlainSpeaker.towards(server) as peer:
        assert await peer.answer_to(b"\x4f\x01\x12\x34") == b"\x70\x00\x12\x34"
        peer.say(b"\x5f\x01\x12\x35")
        peer.say(b"\xff" * 20)
        assert await peer.answer_to(b"\x40\x00\x12\x36") == b"\x70\x00\x12\x36"


async def test_a_repeated_request_is_answered_again_and_done_once():
    note = Note()
    async with coap_server(site_of(note=note)) as server, await PlainSpeaker.towards(server) as peer:
        put = b"\x41\x03\x00\x03\x07\xb4note\xffbody"
        assert await peer.answer_to(put) == await peer.answer_to(put)
        assert len(note.requests) == 1


async def test_a_flood_of_requests_from_one_peer_leaves_the_others_served():
    note = Note()
    async with (
        coap_server(site_of(note=note)) as server,
        coap_client(pki.sink) as honest,
        await PlainSpeaker.towards(server) as peer,
    ):
        for mid in range(500):
            peer.say(get_bytes(mid=mid, token=mid.to_bytes(2)))
        assert (await honest.get(server.uri("note"))).payload == b"nothing yet"
        await until(lambda: len(note.requests) == 501)
