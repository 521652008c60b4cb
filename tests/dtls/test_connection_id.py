"""The wire of connection IDs: RFC 9146 sections 3 to 5, octet by octet."""

from __future__ import annotations

import hmac

import pytest
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from hypothesis import given
from hypothesis import strategies as st

from twoway.dtls.alerts import AlertDescription, HandshakeFailure
from twoway.dtls.connection_id import (
    authenticated_prefix,
    encode_extension,
    parse_extension_untrusted,
    unwrap_untrusted,
    wrap,
)
from twoway.dtls.epochs import ReadEpoch, WriteEpoch
from twoway.dtls.keys import DirectionKeys
from twoway.dtls.protection import Protection, RecordRejected, RecordUnreadable
from twoway.dtls.record import (
    DTLS_1_2,
    HEADER_BYTES,
    MAX_CIPHERTEXT_BYTES,
    MAX_SEQUENCE,
    ContentType,
    Record,
    encode_record,
    split_datagram_untrusted,
)
from twoway.dtls.suites import DEFAULT_SUITES, LEGACY_2013_SUITES, CipherSuite

CID = ContentType.TLS12_CID


def with_id(connection_id: bytes, fragment: bytes = b"abc", sequence: int = 7) -> bytes:
    return encode_record(CID, DTLS_1_2, 1, sequence, fragment, connection_id)


# --- the header (section 4, figure 3) ---------------------------------------------------------------------


def test_the_header_has_the_id_between_number_and_length():
    written = encode_record(CID, DTLS_1_2, 0x0102, 0x030405060708, b"abc", b"\xaa\xbb\xcc")
    assert written == bytes.fromhex("19 fefd 0102 030405060708 aabbcc 0003") + b"abc"


@pytest.mark.parametrize("size", range(1, 21))
def test_an_id_of_every_length_is_read_by_who_knows_the_length(size):
    connection_id = bytes(range(size))
    records, trailing_bytes = split_datagram_untrusted(with_id(connection_id) * 2, size)
    assert records == [Record(CID, DTLS_1_2, 1, 7, b"abc", connection_id)] * 2
    assert trailing_bytes == 0
    assert records[0].wire_bytes == HEADER_BYTES + size + 3


def test_whoever_gave_out_no_id_cannot_read_a_record_that_has_one():
    datagram = with_id(b"\xaa") + encode_record(22, DTLS_1_2, 0, 0, b"hello")
    assert split_datagram_untrusted(datagram) == ([], len(datagram))


def test_a_record_that_says_that_it_has_an_id_and_has_none_is_none():
    datagram = encode_record(CID, DTLS_1_2, 1, 7, b"abc")
    assert split_datagram_untrusted(datagram) == ([], len(datagram))


def test_an_empty_record_with_an_id_is_a_record_and_not_the_rest_of_a_datagram():
    (record,), trailing_bytes = split_datagram_untrusted(with_id(b"\xaa\xbb", b""), 2)
    assert (record.connection_id, record.fragment, trailing_bytes) == (b"\xaa\xbb", b"", 0)


def test_records_of_both_forms_may_share_a_datagram():
    plain = encode_record(22, DTLS_1_2, 0, 0, b"hello")
    records, trailing_bytes = split_datagram_untrusted(plain + with_id(b"\xaa\xbb") + plain, 2)
    assert [record.connection_id for record in records] == [b"", b"\xaa\xbb", b""]
    assert trailing_bytes == 0


@pytest.mark.parametrize("size", [1, 8, 20])
def test_a_truncated_record_with_an_id_is_none(size):
    whole = with_id(bytes(size))
    for cut in range(len(whole)):
        assert split_datagram_untrusted(whole[:cut], size) == ([], cut)


def test_a_record_with_an_id_is_no_longer_than_any_cipher_makes_it():
    for size, count in ((MAX_CIPHERTEXT_BYTES, 1), (MAX_CIPHERTEXT_BYTES + 1, 0)):
        assert len(split_datagram_untrusted(with_id(b"\xaa", bytes(size)), 1)[0]) == count


@given(st.binary(max_size=300), st.integers(0, 20))
def test_any_bytes_are_cut_without_an_exception_and_nothing_is_invented(datagram, size):
    found, trailing_bytes = split_datagram_untrusted(datagram, size)
    assert b"".join(encode_record(*record) for record in found) == datagram[: len(datagram) - trailing_bytes]


# --- the inner plaintext (section 4, figure 2) ------------------------------------------------------------


def test_the_type_follows_the_content():
    assert wrap(ContentType.APPLICATION_DATA, b"abc") == b"abc\x17"
    assert wrap(ContentType.ALERT, b"") == b"\x15"


@given(st.binary(max_size=40), st.integers(1, 255), st.integers(0, 40))
def test_whatever_is_wrapped_and_padded_is_unwrapped_again(content, kind, zeros):
    assert unwrap_untrusted(wrap(kind, content) + bytes(zeros)) == (kind, content)


@pytest.mark.parametrize("kind", range(1, 256))
def test_padding_is_of_zeros_alone(kind):
    assert unwrap_untrusted(bytes([kind, kind, 0])) == (kind, bytes([kind]))


@pytest.mark.parametrize("zeros", [0, 1, 100])
def test_a_record_of_nothing_but_padding_is_refused(zeros):
    with pytest.raises(RecordRejected, match="no content type"):
        unwrap_untrusted(bytes(zeros))


# --- what is authenticated (section 5) --------------------------------------------------------------------


def test_the_prefix_is_laid_out_as_the_rfc_says():
    assert authenticated_prefix(0x0001_030405060708, DTLS_1_2, b"\xaa\xbb\xcc") == bytes.fromhex(
        "ffffffffffffffff"  # seq_num_placeholder
        "19"  # tls12_cid
        "03"  # cid_length
        "19"  # tls12_cid
        "fefd"  # version
        "0001"  # epoch
        "030405060708"  # sequence_number
        "aabbcc"  # cid
    )


@given(st.integers(0, 2**16 - 1), st.integers(0, MAX_SEQUENCE), st.binary(min_size=1, max_size=255))
def test_two_different_headers_never_have_the_same_prefix(epoch, sequence, connection_id):
    """What is cut elsewhere is another number or another ID: the ID's length stands in front."""
    prefix = authenticated_prefix(epoch << 48 | sequence, DTLS_1_2, connection_id)
    size = prefix[9]
    assert prefix[-size:] == connection_id
    assert int.from_bytes(prefix[13:21]) == epoch << 48 | sequence
    assert len(prefix) == 21 + size


# --- the extension (section 3) ----------------------------------------------------------------------------


def test_the_extension_is_a_vector_with_one_byte_of_length():
    assert encode_extension(b"") == b"\x00"
    assert encode_extension(b"\x64") == b"\x01\x64"


@given(st.binary(max_size=255))
def test_a_peer_may_ask_for_an_id_of_any_length(connection_id):
    assert parse_extension_untrusted(encode_extension(connection_id)) == connection_id


@pytest.mark.parametrize("data", [b"", b"\x01", b"\x02a", b"\x00a", b"\x01ab"])
def test_a_malformed_extension_is_refused(data):
    with pytest.raises(HandshakeFailure) as refused:
        parse_extension_untrusted(data)
    assert refused.value.alert is AlertDescription.DECODE_ERROR


# --- protected by each kind of cipher ---------------------------------------------------------------------

KEYS = DirectionKeys(mac_key=bytes(range(32)), key=bytes(range(16)), iv=bytes(range(4)))
ID = b"\xaa\xbb\xcc"
PREFIX = authenticated_prefix(1 << 48 | 7, DTLS_1_2, ID)
CBC = next(suite for suite in LEGACY_2013_SUITES if suite.name == "TLS_RSA_WITH_AES_128_CBC_SHA256")
CIPHERS = [(suite, False) for suite in DEFAULT_SUITES] + [(CBC, False), (CBC, True)]
EACH_CIPHER = pytest.mark.parametrize(
    ("suite", "encrypt_then_mac"),
    CIPHERS,
    ids=[f"{suite.name}{'-EtM' if encrypt_then_mac else ''}" for suite, encrypt_then_mac in CIPHERS],
)


def protection_of(suite: CipherSuite, encrypt_then_mac: bool = False) -> Protection:
    keys = DirectionKeys(
        mac_key=bytes(range(suite.mac_key_bytes)),
        key=bytes(range(suite.key_bytes)),
        iv=bytes(range(suite.fixed_iv_bytes)),
    )
    return suite.protection(keys, encrypt_then_mac=encrypt_then_mac, entropy=bytes)


def sealed(suite: CipherSuite, encrypt_then_mac: bool = False, content: bytes = b"data") -> Record:
    """Record 7 of epoch 1 with our ID, as it arrives."""
    writer = WriteEpoch(1, 7, protection_of(suite, encrypt_then_mac), ID)
    datagram = writer.encode(ContentType.APPLICATION_DATA, DTLS_1_2, content)
    assert len(datagram) <= HEADER_BYTES + writer.overhead_bytes + len(content)
    ((record,), trailing_bytes) = split_datagram_untrusted(datagram, len(ID))
    assert trailing_bytes == 0
    return record


@EACH_CIPHER
def test_a_record_opens_to_what_was_sealed(suite, encrypt_then_mac):
    record = sealed(suite, encrypt_then_mac)
    assert (record.type, record.connection_id, record.epoch, record.sequence) == (CID, ID, 1, 7)
    opened = ReadEpoch(protection_of(suite, encrypt_then_mac), ID).open_untrusted(record)
    assert opened == (ContentType.APPLICATION_DATA, b"data", True)


@EACH_CIPHER
def test_a_changed_header_is_not_authentic(suite, encrypt_then_mac):
    record = sealed(suite, encrypt_then_mac)
    for change in ({"version": 0xFEFF}, {"epoch": 2}, {"sequence": 8}):
        with pytest.raises(RecordUnreadable, match="not authentic"):
            ReadEpoch(protection_of(suite, encrypt_then_mac), ID).open_untrusted(record._replace(**change))


@EACH_CIPHER
def test_another_id_is_not_authentic_even_where_it_is_expected(suite, encrypt_then_mac):
    """No two associations share keys; if they did, the ID would still be part of what is authenticated."""
    record = sealed(suite, encrypt_then_mac)._replace(connection_id=b"\xaa\xbb\xcd")
    with pytest.raises(RecordUnreadable, match="not authentic"):
        ReadEpoch(protection_of(suite, encrypt_then_mac), record.connection_id).open_untrusted(record)


@EACH_CIPHER
@pytest.mark.parametrize("expected", [b"", b"\xaa\xbb", b"\xaa\xbb\xcd", b"\xaa\xbb\xcc\x00"])
def test_a_record_that_has_not_the_id_agreed_upon_is_refused_unread(suite, encrypt_then_mac, expected):
    with pytest.raises(RecordRejected, match="^wrong connection ID$"):
        ReadEpoch(protection_of(suite, encrypt_then_mac), expected).open_untrusted(
            sealed(suite, encrypt_then_mac)
        )


def test_a_record_without_protection_has_no_id():
    """RFC 9146 section 3: plaintext payloads never use the new format."""
    record = Record(CID, DTLS_1_2, 0, 7, b"hello\x16", ID)
    with pytest.raises(RecordRejected, match="^wrong connection ID$"):
        ReadEpoch(None).open_untrusted(record)


def test_aead_authenticates_prefix_and_length_of_the_inner_plaintext():
    """Section 5.3, computed by other means."""
    gcm = next(suite for suite in DEFAULT_SUITES if suite.name.endswith("ECDSA_WITH_AES_128_GCM_SHA256"))
    explicit = (1 << 48 | 7).to_bytes(8)
    expected = AESGCM(KEYS.key).encrypt(KEYS.iv + explicit, b"data\x17", PREFIX + b"\x00\x05")
    assert sealed(gcm).fragment == explicit + expected


def cbc(content: bytes) -> bytes:
    """AES-CBC after an IV of zeros, which is the entropy of this module, with the IV in front."""
    content += bytes([15 - len(content) % 16]) * (16 - len(content) % 16)
    encryptor = Cipher(algorithms.AES(KEYS.key), modes.CBC(bytes(16))).encryptor()
    return bytes(16) + encryptor.update(content) + encryptor.finalize()


def mac(data: bytes) -> bytes:
    return hmac.digest(KEYS.mac_key, PREFIX + len(data).to_bytes(2) + data, "sha256")


def test_the_mac_of_a_block_cipher_is_over_the_inner_plaintext():
    """Section 5.1, computed by other means."""
    assert sealed(CBC, False).fragment == cbc(b"data\x17" + mac(b"data\x17"))


def test_the_mac_that_follows_encryption_is_over_iv_and_ciphertext():
    """Section 5.2, computed by other means."""
    encrypted = cbc(b"data\x17")
    assert sealed(CBC, True).fragment == encrypted + mac(encrypted)


@EACH_CIPHER
@pytest.mark.parametrize(("inner", "content"), [(b"data\x17", b"data"), (b"\x17\x00\x00", b"")])
def test_padding_of_the_peers_is_taken_off(suite, encrypt_then_mac, inner, content):
    protection = protection_of(suite, encrypt_then_mac)
    record = Record(CID, DTLS_1_2, 1, 7, protection.seal(1 << 48 | 7, PREFIX, inner), ID)
    assert ReadEpoch(protection, ID).open_untrusted(record) == (23, content, True)


def test_a_record_of_nothing_but_padding_counts_as_seen():
    """It is authentic, so its number is used up; what is in it is nothing that we could take."""
    protection = protection_of(CBC)
    record = Record(CID, DTLS_1_2, 1, 7, protection.seal(1 << 48 | 7, PREFIX, bytes(20)), ID)
    reader = ReadEpoch(protection, ID)
    with pytest.raises(RecordRejected, match="^no content type$"):
        reader.open_untrusted(record)
    with pytest.raises(RecordRejected, match="^replayed$"):
        reader.open_untrusted(record)


def test_only_a_record_with_the_greatest_number_so_far_is_the_newest():
    writer, reader = WriteEpoch(1, 0, protection_of(CBC), ID), ReadEpoch(protection_of(CBC), ID)
    datagrams = [writer.encode(23, DTLS_1_2, b"") for _ in range(5)]
    seen = []
    for number in (1, 0, 4, 2, 3):
        ((record,), _) = split_datagram_untrusted(datagrams[number], len(ID))
        seen.append((number, reader.open_untrusted(record)[2]))
    assert seen == [(1, True), (0, False), (4, True), (2, False), (3, False)]
