"""Public keys as COSE_Key maps, and their thumbprints."""

import copy
from contextlib import suppress

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_der_public_key
from cwt import COSEKey
from hypothesis import given
from hypothesis import strategies as st
from ticket_forge import HOLDER_SPKI, P384_SPKI, RSA_SPKI, spki_of

from twoway.strict_cbor import encode
from twoway.tickets.cose_key import (
    KeyFault,
    UnusableKey,
    cose_key_from_spki,
    spki_from_cose_key_untrusted,
    thumbprint,
)

# The example key of RFC 9679 section 6.
X = bytes.fromhex("65eda5a12577c2bae829437fe338701a10aaa375e1bb5b5de108de439c08551d")
Y = bytes.fromhex("1e52ed75701163f7f9e40ddf9f341b3dc9ba860af7e0ca7ca7e9eecd0084d19c")
EXAMPLE = {1: 2, -1: 1, -2: X, -3: Y}
EXAMPLE_THUMBPRINT = "496bd8afadf307e5b08c64b0421bf9dc01528a344a43bda88fadd1669da253ec"


@pytest.mark.parametrize("spki", [HOLDER_SPKI, RSA_SPKI], ids=["P-256", "RSA"])
def test_a_key_comes_back_from_its_cose_form_as_it_went_in(spki):
    assert spki_from_cose_key_untrusted(cose_key_from_spki(spki)) == spki


def test_the_thumbprint_of_rfc_9679_is_met():
    assert thumbprint(spki_from_cose_key_untrusted(EXAMPLE)).hex() == EXAMPLE_THUMBPRINT
    with_more_words = EXAMPLE | {2: b"name", 3: -7, 4: [2]}
    assert thumbprint(spki_from_cose_key_untrusted(with_more_words)).hex() == EXAMPLE_THUMBPRINT


def test_a_compressed_point_is_the_same_key():
    assert spki_from_cose_key_untrusted(EXAMPLE | {-3: False}) == spki_from_cose_key_untrusted(EXAMPLE)
    assert spki_from_cose_key_untrusted(EXAMPLE | {-3: True}) != spki_from_cose_key_untrusted(EXAMPLE)


def test_a_spki_with_a_compressed_point_has_the_thumbprint_of_the_key():
    key = load_der_public_key(HOLDER_SPKI)
    assert isinstance(key, ec.EllipticCurvePublicKey)
    header = HOLDER_SPKI[: -65 - 1]  # up to the unused-bits byte of the BIT STRING
    point = key.public_bytes(Encoding.X962, PublicFormat.CompressedPoint)
    compressed = bytearray(header + b"\x00" + point)
    compressed[1] -= 32
    compressed[len(header) - 1] -= 32
    assert thumbprint(bytes(compressed)) == thumbprint(HOLDER_SPKI)


def test_an_independent_library_reads_our_p256_keys_as_the_same_key():
    judged = COSEKey.new(cose_key_from_spki(HOLDER_SPKI) | {3: -7, 4: [2]})
    assert spki_of(judged.key) == HOLDER_SPKI


def test_an_independent_library_verifies_with_our_form_of_an_rsa_key():
    private = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    judge = COSEKey.new(cose_key_from_spki(spki_of(private.public_key())) | {3: -257, 4: [2]})
    judge.verify(b"words", private.sign(b"words", padding.PKCS1v15(), hashes.SHA256()))


@pytest.mark.parametrize("change", [{3: -7}, {4: [2]}, {4: [1, 2]}, {2: b"kid"}, {99: "unknown"}])
def test_words_that_do_not_restrict_the_use_are_accepted(change):
    assert spki_from_cose_key_untrusted(EXAMPLE | change) == spki_from_cose_key_untrusted(EXAMPLE)


@pytest.mark.parametrize(
    ("key", "fault"),
    [
        (None, KeyFault.MALFORMED),
        ([1, 2], KeyFault.MALFORMED),
        (b"\xa0", KeyFault.MALFORMED),
        ({}, KeyFault.MALFORMED),
        (EXAMPLE | {1: "EC2"}, KeyFault.MALFORMED),
        (EXAMPLE | {1: 2.0}, KeyFault.MALFORMED),
        (EXAMPLE | {-1: True}, KeyFault.MALFORMED),
        (EXAMPLE | {-1: 2}, KeyFault.UNSUPPORTED),
        (EXAMPLE | {-1: 8}, KeyFault.UNSUPPORTED),
        (EXAMPLE | {-2: X[1:]}, KeyFault.MALFORMED),
        (EXAMPLE | {-2: b"\x00" + X}, KeyFault.MALFORMED),
        (EXAMPLE | {-2: None}, KeyFault.MALFORMED),
        (EXAMPLE | {-3: Y[1:]}, KeyFault.MALFORMED),
        (EXAMPLE | {-3: 1}, KeyFault.MALFORMED),
        (EXAMPLE | {-3: X}, KeyFault.MALFORMED),
        (EXAMPLE | {-2: bytes(32), -3: bytes(32)}, KeyFault.MALFORMED),
        (EXAMPLE | {-2: b"\xff" * 32}, KeyFault.MALFORMED),
        (EXAMPLE | {-2: b"\xff" * 32, -3: False}, KeyFault.MALFORMED),
        ({1: 2, -1: 1, -2: X}, KeyFault.MALFORMED),
        (EXAMPLE | {-4: bytes(32)}, KeyFault.NOT_PUBLIC),
        ({1: 4, -1: bytes(16)}, KeyFault.NOT_PUBLIC),
        ({1: 1, -1: 6, -2: bytes(32)}, KeyFault.UNSUPPORTED),
        ({1: 77}, KeyFault.UNSUPPORTED),
        (EXAMPLE | {3: -35}, KeyFault.UNSUPPORTED),
        (EXAMPLE | {3: 5}, KeyFault.UNSUPPORTED),
        (EXAMPLE | {3: [-7]}, KeyFault.MALFORMED),
        (EXAMPLE | {4: [1]}, KeyFault.UNSUPPORTED),
        (EXAMPLE | {4: []}, KeyFault.UNSUPPORTED),
        (EXAMPLE | {4: 2}, KeyFault.UNSUPPORTED),
    ],
)
def test_a_key_that_is_not_a_public_p256_key_is_refused(key, fault):
    with pytest.raises(UnusableKey) as caught:
        spki_from_cose_key_untrusted(key)
    assert caught.value.fault is fault


RSA_KEY = cose_key_from_spki(RSA_SPKI)


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({-1: b"\x00" + RSA_KEY[-1]}, KeyFault.MALFORMED),
        ({-1: b""}, KeyFault.MALFORMED),
        ({-1: 5}, KeyFault.MALFORMED),
        ({-2: None}, KeyFault.MALFORMED),
        ({-2: b"\x01\x00\x00"}, KeyFault.MALFORMED),
        ({-2: b"\x01"}, KeyFault.MALFORMED),
        ({-2: b"\x01" + bytes(3) + b"\x01"}, KeyFault.UNSUPPORTED),
        ({-1: b"\xff" * 128}, KeyFault.UNSUPPORTED),
        ({-1: b"\xff" * 513}, KeyFault.UNSUPPORTED),
        ({-3: b"private exponent"}, KeyFault.NOT_PUBLIC),
        ({-12: b"other"}, KeyFault.NOT_PUBLIC),
        ({3: -7}, KeyFault.UNSUPPORTED),
    ],
)
def test_an_rsa_key_that_is_weak_private_or_oddly_written_is_refused(change, fault):
    with pytest.raises(UnusableKey) as caught:
        spki_from_cose_key_untrusted(RSA_KEY | change)
    assert caught.value.fault is fault


def test_a_largest_exponent_and_labels_in_text_do_not_disturb():
    spki_from_cose_key_untrusted(RSA_KEY | {-2: b"\xff" * 4, "own": 1})


@pytest.mark.parametrize(
    "spki",
    [
        bytes.fromhex("302a300506032b6563032100") + bytes(32),
        P384_SPKI,
        spki_of(ed25519.Ed25519PrivateKey.generate().public_key()),
        spki_of(rsa.generate_private_key(public_exponent=65537, key_size=1024).public_key()),
    ],
    ids=["unknown", "P-384", "Ed25519", "RSA-1024"],
)
def test_other_kinds_of_keys_have_no_thumbprint_here(spki):
    with pytest.raises(UnusableKey) as caught:
        thumbprint(spki)
    assert caught.value.fault is KeyFault.UNSUPPORTED


@given(st.binary(max_size=200))
def test_any_bytes_for_a_spki_raise_the_one_error(spki):
    with pytest.raises(UnusableKey):
        cose_key_from_spki(spki)


PARTS = (
    st.none() | st.booleans() | st.integers() | st.floats() | st.binary(max_size=40) | st.just(X) | st.just(Y)
)


@given(
    st.dictionaries(
        st.integers(min_value=-6, max_value=6) | st.text(max_size=2),
        PARTS | st.integers(min_value=1, max_value=4) | st.lists(PARTS, max_size=3),
        max_size=8,
    )
)
def test_any_map_for_a_key_is_read_or_refused_with_the_one_error(key):
    with suppress(UnusableKey):
        spki_from_cose_key_untrusted(copy.copy(EXAMPLE) | key)
        spki_from_cose_key_untrusted(key)


def test_the_cose_form_holds_the_required_parameters_only():
    assert encode(cose_key_from_spki(spki_from_cose_key_untrusted(EXAMPLE | {2: b"x"}))) == encode(EXAMPLE)
