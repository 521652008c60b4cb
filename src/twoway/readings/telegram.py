"""Smart-meter telegrams of the P1 port, checked by their CRC and turned into SenML records.

``dsmr-parser`` (extra ``meters``) knows the telegrams; this is the only module that imports it, and it
does so when a telegram is to be parsed. Here it is decided which of its specifications fits a telegram,
and which figures become which records. A telegram whose CRC is wrong is never read.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from twoway.errors import ConfigurationError

_TELEGRAM = re.compile(rb"/[^!/]*![0-9A-F]{4}\r?\n?")
"""From the meter's identification to the CRC; DSMR 4 and later, and their Austrian relative, have one."""
_TOTAL_REGISTER = re.compile(r"^1-0:1\.8\.0\(", re.MULTILINE)
"""The sum over all tariffs, which Austrian meters send and Dutch ones do not."""
_VERSION = re.compile(r"^1-3:0\.2\.8\((\d)", re.MULTILINE)
"""The first digit of the DSMR version: 4 or 5."""

_GAS_METER = 3
_WATER_METER = 7
_METERS = {_GAS_METER: "gas", _WATER_METER: "water"}
"""Kinds of meters on the M-Bus behind the electricity meter (EN 13757-3) whose figures are published."""

_SCALES = {
    "kWh": ("kWh", Decimal(1)),
    "Wh": ("kWh", Decimal("0.001")),
    "kW": ("W", Decimal(1000)),
    "W": ("W", Decimal(1)),
    "kvarh": ("kvarh", Decimal(1)),
    "varh": ("kvarh", Decimal("0.001")),
    "kvar": ("var", Decimal(1000)),
    "var": ("var", Decimal(1)),
    "V": ("V", Decimal(1)),
    "A": ("A", Decimal(1)),
    "m3": ("m3", Decimal(1)),
}
"""The meter's unit: the SenML unit and the factor. kWh and kvarh are secondary units (RFC 8798 section 3):
meters count in them and people read them; the primary unit J would turn 1581.123 kWh into 5692042800."""

_NAMES: Mapping[str, str] = {
    "ELECTRICITY_IMPORTED_TOTAL": "energy/imported",
    "ELECTRICITY_USED_TARIFF_1": "energy/imported/1",
    "ELECTRICITY_USED_TARIFF_2": "energy/imported/2",
    "ELECTRICITY_EXPORTED_TOTAL": "energy/exported",
    "ELECTRICITY_DELIVERED_TARIFF_1": "energy/exported/1",
    "ELECTRICITY_DELIVERED_TARIFF_2": "energy/exported/2",
    "ELECTRICITY_REACTIVE_IMPORTED_TOTAL": "reactive-energy/imported",
    "ELECTRICITY_REACTIVE_EXPORTED_TOTAL": "reactive-energy/exported",
    "CURRENT_ELECTRICITY_USAGE": "power/imported",
    "CURRENT_ELECTRICITY_DELIVERY": "power/exported",
    "CURRENT_REACTIVE_IMPORTED": "reactive-power/imported",
    "CURRENT_REACTIVE_EXPORTED": "reactive-power/exported",
    "INSTANTANEOUS_VOLTAGE_L1": "voltage/l1",
    "INSTANTANEOUS_VOLTAGE_L2": "voltage/l2",
    "INSTANTANEOUS_VOLTAGE_L3": "voltage/l3",
    "INSTANTANEOUS_CURRENT_L1": "current/l1",
    "INSTANTANEOUS_CURRENT_L2": "current/l2",
    "INSTANTANEOUS_CURRENT_L3": "current/l3",
    "INSTANTANEOUS_ACTIVE_POWER_L1_POSITIVE": "power/imported/l1",
    "INSTANTANEOUS_ACTIVE_POWER_L2_POSITIVE": "power/imported/l2",
    "INSTANTANEOUS_ACTIVE_POWER_L3_POSITIVE": "power/imported/l3",
    "INSTANTANEOUS_ACTIVE_POWER_L1_NEGATIVE": "power/exported/l1",
    "INSTANTANEOUS_ACTIVE_POWER_L2_NEGATIVE": "power/exported/l2",
    "INSTANTANEOUS_ACTIVE_POWER_L3_NEGATIVE": "power/exported/l3",
}
"""The parser's name of a figure: the relative SenML name under which it is published."""


@dataclass(frozen=True, slots=True)
class Figure:
    """One figure of a telegram, without a time: a replay stamps it anew at each reading."""

    name: str
    """The relative SenML name."""
    unit: str
    """The SenML unit."""
    value: float


def split_telegrams(data: bytes) -> list[bytes]:
    """Split a recording into its telegrams.

    Raises:
        ConfigurationError: it holds anything else than telegrams that end with a CRC.
    """
    telegrams = _TELEGRAM.findall(data)
    if not telegrams or b"".join(telegrams).strip() != data.strip():
        raise ConfigurationError(
            "this is not a recording of P1 telegrams, each from '/' to '!' and a CRC of four digits",
            remedy="give the meter's bytes as they were, with their line endings",
        )
    return telegrams


def parse_telegram(telegram: bytes) -> list[Figure]:
    """Check a telegram's CRC and return its figures.

    Raises:
        ConfigurationError: dsmr-parser is not installed, the CRC is wrong, the version is unknown, a line
            is malformed, or there is no figure to publish.
    """
    text = telegram.decode("latin-1")
    parsed = _parse(text)
    figures = [*_electricity(parsed), *_other_meters(parsed)]
    if not figures:
        raise ConfigurationError(
            "the telegram holds no figure that can be published", remedy="record a telegram of a meter"
        )
    return figures


def _parse(text: str) -> Any:  # noqa: ANN401  # the parser has no types
    try:
        from dsmr_parser.exceptions import InvalidChecksumError, ParseError  # noqa: PLC0415  # an extra
        from dsmr_parser.parsers import TelegramParser  # noqa: PLC0415
    except ImportError:
        raise ConfigurationError(
            "telegrams need dsmr-parser, which is not installed", remedy="run: pip install 'twoway[meters]'"
        ) from None
    specification = _specification(text)
    parser = TelegramParser(specification, apply_checksum_validation=True)  # type: ignore[no-untyped-call]  # no types
    try:
        with _silenced(logging.getLogger("dsmr_parser.parsers")):
            return parser.parse(text, throw_ex=True)  # type: ignore[no-untyped-call]  # no types
    except InvalidChecksumError:
        raise ConfigurationError(
            "the telegram's CRC is wrong, so it is not what the meter sent", remedy="record it again"
        ) from None
    except (ParseError, ValueError, ArithmeticError, LookupError):
        raise ConfigurationError(
            "a line of the telegram is malformed, although its CRC is right", remedy="record it again"
        ) from None


def _specification(text: str) -> dict[str, Any]:
    """Choose the parser's specification by what the telegram says of itself."""
    from dsmr_parser import telegram_specifications  # noqa: PLC0415  # an extra

    if _TOTAL_REGISTER.search(text):
        # The specification takes the meter's own encryption for granted; a recording is in the clear.
        specification = {**telegram_specifications.SAGEMCOM_T210_D_R, "general_global_cipher": False}
    else:
        version = _VERSION.search(text)
        by_version = {"4": telegram_specifications.V4, "5": telegram_specifications.V5}
        specification = by_version.get(version[1] if version else "", {})
    # The parser skips the CRC of specifications that know none; those are not chosen here, nor may they be.
    if not specification.get("checksum_support"):
        raise ConfigurationError(
            "the telegram is of no known version",
            remedy="record a meter of DSMR 4 or 5, or a Sagemcom T210-D",
        )
    return specification


def _electricity(parsed: Any) -> Iterator[Figure]:  # noqa: ANN401  # the parser has no types
    for name, published in _NAMES.items():
        reading = getattr(parsed, name, None)
        if reading is not None:
            yield from _figure(published, reading)


def _other_meters(parsed: Any) -> Iterator[Figure]:  # noqa: ANN401  # the parser has no types
    """Return the last figure of each meter on the M-Bus, named by its kind and channel."""
    for device in getattr(parsed, "MBUS_DEVICES", ()):
        lines = dict(device)
        kind = lines.get("MBUS_DEVICE_TYPE") or lines.get("DEVICE_TYPE")
        reading = lines.get("MBUS_METER_READING") or lines.get("HOURLY_GAS_METER_READING")
        if kind is not None and kind.value in _METERS and reading is not None:
            yield from _figure(f"{_METERS[kind.value]}/{device.channel_id}", reading)


def _figure(name: str, reading: Any) -> Iterator[Figure]:  # noqa: ANN401  # the parser has no types
    if isinstance(reading.value, Decimal) and reading.value.is_finite() and reading.unit in _SCALES:
        unit, factor = _SCALES[reading.unit]
        yield Figure(name, unit, float(reading.value * factor))


@contextmanager
def _silenced(logger: logging.Logger) -> Iterator[None]:
    """Keep the parser from logging a traceback for what is raised and told in one sentence anyway."""
    was_disabled = logger.disabled
    logger.disabled = True
    try:
        yield
    finally:
        logger.disabled = was_disabled
