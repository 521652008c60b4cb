"""Wireshark's dissector as a judge of what we put on the wire: every message known, nothing malformed."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import pytest
from capture import SERVER, write_capture
from dtls_pair import Pair, client_config, psk_client_config, psk_server_config, server_config
from dtls_rogue import client_hello, rogue_client, without
from foreign import program
from small_pki import small_pki
from state_table import legacy

from twoway.dtls import DTLSConfig
from twoway.dtls.messages.hello import ExtensionType
from twoway.dtls.suites import DEFAULT_SUITES, LEGACY_2013_SUITES

pytestmark = pytest.mark.peers

FIELDS = [
    "dtls.handshake.type",
    "dtls.record.content_type",
    "dtls.record.special_type",
    "dtls.record.connection_id",
    "_ws.malformed",
    "_ws.expert.severity",
]
X509_MESSAGES = ["1", "3", "1", "2", "11", "12", "13", "14", "11", "16", "15"]
PSK_MESSAGES = ["1", "3", "1", "2", "12", "14", "16"]


def dissect(path: Path, *options: str) -> list[dict[str, list[str]]]:
    wanted = [option for field in FIELDS for option in ("-e", field)]
    command = [program("tshark"), "-r", str(path), "-o", "ip.check_checksum:FALSE", "-T", "json", *wanted]
    command += options
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


CBC = next(suite for suite in LEGACY_2013_SUITES if suite.name == "TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA256")
CCM_8 = next(suite for suite in DEFAULT_SUITES if suite.name == "TLS_PSK_WITH_AES_128_CCM_8")
MAC_THEN_ENCRYPT = rogue_client(**client_hello(extensions=without(ExtensionType.ENCRYPT_THEN_MAC)))


def configs_of(cipher: str) -> tuple[DTLSConfig, DTLSConfig]:
    rsa = small_pki().publisher_rsa
    if cipher == "CCM_8":
        return psk_client_config(suites=(CCM_8,)), psk_server_config(suites=(CCM_8,))
    if cipher == "GCM":
        return client_config(), server_config()
    return legacy(client_config(rsa), suites=(CBC,)), legacy(server_config(rsa), suites=(CBC,))


@pytest.mark.parametrize("cipher", ["GCM", "CCM_8", "MAC-then-encrypt", "encrypt-then-MAC"])
def test_records_with_connection_ids_are_found_and_opened_with_the_key_log(tmp_path, cipher):
    """RFC 9146 sections 4 and 5. The type inside is seen by whoever has opened the record, and nobody else:
    Finished, data, the questions and answers of the return routability check, close_notify."""
    lines: list[str] = []
    ours, theirs = configs_of(cipher)
    pair = Pair(
        replace(ours, connection_id_bytes=4, unsafe_key_log=lines.append),
        replace(theirs, connection_id_bytes=8),
        client_handshake=MAC_THEN_ENCRYPT if cipher == "MAC-then-encrypt" else None,
    ).connect()
    pair.rebind("elsewhere")
    pair.client.send(b"where I am now")
    pair.run()
    pair.client.association.close()
    pair.run()
    capture, key_log = tmp_path / "capture.pcap", tmp_path / "keys.log"
    write_capture(capture, pair)
    key_log.write_text("".join(line + "\n" for line in lines))
    judge = ["-o", f"tls.keylog_file:{key_log}", "-o", "tls.ignore_ssl_mac_failed:FALSE"]
    packets = dissect(capture, *judge, "-d", f"udp.port=={SERVER[1]},dtls")
    protected = [layers for layers in packets if "dtls.record.special_type" in layers]
    ids = [side.association.connection_id.hex() for side in (pair.client, pair.server)]
    assert {seen for layers in protected for seen in layers["dtls.record.connection_id"]} == set(ids)
    inside = [kind for layers in protected for kind in layers["dtls.record.content_type"]]
    assert set(inside) - {"20"} == {"22", "23", "27", "21"}
