"""SenML's CBOR representation (RFC 8428 section 6): bytes to entries and back.

Integer labels, a byte string for data, and decimal fractions (tag 4) beside the usual numbers. The bytes
are read strictly, see :mod:`twoway.strict_cbor`; what a field may hold is the entry's to say.
"""

from __future__ import annotations

from collections.abc import Sequence

from cbor2 import CBORTag

from twoway.readings.entry import (
    BY_NUMBER,
    BY_TEXT,
    ENTRIES_LIMIT,
    PACK_LIMIT_BYTES,
    Entry,
    Kind,
    Label,
    MalformedSenML,
    shortest,
)
from twoway.strict_cbor import MalformedCBOR, decode_untrusted, encode

_DECIMAL_FRACTION = 4
"""RFC 8949 section 3.4.4: an array of the exponent of ten and the mantissa."""
_DEPTH = 4
"""A pack, an entry, a decimal fraction and its array."""


def encode_entries(entries: Sequence[Entry]) -> bytes:
    """Write entries as one deterministic array of maps."""
    return encode(
        [
            {label.number: shortest(content) for label, content in entry.contents().items()}
            for entry in entries
        ]
    )


def decode_entries_untrusted(data: bytes) -> list[Entry]:
    """Read the entries of a pack.

    Raises:
        MalformedSenML: not strict CBOR, not an array of maps, too large, or a field that must be
            understood or cannot be used.
    """
    if len(data) > PACK_LIMIT_BYTES:
        raise MalformedSenML(f"the SenML pack is larger than {PACK_LIMIT_BYTES} bytes")
    try:
        pack = decode_untrusted(data, max_depth=_DEPTH, tags=(_DECIMAL_FRACTION,))
    except MalformedCBOR as error:
        raise MalformedSenML(f"the SenML pack is broken: {error.what}") from None
    if not isinstance(pack, list) or len(pack) > ENTRIES_LIMIT:
        raise MalformedSenML(f"the SenML pack is not an array of at most {ENTRIES_LIMIT} entries")
    return [_entry(item) for item in pack]


def _entry(item: object) -> Entry:
    if not isinstance(item, dict):
        raise MalformedSenML("an entry of the SenML pack is not a map")
    contents = {}
    for key, content in item.items():
        label = _label(key)
        if label is not None:
            contents[label] = _read(label, content)
    return Entry.from_fields_untrusted(contents)


def _label(key: int | str | bytes) -> Label | None:
    """Look a key up; None for an extension that may be ignored (section 4.4)."""
    match key:
        case int():
            return BY_NUMBER.get(key)
        case str() if key in BY_TEXT:
            # Section 6 gives these integers. Ignoring the text would lose a value that others see.
            raise MalformedSenML(f"the SenML field {key!r} is named by text where CBOR has an integer")
        case str() if key.endswith("_"):
            raise MalformedSenML("the SenML pack has a field that must be understood, and is not known here")
        case str():
            return None
        case _:
            raise MalformedSenML("a label in the SenML pack is neither text nor an integer")


def _read(label: Label, content: object) -> object:
    if isinstance(content, CBORTag):
        if label.kind is not Kind.NUMBER:
            raise MalformedSenML(f"the SenML field {label.text!r} holds a decimal fraction")
        return _decimal_fraction(content.value)
    return content


def _decimal_fraction(parts: object) -> float:
    if not isinstance(parts, list) or len(parts) != 2 or not all(type(part) is int for part in parts):
        raise MalformedSenML("a decimal fraction in the SenML pack is not a pair of integers")
    exponent, mantissa = parts
    # Through text, for the nearest double: a huge exponent gives infinity or zero, never a huge integer.
    return float(f"{mantissa}e{exponent}")
