"""A MaxMind DB of a few networks, written in a few lines (the format is MaxMind's, version 2.0).

write_mmdb(path, {"192.0.2.0/24": {"region": "north"}})
"""

from __future__ import annotations

import struct
from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_network
from pathlib import Path

_UTF8, _MAP, _UINT16, _UINT32, _UINT64, _ARRAY = 2, 7, 5, 6, 9, 11
_MARK = b"\xab\xcd\xefMaxMind.com"


def write_mmdb(path: Path, records: dict[str, object], *, ip_version: int = 6) -> None:
    """Write a database. In one for IPv6, IPv4 addresses stand below ::/96."""
    data, offsets = b"", []
    for value in records.values():
        offsets.append(len(data))
        data += _encode(value)
    nodes: list[list[int | None]] = [[None, None]]
    leaves: dict[tuple[int, int], int] = {}
    for prefix, offset in zip(records, offsets, strict=True):
        bits = _bits(ip_network(prefix), ip_version)
        node = 0
        for bit in bits[:-1]:
            if nodes[node][bit] is None:
                nodes.append([None, None])
                nodes[node][bit] = len(nodes) - 1
            node = nodes[node][bit]  # type: ignore[assignment]  # it was just made
        leaves[node, bits[-1]] = offset
    count = len(nodes)
    tree = b""
    for number, children in enumerate(nodes):
        for bit, child in enumerate(children):
            if (number, bit) in leaves:
                tree += struct.pack(">I", count + 16 + leaves[number, bit])
            else:
                tree += struct.pack(">I", count if child is None else child)
    metadata = {
        "binary_format_major_version": (_UINT16, 2),
        "binary_format_minor_version": (_UINT16, 0),
        "build_epoch": (_UINT64, 1767225600),
        "database_type": "small",
        "description": {"en": "a few networks"},
        "languages": ["en"],
        "ip_version": (_UINT16, ip_version),
        "node_count": (_UINT32, count),
        "record_size": (_UINT16, 32),
    }
    path.write_bytes(tree + bytes(16) + data + _MARK + _encode(metadata))


def _bits(network: IPv4Network | IPv6Network, ip_version: int) -> list[int]:
    if ip_version == 6 and network.version == 4:
        network = IPv6Network((IPv6Address(int(network.network_address)), 96 + network.prefixlen))
    width = network.max_prefixlen
    return [int(network.network_address) >> (width - 1 - place) & 1 for place in range(network.prefixlen)]


def _encode(value: object) -> bytes:
    match value:
        case str():
            text = value.encode()
            return _control(_UTF8, len(text)) + text
        case dict():
            pairs = (_encode(key) + _encode(item) for key, item in value.items())
            return _control(_MAP, len(value)) + b"".join(pairs)
        case list():
            return _control(_ARRAY, len(value)) + b"".join(map(_encode, value))
        case (kind, int(number)):
            digits = number.to_bytes((number.bit_length() + 7) // 8, "big")
            return _control(kind, len(digits)) + digits
    raise TypeError(value)


def _control(kind: int, size: int) -> bytes:
    assert size < 29
    return bytes([kind << 5 | size]) if kind <= 7 else bytes([size, kind - 7])
