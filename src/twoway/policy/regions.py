"""The ISP region of an address (draft section 5.2): from a table of prefixes, or a MaxMind DB.

A table is CSV, ``prefix,region`` on each line, ``#`` before a comment. The longest prefix that holds an
address wins. An IPv4 address that came mapped into IPv6 (RFC 4291 section 2.5.5.2) is looked up as IPv4.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterator
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from pathlib import Path
from typing import Self, TypeAlias

import maxminddb

from twoway.errors import ConfigurationError

Address: TypeAlias = IPv4Address | IPv6Address
_Network: TypeAlias = IPv4Network | IPv6Network
_FILE_LIMIT_BYTES = 64 << 20
"""Some millions of prefixes. More belongs into a MaxMind DB."""


def plain_address(text: str) -> Address | None:
    """Return the address that a socket names, without a zone and not mapped; None if it is none."""
    try:
        address = ip_address(text.partition("%")[0])
    except ValueError:
        return None
    return _unmapped(address)


class RegionTable:
    """Regions by address."""

    def __init__(self, look_up: Callable[[Address], str | None]) -> None:
        self._look_up = look_up

    @classmethod
    def load(cls, path: Path, field: str = "region") -> Self:
        """Read a table of prefixes, or a MaxMind DB if the name ends with ``.mmdb``. Nothing stays open.

        Args:
            path: the file.
            field: where in a MaxMind DB's records the region is, with dots: ``"country.iso_code"``.

        Raises:
            ConfigurationError: the file cannot be read or is not what its name says.
        """
        return cls(_database(path, field) if path.suffix == ".mmdb" else _Prefixes(path).region_of)

    def region_of(self, address: Address) -> str | None:
        """Return the region of an address; None if the table knows none."""
        return self._look_up(_unmapped(address))


class _Prefixes:
    """A table of prefixes: for each length those that are as long, the longest asked first."""

    def __init__(self, path: Path) -> None:
        self._regions: dict[_Network, str] = {}
        for line, network, region in _lines(path):
            if self._regions.setdefault(network, region) != region:
                raise ConfigurationError(
                    f"line {line}: {network} has two regions", where=str(path), remedy="keep one of them"
                )
        lengths = {(network.version, network.prefixlen) for network in self._regions}
        self._lengths = {
            version: sorted((length for each, length in lengths if each == version), reverse=True)
            for version in (4, 6)
        }

    def region_of(self, address: Address) -> str | None:
        for length in self._lengths[address.version]:
            region = self._regions.get(ip_network((address, length), strict=False))
            if region is not None:
                return region
        return None


def _lines(path: Path) -> Iterator[tuple[int, _Network, str]]:
    try:
        with path.open("rb") as file:
            data = file.read(_FILE_LIMIT_BYTES + 1)
        text = data.decode("utf-8")
    except OSError as error:
        raise _unreadable(path, str(error.strerror)) from None
    except UnicodeDecodeError:
        raise _unreadable(path, "it is not text in UTF-8") from None
    if len(data) > _FILE_LIMIT_BYTES:
        raise _unreadable(path, "it is too large for a table of prefixes")
    reader = csv.reader(io.StringIO(text), skipinitialspace=True)
    for row in reader:
        if not row or row[0].startswith("#"):
            continue
        prefix, *rest = (cell.strip() for cell in row)
        try:
            network = ip_network(prefix)
        except ValueError as error:
            raise _bad_line(path, reader.line_num, str(error)) from None
        if len(rest) != 1 or not rest[0]:
            raise _bad_line(path, reader.line_num, "it is not a prefix, a comma and a region")
        if network.version == 6 and _is_mapped(network):
            raise _bad_line(path, reader.line_num, f"{network} is IPv4 inside of IPv6: write it as IPv4")
        yield reader.line_num, network, rest[0]


def _database(path: Path, field: str) -> Callable[[Address], str | None]:
    try:
        reader = maxminddb.open_database(path, maxminddb.MODE_MEMORY)
    except OSError as error:
        raise _unreadable(path, str(error.strerror)) from None
    except (TypeError, ValueError, maxminddb.InvalidDatabaseError):  # how far it got before it noticed
        raise _unreadable(path, "it is not a MaxMind DB") from None
    keys = field.split(".")

    def look_up(address: Address) -> str | None:
        try:
            value: object = reader.get(address)
        except (ValueError, maxminddb.InvalidDatabaseError):
            return None  # an IPv6 address in a database for IPv4, or a damaged record: no region is known
        for key in keys:
            value = value.get(key) if isinstance(value, dict) else None
        return value if isinstance(value, str) and value else None

    return look_up


def _unmapped(address: Address) -> Address:
    return (address.ipv4_mapped if address.version == 6 else None) or address


def _is_mapped(network: _Network) -> bool:
    mapped = IPv6Network("::ffff:0:0/96")
    return isinstance(network, IPv6Network) and network.subnet_of(mapped)


def _unreadable(path: Path, why: str) -> ConfigurationError:
    return ConfigurationError(
        f"the table of regions cannot be read: {why}", where=str(path), remedy="check the file"
    )


def _bad_line(path: Path, line: int, why: str) -> ConfigurationError:
    return ConfigurationError(
        f"line {line}: {why}", where=str(path), remedy="write each line like 192.0.2.0/24,north"
    )
