"""What went over a `dtls_pair.Pair`'s wire as a capture file, as if on a network."""

from __future__ import annotations

import struct
from pathlib import Path

from dtls_pair import Pair

CLIENT, SERVER = ("127.0.0.1", 40000), ("127.0.0.1", 5684)
RAW_IP = 101  # LINKTYPE_RAW


def packet(data: bytes, *, to_server: bool) -> bytes:
    """A datagram with its UDP and IPv4 headers; checksums are left out, as UDP over IPv4 allows."""
    (source, source_port), (target, target_port) = (CLIENT, SERVER) if to_server else (SERVER, CLIENT)
    udp = struct.pack(">HHHH", source_port, target_port, 8 + len(data), 0) + data
    addresses = bytes(int(part) for part in f"{source}.{target}".split("."))
    return struct.pack(">BBHHHBBH", 0x45, 0, 20 + len(udp), 0, 0, 64, 17, 0) + addresses + udp


def write_capture(path: Path, pair: Pair) -> None:
    with path.open("wb") as file:
        file.write(struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, RAW_IP))
        for datagram in pair.sent:
            data = packet(datagram.data, to_server=datagram.to_server)
            file.write(struct.pack("<IIII", datagram.number, 0, len(data), len(data)) + data)
