"""CBOR (RFC 8949) for bytes that strangers send and bytes that get signed.

Theory of operation. General-purpose decoders are generous: the last of two equal keys wins, what trails
the item is left unread, and registered tags turn into dates, regular expressions and references that a
peer can use against the reader. Two readers of the same bytes must never disagree about a ticket, so
this decoder takes one item and nothing else: definite lengths, integers and lengths in their shortest
form, no key twice, no tag and no depth that the caller did not ask for. It builds the value in the same
pass that checks it, hence no second parser can see something else. Every claimed length is held against
the bytes that are there before memory is spent on it.

The encoder is deterministic (RFC 8949 section 4.2.1): equal values give equal bytes.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Collection, Mapping, Sequence
from enum import IntEnum
from typing import Any

import cbor2

from twoway.errors import CallerError, PeerError

DEPTH_LIMIT = 16
"""Arrays, maps and tags inside one another. Tickets, requests and readings need at most eight."""

_ARGUMENT_BYTES = {24: 1, 25: 2, 26: 4, 27: 8}
_FLOAT_FORMATS = {25: ">e", 26: ">f", 27: ">d"}
_CONSTANTS = {20: False, 21: True, 22: None}


class _Major(IntEnum):
    """The major types of RFC 8949 section 3.1."""

    UNSIGNED = 0
    NEGATIVE = 1
    BYTES = 2
    TEXT = 3
    ARRAY = 4
    MAP = 5
    TAG = 6
    SIMPLE = 7


_MAJORS = tuple(_Major)
"""By number. To call the enumeration for each item instead costs ten microseconds a ticket."""
_INITIAL_BYTES = tuple(bytes((number,)) for number in range(256))
_ARGUMENT_FOLLOWS = 24
"""Smaller arguments stand in the initial byte itself (RFC 8949 section 3)."""


class MalformedCBOR(PeerError):
    """The bytes are not the one strict CBOR item that was expected."""


def encode(value: object) -> bytes:
    """Encode deterministically: shortest forms, keys in the bytewise order of their encodings.

    Args:
        value: ``None``, booleans, integers of 64 bits, floats, text, bytes, lists, tuples, mappings and
            ``cbor2.CBORTag`` of these.

    Raises:
        CallerError: for anything else.
    """
    match value:
        case bool() | None | float():
            return cbor2.dumps(value, canonical=True)
        case int() if -(1 << 64) <= value < 1 << 64:
            return _head(_Major.UNSIGNED, value) if value >= 0 else _head(_Major.NEGATIVE, -1 - value)
        case str():
            try:
                text = value.encode()
            except UnicodeEncodeError:
                raise CallerError("half of a surrogate pair cannot be written as CBOR text") from None
            return _head(_Major.TEXT, len(text)) + text
        case bytes():
            return _head(_Major.BYTES, len(value)) + value
        case list() | tuple():
            return _head(_Major.ARRAY, len(value)) + b"".join(map(encode, value))
        case cbor2.CBORTag():
            return _head(_Major.TAG, value.tag) + encode(value.value)
        case Mapping():
            pairs = sorted((encode(key), encode(item)) for key, item in value.items())
            return _head(_Major.MAP, len(pairs)) + b"".join(key + item for key, item in pairs)
    raise CallerError(f"a value of type {type(value).__name__} has no place in CBOR here")


def decode_untrusted(data: bytes, *, max_depth: int = DEPTH_LIMIT, tags: Collection[int] = ()) -> object:
    """Decode exactly one CBOR item.

    Args:
        data: the item, all of it and nothing else.
        max_depth: how many arrays, maps and tags may stand inside one another.
        tags: the tag numbers that may occur; they come out as ``cbor2.CBORTag``, uninterpreted.

    Returns:
        ``None``, booleans, integers, floats, ``str``, ``bytes``, lists, dictionaries and tags. Keys of
        dictionaries are integers, text or bytes, never booleans.

    Raises:
        MalformedCBOR: for everything that the module's docstring excludes, and for broken CBOR.
    """
    reader = _Reader(data, frozenset(tags))
    value = reader.item(max_depth)
    if reader.position != len(data):
        raise reader.fault("something follows the item")
    return value


def _write_simple(value: bool | float | None) -> bytes:
    return cbor2.dumps(value, canonical=True)


def _write_integer(value: int) -> bytes:
    if not -(1 << 64) <= value < 1 << 64:
        raise CallerError("an integer of more than 64 bits has no place in CBOR here")
    return _head(_Major.UNSIGNED, value) if value >= 0 else _head(_Major.NEGATIVE, -1 - value)


def _write_text(value: str) -> bytes:
    try:
        text = value.encode()
    except UnicodeEncodeError:
        raise CallerError("half of a surrogate pair cannot be written as CBOR text") from None
    return _head(_Major.TEXT, len(text)) + text


def _write_bytes(value: bytes) -> bytes:
    return _head(_Major.BYTES, len(value)) + value


def _write_array(value: Sequence[object]) -> bytes:
    return _head(_Major.ARRAY, len(value)) + b"".join(map(encode, value))


def _write_tag(value: cbor2.CBORTag) -> bytes:
    return _head(_Major.TAG, value.tag) + encode(value.value)


def _write_map(value: Mapping[object, object]) -> bytes:
    pairs = sorted([(encode(key), encode(item)) for key, item in value.items()])
    return _head(_Major.MAP, len(pairs)) + b"".join([key + item for key, item in pairs])


# A table instead of a match: what has the very type is written in half of the time.
_WRITERS: dict[type, Callable[[Any], bytes]] = {
    bool: _write_simple,
    type(None): _write_simple,
    float: _write_simple,
    int: _write_integer,
    str: _write_text,
    bytes: _write_bytes,
    list: _write_array,
    tuple: _write_array,
    cbor2.CBORTag: _write_tag,
    dict: _write_map,
    Mapping: _write_map,
}


def _writer_of_kin(value: object) -> Callable[[Any], bytes]:
    """Return how a member of an enumeration is written, a named tuple, a read-only mapping."""
    for kind, write in _WRITERS.items():
        if isinstance(value, kind):
            return write
    raise CallerError(f"a value of type {type(value).__name__} has no place in CBOR here")


def _head(major: _Major, argument: int) -> bytes:
    """Return the initial byte and the argument in its shortest form (RFC 8949 section 3)."""
    if argument < _ARGUMENT_FOLLOWS:
        return _INITIAL_BYTES[major << 5 | argument]
    if argument < 1 << 8:
        return _INITIAL_BYTES[major << 5 | 24] + _INITIAL_BYTES[argument]
    information, size = next(each for each in _ARGUMENT_BYTES.items() if argument < 1 << 8 * each[1])
    return _INITIAL_BYTES[major << 5 | information] + argument.to_bytes(size)


class _Reader:
    """A position in the bytes of one item."""

    def __init__(self, data: bytes, tags: frozenset[int]) -> None:
        self.data = data
        self.tags = tags
        self.position = 0

    def fault(self, what: str) -> MalformedCBOR:
        return MalformedCBOR(f"the CBOR cannot be read: {what} at byte {self.position}")

    def item(self, depth: int) -> object:
        """Read one item that may have ``depth`` levels of items inside."""
        initial = self._take(1)[0]
        major, information = _MAJORS[initial >> 5], initial & 0x1F
        if major is _Major.SIMPLE:
            return self._simple_or_float(information)
        argument = self._argument(information)
        if major is _Major.UNSIGNED:
            return argument
        if major is _Major.NEGATIVE:
            return -1 - argument
        if major is _Major.BYTES:
            return self._take(argument)
        if major is _Major.TEXT:
            return self._text(argument)
        return self._nested(major, argument, depth)

    def _nested(self, major: _Major, argument: int, depth: int) -> object:
        if depth == 0:
            raise self.fault("it is nested too deeply")
        match major:
            case _Major.ARRAY:
                return [self.item(depth - 1) for _ in range(argument)]
            case _Major.MAP:
                return self._map(argument, depth - 1)
            case _:
                return self._tag(argument, depth - 1)

    def _map(self, pairs: int, depth: int) -> dict[int | str | bytes, object]:
        result: dict[int | str | bytes, object] = {}
        for _ in range(pairs):
            key = self.item(depth)
            # Python takes True and 1.0 for 1; with such keys refused, equal keys are equal items.
            if isinstance(key, bool) or not isinstance(key, int | str | bytes):
                raise self.fault("a key is neither a number nor a string")
            if key in result:
                raise self.fault("a key stands twice")
            result[key] = self.item(depth)
        return result

    def _tag(self, number: int, depth: int) -> cbor2.CBORTag:
        if number not in self.tags:
            raise self.fault(f"tag {number} is not expected")
        return cbor2.CBORTag(number, self.item(depth))

    def _text(self, length: int) -> str:
        try:
            return self._take(length).decode("utf-8")
        except UnicodeDecodeError:
            raise self.fault("text is not UTF-8") from None

    def _simple_or_float(self, information: int) -> object:
        if information in _CONSTANTS:
            return _CONSTANTS[information]
        if information in _FLOAT_FORMATS:
            (number,) = struct.unpack(_FLOAT_FORMATS[information], self._take(_ARGUMENT_BYTES[information]))
            return number
        raise self.fault("a simple value is not expected")

    def _argument(self, information: int) -> int:
        if information < _ARGUMENT_FOLLOWS:
            return information
        if information not in _ARGUMENT_BYTES:
            raise self.fault("a length is indefinite or reserved")
        size = _ARGUMENT_BYTES[information]
        argument = int.from_bytes(self._take(size), "big")
        if argument < (_ARGUMENT_FOLLOWS if size == 1 else 1 << 4 * size):
            raise self.fault("a number or length is written longer than needed")
        return argument

    def _take(self, length: int) -> bytes:
        # A claim of more than is there is refused before anything is allocated for it.
        if length > len(self.data) - self.position:
            raise self.fault("it ends too early")
        start = self.position
        self.position += length
        return self.data[start : self.position]
