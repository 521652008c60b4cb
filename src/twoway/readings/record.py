"""A reading that stands for itself, and how the entries of a pack become such readings.

It owns RFC 8428 section 4.6: base values are applied, relative times become absolute ones, and the
records come out in chronological order. It knows nothing of bytes; the codecs hand it entries.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from twoway.readings.entry import NAME_LIMIT, Entry, MalformedSenML

VERSION = 10
"""The version of SenML that RFC 8428 defines (section 4.4)."""
RELATIVE_TIME_LIMIT = float(1 << 28)
"""Times below count from now, times from here on from the start of 1970 (section 4.5.3)."""

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9:./_-]*")
"""Section 4.5.1: what a resolved name consists of."""


@dataclass(frozen=True, slots=True)
class Record:
    """One measurement: resolved, if it came out of a pack; with a relative name, if a source made it."""

    name: str
    """Globally unique once resolved: letters, digits and ``-:./_``."""
    unit: str | None = None
    """A symbol of the registry of section 12.1 or of RFC 8798: ``W``, ``kWh``, ``Cel``, ``%``."""
    time: float | None = None
    """When it was measured, in seconds since 1970, UTC. None only before a pack is made: roughly now."""
    value: float | None = None
    """The number measured. At most one of the four kinds of value is there."""
    string_value: str | None = None
    boolean_value: bool | None = None
    data_value: bytes | None = None
    sum: float | None = None
    """The integral of the value over time, in the unit times seconds."""
    update_time: float | None = None
    """Seconds in which the next reading is due at the latest."""


def resolve_untrusted(entries: Sequence[Entry], *, now: float) -> list[Record]:
    """Resolve a pack (section 4.6).

    Args:
        entries: the pack, in its order.
        now: the time at which it arrived, in seconds since 1970, for the times that are relative.

    Raises:
        MalformedSenML: an empty pack, an unknown version, a name that section 4.5.1 excludes, no value or
            several in one entry, or a sum of base value and value that is not finite.
    """
    if not entries:
        raise MalformedSenML("the SenML pack is empty")
    _require_version(entries)
    base = Entry()
    records = []
    for entry in entries:
        base = _rebased(base, entry)
        records.append(_resolved(base, entry, now))
    return sorted(records, key=_time_of)


def _require_version(entries: Sequence[Entry]) -> None:
    """Section 4.4: every entry has the same version, and it is not newer than ours."""
    version = entries[0].base_version or VERSION
    if version > VERSION:
        raise MalformedSenML(f"the SenML pack has version {version}, later than {VERSION}")
    if any(entry.base_version not in (None, version) for entry in entries):
        raise MalformedSenML("the SenML pack mixes versions")


def _rebased(base: Entry, entry: Entry) -> Entry:
    """Carry each base field on until an entry names it again (section 4.1)."""
    return replace(
        base,
        base_name=base.base_name if entry.base_name is None else entry.base_name,
        base_time=base.base_time if entry.base_time is None else entry.base_time,
        base_unit=base.base_unit if entry.base_unit is None else entry.base_unit,
        base_value=base.base_value if entry.base_value is None else entry.base_value,
        base_sum=base.base_sum if entry.base_sum is None else entry.base_sum,
    )


def _resolved(base: Entry, entry: Entry, now: float) -> Record:
    return Record(
        name=_name(base, entry),
        unit=entry.unit or base.base_unit,
        time=_time(base, entry, now),
        value=_value(base, entry),
        string_value=entry.string_value,
        boolean_value=entry.boolean_value,
        data_value=entry.data_value,
        sum=_total("sum", base.base_sum, entry.sum),
        update_time=None if entry.update_time is None else float(entry.update_time),
    )


def _name(base: Entry, entry: Entry) -> str:
    name = (base.base_name or "") + (entry.name or "")
    if len(name) > NAME_LIMIT or not _NAME.fullmatch(name):
        raise MalformedSenML(
            f"a name in the SenML pack is empty, longer than {NAME_LIMIT}, or has unusual characters"
        )
    return name


def _time(base: Entry, entry: Entry, now: float) -> float:
    time = _total("time", base.base_time or 0.0, entry.time)
    assert time is not None
    return time if time >= RELATIVE_TIME_LIMIT else now + time


def _value(base: Entry, entry: Entry) -> float | None:
    """Return the number, if the entry holds one; section 4.2 wants exactly one value, or a sum."""
    others = (entry.string_value, entry.boolean_value, entry.data_value)
    others_present = sum(other is not None for other in others)
    if others_present + (entry.value is not None) > 1:
        raise MalformedSenML("an entry of the SenML pack has several values")
    total = _total("value", base.base_value, entry.value)
    if others_present:
        return None
    if entry.value is None and (entry.sum is not None or base.base_sum is not None):
        return None
    if total is None:
        raise MalformedSenML("an entry of the SenML pack has no value")
    return total


def _total(what: str, base: float | None, own: float | None) -> float | None:
    """Add a base to a field, where either is there; the other counts as zero (sections 4.5.3 and 4.5.4)."""
    if base is None and own is None:
        return None
    total = float(base or 0) + float(own or 0)
    if not math.isfinite(total):
        raise MalformedSenML(f"a {what} in the SenML pack is beyond every number")
    return total


def _time_of(record: Record) -> float:
    assert record.time is not None
    return record.time
