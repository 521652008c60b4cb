"""Cookies of every length, towards a client that must echo them and a gate that made none of them."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest
from dtls_cases import pair_of
from dtls_pair import Pair
from middle_box import records

from twoway.dtls import AlertDescription, HelloGate, HelloVerify
from twoway.dtls.messages.handshake import HEADER_BYTES, HandshakeMessage, HandshakeType
from twoway.dtls.messages.hello import ClientHello, HelloVerifyRequest
from twoway.dtls.record import DTLS_1_0, ContentType, encode_record

LENGTHS = [1, 2, 16, 20, 31, 32, 33, 64, 254, 255]
"""RFC 6347 section 4.3.2: cookie<0..2^8-1>."""


def asked_for_a_cookie(body: bytes) -> Pair:
    """A client whose first hello was answered with this HelloVerifyRequest."""
    pair = pair_of("psk", lambda sent: [])
    pair.start()
    message = HandshakeMessage(HandshakeType.HELLO_VERIFY_REQUEST, 0, body)
    pair.deliver(encode_record(ContentType.HANDSHAKE, DTLS_1_0, 0, 0, message.encode()), to_server=False)
    return pair


def hello_in(datagram: bytes) -> ClientHello:
    (record,) = records(datagram)
    return ClientHello.parse_untrusted(record[13 + HEADER_BYTES :])


@pytest.mark.parametrize("length", LENGTHS)
def test_a_cookie_of_any_length_is_echoed_as_it_came(length):
    cookie = random.Random(length).randbytes(length)
    pair = asked_for_a_cookie(HelloVerifyRequest(DTLS_1_0, cookie).encode())
    first, second = (hello_in(sent.data) for sent in pair.sent)
    assert second == replace(first, cookie=cookie), "nothing else may change (RFC 6347 section 4.2.1)"


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\xfe",
        b"\xfe\xff",
        b"\xfe\xff\x00",
        b"\xfe\xff\x02x",
        b"\xfe\xff\x01xy",
        b"\xfe\xff\xff" + bytes(254),
    ],
    ids=["nothing", "half", "no length", "empty", "too short", "too long", "a byte short of 255"],
)
def test_a_cookie_that_does_not_fit_its_message_is_refused(body):
    pair = asked_for_a_cookie(body)
    assert pair.client.closed.alert is AlertDescription.DECODE_ERROR
    assert len(pair.sent) == 2, "the hello and the alert"


@pytest.mark.parametrize("length", [length for length in range(256) if length != 32])
def test_a_hello_with_a_cookie_of_any_other_length_gets_a_fresh_one(length):
    """Even one that begins with the right bytes, or is the beginning of them."""
    gate = HelloGate(entropy=random.Random(1).randbytes)
    pair = pair_of("psk", lambda sent: [])
    pair.start()
    hello = hello_in(pair.sent[0].data)

    def ask(cookie: bytes) -> HelloVerify | None:
        body = replace(hello, cookie=cookie).encode()
        message = HandshakeMessage(HandshakeType.CLIENT_HELLO, 0, body)
        record = encode_record(ContentType.HANDSHAKE, DTLS_1_0, 0, 0, message.encode())
        return gate.receive_untrusted(record, b"address", 0.0)

    verdict = ask(b"")
    assert isinstance(verdict, HelloVerify)
    good = verdict.datagram[-32:]
    assert not isinstance(ask(good), HelloVerify), "the right one opens"
    assert isinstance(ask((good + bytes(256))[:length]), HelloVerify)
