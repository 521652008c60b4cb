"""Maps with integer keys, which all messages of ACE are (RFC 9200 section 5).

Owns how a value is taken out of such a map: by its registered key, of exactly one type, within a bound.
Must never know what a message means.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import IntEnum
from typing import Final, TypeVar

from twoway import strict_cbor
from twoway.errors import PeerError
from twoway.tickets.ticket import MAX_TICKET_BYTES

MAX_MESSAGE_BYTES = 2 * MAX_TICKET_BYTES
"""A response carries a ticket, a scope and a key; a request less. Larger ones are not read."""
MAX_TEXT_CHARACTERS = 1024
"""Of names, URIs and descriptions, which end up in logs and on screens."""
MAX_NONCE_BYTES = 64
"""Of ``cnonce`` and ``kid``: nonces and key names, which nobody makes longer."""

ACEMap = Mapping[object, object]
"""A decoded message."""

_Kind = TypeVar("_Kind", int, str, bytes, bool)
_Key = TypeVar("_Key", bound=IntEnum)
_LIMITS: Final = {str: MAX_TEXT_CHARACTERS, bytes: MAX_MESSAGE_BYTES}


class MalformedACE(PeerError):
    """A message that is not what RFC 9200 describes."""


def map_untrusted(payload: bytes, *, limit: int = MAX_MESSAGE_BYTES) -> ACEMap:
    """Decode a payload into a map whose keys are all integers.

    Raises:
        MalformedACE: it is something else, or has more than ``limit`` bytes.
    """
    if len(payload) > limit:
        raise MalformedACE(f"the message has more than {limit} bytes")
    try:
        message = strict_cbor.decode_untrusted(payload)
    except strict_cbor.MalformedCBOR as fault:
        raise MalformedACE(fault.what) from None
    # RFC 9200 section 5: the keys have to be the integer abbreviations.
    if not isinstance(message, dict) or not all(isinstance(key, int) for key in message):
        raise MalformedACE("the message is not a map with integer keys")
    return message


def optional(message: ACEMap, key: IntEnum, kind: type[_Kind]) -> _Kind | None:
    """Return the value under ``key``, of exactly the given type, or None if there is no such key.

    Raises:
        MalformedACE: it has another type, is too long, or is text that cannot be shown.
    """
    if key not in message:
        return None
    value = message[key]
    # The exact type, since True is an int to Python; control characters would reach a terminal.
    if type(value) is not kind or (isinstance(value, str) and not value.isprintable()):
        raise MalformedACE(f"{key.name.lower()} has the wrong type")
    if isinstance(value, str | bytes) and len(value) > _LIMITS[type(value)]:
        raise MalformedACE(f"{key.name.lower()} is too long")
    return value


def nonce(message: ACEMap, key: IntEnum) -> bytes | None:
    """Return a short byte string, or None; raises as :func:`optional`."""
    value = optional(message, key, bytes)
    if value is not None and len(value) > MAX_NONCE_BYTES:
        raise MalformedACE(f"{key.name.lower()} is too long")
    return value


def present(message: Mapping[_Key, object]) -> dict[_Key, object]:
    """Leave out what is None."""
    return {key: value for key, value in message.items() if value is not None}
