"""The cookie gate: no memory, no amplification, and no association for an address that may be a lie."""

from __future__ import annotations

import gc
import pickle
import random
from dataclasses import replace

import pytest
from dtls_hellos import ADDRESS, HELLO, INTERVAL, cookie_for, datagram, gate
from dtls_pair import NOW, Pair, server_config
from dtls_rogue import client_hello, rogue_client
from hypothesis import given
from hypothesis import strategies as st

from twoway.dtls import (
    AcceptedHello,
    AlertDescription,
    Association,
    HelloGate,
    HelloUnfinished,
    may_be_client_hello,
)
from twoway.dtls.client import MAX_VERIFY_REQUESTS
from twoway.dtls.cookie import MAX_HELLO_MESSAGE_SEQ, MAX_HELLO_SEQUENCE
from twoway.dtls.messages.handshake import HandshakeMessage, HandshakeType
from twoway.dtls.messages.hello import ClientHello, HelloVerifyRequest
from twoway.dtls.record import DTLS_1_0, DTLS_1_2, MAX_SEQUENCE, Record, encode_record


def is_accepted(the_gate: HelloGate, hello: ClientHello, *, address: bytes = ADDRESS, now=0.0) -> bool:
    verdict = the_gate.receive_untrusted(datagram(hello, message_seq=1, sequence=1), address, now)
    assert verdict is not None
    return isinstance(verdict, AcceptedHello)


def test_a_hello_with_its_cookie_is_accepted_and_handed_on_as_it_came():
    the_gate = gate()
    hello = replace(HELLO, cookie=cookie_for(the_gate))
    verdict = the_gate.receive_untrusted(datagram(hello, message_seq=1, sequence=7), ADDRESS, 0.0)
    message = HandshakeMessage(HandshakeType.CLIENT_HELLO, 1, hello.encode())
    assert verdict == AcceptedHello(hello, message, Record(22, DTLS_1_0, 0, 7, message.encode()))


@pytest.mark.parametrize("cookie", [b"", b"\x00", bytes(31), bytes(32), bytes(33), bytes(255)])
def test_a_hello_without_the_right_cookie_gets_a_fresh_one_whatever_it_brought(cookie):
    the_gate = gate()
    answer = the_gate.receive_untrusted(datagram(HELLO), ADDRESS, 0.0)
    assert the_gate.receive_untrusted(datagram(replace(HELLO, cookie=cookie)), ADDRESS, 0.0) == answer


def test_the_answer_is_never_longer_than_the_hello():
    the_gate = gate()
    for hello in (HELLO, replace(HELLO, cookie=bytes(32))):
        question = datagram(hello)
        assert len(the_gate.receive_untrusted(question, ADDRESS, 0.0).datagram) < len(question)


def test_the_answer_repeats_the_numbers_of_the_hello_and_says_dtls_1_0():
    answer = gate().receive_untrusted(datagram(HELLO, message_seq=0, sequence=9), ADDRESS, 0.0).datagram
    assert answer[:13] == encode_record(22, DTLS_1_0, 0, 9, bytes(47))[:13]
    assert answer[25:27] == b"\xfe\xff"


def test_ten_thousand_strangers_leave_no_trace():
    the_gate = gate()
    the_gate.receive_untrusted(datagram(HELLO), ADDRESS, 0.0)

    def state():
        return pickle.dumps({name: value for name, value in vars(the_gate).items() if name != "_entropy"})

    before = state()
    gc.collect()
    objects = len(gc.get_objects())
    for number in range(10_000):
        the_gate.receive_untrusted(datagram(HELLO), b"192.0.2.1:%d" % number, 0.0)
    gc.collect()
    assert state() == before
    assert len(gc.get_objects()) <= objects + 50


# --- what a cookie is good for ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "address", [b"192.0.2.2:5684", b"192.0.2.1:5685", b"", b"192.0.2.1:568", ADDRESS + b"\x00"]
)
def test_a_cookie_is_good_from_its_address_alone(address):
    the_gate = gate()
    assert not is_accepted(the_gate, replace(HELLO, cookie=cookie_for(the_gate)), address=address)


@pytest.mark.parametrize(
    "change",
    [
        {"random": bytes(32)},
        {"version": 0xFEFC},
        {"session_id": b"x"},
        {"suites": (0xC0AE, 0xC02B)},
        {"suites": (0xC02B,)},
        {"compressions": b"\x00\x01"},
    ],
    ids="-".join,
)
def test_a_cookie_is_good_for_its_hello_alone(change):
    the_gate = gate()
    assert not is_accepted(the_gate, replace(HELLO, cookie=cookie_for(the_gate), **change))


def test_what_belongs_to_the_address_cannot_be_passed_off_as_the_hello():
    """Written one behind the other without lengths, both pairs of address and hello are the same bytes."""
    the_gate = gate()
    asked = replace(HELLO, session_id=b"\x07\x00")
    cookie = cookie_for(the_gate, asked, address=b"a")
    moved = replace(
        HELLO,
        version=int.from_bytes(HELLO.random[:2]),
        random=HELLO.random[2:] + b"\x02\x07",
        cookie=cookie,
    )
    assert b"a" + asked.parameters() == b"a\xfe\xfd" + moved.parameters()
    assert not is_accepted(the_gate, moved, address=b"a\xfe\xfd")


def test_every_bit_of_a_cookie_counts():
    the_gate = gate()
    cookie = cookie_for(the_gate)
    for at in range(8 * len(cookie)):
        forged = bytearray(cookie)
        forged[at // 8] ^= 1 << at % 8
        assert not is_accepted(the_gate, replace(HELLO, cookie=bytes(forged)))
    assert not is_accepted(the_gate, replace(HELLO, cookie=cookie[:-1]))
    assert not is_accepted(the_gate, replace(HELLO, cookie=cookie + b"\x00"))
    assert is_accepted(the_gate, replace(HELLO, cookie=cookie))


def test_a_cookie_of_another_process_is_worth_nothing():
    other = HelloGate(entropy=random.Random(2).randbytes)
    assert not is_accepted(gate(), replace(HELLO, cookie=cookie_for(other)))


@pytest.mark.parametrize(
    "traffic_at", [(), (60.0,), (61.0,), (90.0,), (119.0,), (30.0, 60.0, 90.0), (119.9,)]
)
@pytest.mark.parametrize("made_at", [0.0, 1.0, 30.0, 59.0])
def test_a_cookie_lives_one_to_two_intervals_whatever_else_happens(made_at, traffic_at):
    def alive_at(now: float) -> bool:
        the_gate = gate()
        the_gate.receive_untrusted(b"", b"", 0.0)
        hello = replace(HELLO, cookie=cookie_for(the_gate, now=made_at))
        for at in traffic_at:
            if made_at <= at <= now:
                the_gate.receive_untrusted(datagram(HELLO), b"somebody else", at)
        return is_accepted(the_gate, hello, now=now)

    assert alive_at(made_at + 0.999 * INTERVAL)
    assert not alive_at(made_at + 2.001 * INTERVAL)
    assert not alive_at(made_at + 10 * INTERVAL)


def test_the_first_interval_begins_with_the_first_datagram_whatever_the_clock_says():
    the_gate, opened_at = gate(), 10.3 * INTERVAL
    answers = [
        the_gate.receive_untrusted(datagram(HELLO), ADDRESS, opened_at + share * INTERVAL)
        for share in (0.0, 0.99, 1.01)
    ]
    assert answers[0] == answers[1] != answers[2]


def test_the_secrets_do_change():
    the_gate = gate()
    cookies = {cookie_for(the_gate, now=now) for now in (0.0, 61.0, 122.0, 1000.0)}
    assert len(cookies) == 4


# --- what is dropped --------------------------------------------------------------------------------------


def test_a_fragment_that_would_be_a_hello_by_itself_is_none():
    """Its header says that it is a part of something longer."""
    body = HELLO.encode()
    size = len(body)
    for whole, start, length in (
        (body, 0, size - 1),
        (body, 1, size - 1),
        (body, 0, 0),
        (body + b"\x00\x00", 0, size),
        (b"\x00" + body, 1, size),
    ):
        message = HandshakeMessage(HandshakeType.CLIENT_HELLO, 0, whole)
        record = encode_record(22, DTLS_1_0, 0, 0, message.fragment(start, length))
        assert gate().receive_untrusted(record, ADDRESS, 0.0) == HelloUnfinished()


@pytest.mark.parametrize(
    "dropped",
    [
        b"",
        b"\x00",
        datagram(HELLO)[:-1],
        datagram(HELLO)[:13],
        encode_record(22, DTLS_1_0, 1, 0, datagram(HELLO)[13:]),
        encode_record(23, DTLS_1_0, 0, 0, datagram(HELLO)[13:]),
        encode_record(
            22, DTLS_1_0, 0, 0, HandshakeMessage(HandshakeType.FINISHED, 0, HELLO.encode()).encode()
        ),
        encode_record(22, DTLS_1_0, 0, 0, HandshakeMessage(HandshakeType.CLIENT_HELLO, 0, b"").encode()),
        encode_record(22, 0x0303, 0, 0, datagram(HELLO)[13:]),
        encode_record(21, DTLS_1_2, 0, 0, b"\x02\x28"),
        encode_record(22, DTLS_1_0, 0, 0, b""),
        encode_record(22, DTLS_1_0, 0, 0, datagram(HELLO)[13:24]),
        encode_record(22, DTLS_1_0, 0, 0, datagram(HELLO)[13:24] + b"\xff" + HELLO.encode()),
    ],
)
def test_what_is_no_whole_hello_is_dropped_without_an_answer(dropped):
    assert gate().receive_untrusted(dropped, ADDRESS, 0.0) is None


@pytest.mark.parametrize(
    ("message_seq", "sequence", "is_answered"),
    [
        (MAX_HELLO_MESSAGE_SEQ, MAX_HELLO_SEQUENCE, True),
        (MAX_HELLO_MESSAGE_SEQ + 1, 0, False),
        (0, MAX_HELLO_SEQUENCE + 1, False),
    ],
)
def test_a_hello_whose_numbers_are_used_up_gets_no_answer(message_seq, sequence, is_answered):
    hello = datagram(HELLO, message_seq=message_seq, sequence=sequence)
    assert (gate().receive_untrusted(hello, ADDRESS, 0.0) is not None) is is_answered


def test_at_a_glance_a_hello_and_any_fragment_of_it_may_be_one_and_nothing_else():
    hello = datagram(HELLO)
    fragment = HandshakeMessage(HandshakeType.CLIENT_HELLO, 3, HELLO.encode()).fragment(5, 10)
    for may_be in (hello, hello[:14], encode_record(22, DTLS_1_2, 0, 9, fragment)):
        assert may_be_client_hello(may_be)
    for at, value in ((0, 21), (0, 23), (3, 1), (4, 1), (13, HandshakeType.FINISHED), (13, 0)):
        assert not may_be_client_hello(hello[:at] + bytes([value]) + hello[at + 1 :])
    for length in range(14):
        assert not may_be_client_hello(hello[:length])


@given(st.binary(max_size=200), st.binary(max_size=20))
def test_any_bytes_from_any_address_are_survived(data, address):
    the_gate = gate()
    for noise in (data, datagram(HELLO)[:25] + data, datagram(HELLO) + data):
        the_gate.receive_untrusted(noise, address, 0.0)


@pytest.mark.parametrize("message_seq", [1, 0xFFF0, 0xFFFC, 0xFFFF])
@pytest.mark.parametrize("sequence", [1, MAX_SEQUENCE - 40, MAX_SEQUENCE - 5, MAX_SEQUENCE])
def test_a_hello_cannot_use_up_the_servers_numbers(message_seq, sequence):
    """The server goes on with the hello's own numbers. Whoever begins at the end of them may get nothing, but
    no exception comes out of the engine, neither now nor when the flight is repeated."""
    the_gate = gate()
    pair = Pair()
    pair.start()
    hello = ClientHello.parse_untrusted(pair.sent[0].data[25:])
    hello = replace(hello, cookie=cookie_for(the_gate, hello))
    datagram_at_the_end = datagram(hello, message_seq=message_seq, sequence=sequence)
    verdict = the_gate.receive_untrusted(datagram_at_the_end, ADDRESS, 0.0)
    if isinstance(verdict, AcceptedHello):
        server = Association.server(
            server_config(), verdict, entropy=random.Random(1).randbytes, wall_clock=lambda: NOW
        )
        server.start(0.0)
        while (deadline := server.next_deadline()) is not None:
            server.handle_timer(deadline)
        server.close()
        assert server.is_closed


# --- the client's side ------------------------------------------------------------------------------------


def test_a_client_takes_a_few_requests_and_no_more():
    pair = Pair()
    pair.start()
    pair.wire = lambda sent: []
    for seq in range(MAX_VERIFY_REQUESTS + 1):
        assert not pair.client.closed, seq
        request = HandshakeMessage(
            HandshakeType.HELLO_VERIFY_REQUEST, seq, HelloVerifyRequest(DTLS_1_0, b"cookie %d" % seq).encode()
        )
        pair.deliver(encode_record(22, DTLS_1_0, 0, seq, request.encode()), to_server=False)
    assert pair.client.closed.alert is AlertDescription.HANDSHAKE_FAILURE
    assert "again and again" in pair.client.closed.reason


def test_a_second_request_is_answered_with_its_cookie():
    """A server whose secret has just changed asks once more."""
    pair = Pair()
    pair.start()
    pair.wire = lambda sent: []
    for seq, cookie in enumerate((b"old", b"new")):
        request = HandshakeMessage(
            HandshakeType.HELLO_VERIFY_REQUEST, seq, HelloVerifyRequest(DTLS_1_0, cookie).encode()
        )
        pair.deliver(encode_record(22, DTLS_1_0, 0, seq, request.encode()), to_server=False)
    hellos = [ClientHello.parse_untrusted(sent.data[25:]) for sent in pair.sent]
    assert [hello.cookie for hello in hellos] == [b"", b"old", b"new"]
    assert len({hello.random for hello in hellos}) == 1


def test_a_client_whose_hello_changes_with_the_cookie_does_not_pass():
    """The rogue's second hello has another random, for which the cookie is not good."""
    pair = Pair(
        client_handshake=rogue_client(**client_hello(random=lambda old: bytes(byte ^ 1 for byte in old)))
    )
    pair.start()
    pair.run()
    assert pair.server.association is None
    assert pair.client.closed
