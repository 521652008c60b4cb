"""Record protection with AEAD: the ciphers of the standards, the nonce and additional data of the RFCs."""

from __future__ import annotations

import gc
from dataclasses import replace

import pytest
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM, ChaCha20Poly1305

from twoway.dtls import suites
from twoway.dtls.epochs import ReadEpoch, WriteEpoch
from twoway.dtls.keys import DirectionKeys
from twoway.dtls.protection import Protection, RecordRejected, RecordUnreadable
from twoway.dtls.record import DTLS_1_2, MAX_PLAINTEXT_BYTES, Record, split_datagram_untrusted

ALL = suites.DEFAULT_SUITES
CCM = [suite for suite in ALL if "CCM" in suite.name]
GCM = [suite for suite in ALL if "GCM" in suite.name]
CHACHA = [suite for suite in ALL if "CHACHA20" in suite.name]
KEY = bytes(range(0x40, 0x60))
WRITE_IV = bytes(range(0x10, 0x1C))
EPOCH, SEQUENCE = 1, 0x0A0B0C0D0E0F
NUMBER = bytes.fromhex("0001 0a0b0c0d0e0f")
IDS = {"ids": lambda suite: suite.name}


def protection(suite: suites.CipherSuite, key: bytes = KEY, iv: bytes = WRITE_IV) -> Protection:
    keys = DirectionKeys(b"", key[: suite.key_bytes], iv[: suite.fixed_iv_bytes])
    return suite.protection(keys, encrypt_then_mac=False, entropy=no_entropy)


def no_entropy(count: int) -> bytes:
    raise AssertionError("AEAD needs no randomness")


def sealed(suite: suites.CipherSuite, plaintext: bytes, kind: int = 23, sequence: int = SEQUENCE) -> Record:
    data = WriteEpoch(EPOCH, sequence, protection(suite)).encode(kind, DTLS_1_2, plaintext)
    ((record,), _) = split_datagram_untrusted(data)
    return record


def opened(record: Record, by: Protection) -> bytes:
    return ReadEpoch(by).open_untrusted(record)[1]


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
    aead = suites.PSK_AES_128_CCM_8.cipher.make(key)
    assert aead.encrypt(nonce, plaintext, additional) == expected
    assert aead.decrypt(nonce, expected, additional) == plaintext
    assert aes_ccm(key, nonce, plaintext, additional, vector[5]) == expected


def test_the_cipher_of_the_chacha20_suites_is_that_of_rfc_8439():
    """Section 2.8.2."""
    key, nonce = bytes(range(0x80, 0xA0)), bytes.fromhex("070000004041424344454647")
    additional = bytes.fromhex("50515253c0c1c2c3c4c5c6c7")
    plaintext = (
        b"Ladies and Gentlemen of the class of '99: If I could offer you only one tip for the future, "
        b"sunscreen would be it."
    )
    sealed = suites.PSK_CHACHA20_POLY1305.cipher.make(key).encrypt(nonce, plaintext, additional)
    assert sealed[:16].hex() == "d31a8d34648e60db7b86afbc53ef7ec2"
    assert sealed[-16:].hex() == "1ae10b594f09e26a7e902ecbd0600691"


def additional_data(plaintext: bytes) -> bytes:
    return NUMBER + bytes.fromhex("17 fefd") + len(plaintext).to_bytes(2, "big")


PLAINTEXTS = pytest.mark.parametrize("plaintext", [b"", b"x", bytes(range(100))])


@PLAINTEXTS
@pytest.mark.parametrize("suite", CCM, **IDS)
def test_ccm_records_are_laid_out_as_rfc_6655_says(suite, plaintext):
    nonce, tag_bytes = WRITE_IV[:4] + NUMBER, 8 if "CCM_8" in suite.name else 16
    key = KEY[: 32 if "AES_256" in suite.name else 16]
    expected = NUMBER + aes_ccm(key, nonce, plaintext, additional_data(plaintext), tag_bytes)
    assert sealed(suite, plaintext).fragment == expected


@PLAINTEXTS
@pytest.mark.parametrize("suite", GCM, **IDS)
def test_gcm_records_are_laid_out_as_rfc_5288_says(suite, plaintext):
    key = KEY[: 32 if "AES_256" in suite.name else 16]
    ciphertext = AESGCM(key).encrypt(WRITE_IV[:4] + NUMBER, plaintext, additional_data(plaintext))
    assert sealed(suite, plaintext).fragment == NUMBER + ciphertext


@PLAINTEXTS
@pytest.mark.parametrize("suite", CHACHA, **IDS)
def test_chacha20_records_are_laid_out_as_rfc_7905_says(suite, plaintext):
    nonce = bytes(a ^ b for a, b in zip(WRITE_IV, bytes(4) + NUMBER, strict=True))
    expected = ChaCha20Poly1305(KEY).encrypt(nonce, plaintext, additional_data(plaintext))
    assert sealed(suite, plaintext).fragment == expected


@pytest.mark.parametrize("suite", [*CCM, *GCM], **IDS)
def test_the_explicit_nonce_of_a_peer_may_be_anything(suite):
    """RFC 5288 section 3 and RFC 6655 section 3 leave it to the sender; other stacks count on their own."""
    cipher = suite.cipher.make(KEY[: suite.key_bytes])
    fragment = b"anything" + cipher.encrypt(WRITE_IV[:4] + b"anything", b"data", additional_data(b"data"))
    record = Record(23, DTLS_1_2, EPOCH, SEQUENCE, fragment)
    assert opened(record, protection(suite)) == b"data"


@pytest.mark.parametrize("suite", ALL, **IDS)
def test_a_record_opens_to_what_was_sealed_and_grows_by_the_overhead(suite):
    for plaintext in (b"", b"x", bytes(MAX_PLAINTEXT_BYTES)):
        record = sealed(suite, plaintext)
        assert opened(record, protection(suite)) == plaintext
        assert len(record.fragment) == len(plaintext) + protection(suite).overhead_bytes
    assert suite.overhead_bytes == protection(suite).overhead_bytes


@pytest.mark.parametrize("suite", ALL, **IDS)
def test_no_flipped_bit_of_a_record_opens(suite):
    reader = ReadEpoch(protection(suite))
    record = sealed(suite, b"some plaintext")
    for at in range(len(record.fragment) * 8):
        damaged = bytearray(record.fragment)
        damaged[at // 8] ^= 1 << at % 8
        with pytest.raises(RecordUnreadable, match="not authentic"):
            reader.open_untrusted(record._replace(fragment=bytes(damaged)))


@pytest.mark.parametrize(
    "change",
    [{"type": 22}, {"version": 0xFEFF}, {"epoch": 2}, {"epoch": 0}, {"sequence": SEQUENCE + 1}],
    ids=str,
)
@pytest.mark.parametrize("suite", ALL, **IDS)
def test_type_version_epoch_and_number_are_authenticated(suite, change):
    with pytest.raises(RecordUnreadable, match="not authentic"):
        opened(sealed(suite, b"data")._replace(**change), protection(suite))


@pytest.mark.parametrize("suite", ALL, **IDS)
def test_the_form_of_the_record_is_authenticated_whatever_it_is(suite):
    """RFC 9146 section 5 puts other bytes in front of the length; nothing else changes."""
    fragment = protection(suite).seal(7, b"with a connection ID", b"data")
    assert protection(suite).open_untrusted(7, b"with a connection ID", fragment) == b"data"
    for prefix in (b"with another connection ID", b"", b"with a connection I"):
        with pytest.raises(RecordUnreadable, match="not authentic"):
            protection(suite).open_untrusted(7, prefix, fragment)


@pytest.mark.parametrize("suite", ALL, **IDS)
def test_records_of_impossible_length_are_refused(suite):
    record = sealed(suite, b"")
    for length in range(len(record.fragment)):
        with pytest.raises(RecordUnreadable, match="wrong length"):
            opened(record._replace(fragment=record.fragment[:length]), protection(suite))
    with pytest.raises(RecordUnreadable, match="wrong length"):
        opened(sealed(suite, bytes(MAX_PLAINTEXT_BYTES + 1)), protection(suite))


@pytest.mark.parametrize("suite", ALL, **IDS)
def test_another_key_or_another_iv_opens_nothing(suite):
    record = sealed(suite, b"data")
    for key, write_iv in ((KEY[::-1], WRITE_IV), (KEY, WRITE_IV[::-1])):
        with pytest.raises(RecordUnreadable, match="not authentic"):
            opened(record, protection(suite, key, write_iv))


# --- a key that meets forgeries ---------------------------------------------------------------------------


@pytest.mark.parametrize("suite", ALL, **IDS)
def test_a_key_that_met_too_many_forgeries_is_given_up(suite):
    """RFC 9147 section 4.5.3, with a limit that a test can reach."""
    few = replace(suite, cipher=replace(suite.cipher, forgery_limit=3))
    reader, good = protection(few), sealed(suite, b"data").fragment
    number, prefix = EPOCH << 48 | SEQUENCE, additional_data(b"")[:-2]
    for _ in range(2):
        with pytest.raises(RecordUnreadable, match="not authentic"):
            reader.open_untrusted(number, prefix, good[:-1] + bytes([good[-1] ^ 1]))
    assert reader.open_untrusted(number, prefix, good) == b"data", "two are below the limit"
    with pytest.raises(RecordUnreadable, match="not authentic"):
        reader.open_untrusted(number, prefix, bytes(len(good)))
    with pytest.raises(RecordRejected, match="key given up"):
        reader.open_untrusted(number, prefix, good)
    reader.rest()
    with pytest.raises(RecordRejected, match="key given up"):
        reader.open_untrusted(number, prefix, good)


def test_the_limits_are_those_of_rfc_9147():
    for suite in ALL:
        expected = int(2**23.5) if suite in CCM else 2**36
        assert suite.cipher.forgery_limit == expected


# --- rest -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("suite", ALL, **IDS)
def test_a_cipher_object_is_there_from_the_first_use_until_rest(suite):
    both = protection(suite)

    def ciphers() -> int:
        return sum(type(one).__name__ in ("AESGCM", "AESCCM", "ChaCha20Poly1305") for one in _held_by(both))

    assert ciphers() == 0
    fragment = both.seal(5, b"prefix", b"data")
    assert ciphers() == 1
    both.rest()
    assert ciphers() == 0
    assert both.open_untrusted(5, b"prefix", fragment) == b"data"


def _held_by(protection: Protection) -> list[object]:
    return gc.get_referents(protection)
