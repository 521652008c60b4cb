"""The binding of a ticket to one key, and the comparison with the key that a peer proved."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ticket_forge import HOLDER_SPKI, OTHER_SPKI, P384_SPKI, RSA_SPKI

from twoway.tickets import Confirmation, KeyFault, UnusableKey, WrongKey, thumbprint
from twoway.tickets.cose_key import cose_key_from_spki

KEY = cose_key_from_spki(HOLDER_SPKI)
CKT = thumbprint(HOLDER_SPKI)


@pytest.mark.parametrize("compact", [False, True])
@pytest.mark.parametrize("spki", [HOLDER_SPKI, RSA_SPKI], ids=["P-256", "RSA"])
def test_a_key_is_confirmed_by_value_and_by_thumbprint(spki, compact):
    confirmation = Confirmation.parse_untrusted(Confirmation.of_key(spki, compact=compact).claim())
    confirmation.require_key(spki)
    assert confirmation == Confirmation.of_key(spki, compact=compact)
    assert (confirmation.spki is None) == compact


@pytest.mark.parametrize("spki", [OTHER_SPKI, RSA_SPKI, P384_SPKI, b"", b"junk"], ids=range(5))
@pytest.mark.parametrize("compact", [False, True])
def test_another_key_is_refused_of_whatever_kind_it_is(spki, compact):
    with pytest.raises(WrongKey):
        Confirmation.of_key(HOLDER_SPKI, compact=compact).require_key(spki)


def test_members_that_are_not_understood_are_passed_over():
    Confirmation.parse_untrusted({1: KEY, 6: [-16, b"x"], 24: b"", "own": 1}).require_key(HOLDER_SPKI)


@pytest.mark.parametrize(
    ("value", "fault"),
    [
        (None, KeyFault.MALFORMED),
        (b"", KeyFault.MALFORMED),
        ([], KeyFault.MALFORMED),
        ({}, KeyFault.MALFORMED),
        ({6: [-16, CKT]}, KeyFault.MALFORMED),
        ({"COSE_Key": KEY}, KeyFault.MALFORMED),
        ({1: KEY, 5: CKT}, KeyFault.MALFORMED),
        ({1: KEY, 3: b"kid"}, KeyFault.MALFORMED),
        ({1: KEY, 2: b"sealed"}, KeyFault.MALFORMED),
        ({5: CKT, 4: {}}, KeyFault.MALFORMED),
        ({3: b"kid"}, KeyFault.UNSUPPORTED),
        ({2: [b"", {}, b""]}, KeyFault.UNSUPPORTED),
        ({4: {0: b"id"}}, KeyFault.UNSUPPORTED),
        ({1: {1: 4, -1: bytes(16)}}, KeyFault.NOT_PUBLIC),
        ({1: KEY | {-4: bytes(32)}}, KeyFault.NOT_PUBLIC),
        ({1: b"key"}, KeyFault.MALFORMED),
        ({1: None}, KeyFault.MALFORMED),
        ({5: CKT[:31]}, KeyFault.MALFORMED),
        ({5: CKT + b"\x00"}, KeyFault.MALFORMED),
        ({5: CKT[:8]}, KeyFault.MALFORMED),
        ({5: b""}, KeyFault.MALFORMED),
        ({5: CKT.hex()}, KeyFault.MALFORMED),
        ({5: None}, KeyFault.MALFORMED),
    ],
    ids=range(23),
)
def test_what_does_not_name_exactly_one_public_key_is_refused(value, fault):
    with pytest.raises(UnusableKey) as caught:
        Confirmation.parse_untrusted(value)
    assert caught.value.fault is fault


LEAVES = st.none() | st.booleans() | st.integers(-5, 5) | st.binary(max_size=33)
VALUES = st.recursive(
    LEAVES, lambda inner: st.dictionaries(st.integers(-5, 8), inner, max_size=4) | st.lists(inner, max_size=3)
)


@given(VALUES)
def test_any_value_is_read_or_refused_with_the_one_error(value):
    with suppress(UnusableKey):
        Confirmation.parse_untrusted(value)
