"""What a client with a symmetric key says of itself in the handshake."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ticket_forge import ticket_with

from twoway.strict_cbor import encode
from twoway.tickets import (
    MAX_TICKET_BYTES,
    KeyName,
    MalformedPSKIdentity,
    PresentedTicket,
    fresh_kid,
    parse_psk_identity_untrusted,
)

RFC_9202_FIGURE = bytes.fromhex("A108A101A2010402483D027833FC6267CE")
"""RFC 9202 section 3.3.2, the bytes below figure 10."""


def test_the_bytes_of_rfc_9202_name_the_key_of_its_figure():
    name = KeyName(bytes.fromhex("3d027833fc6267ce"))
    assert name.encode() == RFC_9202_FIGURE
    assert parse_psk_identity_untrusted(RFC_9202_FIGURE) == name


def test_the_key_of_the_map_may_be_the_one_that_the_text_of_the_rfc_says():
    assert parse_psk_identity_untrusted(encode({41: {1: {1: 4, 2: b"kid"}}})) == KeyName(b"kid")


def test_a_ticket_is_taken_as_it_is():
    presented = PresentedTicket(ticket_with())
    assert parse_psk_identity_untrusted(presented.encode()) == presented
    assert "encoded" not in repr(presented)


@pytest.mark.parametrize(
    "psk_identity",
    [
        b"",
        bytes(17),
        b"sink",
        b"\xa0",
        b"\xff" * 65535,
        b"\xd8\x3d" + bytes(MAX_TICKET_BYTES),
        RFC_9202_FIGURE[:-1],
        RFC_9202_FIGURE + b"\0",
        encode({8: {}}),
        encode({8: {3: b"kid"}}),
        encode({8: {1: {1: 4}}}),
        encode({8: {1: {1: 4, 2: b""}}}),
        encode({8: {1: {1: 4, 2: "kid"}}}),
        encode({8: {1: {1: 4, 2: bytes(65)}}}),
        encode({8: {1: {1: 2, 2: b"kid"}}}),
        encode({8: {1: {1: True, 2: b"kid"}}}),
        encode({8: {1: {1: 4, 2: b"kid", -1: bytes(16)}}}),
        encode({8: {1: {1: 4, 2: b"kid"}, 3: b"other"}}),
        encode({8: {1: {1: 4, 2: b"kid"}}, 41: {1: {1: 4, 2: b"kid"}}}),
        encode({8: {1: {1: 4, 2: b"kid"}}, 1: b"more"}),
        encode({4: {1: {1: 4, 2: b"kid"}}}),
    ],
    ids=range(21),
)
def test_garbage_is_refused(psk_identity):
    with pytest.raises(MalformedPSKIdentity):
        parse_psk_identity_untrusted(psk_identity)


@given(st.binary(max_size=40))
def test_any_bytes_are_read_or_refused_with_the_one_error(data):
    with suppress(MalformedPSKIdentity):
        parse_psk_identity_untrusted(data)


@given(st.binary(min_size=8, max_size=8))
def test_a_new_name_has_eight_bytes_and_no_zero(random):
    kid = fresh_kid(lambda count: random[:count])
    assert len(kid) == 8
    assert 0 not in kid
    assert len(KeyName(kid).encode()) == 17


def test_the_largest_ticket_that_is_judged_is_also_taken_in_the_place_of_a_name():
    largest = b"\xd8\x3d" + bytes(MAX_TICKET_BYTES - 2)
    assert parse_psk_identity_untrusted(largest) == PresentedTicket(largest)
