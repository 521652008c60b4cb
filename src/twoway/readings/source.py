"""Where a publisher's readings come from: the interface, and the recorded figures that the package ships.

A source measures or replays; it knows neither who asks nor how the reading travels. Its time is handed in.
"""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from twoway.errors import ConfigurationError
from twoway.readings.record import Record

_RECORDED = Path(__file__).parent / "recorded"
_RECORDINGS = ("p1/iskra-v5.txt", "p1/kaifa-v4.2.txt", "p1/sagemcom-t210.txt", "water-flow.csv")
_FILE_LIMIT_BYTES = 16 << 20
"""Recordings are held in memory; what is larger belongs into a database."""


class Source(Protocol):
    """What a publisher asks for its readings."""

    @property
    def interval(self) -> float:
        """Seconds between two readings."""

    def read(self, now: float) -> list[Record]:
        """Return the next reading: records with relative names, measured at ``now`` (seconds since 1970)."""


def recorded_file(name: str) -> Path:
    """Return the path of a shipped recording: ``p1/kaifa-v4.2.txt``, ``water-flow.csv``.

    Raises:
        ConfigurationError: there is no recording of that name.
    """
    if name not in _RECORDINGS:
        raise ConfigurationError(
            f"there is no recorded file {name!r}", remedy=f"choose one of {', '.join(_RECORDINGS)}"
        )
    return _RECORDED / name


def read_recording(path: Path) -> bytes:
    """Read a whole recording.

    Raises:
        ConfigurationError: it cannot be read, or is larger than a recording may be.
    """
    try:
        with path.open("rb") as file:
            data = file.read(_FILE_LIMIT_BYTES + 1)
    except OSError as error:
        raise ConfigurationError(
            f"the recording cannot be read: {error.strerror or error}",
            where=str(path),
            remedy="check the path and its permissions",
        ) from None
    if len(data) > _FILE_LIMIT_BYTES:
        raise ConfigurationError(
            f"the recording is larger than {_FILE_LIMIT_BYTES} bytes",
            where=str(path),
            remedy="cut it into several files",
        )
    return data


def require_interval(interval: float) -> float:
    """Return ``interval`` if it is a positive number of seconds.

    Raises:
        ConfigurationError: it is not.
    """
    if not 0 < interval < float("inf"):
        raise ConfigurationError(
            f"an interval of {interval} s is not possible", remedy="give a positive number of seconds"
        )
    return interval
