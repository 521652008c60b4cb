"""Sessions and identities as bytes: everything comes back, and nothing else is read."""

from __future__ import annotations

import contextlib
from dataclasses import replace

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from sessions import IDENTITIES, SESSION, SESSIONS, session
from small_pki import small_pki

from twoway.dtls import AlertDescription, HandshakeFailure
from twoway.dtls.kinds import HandshakeKind
from twoway.dtls.peer_record import encode_identity, parse_identity_untrusted
from twoway.dtls.session import HeldSession, Session

ACTORS = ["subscriber", "publisher_p256", "publisher_rsa", "ac", "sink"]


@given(IDENTITIES)
def test_an_identity_comes_back_as_it_was(identity):
    assert parse_identity_untrusted(encode_identity(identity)) == identity


@pytest.mark.parametrize("actor", ACTORS)
def test_an_identity_of_a_certificate_comes_back_without_its_chain_alone(actor):
    identity = getattr(small_pki(), actor).identity
    back = parse_identity_untrusted(encode_identity(identity))
    assert back == identity
    assert replace(back, chain=identity.chain) == identity
    assert back.spki_sha256 == identity.spki_sha256
    assert back.chain == ()


def test_a_p256_identity_takes_little():
    assert len(encode_identity(small_pki().subscriber.identity)) < 120


@given(SESSIONS)
def test_a_session_comes_back_as_it_was(session):
    assert Session.parse_untrusted(session.encode()) == session


def refused(data: bytes) -> HandshakeFailure:
    with pytest.raises(HandshakeFailure) as caught:
        Session.parse_untrusted(data)
    assert caught.value.alert is AlertDescription.DECODE_ERROR
    return caught.value


def test_a_truncated_or_longer_session_is_not_read():
    whole = SESSION.encode()
    for length in range(len(whole)):
        refused(whole[:length])
    refused(whole + b"\x00")


@pytest.mark.parametrize("position", [0, 3, 4], ids=["version", "kind", "flags"])
@pytest.mark.parametrize("value", [3, 7, 255])
def test_a_session_of_an_unknown_form_is_not_read(position, value):
    data = bytearray(SESSION.encode())
    data[position] = value
    assert "form" in str(refused(bytes(data)))


def test_an_unauthenticated_session_cannot_be_written():
    with pytest.raises(KeyError):
        session(kind=HandshakeKind.ANONYMOUS).encode()


@given(st.binary(max_size=300))
@example(b"\x01" + b"\x00\x01\x30" + b"\xff" * 8 + b"\x00\x01a\x00\x00")  # beyond the year 9999
@example(b"\x01" + b"\x00\x01\x30" + bytes(8) + b"\x00\x01\xff\x00\x00")  # not UTF-8
@example(b"\x01" + b"\x00\x01\x30" + bytes(8) + b"\x00\x01a\x00\x01\x00")  # an empty host
@example(b"\x01" + b"\x00\x01\x30" + bytes(8) + b"\x00\x00\x00\x00")  # no name
@example(b"\x03\x00\x00")  # no key
@example(b"\x04\x00\x00")  # no such type
def test_any_bytes_are_an_identity_or_refused(data):
    with contextlib.suppress(HandshakeFailure):
        identity = parse_identity_untrusted(data)
        assert parse_identity_untrusted(encode_identity(identity)) == identity


@pytest.mark.parametrize(
    "data",
    [
        b"\x01" + b"\x00\x00" + bytes(8) + b"\x00\x01a\x00\x00",
        b"\x01" + b"\x00\x01\x30" + bytes(8) + b"\x00\x00\x00\x00",
        b"\x03\x00\x00",
        b"\x04\x00\x00",
        b"\x00\x00\x00",
    ],
    ids=["certificate without key", "no name", "raw key without key", "no such type", "nobody and more"],
)
def test_an_identity_that_lacks_something_is_refused(data):
    with pytest.raises(HandshakeFailure):
        parse_identity_untrusted(data)


@given(IDENTITIES)
def test_however_short_an_identity_is_cut_or_longer_it_is_refused(identity):
    whole = encode_identity(identity)
    for data in [*(whole[:length] for length in range(len(whole))), whole + b"\x00"]:
        with pytest.raises(HandshakeFailure):
            parse_identity_untrusted(data)


@given(st.binary(max_size=300))
def test_any_bytes_are_a_session_or_refused(data):
    with contextlib.suppress(HandshakeFailure):
        found = Session.parse_untrusted(data)
        assert Session.parse_untrusted(found.encode()) == found


def test_a_session_does_not_show_its_secret():
    secret, ticket = bytes(range(100, 148)), bytes(range(200, 250))
    kept = HeldSession(session(master_secret=secret), ticket=ticket)
    for text in (repr(kept), str(kept), repr(kept.session)):
        for value in (secret, ticket):
            assert repr(value)[2:-1] not in text
            assert value.hex() not in text
