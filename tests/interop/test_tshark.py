"""Wireshark's dissector as a judge of what we put on the wire: every message known, nothing malformed."""

from __future__ import annotations

import json
import struct
import subprocess
from collections.abc import Iterable
from pathlib import Path

import pytest
from dtls_pair import Pair, client_config, psk_client_config, psk_server_config, server_config
from foreign import program
from small_pki import small_pki

pytestmark = pytest.mark.peers

CLIENT, SERVER = ("127.0.0.1", 40000), ("127.0.0.1", 5684)
RAW_IP = 101  # LINKTYPE_RAW
X509_MESSAGES = ["1", "3", "1", "2", "11", "12", "13", "14", "11", "16", "15"]
PSK_MESSAGES = ["1", "3", "1", "2", "12", "14", "16"]


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


def dissect(path: Path) -> list[dict[str, list[str]]]:
    fields = ["dtls.handshake.type", "dtls.record.content_type", "_ws.malformed", "_ws.expert.severity"]
    wanted = [option for field in fields for option in ("-e", field)]
    command = [program("tshark"), "-r", str(path), "-o", "ip.check_checksum:FALSE", "-T", "json", *wanted]
    result = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    return [entry["_source"]["layers"] for entry in json.loads(result.stdout)]


def first_seen(types: Iterable[str]) -> list[str]:
    """Without the repetitions that fragments of one message make."""
    seen: list[str] = []
    for kind in types:
        if not seen or seen[-1] != kind:
            seen.append(kind)
    return seen


@pytest.mark.parametrize("mtu", [256, 1200])
@pytest.mark.parametrize("kind", ["p-256", "rsa", "psk"])
def test_every_message_is_known_and_none_is_malformed(tmp_path, kind, mtu):
    rsa = small_pki().publisher_rsa
    configs = {
        "p-256": (client_config(mtu_bytes=mtu), server_config(mtu_bytes=mtu)),
        "rsa": (client_config(rsa, mtu_bytes=mtu), server_config(rsa, mtu_bytes=mtu)),
        "psk": (psk_client_config(mtu_bytes=mtu), psk_server_config(mtu_bytes=mtu)),
    }
    pair = Pair(*configs[kind]).connect()
    pair.client.send(b"hello")
    pair.client.association.close()
    pair.run()
    write_capture(tmp_path / "capture.pcap", pair)
    packets = dissect(tmp_path / "capture.pcap")
    assert len(packets) == len(pair.sent)
    assert not any("_ws.malformed" in layers for layers in packets)
    messages = [kind for layers in packets for kind in layers.get("dtls.handshake.type", [])]
    assert first_seen(messages) == (PSK_MESSAGES if kind == "psk" else X509_MESSAGES)
    records = [kind for layers in packets for kind in layers["dtls.record.content_type"]]
    assert set(records) == {"20", "21", "22", "23"}
