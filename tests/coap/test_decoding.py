"""Datagrams that are no CoAP messages: one kind of error, whatever they are."""

import pytest
from aiocoap import GET, Message
from aiocoap.numbers.contentformat import ContentFormat
from aiocoap.numbers.optionnumbers import OptionNumber
from aiocoap.numbers.types import Type
from hypothesis import given, settings
from hypothesis import strategies as st

from twoway.coap.decoding import MalformedMessage, decode_untrusted

CON_GET = b"\x40\x01\x12\x34"
RESET = b"\x70\x00\x12\x34"


def test_a_good_message_is_decoded():
    data = b"\x42\x01\x12\x34\xaa\xbb" + b"\xb5power" + b"\xff" + b"body"
    message = decode_untrusted(data, None)
    assert (message.code, message.mid, message.token) == (GET, 0x1234, b"\xaa\xbb")
    assert (message.opt.uri_path, message.payload) == (("power",), b"body")


@pytest.mark.parametrize(
    ("data", "because"),
    [
        (b"\x49" + CON_GET[1:] + bytes(9), "its token has 9 bytes"),
        (b"\x4f" + CON_GET[1:] + bytes(15), "its token has 15 bytes"),
        (b"\x48" + CON_GET[1:] + bytes(7), "ends within its token"),
        (CON_GET + b"\xff", "a payload is announced and absent"),
        (b"\x41\x00\x12\x34\x00", "empty and yet has content"),
        (b"\x40\x00\x12\x34\xff\x00", "empty and yet has content"),
        (b"\x40\x20\x12\x34", "1.00 is reserved"),
        (b"\x40\xc1\x12\x34", "6.01 is reserved"),
        (b"\x40\xe1\x12\x34", "7.01 is reserved"),
        (CON_GET + b"\xb2a", "ends within an option"),
        (CON_GET + b"\xd0", "ends within an option"),
        (CON_GET + b"\xe0\x00", "ends within an option"),
        (CON_GET + b"\xf0", "broken payload marker"),
        (CON_GET + b"\x0f", "broken payload marker"),
        (CON_GET + b"\xb2\xc3\x28", "cannot be decoded (UnicodeDecodeError)"),
        (CON_GET + b"\xe0\xff\xff", "an option number 65804"),
        (CON_GET + b"\xc3\x00\x00\x00", "its option 12 has 3 bytes"),
        (CON_GET + b"\x64\x00\x00\x00\x00", "its option 6 has 4 bytes"),
        (CON_GET + b"\xd4\x0e\x00\x00\x00\x00", "its option 27 has 4 bytes"),
        (CON_GET + b"\xb1a" + b"\x01a" * 64, "more than 64 options"),
    ],
)
def test_a_confirmable_one_that_is_malformed_is_rejected_with_a_reset(data, because):
    with pytest.raises(MalformedMessage) as caught:
        decode_untrusted(data, None)
    assert because in str(caught.value)
    assert caught.value.reset == RESET


def test_a_malformed_one_of_another_type_is_ignored():
    for first_byte in (0x59, 0x69, 0x79):
        with pytest.raises(MalformedMessage) as caught:
            decode_untrusted(bytes([first_byte]) + CON_GET[1:] + bytes(9), None)
        assert caught.value.reset is None


@pytest.mark.parametrize("data", [b"", b"\x40", b"\x40\x01\x12", b"\x00\x01\x12\x34", b"\x80\x01\x12\x34"])
def test_what_is_too_short_or_of_another_version_is_ignored(data):
    with pytest.raises(MalformedMessage) as caught:
        decode_untrusted(data, None)
    assert caught.value.reset is None


def test_sixty_four_options_are_enough_for_anybody():
    message = decode_untrusted(CON_GET + b"\xb1a" + b"\x01a" * 63, None)
    assert len(message.opt.uri_path) == 64
    assert decode_untrusted(CON_GET + b"\xb1a" + b"\x01a" * 63 + b"\xffx", None).payload == b"x"


@settings(max_examples=500, deadline=None)
@given(data=st.binary(max_size=80) | st.binary(max_size=60).map(lambda tail: CON_GET + tail))
def test_whatever_comes_is_a_message_or_malformed(data):
    try:
        message = decode_untrusted(data, None)
    except MalformedMessage as caught:
        malformed = caught
    else:
        assert isinstance(message, Message)
        assert message.mtype in Type
        return
    assert malformed.reset is None or len(malformed.reset) == 4
    assert "\n" not in str(malformed)


def test_nothing_that_the_network_names_grows_without_end():
    """The library keeps each option number and content format that it has met; numbers end at 65535 here."""
    numbers = len(OptionNumber._value2member_map_)
    formats = len(ContentFormat._value2member_map_)
    for size in range(3, 40):
        with pytest.raises(MalformedMessage):
            decode_untrusted(CON_GET + bytes([0xCD, size - 13 & 0xFF]) + b"\xff" * size, None)
        with pytest.raises(MalformedMessage):
            decode_untrusted(CON_GET + b"\xe0\xff\x00" * size, None)
    assert len(OptionNumber._value2member_map_) == numbers
    assert len(ContentFormat._value2member_map_) == formats
