"""The name of a revoked ticket is the same for all who have its bytes."""

import base64
import hashlib

from twoway.tickets import token_hash

RFC_9770_FIGURE = bytes.fromhex(
    "d08343a1010aa2044c53796d6d65747269633132" + "38054d99a0d7846e762c49ffe8a63e0b5858b918a11f"
    "d81e438b7f973d9e2e119bcb22424ba0f38a80f27562f400ee1d0d6c0fdb559c02421fd384fc2ebe22d7071378b0ea7428fff157"
    "444d45f7e6afcda1aae5f6495830c58627087fc5b4974f319a8707a635dd643b"
)
"""The access token in the example of RFC 9770 section 4.2.1 (the RFC prints no hash of it)."""


def test_it_is_sha_256_over_the_base64url_text_behind_the_number_of_the_function():
    text = base64.urlsafe_b64encode(RFC_9770_FIGURE).decode()
    assert token_hash(RFC_9770_FIGURE) == b"\x01" + hashlib.sha256(text.replace("=", "").encode()).digest()
    assert (len(token_hash(b"")), token_hash(b"")[1:]) == (33, hashlib.sha256(b"").digest())


def test_the_text_has_the_url_alphabet_and_no_padding():
    assert token_hash(b"\xfb\xff\xfe\xff")[1:] == hashlib.sha256(b"-__-_w").digest()


def test_each_bit_of_a_ticket_changes_its_hash():
    hashes = {token_hash(RFC_9770_FIGURE)}
    for position in range(len(RFC_9770_FIGURE) * 8):
        flipped = bytearray(RFC_9770_FIGURE)
        flipped[position // 8] ^= 1 << position % 8
        hashes.add(token_hash(bytes(flipped)))
    assert len(hashes) == 1 + len(RFC_9770_FIGURE) * 8


def test_nothing_but_padding_is_taken_off_the_text():
    """Three bytes have no padding; whatever letter their text ends with belongs to it."""
    for letter in range(64):
        ticket = bytes((0, 0, letter))
        text = base64.urlsafe_b64encode(ticket)
        assert not text.endswith(b"=")
        assert token_hash(ticket)[1:] == hashlib.sha256(text).digest()
