"""One entry of a SenML pack as it stands on the wire: its labels, its fields, what each may hold.

The table :data:`LABELS` is RFC 8428 section 12.2's, once for both representations; the codecs only look
up in it. An :class:`Entry` checks itself, so that nothing of the wrong type, size or range goes further.
Base values are not applied here: that is :mod:`twoway.readings.record`'s.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum, auto
from types import MappingProxyType

from twoway.errors import PeerError

PACK_LIMIT_BYTES = 1 << 16
"""A pack in either representation. A reading takes a hundred bytes; CoAP's blocks carry this much still."""
ENTRIES_LIMIT = 1024
"""Entries of a pack. Base values let two bytes become a record, so bytes alone do not bound the records."""
NAME_LIMIT = 255
"""Characters of a base name, a name, and both together."""
TEXT_LIMIT = 4096
"""Characters of a text value, bytes of a data value."""

_UNIT = re.compile(r"[!-~]{1,32}")
"""What can be a unit: printable ASCII. Whether IANA lists it is not asked, the list grows."""

_EXACT_INTEGERS = 1 << 53
"""Integers below are doubles without loss."""


class MalformedSenML(PeerError):
    """The bytes are not a SenML pack that this package reads."""


class Kind(Enum):
    """What a field holds."""

    NUMBER = auto()
    """A finite number."""
    TEXT = auto()
    """Text of at most :data:`TEXT_LIMIT` characters."""
    NAME = auto()
    """Text of at most :data:`NAME_LIMIT` characters."""
    UNIT = auto()
    """The symbol of a unit."""
    BOOLEAN = auto()
    """True or false."""
    DATA = auto()
    """At most :data:`TEXT_LIMIT` bytes."""
    VERSION = auto()
    """A positive whole number."""


@dataclass(frozen=True, slots=True)
class Label:
    """One line of the registry: a field and how each representation calls it."""

    field: str
    """The attribute of :class:`Entry`."""
    text: str
    """The label in JSON."""
    number: int
    """The label in CBOR."""
    kind: Kind


LABELS = (
    Label("base_name", "bn", -2, Kind.NAME),
    Label("base_time", "bt", -3, Kind.NUMBER),
    Label("base_unit", "bu", -4, Kind.UNIT),
    Label("base_value", "bv", -5, Kind.NUMBER),
    Label("base_sum", "bs", -6, Kind.NUMBER),
    Label("base_version", "bver", -1, Kind.VERSION),
    Label("name", "n", 0, Kind.NAME),
    Label("unit", "u", 1, Kind.UNIT),
    Label("value", "v", 2, Kind.NUMBER),
    Label("string_value", "vs", 3, Kind.TEXT),
    Label("boolean_value", "vb", 4, Kind.BOOLEAN),
    Label("data_value", "vd", 8, Kind.DATA),
    Label("sum", "s", 5, Kind.NUMBER),
    Label("time", "t", 6, Kind.NUMBER),
    Label("update_time", "ut", 7, Kind.NUMBER),
)
"""RFC 8428 section 12.2, in the order in which an entry is written as JSON."""

BY_TEXT: Mapping[str, Label] = MappingProxyType({label.text: label for label in LABELS})
BY_NUMBER: Mapping[int, Label] = MappingProxyType({label.number: label for label in LABELS})


@dataclass(frozen=True, kw_only=True, slots=True)
class Entry:
    """What an entry says itself; ``None`` where it says nothing. Times are seconds (section 4.5.3).

    Raises:
        MalformedSenML: a field is not what its :class:`Kind` asks for.
    """

    base_name: str | None = None
    base_time: float | None = None
    base_unit: str | None = None
    base_value: float | None = None
    base_sum: float | None = None
    base_version: int | None = None
    name: str | None = None
    unit: str | None = None
    value: float | None = None
    string_value: str | None = None
    boolean_value: bool | None = None
    data_value: bytes | None = None
    sum: float | None = None
    time: float | None = None
    update_time: float | None = None

    def __post_init__(self) -> None:
        for label in LABELS:
            content = getattr(self, label.field)
            if content is not None:
                _require(label, content)

    @classmethod
    def from_fields_untrusted(cls, contents: Mapping[Label, object]) -> Entry:
        """Make an entry of what a codec found under each label.

        Raises:
            MalformedSenML: a field is null or not what its :class:`Kind` asks for.
        """
        for label, content in contents.items():
            if content is None:
                raise MalformedSenML(f"the SenML field {label.text!r} is null")
        return cls(**{label.field: content for label, content in contents.items()})  # type: ignore[arg-type]  # checked by __post_init__

    def contents(self) -> dict[Label, object]:
        """Return what the entry says, in the order of :data:`LABELS`."""
        found = ((label, getattr(self, label.field)) for label in LABELS)
        return {label: content for label, content in found if content is not None}


def shortest(content: object) -> object:
    """Return a whole number as an integer: shorter on the wire, and the same double to every reader."""
    if isinstance(content, float) and content.is_integer() and abs(content) < _EXACT_INTEGERS:
        return int(content)
    return content


def _require(label: Label, content: object) -> None:
    """Raise unless ``content`` is of the label's kind."""
    match label.kind:
        case Kind.NUMBER:
            acceptable = _is_number(content)
        case Kind.TEXT:
            acceptable = _is_text(content, TEXT_LIMIT)
        case Kind.NAME:
            acceptable = _is_text(content, NAME_LIMIT)
        case Kind.UNIT:
            acceptable = isinstance(content, str) and _UNIT.fullmatch(content) is not None
        case Kind.BOOLEAN:
            acceptable = isinstance(content, bool)
        case Kind.DATA:
            acceptable = isinstance(content, bytes) and len(content) <= TEXT_LIMIT
        case Kind.VERSION:
            acceptable = type(content) is int and content > 0
    if not acceptable:
        raise MalformedSenML(
            f"the SenML field {label.text!r} does not hold a usable {label.kind.name.lower()}"
        )


def _is_number(content: object) -> bool:
    if isinstance(content, bool) or not isinstance(content, int | float):
        return False
    try:
        return math.isfinite(content)
    except OverflowError:  # a whole number beyond any double
        return False


def _is_text(content: object, limit: int) -> bool:
    # JSON can write half a surrogate pair, which no database and no other representation takes.
    return (
        isinstance(content, str)
        and len(content) <= limit
        and not any("\ud800" <= character <= "\udfff" for character in content)
    )
