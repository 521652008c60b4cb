"""The binding of a ticket to one key, and the comparison with the key that a peer proved."""

import hashlib
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ticket_forge import HOLDER_SPKI, OTHER_SPKI, P384_SPKI, RSA_SPKI

from twoway.tickets import Confirmation, KeyFault, SymmetricConfirmation, UnusableKey, WrongKey, thumbprint
from twoway.tickets.confirmation import parse_confirmation_untrusted
from twoway.tickets.cose_key import cose_key_from_spki
from twoway.tickets.provisional import ProvisionalNumbers

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
    Confirmation.parse_untrusted({1: KEY, 7: "uri", 24: b"", "own": 1}).require_key(HOLDER_SPKI)


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


# A certificate beside the key

CERTIFICATE = b"the DER of a certificate"
PIN = hashlib.sha256(CERTIFICATE).digest()
PINNED = Confirmation.of_key(HOLDER_SPKI, certificate_sha256=PIN)


@pytest.mark.parametrize("compact", [False, True])
def test_a_pinned_certificate_counts_together_with_the_key(compact):
    claim = Confirmation.of_key(HOLDER_SPKI, compact=compact, certificate_sha256=PIN).claim()
    assert claim[6] == [-16, PIN]
    pinned = Confirmation.parse_untrusted(claim)
    pinned.require_key(HOLDER_SPKI, CERTIFICATE)
    for spki, certificate in (
        (HOLDER_SPKI, None),
        (HOLDER_SPKI, b"renewed"),
        (HOLDER_SPKI, b""),
        (OTHER_SPKI, CERTIFICATE),
    ):
        with pytest.raises(WrongKey):
            pinned.require_key(spki, certificate)


def test_without_a_pin_any_certificate_of_the_key_will_do():
    Confirmation.of_key(HOLDER_SPKI).require_key(HOLDER_SPKI, b"renewed")


def test_who_does_not_know_the_number_of_the_hash_is_left_with_the_key():
    other = ProvisionalNumbers(x5t=8)
    Confirmation.parse_untrusted(PINNED.claim(), other).require_key(HOLDER_SPKI)
    assert PINNED.claim(other)[8] == [-16, PIN]
    assert Confirmation.parse_untrusted(PINNED.claim(other), other) == PINNED


@pytest.mark.parametrize(
    ("x5t", "fault"),
    [
        ([-15, PIN[:8]], KeyFault.UNSUPPORTED),
        ([-43, bytes(48)], KeyFault.UNSUPPORTED),
        ([-16, PIN[:8]], KeyFault.MALFORMED),
        ([-16, PIN.hex()], KeyFault.MALFORMED),
        ([-16], KeyFault.MALFORMED),
        (["SHA-256", PIN], KeyFault.MALFORMED),
        ([True, PIN], KeyFault.MALFORMED),
        (PIN, KeyFault.MALFORMED),
        (None, KeyFault.MALFORMED),
    ],
    ids=range(9),
)
def test_a_pin_that_cannot_be_compared_is_not_passed_over(x5t, fault):
    with pytest.raises(UnusableKey) as caught:
        Confirmation.parse_untrusted({1: KEY, 6: x5t})
    assert caught.value.fault is fault


def test_a_certificate_alone_names_no_key():
    with pytest.raises(UnusableKey):
        Confirmation.parse_untrusted({6: [-16, PIN]})


@given(VALUES)
def test_any_value_is_read_as_either_kind_or_refused_with_the_one_error(value):
    for member in (value, {1: value}, {1: KEY, 6: value}):
        with suppress(UnusableKey):
            parse_confirmation_untrusted(member)


class TestUseOfASymmetricKey:
    """RFC 9052 section 7.1: what a key says that it is for."""

    @staticmethod
    def claim(**words: object) -> dict[int, object]:
        labels = {"alg": 3, "key_ops": 4}
        return {1: {1: 4, 2: b"nametag8", -1: bytes(16)} | {labels[word]: words[word] for word in words}}

    @pytest.mark.parametrize("operations", [[7], [8], [1, 2, 7]])
    def test_a_key_for_deriving_others_is_taken(self, operations: list[int]):
        assert SymmetricConfirmation.parse_untrusted(self.claim(key_ops=operations)).kid == b"nametag8"
        assert SymmetricConfirmation.parse_untrusted(self.claim()).kid == b"nametag8"

    @pytest.mark.parametrize("operations", [[], [3, 4], [9], 7, "derive key", None, [[7]]])
    def test_a_key_for_something_else_is_refused(self, operations: object):
        with pytest.raises(UnusableKey):
            SymmetricConfirmation.parse_untrusted(self.claim(key_ops=operations))

    @pytest.mark.parametrize("algorithm", [1, 10, 5, -10, None, "TLS"])
    def test_a_key_for_an_algorithm_of_cose_is_refused(self, algorithm: object):
        with pytest.raises(UnusableKey):
            SymmetricConfirmation.parse_untrusted(self.claim(alg=algorithm))


def test_the_number_of_the_hash_counts_whichever_kind_of_key_was_expected():
    other = ProvisionalNumbers(x5t=8)
    assert parse_confirmation_untrusted(PINNED.claim(other), other) == PINNED


# A symmetric key


@pytest.mark.parametrize("kid", [b"k", bytes(64)])
def test_the_name_of_a_symmetric_key_has_1_to_64_bytes(kid):
    named = SymmetricConfirmation(kid)
    assert parse_confirmation_untrusted(named.claim()) == named


@pytest.mark.parametrize(
    "members",
    [{}, {2: b""}, {2: bytes(65)}, {2: "kid"}, {2: None}, {2: b"kid", -1: bytes(15)}]
    + [{2: b"kid", -1: key} for key in (bytes(65), b"", "sixteen letters!", [0] * 16)],
    ids=range(10),
)
def test_a_symmetric_key_without_a_name_or_of_another_length_is_refused(members):
    with pytest.raises(UnusableKey) as caught:
        parse_confirmation_untrusted({1: {1: 4} | members})
    assert caught.value.fault is KeyFault.MALFORMED


@pytest.mark.parametrize("length", [16, 64])
def test_a_symmetric_key_in_a_ticket_has_16_to_64_bytes(length):
    carried = SymmetricConfirmation(b"kid", bytes(length))
    assert parse_confirmation_untrusted(carried.claim()) == carried


@pytest.mark.parametrize(
    ("value", "fault"),
    [
        (None, KeyFault.MALFORMED),
        ([], KeyFault.MALFORMED),
        ({}, KeyFault.MALFORMED),
        ({3: b"kid"}, KeyFault.MALFORMED),
        ({1: {1: 4, 2: b"kid"}, 5: CKT}, KeyFault.MALFORMED),
        ({1: KEY}, KeyFault.UNSUPPORTED),
        ({1: {1: True, 2: b"kid"}}, KeyFault.UNSUPPORTED),
    ],
    ids=range(7),
)
def test_what_does_not_hold_exactly_one_symmetric_key_is_no_symmetric_confirmation(value, fault):
    with pytest.raises(UnusableKey) as caught:
        SymmetricConfirmation.parse_untrusted(value)
    assert caught.value.fault is fault


def test_the_claim_of_a_derived_key_is_its_name_alone_though_the_key_is_known():
    """RFC 9202 section 3.3.1, figure 9: publisher and AC derive it, so it does not travel."""
    assert SymmetricConfirmation(b"nametag8", bytes(16), derived=True).claim() == {1: {1: 4, 2: b"nametag8"}}
    assert SymmetricConfirmation(b"nametag8", bytes(16)).claim()[1][-1] == bytes(16)
