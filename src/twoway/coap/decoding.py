"""CoAP messages from the network: the checks of RFC 7252 section 3 that must come before aiocoap's decoder.

aiocoap takes some malformed messages for good ones, fails on others with whatever exception Python
happens to raise, and remembers each option number and content format that it ever met for the life of the
process. So every datagram is walked through here first, byte by byte and without keeping anything.
"""

from __future__ import annotations

from typing import Final

from aiocoap import Message
from aiocoap.interfaces import EndpointAddress

from twoway.errors import PeerError

HEADER_BYTES: Final = 4
VERSION: Final = 1
MAX_TOKEN_BYTES: Final = 8  # RFC 7252 section 3: 9 to 15 are a format error
PAYLOAD_MARKER: Final = 0xFF
CONFIRMABLE: Final = 0
RESET: Final = 3

EMPTY_CODE: Final = 0
CODE_CLASSES: Final = frozenset({0, 2, 3, 4, 5})
"""Classes 1, 6 and 7 are reserved (RFC 7252 section 4.2); 3 is unassigned and nobody awaits it."""

MAX_OPTIONS: Final = 64
"""A path and a query of thirty segments each; more is an attempt to keep us busy."""
MAX_OPTION_NUMBER: Final = 0xFFFF  # RFC 7252 section 12.2: the registry ends here
EXTENDED_BY_ONE_BYTE: Final = 13
EXTENDED_BY_TWO_BYTES: Final = 14

MAX_OPTION_BYTES: Final = {
    1: 8,  # If-Match; RFC 7252 section 5.10
    3: 255,  # Uri-Host
    4: 8,  # ETag
    5: 0,  # If-None-Match
    6: 3,  # Observe; RFC 7641 section 2
    7: 2,  # Uri-Port
    8: 255,  # Location-Path
    11: 255,  # Uri-Path
    12: 2,  # Content-Format
    14: 4,  # Max-Age
    15: 255,  # Uri-Query
    17: 2,  # Accept
    20: 255,  # Location-Query
    23: 3,  # Block2; RFC 7959 section 2.1
    27: 3,  # Block1
    28: 4,  # Size2
    35: 1034,  # Proxy-Uri
    39: 255,  # Proxy-Scheme
    60: 4,  # Size1
}


class MalformedMessage(PeerError):
    """A datagram is not a CoAP message."""

    def __init__(self, what: str, *, reset: bytes | None = None) -> None:
        super().__init__(what)
        self.reset = reset
        """The Reset that rejects it (RFC 7252 section 4.2), or None: it is to be ignored."""


def decode_untrusted(data: bytes, remote: EndpointAddress) -> Message:
    """Decode a datagram.

    Raises:
        MalformedMessage: and nothing else.
    """
    if len(data) < HEADER_BYTES or data[0] >> 6 != VERSION:
        # RFC 7252 section 3: other versions are ignored in silence; less has no message ID to reset.
        raise MalformedMessage("it is too short or of another version")
    reset = bytes([VERSION << 6 | RESET << 4, EMPTY_CODE]) + data[2:4] if _is_confirmable(data) else None
    try:
        _check_untrusted(data)
        return Message.decode(data, remote)
    except MalformedMessage as malformed:
        raise MalformedMessage(malformed.what, reset=reset) from None
    except Exception as fault:  # noqa: BLE001 the decoder raises what Python raises: UnicodeDecodeError and others
        raise MalformedMessage(f"it cannot be decoded ({type(fault).__name__})", reset=reset) from None


def _is_confirmable(data: bytes) -> bool:
    return data[0] >> 4 & 0b11 == CONFIRMABLE


def _check_untrusted(data: bytes) -> None:
    token_bytes, code = data[0] & 0x0F, data[1]
    if code == EMPTY_CODE and (token_bytes or len(data) > HEADER_BYTES):
        raise MalformedMessage("it is empty and yet has content")  # RFC 7252 section 4.1
    if code >> 5 not in CODE_CLASSES:
        raise MalformedMessage(f"its code {code >> 5}.{code & 0x1F:02} is reserved")
    if token_bytes > MAX_TOKEN_BYTES:
        raise MalformedMessage(f"its token has {token_bytes} bytes")
    if len(data) < HEADER_BYTES + token_bytes:
        raise MalformedMessage("it ends within its token")
    _check_options_untrusted(data, HEADER_BYTES + token_bytes)


def _check_options_untrusted(data: bytes, position: int) -> None:
    number = 0
    for _ in range(MAX_OPTIONS):
        if position == len(data):
            return
        if data[position] == PAYLOAD_MARKER:
            if position + 1 == len(data):
                raise MalformedMessage("a payload is announced and absent")
            return
        delta, length = data[position] >> 4, data[position] & 0x0F
        delta, position = _extended_untrusted(data, position + 1, delta)
        length, position = _extended_untrusted(data, position, length)
        number += delta
        if number > MAX_OPTION_NUMBER:
            raise MalformedMessage(f"it has an option number {number}")
        if length > MAX_OPTION_BYTES.get(number, len(data)):
            raise MalformedMessage(f"its option {number} has {length} bytes")
        position += length
        if position > len(data):
            raise MalformedMessage("it ends within an option")
    if position < len(data) and data[position] != PAYLOAD_MARKER:
        raise MalformedMessage(f"it has more than {MAX_OPTIONS} options")


def _extended_untrusted(data: bytes, position: int, nibble: int) -> tuple[int, int]:
    """Read the rest of an option's delta or length: RFC 7252 section 3.1."""
    if nibble < EXTENDED_BY_ONE_BYTE:
        return nibble, position
    size = nibble - EXTENDED_BY_ONE_BYTE + 1
    if nibble > EXTENDED_BY_TWO_BYTES or position + size > len(data):
        raise MalformedMessage("it ends within an option, or has a broken payload marker")
    base = 13 if nibble == EXTENDED_BY_ONE_BYTE else 269
    return base + int.from_bytes(data[position : position + size]), position + size
