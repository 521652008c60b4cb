"""Record protection: the ciphers of the standards, the nonce and additional data of the RFCs."""

from __future__ import annotations

import pytest
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from twoway.dtls import suites
from twoway.dtls.protection import RecordRejected
from twoway.dtls.record import DTLS_1_2, MAX_PLAINTEXT_BYTES, Record

ALL = suites.DEFAULT_SUITES
CCM = [suite for suite in ALL if suite.is_ccm]
GCM = [suite for suite in ALL if not suite.is_ccm]
KEY = bytes(range(0x40, 0x50))
WRITE_IV = b"\x10\x11\x12\x13"
EPOCH, SEQUENCE = 1, 0x0A0B0C0D0E0F


def aes_ccm(key: bytes, nonce: bytes, plaintext: bytes, additional: bytes, tag_bytes: int) -> bytes:
    """AES-CCM from the block cipher, step by step after RFC 3610 section 2: a judge of its own."""
    encryptor = Cipher(algorithms.AES(key), modes.ECB()).encryptor()
    length_bytes = 15 - len(nonce)
    flags = (64 if additional else 0) + 8 * ((tag_bytes - 2) // 2) + length_bytes - 1
    blocks = bytes([flags]) + nonce + len(plaintext).to_bytes(length_bytes, "big")
    for part in (len(additional).to_bytes(2, "big") + additional if additional else b"", plaintext):
        blocks += part + bytes(-len(part) % 16)
    mac = bytes(16)
    for at in range(0, len(blocks), 16):
        mac = encryptor.update(bytes(a ^ b for a, b in zip(mac, blocks[at : at + 16], strict=True)))

    def stream(counter: int) -> bytes:
        return encryptor.update(bytes([length_bytes - 1]) + nonce + counter.to_bytes(length_bytes, "big"))

    pad = b"".join(stream(1 + at) for at in range((len(plaintext) + 15) // 16))
    ciphertext = bytes(a ^ b for a, b in zip(plaintext, pad, strict=False))
    return ciphertext + bytes(a ^ b for a, b in zip(mac, stream(0), strict=True))[:tag_bytes]


VECTORS = [  # key, nonce, additional data, plaintext, ciphertext with tag, bytes of tag
    (  # RFC 3610 section 8, packet vector 1
        "c0c1c2c3c4c5c6c7c8c9cacbcccdcecf",
        "00000003020100a0a1a2a3a4a5",
        "0001020304050607",
        "08090a0b0c0d0e0f101112131415161718191a1b1c1d1e",
        "588c979a61c663d2f066d0c2c0f989806d5f6b61dac38417e8d12cfdf926e0",
        8,
    ),
    (  # RFC 3610 section 8, packet vector 2
        "c0c1c2c3c4c5c6c7c8c9cacbcccdcecf",
        "00000004030201a0a1a2a3a4a5",
        "0001020304050607",
        "08090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f",
        "72c91a36e135f8cf291ca894085c87e3cc15c439c9e43a3ba091d56e10400916",
        8,
    ),
    (  # NIST SP 800-38C appendix C.3: a nonce of 12 bytes, like ours
        "404142434445464748494a4b4c4d4e4f",
        "101112131415161718191a1b",
        "000102030405060708090a0b0c0d0e0f10111213",
        "202122232425262728292a2b2c2d2e2f3031323334353637",
        "e3b201a9f5b71a7a9b1ceaeccd97e70b6176aad9a4428aa5484392fbc1b09951",
        8,
    ),
]


@pytest.mark.parametrize("vector", VECTORS)
def test_the_cipher_of_the_ccm_8_suites_is_that_of_rfc_3610_and_nist(vector):
    key, nonce, additional, plaintext, expected = (bytes.fromhex(value) for value in vector[:5])
    aead = suites.PSK_AES_128_CCM_8.protection(key, WRITE_IV)._aead
    assert aead.encrypt(nonce, plaintext, additional) == expected
    assert aead.decrypt(nonce, expected, additional) == plaintext
    assert aes_ccm(key, nonce, plaintext, additional, vector[5]) == expected


def sealed(suite: suites.CipherSuite, plaintext: bytes, kind: int = 23) -> Record:
    fragment = suite.protection(KEY, WRITE_IV).seal(kind, EPOCH, SEQUENCE, plaintext)
    return Record(kind, DTLS_1_2, EPOCH, SEQUENCE, fragment)


def nonce_and_additional_data(plaintext: bytes) -> tuple[bytes, bytes, bytes]:
    explicit = bytes.fromhex("0001 0a0b0c0d0e0f")
    additional = explicit + bytes.fromhex("17 fefd") + len(plaintext).to_bytes(2, "big")
    return explicit, WRITE_IV + explicit, additional


@pytest.mark.parametrize("plaintext", [b"", b"x", bytes(range(100))])
@pytest.mark.parametrize("suite", CCM, ids=lambda suite: suite.name)
def test_ccm_records_are_laid_out_as_rfc_6655_says(suite, plaintext):
    explicit, nonce, additional = nonce_and_additional_data(plaintext)
    expected = explicit + aes_ccm(KEY, nonce, plaintext, additional, suite.tag_bytes)
    assert sealed(suite, plaintext).fragment == expected


@pytest.mark.parametrize("plaintext", [b"", b"x", bytes(range(100))])
@pytest.mark.parametrize("suite", GCM, ids=lambda suite: suite.name)
def test_gcm_records_are_laid_out_as_rfc_5288_says(suite, plaintext):
    explicit, nonce, additional = nonce_and_additional_data(plaintext)
    expected = explicit + AESGCM(KEY).encrypt(nonce, plaintext, additional)
    assert sealed(suite, plaintext).fragment == expected


@pytest.mark.parametrize("suite", ALL, ids=lambda suite: suite.name)
def test_a_record_opens_to_what_was_sealed_and_grows_by_the_overhead(suite):
    protection = suite.protection(KEY, WRITE_IV)
    for plaintext in (b"", b"x", bytes(MAX_PLAINTEXT_BYTES)):
        record = sealed(suite, plaintext)
        assert protection.open_untrusted(record) == plaintext
        assert len(record.fragment) == len(plaintext) + protection.overhead_bytes


@pytest.mark.parametrize("suite", ALL, ids=lambda suite: suite.name)
def test_no_flipped_bit_of_a_record_opens(suite):
    protection = suite.protection(KEY, WRITE_IV)
    record = sealed(suite, b"some plaintext")
    for at in range(len(record.fragment) * 8):
        damaged = bytearray(record.fragment)
        damaged[at // 8] ^= 1 << at % 8
        with pytest.raises(RecordRejected):
            protection.open_untrusted(record._replace(fragment=bytes(damaged)))


@pytest.mark.parametrize(
    "change",
    [{"type": 22}, {"version": 0xFEFF}, {"epoch": 2}, {"epoch": 0}, {"sequence": SEQUENCE + 1}],
    ids=str,
)
@pytest.mark.parametrize("suite", ALL, ids=lambda suite: suite.name)
def test_type_version_epoch_and_number_are_authenticated(suite, change):
    with pytest.raises(RecordRejected):
        suite.protection(KEY, WRITE_IV).open_untrusted(sealed(suite, b"data")._replace(**change))


@pytest.mark.parametrize("suite", ALL, ids=lambda suite: suite.name)
def test_records_of_impossible_length_are_refused(suite):
    protection = suite.protection(KEY, WRITE_IV)
    record = sealed(suite, b"")
    for length in range(len(record.fragment)):
        with pytest.raises(RecordRejected):
            protection.open_untrusted(record._replace(fragment=record.fragment[:length]))
    with pytest.raises(RecordRejected, match="wrong length"):
        protection.open_untrusted(sealed(suite, bytes(MAX_PLAINTEXT_BYTES + 1)))


def test_another_key_or_another_iv_opens_nothing():
    suite = suites.PSK_AES_128_GCM
    record = sealed(suite, b"data")
    for key, write_iv in ((KEY[::-1], WRITE_IV), (KEY, WRITE_IV[::-1])):
        with pytest.raises(RecordRejected):
            suite.protection(key, write_iv).open_untrusted(record)
