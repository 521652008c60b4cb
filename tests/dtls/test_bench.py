"""Hellos in pieces: put together at the gate, in memory that the network cannot make grow."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest
from dtls_hellos import ADDRESS, HELLO, cookie_for, datagram, gate
from hypothesis import given
from hypothesis import strategies as st

from twoway.dtls import AcceptedHello, HelloUnfinished, HelloVerify
from twoway.dtls.bench import HELLO_LIFE, MAX_HELLO_BYTES, MAX_UNFINISHED_HELLOS
from twoway.dtls.messages.handshake import HandshakeMessage, HandshakeType
from twoway.dtls.messages.hello import ClientHello, HelloVerifyRequest
from twoway.dtls.record import DTLS_1_0, ContentType, Record, encode_record


def pieces(
    hello: ClientHello = HELLO, size: int = 20, *, message_seq: int = 0, first: int = 0
) -> list[bytes]:
    """A hello in datagrams with `size` bytes of it each; `first` is the first one's sequence number."""
    message = HandshakeMessage(HandshakeType.CLIENT_HELLO, message_seq, hello.encode())
    return [
        encode_record(ContentType.HANDSHAKE, DTLS_1_0, 0, first + number, message.fragment(at, taken))
        for number, at in enumerate(range(0, len(message.body), size))
        if (taken := min(size, len(message.body) - at))
    ]


def judged(the_gate, datagrams, *, address=ADDRESS, now=0.0) -> list[object]:
    return [the_gate.receive_untrusted(data, address, now) for data in datagrams]


def waiting(the_gate) -> int:
    return len(the_gate._bench)


@pytest.mark.parametrize("size", [1, 7, 20, 39])
def test_a_hello_in_pieces_is_asked_for_its_cookie_when_its_last_piece_is_there(size):
    the_gate = gate()
    *before, last = judged(the_gate, pieces(size=size))
    assert set(map(type, before)) == {HelloUnfinished}
    assert last == HelloVerify(
        the_gate.receive_untrusted(datagram(HELLO, sequence=len(before)), ADDRESS, 0.0).datagram
    )


@pytest.mark.parametrize("size", [1, 7, 20, 39])
def test_a_hello_in_pieces_with_its_cookie_is_accepted_as_if_it_had_come_whole(size):
    the_gate = gate()
    (*_, asked) = judged(the_gate, pieces(size=size))
    cookie = HelloVerifyRequest.parse_untrusted(asked.datagram[25:]).cookie
    hello = replace(HELLO, cookie=cookie)
    *before, accepted = judged(the_gate, pieces(hello, size, message_seq=1, first=100))
    assert set(map(type, before)) == {HelloUnfinished}
    message = HandshakeMessage(HandshakeType.CLIENT_HELLO, 1, hello.encode())
    last = 100 + len(before)
    assert accepted == AcceptedHello(hello, message, Record(22, DTLS_1_0, 0, last, message.encode()))
    assert accepted.datagram == encode_record(22, DTLS_1_0, 0, last, message.encode())
    assert waiting(the_gate) == 0


def test_pieces_may_come_in_any_order_and_several_times():
    for seed in range(50):
        the_gate, dice = gate(), random.Random(seed)
        shuffled = pieces(size=9)
        shuffled += dice.choices(shuffled, k=3)
        dice.shuffle(shuffled)
        assert any(isinstance(verdict, HelloVerify) for verdict in judged(the_gate, shuffled))


def test_what_one_transmission_lost_the_next_brings():
    the_gate = gate()
    first, second, third, fourth = pieces(size=12)
    assert judged(the_gate, [first, third]) == [HelloUnfinished()] * 2
    *_, verdict = judged(the_gate, [second, fourth], now=HELLO_LIFE - 1)
    assert isinstance(verdict, HelloVerify)


# --- what it can cost -------------------------------------------------------------------------------------


def test_a_hello_in_one_piece_takes_no_place():
    the_gate = gate()
    cookie = cookie_for(the_gate)
    judged(the_gate, [datagram(replace(HELLO, cookie=cookie), message_seq=1)])
    assert waiting(the_gate) == 0


def test_a_finished_hello_leaves_its_place():
    the_gate = gate()
    judged(the_gate, pieces())
    assert waiting(the_gate) == 0


def test_however_many_addresses_begin_there_is_only_so_much_room():
    the_gate = gate()
    for number in range(1000):
        judged(the_gate, pieces()[:1], address=b"%d" % number)
    assert waiting(the_gate) == MAX_UNFINISHED_HELLOS
    held = sum(place.assembly.length for place in the_gate._bench._places.values())
    assert held <= MAX_UNFINISHED_HELLOS * MAX_HELLO_BYTES


def test_one_address_has_one_place_whatever_it_begins():
    the_gate = gate()
    for number in range(100):
        judged(the_gate, pieces(message_seq=number)[:1])
    assert waiting(the_gate) == 1


def test_a_hello_that_claims_to_be_large_is_dropped():
    longer = replace(HELLO, extensions={0xFFFE: bytes(MAX_HELLO_BYTES)})
    the_gate = gate()
    assert judged(the_gate, pieces(longer, 100)) == [None] * len(pieces(longer, 100))
    assert waiting(the_gate) == 0
    assert isinstance(the_gate.receive_untrusted(datagram(longer), ADDRESS, 0.0), HelloVerify), (
        "whole it may be"
    )


def test_a_hello_as_large_as_the_bound_is_put_together():
    bare = replace(HELLO, extensions={0xFFFE: b""})
    largest = replace(HELLO, extensions={0xFFFE: bytes(MAX_HELLO_BYTES - len(bare.encode()))})
    assert len(largest.encode()) == MAX_HELLO_BYTES
    assert isinstance(judged(gate(), pieces(largest, 100))[-1], HelloVerify)


def test_unfinished_hellos_do_not_wait_for_ever():
    the_gate = gate()
    for number in range(10):
        judged(the_gate, pieces()[:1], address=b"%d" % number, now=float(number))
    judged(the_gate, pieces()[:1], now=HELLO_LIFE + 5)
    assert waiting(the_gate) == 10 - 6 + 1


def test_nothing_is_sent_for_less_than_a_whole_hello():
    """An answer of 60 bytes for a piece of 26 would let anybody have us send to others."""
    the_gate = gate()
    sent = received = 0
    dice = random.Random(5)
    crumbs = pieces(size=1)
    for _ in range(20_000):
        crumb = dice.choice(crumbs)
        verdict = the_gate.receive_untrusted(crumb, ADDRESS, 0.0)
        received += len(crumb)
        sent += len(verdict.datagram) if isinstance(verdict, HelloVerify) else 0
    assert 0 < sent < received / 10


def test_a_piece_after_a_finished_hello_begins_anew():
    the_gate = gate()
    all_pieces = pieces()
    judged(the_gate, all_pieces)
    assert judged(the_gate, all_pieces[-1:]) == [HelloUnfinished()]


# --- what an attacker can do ------------------------------------------------------------------------------


def test_a_flood_of_first_pieces_delays_who_fragments_and_nobody_else():
    the_gate = gate()
    first, *rest = pieces(size=30)
    judged(the_gate, [first], address=b"a client that fragments")
    for number in range(MAX_UNFINISHED_HELLOS):
        judged(the_gate, [first], address=b"spoofed %d" % number)
    delayed = judged(the_gate, rest, address=b"a client that fragments")
    assert set(map(type, delayed)) == {HelloUnfinished}, "its place was gone"
    assert isinstance(the_gate.receive_untrusted(datagram(HELLO), b"whole", 0.0), HelloVerify)
    verdicts = judged(the_gate, [first, *rest], address=b"a client that fragments")
    assert HelloVerify in map(type, verdicts), "its repetition came through in one go"


def test_the_oldest_goes_first():
    the_gate = gate()
    for number in range(MAX_UNFINISHED_HELLOS + 1):
        judged(the_gate, pieces(size=30)[:1], address=b"%d" % number)
    assert b"0" not in the_gate._bench._places
    assert b"1" in the_gate._bench._places


def test_who_begins_anew_on_a_full_bench_puts_nobody_out_but_itself():
    the_gate = gate()
    addresses = [b"%d" % number for number in range(MAX_UNFINISHED_HELLOS)]
    for address in addresses:
        judged(the_gate, pieces(size=30)[:1], address=address)
    anew = replace(HELLO, random=bytes(32))
    judged(the_gate, pieces(anew, 30)[:1], address=addresses[5])
    assert set(the_gate._bench._places) == set(addresses)


def test_who_begins_anew_is_the_youngest_again():
    """Else the places behind it would be kept for as long as its own."""
    the_gate = gate()
    for number in range(3):
        judged(the_gate, pieces()[:1], address=b"%d" % number, now=0.0)
    judged(the_gate, pieces(replace(HELLO, random=bytes(32)))[:1], address=b"0", now=100.0)
    judged(the_gate, pieces()[:1], now=HELLO_LIFE + 1)
    assert list(the_gate._bench._places) == [b"0", ADDRESS]


def test_pieces_of_two_addresses_never_mix():
    the_gate = gate()
    first, second = pieces(size=30)
    judged(the_gate, [first], address=b"one")
    assert judged(the_gate, [second], address=b"other") == [HelloUnfinished()]


def test_a_forged_piece_cannot_get_a_hello_past_the_cookie():
    the_gate = gate()
    hello = replace(HELLO, cookie=cookie_for(the_gate))
    other = replace(hello, random=bytes(32))
    forged = pieces(other, 36, message_seq=1)[:1]
    verdicts = judged(the_gate, forged + pieces(hello, 36, message_seq=1)[1:])
    assert isinstance(verdicts[-1], HelloVerify), "asked for a cookie of its own"


def test_a_client_that_started_anew_gets_through_whatever_its_former_self_left_behind():
    the_gate = gate()
    anew = replace(HELLO, random=bytes(32))
    judged(the_gate, pieces(size=15)[:2])
    (*_, verdict) = judged(the_gate, pieces(anew, 15))
    assert verdict == the_gate.receive_untrusted(datagram(anew, sequence=2), ADDRESS, 0.0)


@pytest.mark.parametrize(
    ("message_seq", "first"), [(2**8 + 1, 0), (0, 2**40 + 1)], ids=["message number", "record number"]
)
def test_pieces_whose_numbers_are_used_up_are_dropped_as_whole_ones_are(message_seq, first):
    the_gate = gate()
    assert set(judged(the_gate, pieces(message_seq=message_seq, first=first))) == {None}


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 60), st.binary(max_size=60)), max_size=40))
def test_no_pieces_whatever_make_the_gate_raise(crumbs):
    the_gate = gate()
    for seq, offset, data in crumbs:
        body = bytes(offset) + data + bytes(3)
        piece = HandshakeMessage(HandshakeType.CLIENT_HELLO, seq, body).fragment(offset, len(data))
        the_gate.receive_untrusted(encode_record(22, DTLS_1_0, 0, 0, piece), ADDRESS, 0.0)
    assert waiting(the_gate) <= 1
