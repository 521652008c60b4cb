"""The record header: what is written is read again, and any bytes at all can be cut into records."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from twoway.dtls.record import (
    DTLS_1_0,
    DTLS_1_2,
    HEADER_BYTES,
    MAX_CIPHERTEXT_BYTES,
    MAX_RECORDS_IN_DATAGRAM,
    MAX_SEQUENCE,
    ContentType,
    Record,
    encode_record,
    split_datagram_untrusted,
)

records = st.builds(
    Record,
    type=st.integers(0, 255).filter(lambda kind: kind != ContentType.TLS12_CID),
    version=st.sampled_from([DTLS_1_0, DTLS_1_2]),
    epoch=st.integers(0, 2**16 - 1),
    sequence=st.integers(0, MAX_SEQUENCE),
    fragment=st.binary(max_size=60),
    connection_id=st.just(b""),  # Those that have one are in test_connection_id.py.
)


def test_the_header_is_laid_out_as_rfc_6347_says():
    written = encode_record(22, DTLS_1_2, 0x0102, 0x030405060708, b"abc")
    assert written == bytes.fromhex("16 fefd 0102 030405060708 0003") + b"abc"


@given(st.lists(records, max_size=8))
def test_whatever_is_written_is_read_again(sent):
    datagram = b"".join(encode_record(*record) for record in sent)
    assert split_datagram_untrusted(datagram) == (sent, 0)


@given(st.binary(max_size=300))
def test_any_bytes_are_cut_without_an_exception_and_nothing_is_invented(datagram):
    found, trailing_bytes = split_datagram_untrusted(datagram)
    assert b"".join(encode_record(*record) for record in found) == datagram[: len(datagram) - trailing_bytes]


@given(records, st.binary(min_size=1, max_size=12))
def test_what_follows_the_last_whole_record_is_counted_not_read(record, rest):
    assert split_datagram_untrusted(encode_record(*record) + rest) == ([record], len(rest))


@given(records, st.data())
def test_a_truncated_record_is_none(record, data):
    whole = encode_record(*record)
    cut = data.draw(st.integers(0, len(whole) - 1))
    assert split_datagram_untrusted(whole[:cut]) == ([], cut)


def test_a_record_of_another_protocol_ends_the_datagram():
    good = encode_record(23, DTLS_1_2, 1, 1, b"x")
    for version in (0x0303, 0x0100, 0x0000, 0xFFFF):
        other = encode_record(23, version, 1, 2, b"y")
        found, trailing_bytes = split_datagram_untrusted(good + other + good)
        assert len(found) == 1
        assert trailing_bytes == len(other + good)


def test_a_record_longer_than_any_cipher_makes_it_is_not_read():
    for size, count in ((MAX_CIPHERTEXT_BYTES, 1), (MAX_CIPHERTEXT_BYTES + 1, 0)):
        found, _ = split_datagram_untrusted(encode_record(23, DTLS_1_2, 1, 1, bytes(size)))
        assert len(found) == count


def test_a_datagram_of_countless_empty_records_costs_no_more_than_its_bound():
    datagram = encode_record(23, DTLS_1_2, 1, 1, b"") * 5000
    found, trailing_bytes = split_datagram_untrusted(datagram)
    assert len(found) == MAX_RECORDS_IN_DATAGRAM
    assert trailing_bytes == len(datagram) - MAX_RECORDS_IN_DATAGRAM * HEADER_BYTES
