"""Live figures of the machine that the publisher runs on, by ``psutil`` (extra ``host``).

This is the only module that imports psutil, and it does so when a source is made: whoever does not
publish the host's figures does not need it.
"""

from __future__ import annotations

from types import ModuleType

from twoway.errors import ConfigurationError
from twoway.readings.record import Record
from twoway.readings.source import require_interval


class HostFigures:
    """A source of processor, memory, load, uptime and, where there is a sensor, temperature figures.

    Args:
        interval: seconds between two readings.

    Raises:
        ConfigurationError: psutil is not installed.
    """

    def __init__(self, interval: float) -> None:
        self.interval = require_interval(interval)
        self._psutil = _psutil()
        # The share of busy time counts from the previous call; the first call only sets the start.
        self._psutil.cpu_percent(interval=None)

    def read(self, now: float) -> list[Record]:
        """Return the figures of this moment."""
        psutil = self._psutil
        memory = psutil.virtual_memory()
        figures: list[tuple[str, str | None, float]] = [
            ("cpu", "%", psutil.cpu_percent(interval=None)),
            ("memory/used", "%", memory.percent),
            ("memory/available", "B", memory.available),
            ("load", None, psutil.getloadavg()[0]),
            ("uptime", "s", max(0.0, now - psutil.boot_time())),
            *_temperatures(psutil),
        ]
        return [Record(name=name, unit=unit, time=now, value=float(value)) for name, unit, value in figures]


def _temperatures(psutil: ModuleType) -> list[tuple[str, str | None, float]]:
    """Return the hottest sensor's figure; virtual machines and some systems have no sensor."""
    if not hasattr(psutil, "sensors_temperatures"):
        return []
    families = psutil.sensors_temperatures().values()
    currents = [sensor.current for family in families for sensor in family if sensor.current]
    return [("temperature", "Cel", max(currents))] if currents else []


def _psutil() -> ModuleType:
    try:
        import psutil  # noqa: PLC0415  # an extra
    except ImportError:
        raise ConfigurationError(
            "the host's figures need psutil, which is not installed",
            remedy="run: pip install 'twoway[host]'",
        ) from None
    return psutil
