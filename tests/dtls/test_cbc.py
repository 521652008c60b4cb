"""Record protection with CBC and HMAC: laid out as the RFCs say, and one answer to whatever is wrong."""

from __future__ import annotations

import hashlib
import hmac
import itertools

import pytest
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from hypothesis import given
from hypothesis import strategies as st

from twoway.dtls import suites
from twoway.dtls.epochs import ReadEpoch, WriteEpoch
from twoway.dtls.keys import DirectionKeys
from twoway.dtls.protection import Protection, RecordUnreadable
from twoway.dtls.record import DTLS_1_2, MAX_PLAINTEXT_BYTES, split_datagram_untrusted

KEY = bytes(range(0x40, 0x50))
MAC_KEY = bytes(range(0x80, 0xA0))
IV = bytes(range(0xF0, 0x100))
NUMBER = 0x0001_0A0B0C0D0E0F
PREFIX = bytes.fromhex("00010a0b0c0d0e0f 17 fefd")
SUITES = {"sha1": suites.ECDH_ANON_AES_128_CBC_SHA, "sha256": suites.ECDHE_PSK_AES_128_CBC_SHA256}
HASHES = pytest.mark.parametrize("digest", ["sha1", "sha256"])
ORDERS = pytest.mark.parametrize("encrypt_then_mac", [False, True], ids=["MAC first", "MAC last"])
LENGTHS = [0, 1, 11, 12, 13, 15, 16, 17, 27, 28, 29, 31, 32, 100, 255, 256, 1000]


def protection(digest: str, encrypt_then_mac: bool, *ivs: bytes) -> Protection:
    suite = SUITES[digest]
    keys = DirectionKeys(MAC_KEY[: suite.mac_key_bytes], KEY, b"")
    given_out = iter(ivs or itertools.repeat(IV))

    def entropy(count: int) -> bytes:
        iv = next(given_out)
        assert len(iv) == count
        return iv

    return suite.protection(keys, encrypt_then_mac=encrypt_then_mac, entropy=entropy)


def mac_of(digest: str, data: bytes, *, length: int | None = None, key: bytes = MAC_KEY) -> bytes:
    key = key[: hashlib.new(digest).digest_size]
    return hmac.digest(
        key, PREFIX + (len(data) if length is None else length).to_bytes(2, "big") + data, digest
    )


def cbc(content: bytes, iv: bytes = IV) -> bytes:
    """CBC from the block cipher alone, block by block (NIST SP 800-38A section 6.2)."""
    encryptor = Cipher(algorithms.AES(KEY), modes.ECB()).encryptor()
    blocks = [iv]
    for at in range(0, len(content), 16):
        block = bytes(a ^ b for a, b in zip(content[at : at + 16], blocks[-1], strict=True))
        blocks.append(encryptor.update(block))
    return b"".join(blocks)


def padding_for(content: bytes, blocks_more: int = 0) -> bytes:
    count = 16 - len(content) % 16 + 16 * blocks_more
    return bytes([count - 1]) * count


def fragment_of(digest: str, encrypt_then_mac: bool, plaintext: bytes, blocks_more: int = 0) -> bytes:
    """A fragment as another stack would make it."""
    if not encrypt_then_mac:
        content = plaintext + mac_of(digest, plaintext)
        return cbc(content + padding_for(content, blocks_more))
    encrypted = cbc(plaintext + padding_for(plaintext, blocks_more))
    return encrypted + mac_of(digest, encrypted)


def opened(digest: str, encrypt_then_mac: bool, fragment: bytes) -> bytes:
    return protection(digest, encrypt_then_mac).open_untrusted(NUMBER, PREFIX, fragment)


def assert_unreadable(digest: str, encrypt_then_mac: bool, fragment: bytes, why: str) -> None:
    with pytest.raises(RecordUnreadable, match=f"^{why}$"):
        opened(digest, encrypt_then_mac, fragment)


# --- as the RFCs say --------------------------------------------------------------------------------------


def test_the_block_chaining_of_this_test_is_that_of_nist():
    """NIST SP 800-38A appendix F.2.1, the first two blocks."""
    key = bytes.fromhex("2b7e151628aed2a6abf7158809cf4f3c")
    plaintext = bytes.fromhex("6bc1bee22e409f96e93d7e117393172aae2d8a571e03ac9c9eb76fac45af8e51")
    ciphertext = "7649abac8119b246cee98e9b12e9197d5086cb9b507219ee95db113a917678b2"
    global KEY  # noqa: PLW0603 # the vector has a key of its own
    before, KEY = KEY, key
    try:
        assert cbc(plaintext, bytes(range(16)))[16:].hex() == ciphertext
    finally:
        KEY = before


@HASHES
@ORDERS
@pytest.mark.parametrize("length", LENGTHS)
def test_a_fragment_is_laid_out_as_the_rfcs_say(digest, encrypt_then_mac, length):
    """RFC 5246 section 6.2.3.2 and RFC 7366 section 3, computed by other means."""
    plaintext = bytes(i % 251 for i in range(length))
    expected = fragment_of(digest, encrypt_then_mac, plaintext)
    assert protection(digest, encrypt_then_mac).seal(NUMBER, PREFIX, plaintext) == expected


@HASHES
@ORDERS
@given(plaintext=st.binary(max_size=400), blocks_more=st.integers(0, 15))
def test_what_another_stack_seals_is_opened_with_as_much_padding_as_it_likes(
    digest, encrypt_then_mac, plaintext, blocks_more
):
    fragment = fragment_of(digest, encrypt_then_mac, plaintext, blocks_more)
    assert opened(digest, encrypt_then_mac, fragment) == plaintext


@HASHES
@ORDERS
def test_the_longest_plaintext_passes_and_the_overhead_is_never_exceeded(digest, encrypt_then_mac):
    both = protection(digest, encrypt_then_mac)
    for length in (*range(33), MAX_PLAINTEXT_BYTES):
        fragment = both.seal(NUMBER, PREFIX, bytes(length))
        assert len(fragment) <= length + both.overhead_bytes
        assert both.open_untrusted(NUMBER, PREFIX, fragment) == bytes(length)
    assert any(len(both.seal(NUMBER, PREFIX, bytes(n))) == n + both.overhead_bytes for n in range(16))


@HASHES
@ORDERS
def test_the_longest_plaintext_passes_with_the_longest_padding(digest, encrypt_then_mac):
    fragment = fragment_of(digest, encrypt_then_mac, bytes(MAX_PLAINTEXT_BYTES), blocks_more=15)
    assert opened(digest, encrypt_then_mac, fragment) == bytes(MAX_PLAINTEXT_BYTES)


@HASHES
@ORDERS
def test_every_record_has_an_iv_of_its_own_from_the_entropy_that_was_handed_in(digest, encrypt_then_mac):
    writer = protection(digest, encrypt_then_mac, IV, IV[::-1])
    assert [writer.seal(NUMBER, PREFIX, b"data")[:16] for _ in range(2)] == [IV, IV[::-1]]


@HASHES
@ORDERS
def test_epochs_make_number_and_prefix_of_the_record(digest, encrypt_then_mac):
    both = protection(digest, encrypt_then_mac)
    data = WriteEpoch(1, NUMBER & (2**48 - 1), both).encode(23, DTLS_1_2, b"data")
    ((record,), _) = split_datagram_untrusted(data)
    assert record.fragment == fragment_of(digest, encrypt_then_mac, b"data")
    assert ReadEpoch(both).open_untrusted(record)[1] == b"data"
    for change in ({"type": 22}, {"version": 0xFEFF}, {"epoch": 2}, {"sequence": record.sequence + 1}):
        with pytest.raises(RecordUnreadable, match="not authentic"):
            ReadEpoch(both).open_untrusted(record._replace(**change))


@HASHES
@ORDERS
def test_after_a_rest_it_goes_on(digest, encrypt_then_mac):
    both = protection(digest, encrypt_then_mac)
    fragment = both.seal(NUMBER, PREFIX, b"data")
    both.rest()
    assert both.open_untrusted(NUMBER, PREFIX, fragment) == b"data"


# --- what is wrong ----------------------------------------------------------------------------------------


@HASHES
@ORDERS
def test_no_flipped_bit_opens(digest, encrypt_then_mac):
    fragment = fragment_of(digest, encrypt_then_mac, b"some plaintext", 1)
    for at in range(len(fragment) * 8):
        damaged = bytearray(fragment)
        damaged[at // 8] ^= 1 << at % 8
        assert_unreadable(digest, encrypt_then_mac, bytes(damaged), "not authentic")


@HASHES
@ORDERS
def test_lengths_that_cannot_be_are_refused_before_anything_is_decrypted(
    digest, encrypt_then_mac, monkeypatch
):
    def decrypt(self: object, fragment: bytes) -> bytes:
        raise AssertionError("decrypted")

    both = protection(digest, encrypt_then_mac)
    monkeypatch.setattr("twoway.dtls.cbc._CBCProtection._decrypt", decrypt)
    mac_bytes = hashlib.new(digest).digest_size
    least = 16 + (-(-(mac_bytes + 1) // 16) * 16 if not encrypt_then_mac else 16 + mac_bytes)
    whole = mac_bytes if encrypt_then_mac else 0
    most = 2**14 + 2048
    lengths = {*range(least), *(n for n in range(least, least + 64) if (n - whole) % 16), most + 16}
    for length in lengths:
        with pytest.raises(RecordUnreadable, match="^wrong length$"):
            both.open_untrusted(NUMBER, PREFIX, bytes(length))
    with pytest.raises((AssertionError, RecordUnreadable), match="^(decrypted|not authentic)$"):
        both.open_untrusted(NUMBER, PREFIX, bytes(least))


@HASHES
@ORDERS
@pytest.mark.parametrize("blocks_more", [0, 5])
def test_a_plaintext_that_is_too_long_is_refused(digest, encrypt_then_mac, blocks_more):
    fragment = fragment_of(digest, encrypt_then_mac, bytes(MAX_PLAINTEXT_BYTES + 1), blocks_more)
    assert_unreadable(digest, encrypt_then_mac, fragment, "wrong length")


@HASHES
def test_bad_padding_and_a_bad_mac_are_one_and_the_same_to_the_peer(digest):
    """Whatever the padding says, beside a MAC that is right or wrong: one error, and no plaintext."""
    plaintext = b"p" * 300
    for mac in (mac_of(digest, plaintext), bytes(hashlib.new(digest).digest_size)):
        content = plaintext + mac
        right = padding_for(content, 3)
        for at in range(len(right)):
            for bit in (1, 128):
                wrong = bytearray(right)
                wrong[at] ^= bit
                assert_unreadable(digest, False, cbc(content + bytes(wrong)), "not authentic")
        if mac == bytes(len(mac)):
            assert_unreadable(digest, False, cbc(content + right), "not authentic")
        else:
            assert opened(digest, False, cbc(content + right)) == plaintext


@HASHES
@pytest.mark.parametrize("blocks", [3, 4, 16, 17, 20])
def test_padding_that_reaches_into_the_mac_or_beyond_is_refused(digest, blocks):
    for value in (15, 16 * blocks - 20, 16 * blocks - 1, 255):
        if 0 <= value <= 255:
            assert_unreadable(digest, False, cbc(bytes([value]) * 16 * blocks), "not authentic")


@HASHES
def test_a_right_mac_under_wrong_padding_does_not_count(digest):
    """A MAC that is right if the padding is taken as none: the padding is wrong all the same."""
    size = hashlib.new(digest).digest_size
    for number in range(2000):
        plaintext = number.to_bytes(2, "big") + b"p" * (62 - size + 16 * 16)
        mac = mac_of(digest, plaintext)
        if mac[-1] not in (0,):
            content = plaintext + mac
            assert len(content) % 16 == 0
            assert_unreadable(digest, False, cbc(content), "not authentic")
            return
    raise AssertionError("no MAC of the kind was found")


@HASHES
def test_the_hash_runs_as_many_rounds_whatever_the_padding_says(digest, monkeypatch):
    """Lucky Thirteen counts rounds of 64 bytes: they are the same for every padding, right or wrong."""
    hashed: list[int] = []
    both = protection(digest, False)
    mac, extra = type(both)._mac, type(both)._hash_on

    def counting_mac(self, prefix, length, data):
        hashed.append(-(-(len(prefix) + 2 + len(data) + 9) // 64))
        return mac(self, prefix, length, data)

    class CountingHash:
        def __init__(self, algorithm):
            assert algorithm.name == digest

        def update(self, data):
            assert len(data) % 64 == 0
            hashed.append(len(data) // 64)

    monkeypatch.setattr(type(both), "_mac", counting_mac)
    monkeypatch.setattr("twoway.dtls.cbc.hashes.Hash", CountingHash)
    assert extra is type(both)._hash_on
    counts = set()
    for value in range(256):
        hashed.clear()
        content = b"c" * (320 - value - 1) + bytes([value]) * (value + 1)
        with pytest.raises(RecordUnreadable, match="not authentic"):
            both.open_untrusted(NUMBER, PREFIX, cbc(content))
        assert len(hashed) == 2
        counts.add(sum(hashed))
    assert len(counts) == 1


@HASHES
def test_with_encrypt_then_mac_nothing_is_decrypted_that_is_not_authentic(digest, monkeypatch):
    def decrypt(self: object, fragment: bytes) -> bytes:
        raise AssertionError("decrypted")

    fragment = fragment_of(digest, True, b"data")
    monkeypatch.setattr("twoway.dtls.cbc._CBCProtection._decrypt", decrypt)
    assert_unreadable(digest, True, fragment[:-1] + bytes([fragment[-1] ^ 1]), "not authentic")
    with pytest.raises(AssertionError, match="decrypted"):
        opened(digest, True, fragment)


@HASHES
@pytest.mark.parametrize("off_by", [-16, 16, 20, 32])
def test_the_authenticated_length_is_that_of_iv_and_ciphertext(digest, off_by):
    """RFC 7366 section 3: without the MAC, with the IV."""
    encrypted = cbc(b"data" + padding_for(b"data"))
    mac = mac_of(digest, encrypted, length=len(encrypted) + off_by)
    assert_unreadable(digest, True, encrypted + mac, "not authentic")


@HASHES
@pytest.mark.parametrize(
    "content",
    [b"d" * 15 + b"\x10", b"d" * 12 + b"\x03\x03\x02\x03", b"d" * 15 + b"\xff", b"d" * 13 + b"\x01\x02\x02"],
)
def test_padding_is_checked_in_full_under_a_right_mac_too(digest, content):
    encrypted = cbc(content)
    assert_unreadable(digest, True, encrypted + mac_of(digest, encrypted), "wrong padding")


@HASHES
@ORDERS
def test_another_key_opens_nothing(digest, encrypt_then_mac):
    fragment = fragment_of(digest, encrypt_then_mac, b"data")
    suite = SUITES[digest]
    mac_key = MAC_KEY[: suite.mac_key_bytes]
    others = [DirectionKeys(mac_key[::-1], KEY, b"")]
    if not encrypt_then_mac:
        others.append(DirectionKeys(mac_key, KEY[::-1], b""))
    for keys in others:
        other = suite.protection(keys, encrypt_then_mac=encrypt_then_mac, entropy=bytes)
        with pytest.raises(RecordUnreadable, match="not authentic"):
            other.open_untrusted(NUMBER, PREFIX, fragment)


@HASHES
def test_the_two_orders_do_not_pass_for_each_other(digest):
    for encrypt_then_mac in (False, True):
        fragment = fragment_of(digest, encrypt_then_mac, b"d" * 40)
        with pytest.raises(RecordUnreadable):
            opened(digest, not encrypt_then_mac, fragment)
