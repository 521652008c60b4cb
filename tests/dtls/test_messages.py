"""The message codecs: what is written is read again; other bytes raise HandshakeFailure and nothing else."""

from __future__ import annotations

import contextlib
from dataclasses import replace

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from twoway.dtls import AlertDescription, HandshakeFailure
from twoway.dtls.messages.certificates import (
    Certificate,
    CertificateRequest,
    CertificateVerify,
    RawPublicKey,
)
from twoway.dtls.messages.handshake import HandshakeMessage, parse_fragments_untrusted
from twoway.dtls.messages.hello import ClientHello, HelloVerifyRequest, ServerHello
from twoway.dtls.messages.key_exchange import (
    ClientECDHE,
    ClientECDHEPSK,
    ClientPSKIdentity,
    ClientRSA,
    ServerECDHAnon,
    ServerECDHE,
    ServerECDHEParameters,
    ServerECDHEPSK,
    ServerPSKHint,
)
from twoway.dtls.messages.tickets import NewSessionTicket
from twoway.dtls.wire import Reader, integers, vector

uint8 = st.integers(0, 2**8 - 1)
uint16 = st.integers(0, 2**16 - 1)
random_bytes = st.binary(min_size=32, max_size=32)
extensions = st.dictionaries(uint16, st.binary(max_size=20), max_size=5)
short = st.binary(min_size=1, max_size=255)
parameters = st.builds(ServerECDHEParameters, group=uint16, point=short)

MESSAGES = {
    ClientHello: st.builds(
        ClientHello,
        version=uint16,
        random=random_bytes,
        session_id=st.binary(max_size=32),
        cookie=st.binary(max_size=255),
        suites=st.lists(uint16, min_size=1, max_size=9).map(tuple),
        compressions=short,
        extensions=extensions,
    ),
    ServerHello: st.builds(
        ServerHello,
        version=uint16,
        random=random_bytes,
        session_id=st.binary(max_size=32),
        suite=uint16,
        compression=uint8,
        extensions=extensions,
    ),
    HelloVerifyRequest: st.builds(HelloVerifyRequest, version=uint16, cookie=short),
    Certificate: st.builds(Certificate, st.lists(st.binary(min_size=1, max_size=50), max_size=4).map(tuple)),
    CertificateRequest: st.builds(
        CertificateRequest,
        types=st.lists(uint8, min_size=1, max_size=5).map(tuple),
        schemes=st.lists(uint16, min_size=1, max_size=5).map(tuple),
        authorities=st.binary(max_size=50),
    ),
    CertificateVerify: st.builds(CertificateVerify, scheme=uint16, signature=st.binary(max_size=80)),
    ServerECDHE: st.builds(
        ServerECDHE,
        parameters,
        scheme=uint16,
        signature=st.binary(max_size=80),
    ),
    ServerECDHAnon: st.builds(ServerECDHAnon, parameters),
    ServerECDHEPSK: st.builds(ServerECDHEPSK, hint=st.binary(max_size=300), parameters=parameters),
    ClientECDHE: st.builds(ClientECDHE, short),
    ClientPSKIdentity: st.builds(ClientPSKIdentity, st.binary(max_size=300)),
    ClientECDHEPSK: st.builds(ClientECDHEPSK, identity=st.binary(max_size=300), point=short),
    ClientRSA: st.builds(ClientRSA, st.binary(max_size=300)),
    NewSessionTicket: st.builds(
        NewSessionTicket, lifetime_hint=st.integers(0, 2**32 - 1), ticket=st.binary(max_size=300)
    ),
}
EVERY = pytest.mark.parametrize("kind", [*MESSAGES, ServerPSKHint], ids=lambda kind: kind.__name__)
WRITTEN = pytest.mark.parametrize("kind", list(MESSAGES), ids=lambda kind: kind.__name__)


@WRITTEN
@given(st.data())
def test_what_is_written_is_read_again(kind, data):
    message = data.draw(MESSAGES[kind])
    assert kind.parse_untrusted(message.encode()) == message


@EVERY
@given(data=st.binary(max_size=200))
@example(data=b"")
def test_any_bytes_raise_a_handshake_failure_or_nothing(kind, data):
    with contextlib.suppress(HandshakeFailure):
        kind.parse_untrusted(data)


@WRITTEN
@given(st.data())
def test_a_body_that_ends_too_early_or_too_late_is_refused(kind, data):
    body = data.draw(MESSAGES[kind]).encode()
    with pytest.raises(HandshakeFailure):
        kind.parse_untrusted(body + b"\x00")
    cut = data.draw(st.integers(0, len(body) - 1))
    try:
        read = kind.parse_untrusted(body[:cut])
    except HandshakeFailure:
        return
    # The one thing that may be left out of a body: a hello's extensions, as a whole.
    assert read.extensions == {}
    assert cut == len(read.encode())


@pytest.mark.parametrize("hello", [ClientHello, ServerHello])
@given(st.data())
def test_an_extension_that_comes_twice_is_refused(hello, data):
    message = replace(data.draw(MESSAGES[hello]), extensions={})
    twice = vector(2, (b"\x00\x17\x00\x00") * 2)
    with pytest.raises(HandshakeFailure, match="twice") as caught:
        hello.parse_untrusted(message.encode() + twice)
    assert caught.value.alert is AlertDescription.ILLEGAL_PARAMETER


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        (ClientHello, bytes(34) + vector(1, bytes(33)) + b"\x00" + vector(2, b"\xc0\x2b") + b"\x01\x00"),
        (ClientHello, bytes(34) + b"\x00" + b"\x00" + vector(2, b"") + b"\x01\x00"),
        (ClientHello, bytes(34) + b"\x00" + b"\x00" + vector(2, b"\xc0\x2b\x00") + b"\x01\x00"),
        (ClientHello, bytes(34) + b"\x00" + b"\x00" + vector(2, b"\xc0\x2b") + b"\x00"),
        (ServerHello, bytes(34) + vector(1, bytes(33)) + b"\xc0\x2b\x00"),
        (HelloVerifyRequest, b"\xfe\xff\x00"),
        (Certificate, vector(3, vector(3, b""))),
        (CertificateRequest, vector(1, b"") + vector(2, b"\x04\x03") + vector(2, b"")),
        (CertificateRequest, vector(1, b"\x40") + vector(2, b"") + vector(2, b"")),
        (CertificateRequest, vector(1, b"\x40") + vector(2, b"\x04") + vector(2, b"")),
        (ServerECDHE, b"\x03\x00\x17" + vector(1, b"") + b"\x04\x03" + vector(2, b"")),
        (ClientECDHE, vector(1, b"")),
        (ServerPSKHint, vector(2, b"hint") + b"\x00"),
        (ServerECDHAnon, b"\x03\x00\x17" + vector(1, b"")),
        (ServerECDHAnon, b"\x03\x00\x17" + vector(1, bytes(65)) + b"\x04\x03" + vector(2, b"signature")),
        (ServerECDHEPSK, vector(2, b"hint") + b"\x03\x00\x17" + vector(1, b"")),
        (ServerECDHEPSK, b"\x03\x00\x17" + vector(1, bytes(65))),
        (ServerECDHEPSK, vector(2, b"hint")),
        (ClientECDHEPSK, vector(2, b"name") + vector(1, b"")),
        (ClientECDHEPSK, vector(2, b"name")),
        (ClientECDHEPSK, vector(1, bytes(65))),
        (ClientRSA, bytes(256)),
        (ClientRSA, vector(2, bytes(256)) + b"\x00"),
    ],
)
def test_lengths_that_the_rfc_excludes_are_decode_errors(kind, body):
    with pytest.raises(HandshakeFailure) as caught:
        kind.parse_untrusted(body)
    assert caught.value.alert is AlertDescription.DECODE_ERROR
    assert str(caught.value).startswith("the peer's ")


NAMES = {
    "ClientHello": [ClientHello],
    "ServerHello": [ServerHello],
    "HelloVerifyRequest": [HelloVerifyRequest],
    "Certificate": [Certificate, RawPublicKey],
    "CertificateRequest": [CertificateRequest],
    "CertificateVerify": [CertificateVerify],
    "ServerKeyExchange": [ServerECDHE, ServerECDHAnon, ServerECDHEPSK, ServerPSKHint],
    "ClientKeyExchange": [ClientECDHE, ClientPSKIdentity, ClientECDHEPSK, ClientRSA],
    "NewSessionTicket": [NewSessionTicket],
}


@pytest.mark.parametrize("name", NAMES)
def test_a_refusal_names_the_message_by_its_name_in_the_rfc(name):
    for kind in NAMES[name]:
        with pytest.raises(HandshakeFailure, match=f"^the peer's {name} ends too early$"):
            kind.parse_untrusted(b"")


@pytest.mark.parametrize("hello", [ClientHello, ServerHello])
@given(st.data())
def test_a_refusal_says_that_it_is_an_extension_that_is_malformed(hello, data):
    message = replace(data.draw(MESSAGES[hello]), extensions={})
    with pytest.raises(HandshakeFailure, match="the peer's hello extensions"):
        hello.parse_untrusted(message.encode() + vector(2, b"\x00"))


@pytest.mark.parametrize("curve_type", [0, 1, 2, 4, 255])
@pytest.mark.parametrize(
    ("kind", "before", "after"),
    [
        (ServerECDHE, b"", b"\x04\x03" + vector(2, b"")),
        (ServerECDHAnon, b"", b""),
        (ServerECDHEPSK, vector(2, b"hint"), b""),
    ],
)
def test_a_curve_without_a_name_is_refused(kind, before, after, curve_type):
    def body(curve_type):
        return before + bytes([curve_type]) + b"\x00\x17" + vector(1, bytes(65)) + after

    kind.parse_untrusted(body(3))
    with pytest.raises(HandshakeFailure) as caught:
        kind.parse_untrusted(body(curve_type))
    assert caught.value.alert is AlertDescription.ILLEGAL_PARAMETER


def test_key_exchange_messages_are_laid_out_as_the_rfcs_say():
    """RFC 8422 section 5.4, RFC 5489 section 2, RFC 5246 section 7.4.7.1."""
    share = ServerECDHEParameters(23, b"point")
    assert ServerECDHAnon(share).encode() == b"\x03\x00\x17\x05point"
    assert ServerECDHEPSK(b"hint", share).encode() == b"\x00\x04hint\x03\x00\x17\x05point"
    assert ClientECDHEPSK(b"name", b"point").encode() == b"\x00\x04name\x05point"
    assert ClientRSA(b"secret").encode() == b"\x00\x06secret"
    assert "secret" not in repr(ClientRSA(b"secret"))


@given(st.binary(max_size=40), st.integers(0, 5), st.integers(0, 3), st.integers(1, 2))
def test_a_reader_never_reads_beyond_its_bytes(data, skip, width, each):
    reader = Reader(data, "message")
    for take in (
        lambda: reader.take_untrusted(skip),
        lambda: reader.integer_untrusted(width),
        lambda: reader.vector_untrusted(1, at_least=1, at_most=9),
        lambda: reader.integers_untrusted(1, each),
    ):
        before = reader.remaining
        try:
            take()
        except HandshakeFailure:
            assert reader.remaining <= before
        assert 0 <= reader.remaining <= len(data)


@pytest.mark.parametrize(
    ("take", "why"),
    [
        (lambda reader: reader.take_untrusted(5), "ends too early"),
        (lambda reader: reader.vector_untrusted(1, at_least=4), "has a vector of 3 bytes"),
        (lambda reader: reader.vector_untrusted(1, at_most=2), "has a vector of 3 bytes"),
        (lambda reader: reader.integers_untrusted(1, 2), "has a list that ends within an element"),
        (lambda reader: reader.end_untrusted(), "has 4 bytes too many"),
    ],
)
def test_a_reader_says_what_is_wrong(take, why):
    with pytest.raises(HandshakeFailure, match=f"^the peer's message {why}") as caught:
        take(Reader(b"\x03abc", "message"))
    assert caught.value.alert is AlertDescription.DECODE_ERROR


def test_a_list_may_be_empty_where_nothing_else_is_asked_for():
    assert Reader(b"\x00", "message").integers_untrusted(1, 2) == ()
    with pytest.raises(HandshakeFailure):
        Reader(b"\x00", "message").integers_untrusted(1, 2, at_least=2)


def test_writers_put_the_length_in_front():
    assert vector(3, b"abc") == b"\x00\x00\x03abc"
    assert integers(2, 2, (1, 0x0203)) == b"\x00\x04\x00\x01\x02\x03"


@given(uint8, uint16, st.binary(max_size=100), st.data())
def test_a_message_and_each_of_its_fragments_are_read_again(kind, seq, body, data):
    message = HandshakeMessage(kind, seq, body)
    (whole,) = parse_fragments_untrusted(message.encode())
    assert whole.is_whole
    assert whole.is_last
    assert (whole.type, whole.message_seq, whole.data) == message
    start = data.draw(st.integers(0, len(body)))
    size = data.draw(st.integers(0, len(body) - start))
    (part,) = parse_fragments_untrusted(message.fragment(start, size))
    assert (part.length, part.offset, part.data) == (len(body), start, body[start : start + size])
    assert part.is_whole is (size == len(body))
    assert part.is_last is (start + size == len(body))


def test_several_messages_in_one_record_are_all_read_and_a_malformed_one_ends_it():
    messages = [HandshakeMessage(11, seq, b"body") for seq in range(3)]
    record = b"".join(message.encode() for message in messages)
    assert [fragment.message_seq for fragment in parse_fragments_untrusted(record)] == [0, 1, 2]
    assert len([*parse_fragments_untrusted(record[:-1])]) == 2
    beyond = (
        b"\x0b" + (4).to_bytes(3, "big") + bytes(2) + (2).to_bytes(3, "big") + (3).to_bytes(3, "big") + b"abc"
    )
    assert [*parse_fragments_untrusted(beyond + record)] == []
