"""Programs of other projects read from a held demonstration, and are refused where they should be."""

from __future__ import annotations

import cbor2
import pytest
from foreign import Foreign

pytestmark = [pytest.mark.peers, pytest.mark.xdist_group("held demo"), pytest.mark.timeout(240)]

CLIENTS = ["coap-client-openssl", "coap-client-gnutls"]
PUBLISHERS = ["meter", "water"]
LABEL_BASE_NAME = -2  # RFC 8428 section 6
# How each client's library logs the suite that was negotiated, at the highest verbosity.
SUITE_LINES = {
    "coap-client-openssl": {
        "meter": "Using cipher: ECDHE-ECDSA-AES128-GCM-SHA256",
        "water": "Using cipher: ECDHE-RSA-AES128-GCM-SHA256",
        "machine": "Using cipher: ECDHE-PSK-CHACHA20-POLY1305",
    },
    "coap-client-gnutls": {
        "meter": "Selected cipher suite: GNUTLS_ECDHE_ECDSA_AES_128_GCM_SHA256",
        "water": "Selected cipher suite: GNUTLS_ECDHE_RSA_AES_128_GCM_SHA256",
        "machine": "Selected cipher suite: GNUTLS_ECDHE_PSK_CHACHA20_POLY1305",
    },
}


def coap_client(program, uri, *options):
    return Foreign([program, "-v", "9", "-B", "8", "-A", "112", *options, uri])


def certificate(files):
    return ["-c", files["cert"], "-j", files["key"], "-C", files["ca"]]


def shared_key(description):
    # coap-client takes keys as text.
    psk = description["psk"]
    return ["-u", psk["identity"], "-k", bytes.fromhex(psk["key_hex"]).decode("ascii")]


def records(output_file):
    return cbor2.loads(output_file.read_bytes())


@pytest.mark.parametrize("publisher", PUBLISHERS)
@pytest.mark.parametrize("program", CLIENTS)
def test_libcoap_reads_by_certificate_as_the_default_subscriber(held, tmp_path, program, publisher):
    answer = tmp_path / "answer"
    options = [*certificate(held.files("sink")), "-o", str(answer)]
    with coap_client(program, held.uri(publisher), *options) as client:
        assert client.finish() == 0
    first = records(answer)[0]
    assert first[LABEL_BASE_NAME].startswith(f"urn:dev:org:32473-{publisher}/")
    assert "c:2.05" in client.output
    assert SUITE_LINES[program][publisher] in client.output


@pytest.mark.parametrize("program", CLIENTS)
def test_libcoap_reads_with_a_shared_key_as_the_default_subscriber(held, tmp_path, program):
    answer = tmp_path / "answer"
    options = [*shared_key(held.description), "-o", str(answer)]
    with coap_client(program, held.uri("machine"), *options) as client:
        assert client.finish() == 0
    assert records(answer)[0][LABEL_BASE_NAME].startswith("urn:dev:org:32473-machine/")
    assert SUITE_LINES[program]["machine"] in client.output


@pytest.mark.parametrize("publisher", PUBLISHERS)
@pytest.mark.parametrize("identity", ["subscriber", "wrong_region"])
@pytest.mark.parametrize("program", CLIENTS)
def test_libcoap_without_a_ticket_is_refused_with_a_hint(held, program, identity, publisher):
    with coap_client(program, held.uri(publisher), *certificate(held.files(identity))) as client:
        client.finish()
    assert "c:4.01" in client.output
    assert "c:2.05" not in client.output


@pytest.mark.parametrize("publisher", PUBLISHERS)
@pytest.mark.parametrize("program", CLIENTS)
def test_libcoap_of_another_authority_does_not_get_through_the_handshake(held, program, publisher):
    with coap_client(program, held.uri(publisher), *certificate(held.files("outsider"))) as client:
        client.finish()
    assert "unknown CA" in client.output or "CA is unknown" in client.output
    assert "c:2.05" not in client.output


@pytest.mark.parametrize("program", CLIENTS)
def test_libcoap_with_a_wrong_key_does_not_get_through_the_handshake(held, program):
    with coap_client(program, held.uri("machine"), "-u", "sink", "-k", "0" * 32) as client:
        client.finish()
    assert "cannot send CoAP pdu" in client.output
    assert "c:2.05" not in client.output


@pytest.mark.parametrize("program", CLIENTS)
def test_libcoap_observes(held, program):
    options = [*certificate(held.files("sink")), "-s", "5"]
    with coap_client(program, held.uri("meter"), *options) as client:
        client.finish()
    assert client.output.count("Observe:") >= 3


@pytest.mark.parametrize("publisher", PUBLISHERS)
def test_s_client_shakes_hands_with_a_held_publisher(held, publisher):
    files = held.files("subscriber")
    arguments = ["openssl", "s_client", "-dtls1_2", "-connect", f"127.0.0.1:{held.port(publisher)}"]
    credential = ["-cert", files["cert"], "-key", files["key"], "-CAfile", files["ca"]]
    with Foreign([*arguments, *credential, "-verify_return_error"]) as client:
        client.wait_for("Verify return code: 0 (ok)")
        client.wait_for("Extended master secret: yes")


def test_s_client_without_a_certificate_is_refused_by_a_held_publisher(held):
    arguments = ["openssl", "s_client", "-dtls1_2", "-connect", f"127.0.0.1:{held.port('meter')}"]
    with Foreign(arguments) as client:
        client.wait_for("handshake failure")


def test_gnutls_cli_shakes_hands_with_a_held_publisher(held):
    files = held.files("subscriber")
    arguments = ["gnutls-cli", "--udp", "-p", str(held.port("meter")), "127.0.0.1"]
    credential = ["--x509certfile", files["cert"], "--x509keyfile", files["key"], "--x509cafile", files["ca"]]
    with Foreign([*arguments, *credential]) as client:
        client.wait_for("Handshake was completed")
    assert "The certificate is trusted" in client.output
