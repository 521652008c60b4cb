"""A SenML pack: what a publisher sends and a subscriber reads, in either representation.

It owns the compact form in which records are sent (base name and base time once, names and times
relative to them) and the choice of codec by CoAP content format. The same records always give the same
bytes, so that a repeated reading is seen to be the same.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from twoway.errors import CallerError
from twoway.readings import senml_cbor, senml_json
from twoway.readings.entry import ENTRIES_LIMIT, PACK_LIMIT_BYTES, Entry, MalformedSenML
from twoway.readings.record import RELATIVE_TIME_LIMIT, Record, resolve_untrusted

CONTENT_FORMAT_SENML_JSON = 110
"""``application/senml+json`` (RFC 8428 section 12.3)."""
CONTENT_FORMAT_SENML_CBOR = 112
"""``application/senml+cbor``."""


class _Codec(NamedTuple):
    encode: Callable[[Sequence[Entry]], bytes]
    decode_untrusted: Callable[[bytes], list[Entry]]


_CODECS = {
    CONTENT_FORMAT_SENML_JSON: _Codec(senml_json.encode_entries, senml_json.decode_entries_untrusted),
    CONTENT_FORMAT_SENML_CBOR: _Codec(senml_cbor.encode_entries, senml_cbor.decode_entries_untrusted),
}


@dataclass(frozen=True)
class Pack:
    """Records to send, with names relative to a base name."""

    records: Sequence[Record]
    """At least one. Their times are absolute, or None for "roughly now"."""
    base_name: str = ""
    """What stands before every name: the publisher's identity and a ``/``."""

    def encode(self, content_format: int) -> bytes:
        """Encode in the representation that a CoAP content format names.

        Raises:
            CallerError: a content format other than 110 and 112; no record or too many, a name that RFC
                8428 section 4.5.1 excludes, a number that is not finite, a record without a value, a time
                before July 1978 (which readers would take for a relative one), or a pack beyond
                :data:`~twoway.readings.entry.PACK_LIMIT_BYTES`.
        """
        codec = _CODECS.get(content_format)
        if codec is None:
            raise CallerError(f"content format {content_format} is not SenML")
        data = codec.encode(self._entries())
        if len(data) > PACK_LIMIT_BYTES:
            raise CallerError(f"the records take {len(data)} bytes, more than a SenML pack may")
        return data

    def encode_cbor(self) -> bytes:
        """Encode as ``application/senml+cbor``; raises as :meth:`encode` does."""
        return self.encode(CONTENT_FORMAT_SENML_CBOR)

    def encode_json(self) -> bytes:
        """Encode as ``application/senml+json``; raises as :meth:`encode` does."""
        return self.encode(CONTENT_FORMAT_SENML_JSON)

    @staticmethod
    def decode_untrusted(data: bytes, content_format: int, *, now: float) -> list[Record]:
        """Decode what came with a CoAP content format into resolved records, in chronological order.

        Args:
            data: the payload.
            content_format: 110 or 112.
            now: when it arrived, in seconds since 1970, for relative times.

        Raises:
            MalformedSenML: the bytes are not such a pack, or the content format is another one.
        """
        codec = _CODECS.get(content_format)
        if codec is None:
            raise MalformedSenML(f"content format {content_format} is not SenML")
        return resolve_untrusted(codec.decode_untrusted(data), now=now)

    @staticmethod
    def decode_cbor_untrusted(data: bytes, *, now: float) -> list[Record]:
        """Decode ``application/senml+cbor``; see :meth:`decode_untrusted`."""
        return Pack.decode_untrusted(data, CONTENT_FORMAT_SENML_CBOR, now=now)

    @staticmethod
    def decode_json_untrusted(data: bytes, *, now: float) -> list[Record]:
        """Decode ``application/senml+json``; see :meth:`decode_untrusted`."""
        return Pack.decode_untrusted(data, CONTENT_FORMAT_SENML_JSON, now=now)

    def _entries(self) -> list[Entry]:
        """Write the records compactly, and read them back: what peers would refuse is never sent."""
        if len(self.records) > ENTRIES_LIMIT:
            raise CallerError(f"{len(self.records)} records are too many for one SenML pack")
        try:
            entries = list(self._compact())
            resolve_untrusted(entries, now=0.0)
        except MalformedSenML as error:
            raise CallerError(f"the records cannot be sent: {error.what}") from None
        return entries

    def _compact(self) -> Iterator[Entry]:
        # A record without a time means "now", which no base time can express: then each states its own.
        timed = all(record.time is not None for record in self.records)
        base_time: float | None = None
        for position, record in enumerate(self.records):
            if record.time is not None and not record.time >= RELATIVE_TIME_LIMIT:
                raise CallerError(f"the time of {record.name!r} cannot be written as an absolute time")
            # Times come out exactly as they went in: where rounding would change one, it is a new base.
            rebase = timed and not _is_exact(base_time, record.time)
            base_time = record.time if rebase else base_time
            yield Entry(
                base_name=(self.base_name or None) if position == 0 else None,
                base_time=base_time if rebase else None,
                name=record.name or None,
                unit=record.unit,
                value=record.value,
                string_value=record.string_value,
                boolean_value=record.boolean_value,
                data_value=record.data_value,
                sum=record.sum,
                time=_offset(base_time, record.time),
                update_time=record.update_time,
            )


def _is_exact(base: float | None, time: float | None) -> bool:
    return base is not None and time is not None and base + (time - base) == time


def _offset(base: float | None, time: float | None) -> float | None:
    """Return the time field: relative to the base, and absent where it would be zero."""
    if time is None or base is None:
        return time
    return (time - base) or None
