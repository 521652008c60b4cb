"""GnuTLS's gnutls-cli and gnutls-serv over UDP, in both roles."""

from __future__ import annotations

import pytest
from dtls_pair import PSK, PSK_NAME, client_config, psk_client_config, psk_server_config, server_config
from foreign import Foreign, free_udp_port, identity_files
from loopback import LoopbackClient, LoopbackServer
from small_pki import Flaw, small_pki

from twoway.dtls import AlertDescription, Closed, ClosedBy, Connected, suites

pytestmark = pytest.mark.peers

SUITES = [
    ("publisher_p256", "+AES-128-GCM", suites.ECDHE_ECDSA_AES_128_GCM),
    ("publisher_p256", "+AES-128-CCM", suites.ECDHE_ECDSA_AES_128_CCM),
    ("publisher_p256", "+AES-128-CCM-8", suites.ECDHE_ECDSA_AES_128_CCM_8),
    ("publisher_rsa", "+AES-128-GCM", suites.ECDHE_RSA_AES_128_GCM),
]
PSK_SUITES = [("+AES-128-GCM", suites.PSK_AES_128_GCM), ("+AES-128-CCM-8", suites.PSK_AES_128_CCM_8)]


def priority(cipher, key_exchange="+ECDHE-ECDSA:+ECDHE-RSA"):
    return ["--priority", f"NORMAL:-VERS-ALL:+VERS-DTLS1.2:-CIPHER-ALL:{cipher}:-KX-ALL:{key_exchange}"]


def own(files):
    return ["--x509certfile", files["cert"], "--x509keyfile", files["key"], "--x509cafile", files["ca"]]


def gnutls_cli(port, *more):
    return Foreign(["gnutls-cli", "--udp", "-p", str(port), "127.0.0.1", *more])


def gnutls_serv(port, *more):
    return Foreign(["gnutls-serv", "--udp", "-p", str(port), "--echo", *more])


@pytest.mark.parametrize("client", ["subscriber", "publisher_rsa"])
@pytest.mark.parametrize(("server", "cipher", "suite"), SUITES)
def test_gnutls_cli_connects_with_a_certificate(tmp_path, server, cipher, suite, client):
    files = identity_files(getattr(small_pki(), client), tmp_path / "client")
    with LoopbackServer(server_config(getattr(small_pki(), server))) as ours:
        with gnutls_cli(ours.port, *own(files), *priority(cipher)) as theirs:
            connected = ours.wait_for(Connected)
            theirs.wait_for("Handshake was completed")
            theirs.write("hello\n")
            theirs.wait_for("echo: hello")
    assert connected.suite == suite.name
    assert connected.peer.spki == getattr(small_pki(), client).spki
    assert "The certificate is trusted" in theirs.output
    assert "extended master secret, safe renegotiation" in theirs.output


@pytest.mark.parametrize(("server", "cipher", "suite"), SUITES)
def test_gnutls_serv_is_connected_to_with_a_certificate(tmp_path, server, cipher, suite):
    files = identity_files(getattr(small_pki(), server), tmp_path / "server")
    port = free_udp_port()
    demands = ["--require-client-cert", "--verify-client-cert"]
    with gnutls_serv(port, *own(files), *priority(cipher), *demands) as theirs:
        theirs.wait_for("IPv4 0.0.0.0 port")
        with LoopbackClient(client_config(), port) as ours:
            connected = ours.wait_for(Connected)
            ours.send(b"hello\n")
            ours.wait_for_data(b"hello")
    assert connected.suite == suite.name
    assert connected.peer.spki == getattr(small_pki(), server).spki


@pytest.mark.parametrize(("cipher", "suite"), PSK_SUITES)
def test_gnutls_cli_connects_with_a_shared_key(cipher, suite):
    with LoopbackServer(psk_server_config()) as ours:
        options = ["--pskusername", PSK_NAME.decode(), "--pskkey", PSK.hex(), *priority(cipher, "+PSK")]
        with gnutls_cli(ours.port, *options) as theirs:
            connected = ours.wait_for(Connected)
            theirs.write("hello\n")
            theirs.wait_for("echo: hello")
    assert (connected.suite, connected.peer.psk_identity) == (suite.name, PSK_NAME)


@pytest.mark.parametrize(("cipher", "suite"), PSK_SUITES)
def test_gnutls_serv_is_connected_to_with_a_shared_key(tmp_path, cipher, suite):
    passwords = tmp_path / "psk.txt"
    passwords.write_text(f"{PSK_NAME.decode()}:{PSK.hex()}\n")
    port = free_udp_port()
    with gnutls_serv(port, "--pskpasswd", str(passwords), *priority(cipher, "+PSK")) as theirs:
        theirs.wait_for("IPv4 0.0.0.0 port")
        with LoopbackClient(psk_client_config(), port) as ours:
            assert ours.wait_for(Connected).suite == suite.name
            ours.send(b"hello\n")
            ours.wait_for_data(b"hello")


def test_gnutls_cli_without_a_certificate_is_refused(tmp_path):
    files = identity_files(small_pki().subscriber, tmp_path / "client")
    with LoopbackServer(server_config()) as ours:
        with gnutls_cli(ours.port, "--x509cafile", files["ca"]) as theirs:
            closed = ours.wait_for(Closed)
            theirs.wait_for("Handshake failed")
    assert (closed.by, closed.alert) == (ClosedBy.US, AlertDescription.HANDSHAKE_FAILURE)


def test_gnutls_cli_with_a_certificate_of_another_ca_is_refused(tmp_path):
    files = identity_files(small_pki().flawed(Flaw.OTHER_CA), tmp_path / "client")
    with LoopbackServer(server_config()) as ours, gnutls_cli(ours.port, *own(files)) as theirs:
        closed = ours.wait_for(Closed)
        theirs.wait_for("CA is unknown")
    assert (closed.by, closed.alert) == (ClosedBy.US, AlertDescription.UNKNOWN_CA)


def test_gnutls_serv_of_another_ca_is_refused_by_us(tmp_path):
    files = identity_files(small_pki().flawed(Flaw.OTHER_CA), tmp_path / "server")
    port = free_udp_port()
    with gnutls_serv(port, *own(files), "--require-client-cert") as theirs:
        theirs.wait_for("IPv4 0.0.0.0 port")
        with LoopbackClient(client_config(), port) as ours:
            closed = ours.wait_for(Closed)
    assert (closed.by, closed.alert) == (ClosedBy.US, AlertDescription.UNKNOWN_CA)


def test_gnutls_serv_refuses_our_certificate_of_another_ca(tmp_path):
    files = identity_files(small_pki().publisher_p256, tmp_path / "server")
    port = free_udp_port()
    with gnutls_serv(port, *own(files), "--require-client-cert", "--verify-client-cert") as theirs:
        theirs.wait_for("IPv4 0.0.0.0 port")
        with LoopbackClient(client_config(small_pki().outsider), port) as ours:
            closed = ours.wait_for(Closed)
    assert (closed.by, closed.established) == (ClosedBy.PEER, False)
