"""SenML's JSON representation (RFC 8428 section 5): bytes to entries and back.

Text labels, and base64url without padding for data. JSON is read strictly: UTF-8, no label twice in an
entry, no ``NaN``; what a field may hold is the entry's to say.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Sequence

from twoway.readings.entry import (
    BY_TEXT,
    ENTRIES_LIMIT,
    PACK_LIMIT_BYTES,
    Entry,
    Kind,
    Label,
    MalformedSenML,
    shortest,
)

_INTEGER_DIGITS = 20
"""Longer integers are read as floating point: a double does not need, and Python refuses, thousands."""

_BASE64URL = re.compile(r"[A-Za-z0-9_-]*")


def encode_entries(entries: Sequence[Entry]) -> bytes:
    """Write entries as one JSON array without any white space."""
    pack = [
        {label.text: _written(content) for label, content in entry.contents().items()} for entry in entries
    ]
    return json.dumps(pack, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode("utf-8")


def decode_entries_untrusted(data: bytes) -> list[Entry]:
    """Read the entries of a pack.

    Raises:
        MalformedSenML: not strict JSON, not an array of objects, too large, or a field that must be
            understood or cannot be used.
    """
    if len(data) > PACK_LIMIT_BYTES:
        raise MalformedSenML(f"the SenML pack is larger than {PACK_LIMIT_BYTES} bytes")
    try:
        pack = json.loads(
            data.decode("utf-8"), object_pairs_hook=_object, parse_int=_integer, parse_constant=_constant
        )
    except (ValueError, RecursionError):
        raise MalformedSenML("the SenML pack is not JSON") from None
    if not isinstance(pack, list) or len(pack) > ENTRIES_LIMIT:
        raise MalformedSenML(f"the SenML pack is not an array of at most {ENTRIES_LIMIT} entries")
    return [_entry(item) for item in pack]


def _object(pairs: list[tuple[str, object]]) -> dict[str, object]:
    result = dict(pairs)
    if len(result) != len(pairs):
        raise MalformedSenML("an object in the SenML pack has a label twice")
    return result


def _integer(digits: str) -> float:
    return int(digits) if len(digits) <= _INTEGER_DIGITS else float(digits)


def _constant(name: str) -> object:
    raise MalformedSenML(f"the SenML pack holds {name}, which is no number")


def _entry(item: object) -> Entry:
    if not isinstance(item, dict):
        raise MalformedSenML("an entry of the SenML pack is not an object")
    contents = {}
    for key, content in item.items():
        label = BY_TEXT.get(key)
        if label is not None:
            contents[label] = _read(label, content)
        elif key.endswith("_"):
            raise MalformedSenML("the SenML pack has a field that must be understood, and is not known here")
    return Entry.from_fields_untrusted(contents)


def _read(label: Label, content: object) -> object:
    if label.kind is not Kind.DATA:
        return content
    if not isinstance(content, str) or not _BASE64URL.fullmatch(content):
        raise MalformedSenML("data in the SenML pack is not base64url without padding")
    try:
        return base64.urlsafe_b64decode(content + "=" * (-len(content) % 4))
    except binascii.Error:  # a length that no number of bytes gives
        raise MalformedSenML("data in the SenML pack is not base64url without padding") from None


def _written(content: object) -> object:
    if isinstance(content, bytes):
        return base64.urlsafe_b64encode(content).rstrip(b"=").decode("ascii")
    return shortest(content)
