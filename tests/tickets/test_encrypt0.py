"""Encrypted envelopes: one shape, one key, nothing in the open."""

import os

import pytest
from cbor2 import CBORTag as Tagged
from cwt import COSE, COSEKey
from hypothesis import given
from hypothesis import strategies as st

from twoway.errors import CallerError
from twoway.strict_cbor import decode_untrusted, encode
from twoway.tickets import Algorithm, COSEFault, COSERejected
from twoway.tickets.encrypt0 import IV_BYTES, Encrypt0, encrypt0, parse_encrypt0_untrusted

KEY, KID, PLAINTEXT = bytes(range(16)), b"kid", b"what is encrypted"
ALGORITHMS = pytest.mark.parametrize("algorithm", IV_BYTES, ids=lambda algorithm: algorithm.name)

RFC_8392_KEY = bytes.fromhex("231f4c4d4d3051fdc2ec0a3851d5b383")
RFC_8392_A5 = bytes.fromhex(
    "d08343a1010aa2044c53796d6d6574726963313238054d99a0d7846e762c49ffe8a63e0b5858b918a11fd81e438b7f973d9e2e"
    "119bcb22424ba0f38a80f27562f400ee1d0d6c0fdb559c02421fd384fc2ebe22d7071378b0ea7428fff157444d45f7e6afcda1"
    "aae5f6495830c58627087fc5b4974f319a8707a635dd643b"
)
"""The encrypted CWT of RFC 8392 appendix A.5 and its key of A.2.1."""


def message(algorithm: Algorithm = Algorithm.AES_CCM_16_128_128) -> bytes:
    return encrypt0(PLAINTEXT, key=KEY, key_id=KID, iv=bytes(IV_BYTES[algorithm]), algorithm=algorithm)


def fault_of(data: bytes, key: bytes = KEY) -> COSEFault:
    with pytest.raises(COSERejected) as caught:
        parse_encrypt0_untrusted(data).decrypt(key)
    return caught.value.fault


@ALGORITHMS
def test_what_is_encrypted_decrypts_and_has_the_one_shape(algorithm):
    parsed = parse_encrypt0_untrusted(message(algorithm))
    assert parsed.decrypt(KEY) == PLAINTEXT
    assert (parsed.key_id, parsed.algorithm, parsed.iv) == (KID, algorithm, bytes(IV_BYTES[algorithm]))
    outer = decode_untrusted(message(algorithm), tags={61, 16})
    protected, unprotected, ciphertext = outer.value.value
    assert (outer.tag, outer.value.tag, unprotected) == (61, 16, {})
    assert decode_untrusted(protected) == {1: int(algorithm), 4: KID, 5: bytes(IV_BYTES[algorithm])}
    assert PLAINTEXT not in message(algorithm)
    assert len(ciphertext) - len(PLAINTEXT) == (8 if algorithm is Algorithm.AES_CCM_16_64_128 else 16)


@ALGORITHMS
def test_what_an_independent_library_encrypts_decrypts(algorithm):
    # The library takes no nonce from the protected header, so its envelope is not ours; the rest is.
    theirs = COSEKey.new({1: 4, 2: KID, 3: int(algorithm), -1: KEY})
    iv = os.urandom(IV_BYTES[algorithm])
    encoded = COSE.new().encode(PLAINTEXT, theirs, protected={1: int(algorithm), 4: KID}, unprotected={5: iv})
    protected, _, ciphertext = decode_untrusted(encoded, tags={16}).value
    assert Encrypt0(protected, algorithm, KID, iv, ciphertext).decrypt(KEY) == PLAINTEXT


def test_the_ciphertext_of_rfc_8392_decrypts_once_its_headers_are_as_they_were_authenticated():
    parts = decode_untrusted(RFC_8392_A5, tags={16}).value
    assert fault_of(b"\xd8\x3d" + RFC_8392_A5) is COSEFault.UNSUPPORTED_PROTECTION
    theirs = Encrypt0(parts[0], Algorithm.AES_CCM_16_64_128, parts[1][4], parts[1][5], parts[2])
    claims = decode_untrusted(theirs.decrypt(RFC_8392_KEY))
    assert claims[1] == "coap://as.example.com"
    assert claims[7] == b"\x0b\x71"


@ALGORITHMS
def test_a_flip_of_any_bit_is_refused(algorithm):
    encoded = message(algorithm)
    for position in range(len(encoded) * 8):
        tampered = bytearray(encoded)
        tampered[position // 8] ^= 1 << position % 8
        fault_of(bytes(tampered))


def test_another_key_does_not_open_it():
    assert fault_of(message(), bytes(16)) is COSEFault.NOT_AUTHENTIC


GOOD = {1: 30, 4: KID, 5: bytes(13)}


@pytest.mark.parametrize(
    ("protected", "unprotected", "ciphertext", "fault"),
    [
        (GOOD | {1: 2}, {}, bytes(20), COSEFault.UNSUPPORTED_PROTECTION),
        (GOOD | {1: -7}, {}, bytes(20), COSEFault.UNSUPPORTED_PROTECTION),
        ({4: KID, 5: bytes(13)}, {}, bytes(20), COSEFault.UNSUPPORTED_PROTECTION),
        (GOOD | {2: [5]}, {}, bytes(20), COSEFault.UNSUPPORTED_PROTECTION),
        ({1: 30, 4: KID}, {5: bytes(13)}, bytes(20), COSEFault.UNSUPPORTED_PROTECTION),
        (GOOD, {99: 0}, bytes(20), COSEFault.UNSUPPORTED_PROTECTION),
        ({1: 30, 4: KID}, {}, bytes(20), COSEFault.MALFORMED),
        (GOOD | {5: bytes(12)}, {}, bytes(20), COSEFault.MALFORMED),
        (GOOD | {5: "iv"}, {}, bytes(20), COSEFault.MALFORMED),
        (GOOD, {}, "text", COSEFault.MALFORMED),
        (GOOD, {}, b"", COSEFault.NOT_AUTHENTIC),
        (GOOD, {}, bytes(15), COSEFault.NOT_AUTHENTIC),
        (GOOD, {}, bytes(70_000), COSEFault.NOT_AUTHENTIC),
    ],
    ids=range(13),
)
def test_another_shape_is_refused(protected, unprotected, ciphertext, fault):
    parts = [encode(protected), unprotected, ciphertext]
    assert fault_of(encode(Tagged(61, Tagged(16, parts)))) is fault


@pytest.mark.parametrize("tags", [(), (16,), (61,), (61, 61, 16), (16, 61)])
def test_other_tags_than_the_two_are_malformed(tags):
    item = decode_untrusted(message(), tags={61, 16}).value.value
    for tag in reversed(tags):
        item = Tagged(tag, item)
    assert fault_of(encode(item)) is COSEFault.MALFORMED


@pytest.mark.parametrize(("key", "iv"), [(KEY, bytes(12)), (bytes(32), bytes(13)), (KEY, b"")])
def test_a_nonce_or_key_of_another_length_is_the_callers_fault(key, iv):
    with pytest.raises(CallerError):
        encrypt0(PLAINTEXT, key=key, key_id=KID, iv=iv, algorithm=Algorithm.AES_CCM_16_128_128)


@given(st.binary(max_size=80))
def test_any_bytes_are_refused_with_the_one_error(data):
    fault_of(data)
