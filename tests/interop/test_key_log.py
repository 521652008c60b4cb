"""The key log against its reader: with it Wireshark sees our Finished messages and data, else nothing."""

from __future__ import annotations

import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
from capture import write_capture
from dtls_pair import Pair, client_config, psk_client_config, psk_server_config, server_config
from dtls_rogue import client_hello, rogue_client, without
from dtls_worlds import ANONYMOUS_ALONE, legacy, rsa_transport_configs
from foreign import program

from twoway.dtls import DTLSConfig, suites
from twoway.dtls.messages.hello import ExtensionType
from twoway.net import unsafe_key_log_file

pytestmark = pytest.mark.peers

SECRET = b"230.5 V at the meter"
FINISHED = "20"
ECDSA = (client_config(), server_config())
PSK = (psk_client_config(), psk_server_config())
CONFIGS = {
    suites.ECDHE_ECDSA_AES_128_GCM: ECDSA,
    suites.ECDHE_ECDSA_AES_256_GCM: ECDSA,
    suites.ECDHE_ECDSA_AES_128_CCM: ECDSA,
    suites.ECDHE_ECDSA_AES_128_CCM_8: ECDSA,
    suites.PSK_AES_128_CCM_8: PSK,
    suites.ECDHE_PSK_AES_128_CBC_SHA256: PSK,
    suites.ECDHE_ECDSA_AES_128_CBC_SHA256: tuple(legacy(config) for config in ECDSA),
    suites.RSA_AES_128_CBC_SHA256: rsa_transport_configs(),
    suites.ECDH_ANON_AES_128_CBC_SHA: (ANONYMOUS_ALONE, ANONYMOUS_ALONE),
}
"""One of each kind of protection and key exchange. ChaCha20-Poly1305 is missing: TShark 4.0.17 does not
open it in DTLS 1.2."""


def talk(path: Path, client: DTLSConfig, server: DTLSConfig, **rogue: object) -> Pair:
    """A handshake and a record in each direction, captured in a file."""
    pair = Pair(client, server, **rogue).connect()  # type: ignore[arg-type]
    pair.client.send(SECRET)
    pair.server.send(SECRET)
    pair.run()
    assert pair.client.received == pair.server.received == [SECRET]
    write_capture(path, pair)
    return pair


def seen(capture: Path, key_log: Path | None) -> tuple[list[str], list[bytes]]:
    """The handshake messages and the data that Wireshark can read."""
    fields = ["-T", "fields", "-e", "dtls.handshake.type", "-e", "data.data"]
    options = [] if key_log is None else ["-o", f"tls.keylog_file:{key_log}"]
    command = [program("tshark"), "-r", str(capture), "-d", "dtls.port==5684,data", *options, *fields]
    result = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    lines = [line.split("\t") for line in result.stdout.splitlines()]
    messages = [kind for line in lines for kind in line[0].split(",") if kind]
    return messages, [bytes.fromhex(line[1]) for line in lines if len(line) > 1 and line[1]]


@pytest.mark.parametrize("suite", CONFIGS, ids=lambda suite: suite.name)
def test_wireshark_reads_an_association_with_the_key_log_and_not_without(tmp_path, suite):
    client, server = (replace(config, suites=(suite,)) for config in CONFIGS[suite])
    keys, capture = tmp_path / "keys.log", tmp_path / "capture.pcap"
    pair = talk(capture, replace(client, unsafe_key_log=unsafe_key_log_file(keys)), server)
    assert pair.client.connected.suite == suite.name
    messages, data = seen(capture, keys)
    assert messages.count(FINISHED) == 2
    assert data == [SECRET, SECRET]
    messages, data = seen(capture, None)
    assert FINISHED not in messages
    assert data == []


def test_wireshark_reads_mac_then_encrypt_too(tmp_path):
    client, server = rsa_transport_configs()
    keys, capture = tmp_path / "keys.log", tmp_path / "capture.pcap"
    logging = replace(server, unsafe_key_log=unsafe_key_log_file(keys))
    rogue = rogue_client(**client_hello(extensions=without(ExtensionType.ENCRYPT_THEN_MAC)))
    talk(capture, client, logging, client_handshake=rogue)
    messages, data = seen(capture, keys)
    assert (messages.count(FINISHED), data) == (2, [SECRET, SECRET])


def test_the_keys_of_one_association_do_not_open_another(tmp_path):
    keys, capture = tmp_path / "keys.log", tmp_path / "capture.pcap"
    client, server = ECDSA
    Pair(replace(client, unsafe_key_log=unsafe_key_log_file(keys)), server, seed=7).connect()
    talk(capture, client, server)
    assert len(keys.read_text().splitlines()) == 1
    assert seen(capture, keys)[1] == []
