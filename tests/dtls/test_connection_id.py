"""The wire of connection IDs: RFC 9146 sections 3 to 5, octet by octet."""

from __future__ import annotations

import pytest
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
from twoway.dtls.protection import RecordRejected
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
