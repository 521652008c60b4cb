"""Sessions and identities as bytes: everything comes back, and nothing else is read."""

from __future__ import annotations

import contextlib
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from sessions import IDENTITIES, SESSION, SESSIONS, session
from small_pki import small_pki

from twoway.dtls import AlertDescription, HandshakeFailure
from twoway.dtls.kinds import HandshakeKind
from twoway.dtls.peer_record import encode_identity, parse_identity_untrusted
from twoway.dtls.session import HeldSession, Session
from twoway.identity import RawPublicKeyIdentity

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
    assert "session ends too early" in str(refused(b""))


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
    ("data", "why"),
    [
        (b"\x01" + b"\x00\x00" + bytes(8) + b"\x00\x01a\x00\x00", "record of a peer has no key"),
        (b"\x01" + b"\x00\x01\x30" + bytes(8) + b"\x00\x00\x00\x00", "record of a peer has no name"),
        (b"\x01" + b"\x00\x01\x30" + bytes(8) + b"\x00\x01\xff\x00\x00", "a name that is not text"),
        (b"\x01" + b"\x00\x01\x30" + b"\xff" * 8 + b"\x00\x01a\x00\x00", "beyond the year 9999"),
        (
            b"\x01" + b"\x00\x01\x30" + bytes(8) + b"\x00\x01a\x00\x01\x00",
            "record of a peer has a vector of 0",
        ),
        (b"\x03\x00\x00", "record of a peer has no key"),
        (b"\x04\x00\x00", "a type 4 that does not exist"),
        (b"\x00\x00\x00", "a type 0 that does not exist"),
        (b"\x02\x00", "a length that is cut off"),
        (b"\x02\x00\x01ab", "another length than it says"),
    ],
    ids=[
        "certificate without key",
        "no name",
        "not UTF-8",
        "beyond the year 9999",
        "an empty host",
        "raw key without key",
        "no such type",
        "nobody and more",
        "cut",
        "more",
    ],
)
def test_an_identity_that_lacks_something_is_refused(data, why):
    with pytest.raises(HandshakeFailure, match=why) as caught:
        parse_identity_untrusted(data)
    assert caught.value.alert is AlertDescription.DECODE_ERROR


P256 = small_pki().subscriber.identity.spki


@pytest.mark.parametrize(
    "spki",
    [P256[:-1], P256 + b"\x00", b"\x31" + P256[1:], P256[26:30], b"\x30" * 65],
    ids=["too short", "too long", "of another type", "a point that is short", "as long as a point"],
)
def test_a_key_that_only_resembles_a_p256_key_comes_back_as_it_was(spki):
    """The prefix that all P-256 keys share is left out of theirs alone."""
    identity = RawPublicKeyIdentity(spki)
    assert parse_identity_untrusted(encode_identity(identity)) == identity


def test_the_last_second_that_a_certificate_can_name_is_a_time():
    """RFC 5280 section 4.1.2.5: 99991231235959Z is a certificate that has no well-defined end."""
    identity = replace(
        small_pki().subscriber.identity, not_after=datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)
    )
    assert parse_identity_untrusted(encode_identity(identity)).not_after == identity.not_after


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
