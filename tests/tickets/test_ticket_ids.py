"""The names of tickets: one for each pair of publisher and number, in the order of issue."""

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ticket_forge import AC_URI, METER_URI

from twoway.errors import CallerError
from twoway.tickets import TicketReason, TicketRejected, sequence_of, ticket_id

SEQUENCES = st.integers(0, 2**64 - 1)


def test_a_name_is_the_audiences_hash_and_the_number():
    assert ticket_id(METER_URI, 258) == hashlib.sha256(METER_URI.encode()).digest()[:8] + b"\0\0\0\0\0\0\1\2"


@given(SEQUENCES, SEQUENCES)
def test_names_of_one_audience_are_in_the_order_of_their_numbers(first, second):
    assert (ticket_id(METER_URI, first) < ticket_id(METER_URI, second)) == (first < second)
    assert sequence_of(ticket_id(METER_URI, first), METER_URI) == first


@given(SEQUENCES, SEQUENCES)
def test_two_publishers_never_share_a_name(first, second):
    # With decimal numbers in a row, publisher 1 with number 11 would be publisher 11 with number 1.
    assert ticket_id("urn:rs1", first) != ticket_id("urn:rs11", second)


@pytest.mark.parametrize(
    "name",
    [b"", bytes(16), ticket_id(AC_URI, 1), ticket_id(METER_URI, 1)[:-1], ticket_id(METER_URI, 1) + b"\0"],
)
def test_a_name_of_another_audience_or_length_has_no_number(name):
    with pytest.raises(TicketRejected) as caught:
        sequence_of(name, METER_URI)
    assert caught.value.reason is TicketReason.MALFORMED_CLAIMS


@pytest.mark.parametrize("number", [-1, 2**64])
def test_a_number_that_does_not_fit_is_the_callers_fault(number):
    with pytest.raises(CallerError):
        ticket_id(METER_URI, number)
