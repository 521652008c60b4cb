"""The strict CBOR leaf: what it writes is deterministic, what it reads has one meaning."""

import cbor2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from twoway.errors import CallerError
from twoway.strict_cbor import DEPTH_LIMIT, MalformedCBOR, decode_untrusted, encode

integers = st.integers(-(1 << 64), (1 << 64) - 1)
keys = integers | st.text() | st.binary()
leaves = st.none() | st.booleans() | integers | st.floats(allow_nan=False) | st.text() | st.binary()
values = st.recursive(leaves, lambda inner: st.lists(inner) | st.dictionaries(keys, inner), max_leaves=20)


@given(values)
def test_what_is_written_is_read_back(value):
    assert decode_untrusted(encode(value)) == value


@given(values)
def test_cbor2_reads_the_same_from_what_is_written(value):
    assert cbor2.loads(encode(value)) == value


@given(st.dictionaries(keys, st.none(), min_size=2))
def test_equal_mappings_give_equal_bytes_whatever_their_order(mapping):
    backwards = dict(reversed(mapping.items()))
    assert encode(mapping) == encode(backwards)


def test_keys_are_sorted_by_their_encoded_bytes_and_not_by_length():
    # RFC 8949 section 4.2.1: 24 (18 18) stands before -1 (20), though it is longer.
    assert encode({-1: None, 24: None, "a": None}) == bytes.fromhex("a3 1818 f6 20 f6 6161 f6")


@pytest.mark.parametrize(
    "value", [0, 23, 24, 255, 256, 65_535, 65_536, (1 << 32) - 1, 1 << 32, (1 << 64) - 1]
)
def test_numbers_take_their_shortest_form(value):
    assert encode(value) == cbor2.dumps(value)
    assert encode(-1 - value) == cbor2.dumps(-1 - value)


@pytest.mark.parametrize("length", [0, 23, 24, 255, 256, 65_536])
def test_lengths_take_their_shortest_form(length):
    for value in (b"x" * length, "x" * length, [0] * length):
        assert encode(value) == cbor2.dumps(value)


def test_floats_take_their_shortest_form():
    assert encode(1.5) == bytes.fromhex("f93e00")
    assert encode(0.1) == bytes.fromhex("fb3fb999999999999a")


@pytest.mark.parametrize("value", [1 << 64, -(1 << 64) - 1, object(), {1: {2, 3}}, "\ud800"])
def test_what_has_no_place_in_cbor_is_the_callers_fault(value):
    with pytest.raises(CallerError):
        encode(value)


@pytest.mark.parametrize(
    ("case", "data"),
    [
        ("nothing", ""),
        ("a second item", "0000"),
        ("an integer key twice", "a2 01 02 01 03"),
        ("a text key twice", "a2 6161 02 6161 03"),
        ("a byte string key twice", "a2 4161 02 4161 03"),
        ("a boolean key", "a1 f5 00"),
        ("a float key", "a1 f93c00 00"),
        ("an array as a key", "a1 80 00"),
        ("an indefinite array", "9fff"),
        ("an indefinite map", "bfff"),
        ("an indefinite byte string", "5f4100ff"),
        ("an indefinite text", "7f6161ff"),
        ("a break alone", "ff"),
        ("a reserved length", "1c"),
        ("an integer longer than needed", "1817"),
        ("an integer longer than needed in two bytes", "1900ff"),
        ("an integer longer than needed in four bytes", "1a0000ffff"),
        ("an integer longer than needed in eight bytes", "1b00000000ffffffff"),
        ("a length longer than needed", "580161"),
        ("a tag nobody asked for", "c100"),
        ("a bignum", "c24101"),
        ("a regular expression", "d823 6161"),
        ("a shared reference", "d81c 81 d81d 00"),
        ("undefined", "f7"),
        ("an unassigned simple value", "e0"),
        ("a simple value in two bytes", "f8ff"),
        ("text that is not UTF-8", "61ff"),
        ("a surrogate in text", "63eda080"),
        ("text cut short", "6261"),
        ("a float cut short", "fb00"),
        ("an array that claims more than there is", "9bffffffffffffffff"),
        ("a map that claims more than there is", "bbffffffffffffffff"),
        ("a byte string that claims more than there is", "5bffffffffffffffff"),
    ],
)
def test_broken_and_ambiguous_bytes_are_refused(case, data):
    with pytest.raises(MalformedCBOR):
        decode_untrusted(bytes.fromhex(data))


def test_a_tag_that_was_asked_for_comes_out_uninterpreted():
    assert decode_untrusted(bytes.fromhex("c1 00"), tags=(1,)) == cbor2.CBORTag(1, 0)


@pytest.mark.parametrize("nesting", ["81", "a100", "c1"])
def test_depth_is_bounded(nesting):
    bomb = bytes.fromhex(nesting)
    inside = decode_untrusted(bomb * DEPTH_LIMIT + b"\x00", tags=(1,))
    assert inside is not None
    with pytest.raises(MalformedCBOR, match="nested too deeply"):
        decode_untrusted(bomb * (DEPTH_LIMIT + 1) + b"\x00", tags=(1,))


def test_a_bomb_of_nested_arrays_is_refused_without_recursion():
    with pytest.raises(MalformedCBOR):
        decode_untrusted(b"\x81" * 100_000)


@given(st.binary())
def test_any_bytes_are_malformed_or_one_item_that_cbor2_reads_alike(data):
    try:
        value = decode_untrusted(data)
    except MalformedCBOR:
        return
    assert repr(cbor2.loads(data)) == repr(value)


@given(values, st.data())
def test_a_cut_item_is_never_an_item(value, data):
    whole = encode(value)
    cut = data.draw(st.integers(0, len(whole) - 1))
    with pytest.raises(MalformedCBOR):
        decode_untrusted(whole[:cut])


def test_a_fault_says_what_and_where_in_one_sentence():
    with pytest.raises(MalformedCBOR) as caught:
        decode_untrusted(bytes.fromhex("a201020103"))
    assert str(caught.value) == "the CBOR cannot be read: a key stands twice at byte 4"


@pytest.mark.parametrize(
    ("value", "hex_form"),
    [
        (0, "00"),
        (23, "17"),
        (24, "1818"),
        (255, "18ff"),
        (256, "190100"),
        (65535, "19ffff"),
        (65536, "1a00010000"),
        (4294967296, "1b0000000100000000"),
        (18446744073709551615, "1bffffffffffffffff"),
        (-1, "20"),
        (-100, "3863"),
        (-18446744073709551616, "3bffffffffffffffff"),
        (False, "f4"),
        (True, "f5"),
        (None, "f6"),
        (b"\x01\x02\x03\x04", "4401020304"),
        ("ü", "62c3bc"),
        ([1, [2, 3], [4, 5]], "8301820203820405"),
        ({"a": 1, "b": [2, 3]}, "a26161016162820203"),
        (cbor2.CBORTag(32, "http://www.example.com"), "d82076687474703a2f2f7777772e6578616d706c652e636f6d"),
    ],
)
def test_the_examples_of_rfc_8949_appendix_a_are_met(value, hex_form):
    assert encode(value).hex() == hex_form
    assert decode_untrusted(bytes.fromhex(hex_form), tags={32}) == value


@pytest.mark.parametrize(
    ("hex_form", "value"),
    [
        ("f93c00", 1.0),
        ("f90001", 5.960464477539063e-8),
        ("fa47c35000", 100000.0),
        ("fb3ff199999999999a", 1.1),
    ],
)
def test_floats_are_read_so_that_a_claim_that_holds_one_can_be_judged(hex_form, value):
    assert decode_untrusted(bytes.fromhex(hex_form), tags={32}) == value
