"""The keys of an AC as publishers learn them."""

from contextlib import suppress

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cwt import COSEKey
from hypothesis import given
from hypothesis import strategies as st
from ticket_forge import AC_KEY, OTHER_AC_KEY, RSA_SPKI

from twoway.errors import CallerError, ConfigurationError
from twoway.strict_cbor import decode_untrusted, encode
from twoway.tickets import MalformedKeySet, SigningKey, encode_key_set, parse_key_set_untrusted
from twoway.tickets.cose_key import cose_key_from_spki
from twoway.tickets.key_set import MAX_KEY_SET_BYTES, MAX_KEYS

FIRST, SECOND = SigningKey(AC_KEY.public_key()), SigningKey(OTHER_AC_KEY.public_key())
DESCRIBED = decode_untrusted(encode_key_set([FIRST]))[0]


def test_a_set_is_read_as_it_was_written_in_its_order():
    keys = parse_key_set_untrusted(encode_key_set([FIRST, SECOND]))
    assert [key.key_id for key in keys] == [FIRST.key_id, SECOND.key_id]
    assert [key.spki for key in keys] == [FIRST.spki, SECOND.spki]


def test_a_key_says_what_it_is_for_and_has_no_private_part():
    assert cose_key_from_spki(FIRST.spki) | {2: FIRST.key_id, 3: -7, 4: [2]} == DESCRIBED
    assert -4 not in DESCRIBED
    judged = COSEKey.new(dict(DESCRIBED))
    assert (judged.kid, judged.alg) == (FIRST.key_id, -7)


def test_keys_of_other_kinds_are_passed_over():
    others = [
        cose_key_from_spki(RSA_SPKI),
        {1: 4, -1: bytes(16)},
        {1: 1, -1: 6, -2: bytes(32)},
        None,
        b"",
        {},
    ]
    signs_only = DESCRIBED | {4: [1]}
    assert parse_key_set_untrusted(encode([*others, DESCRIBED, signs_only])) == (FIRST,)


def test_a_foreign_name_for_a_key_changes_nothing():
    assert parse_key_set_untrusted(encode([DESCRIBED | {2: b"own"}]))[0].key_id == FIRST.key_id


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        encode([]),
        encode({}),
        encode(DESCRIBED),
        encode([DESCRIBED | {-4: bytes(32)}]),
        encode([DESCRIBED]) + b"\0",
        encode([DESCRIBED] * (MAX_KEYS + 1)),
        encode([DESCRIBED, bytes(MAX_KEY_SET_BYTES)]),
    ],
    ids=range(8),
)
def test_a_set_without_a_usable_key_is_malformed(payload):
    with pytest.raises(MalformedKeySet):
        parse_key_set_untrusted(payload)


def test_the_largest_set_fits():
    assert len(parse_key_set_untrusted(encode_key_set([FIRST] * MAX_KEYS))) == MAX_KEYS
    for keys in ([], [FIRST] * (MAX_KEYS + 1)):
        with pytest.raises(CallerError):
            encode_key_set(keys)


def test_a_key_that_cannot_sign_tickets_is_none():
    with pytest.raises(ConfigurationError, match="P-256"):
        SigningKey(ec.generate_private_key(ec.SECP384R1()).public_key())


@given(
    st.binary(max_size=60)
    | st.lists(st.dictionaries(st.integers(-4, 4), st.integers(-9, 9) | st.binary(max_size=33))).map(encode)
)
def test_any_bytes_are_read_or_refused_with_the_one_error(payload):
    with suppress(MalformedKeySet):
        parse_key_set_untrusted(payload)
