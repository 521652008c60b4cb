"""What a publisher asks the AC about a ticket, and the answer."""

from contextlib import suppress
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ticket_forge import ABSENT, EXP, HOLDER_SPKI, METER_URI, claims, ticket_with

from twoway.strict_cbor import decode_untrusted, encode
from twoway.tickets import (
    MAX_TICKET_BYTES,
    Claims,
    Confirmation,
    IntrospectionRequest,
    IntrospectionResponse,
    MalformedACE,
    ticket_id,
)

CLAIMS = Claims.from_map_untrusted(claims())


def test_a_request_has_the_key_of_table_6_and_is_read_as_it_was_written():
    request = IntrospectionRequest(ticket_with())
    assert decode_untrusted(request.encode()) == {11: request.token}
    assert IntrospectionRequest.parse_untrusted(request.encode()) == request


@pytest.mark.parametrize("hint", ["pop", 2])
def test_a_hint_of_either_type_is_passed_over(hint):
    assert IntrospectionRequest.parse_untrusted(encode({11: b"t", 33: hint})).token == b"t"


@pytest.mark.parametrize(
    "message",
    [
        {},
        [],
        {11: b""},
        {11: "t"},
        {11: bytes(MAX_TICKET_BYTES + 1)},
        {11: b"t", 33: b"pop"},
        {11: b"t", 33: True},
        {11: b"t", 33: None},
        {"token": b"t"},
    ],
)
def test_a_request_of_another_shape_is_malformed(message):
    with pytest.raises(MalformedACE):
        IntrospectionRequest.parse_untrusted(encode(message))


def test_a_ticket_of_which_the_ac_says_nothing_is_not_active():
    assert IntrospectionResponse().encode() == encode({10: False})
    assert not IntrospectionResponse.parse_untrusted(encode({10: False})).active
    # Claims beside it do not make it so.
    assert IntrospectionResponse.parse_untrusted(encode({10: False} | claims())).claims is None


def test_an_active_ticket_comes_with_its_claims_and_key():
    response = IntrospectionResponse(CLAIMS)
    message = decode_untrusted(response.encode())
    assert message == claims() | {10: True}
    assert message[8] == Confirmation.of_key(HOLDER_SPKI).claim()
    assert IntrospectionResponse.parse_untrusted(response.encode()) == response
    assert response.active


def test_all_claims_make_the_journey():
    full = Claims.from_map_untrusted(claims(nbf=EXP - 5, cnonce=b"n", exi=60, exp=ABSENT))
    assert IntrospectionResponse.parse_untrusted(IntrospectionResponse(full).encode()).claims == full
    assert (full.expires_at, full.exi, full.sequence) == (None, 60, 7)
    assert full.not_before == datetime.fromtimestamp(EXP - 5, UTC)


@pytest.mark.parametrize(
    "message",
    [
        {},
        claims(),
        {10: None} | claims(),
        {10: 1} | claims(),
        {10: "true"} | claims(),
        {10: True},
        {10: True} | claims(exp=ABSENT),
        {10: True} | claims(cti=ticket_id("urn:x", 1)),
        {10: True} | claims(cti=ticket_id(METER_URI, 1)[:8]),
    ],
    ids=range(9),
)
def test_an_answer_that_leaves_a_doubt_is_malformed(message):
    with pytest.raises(MalformedACE):
        IntrospectionResponse.parse_untrusted(encode(message))


def test_an_answer_shows_no_key():
    assert "claims" not in repr(IntrospectionResponse(CLAIMS))
    assert "token" not in repr(IntrospectionRequest(b"t"))


VALUES = st.none() | st.booleans() | st.integers(-3, 40) | st.binary(max_size=9) | st.just("x")


@given(st.binary(max_size=60), st.dictionaries(st.integers(1, 41), VALUES, max_size=5))
def test_anything_is_read_or_refused_with_the_one_error(data, changes):
    for payload in (data, encode({10: True} | claims() | changes), encode({11: b"t"} | changes)):
        for parse in (IntrospectionRequest.parse_untrusted, IntrospectionResponse.parse_untrusted):
            with suppress(MalformedACE):
                parse(payload)
