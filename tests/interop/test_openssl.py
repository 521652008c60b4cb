"""OpenSSL's s_client and s_server, in both roles: suites, refusals, what each side is told."""

from __future__ import annotations

import pytest
from dtls_pair import PSK, PSK_NAME, client_config, psk_client_config, psk_server_config, server_config
from foreign import Foreign, free_udp_port, identity_files
from loopback import LoopbackClient, LoopbackServer
from small_pki import Flaw, small_pki

from twoway.dtls import AlertDescription, Closed, ClosedBy, Connected, suites
from twoway.dtls.groups import DEFAULT_GROUPS

pytestmark = pytest.mark.peers

SUITES = [
    ("publisher_p256", "ECDHE-ECDSA-AES128-GCM-SHA256", suites.ECDHE_ECDSA_AES_128_GCM),
    ("publisher_p256", "ECDHE-ECDSA-AES128-CCM", suites.ECDHE_ECDSA_AES_128_CCM),
    ("publisher_p256", "ECDHE-ECDSA-AES128-CCM8", suites.ECDHE_ECDSA_AES_128_CCM_8),
    ("publisher_rsa", "ECDHE-RSA-AES128-GCM-SHA256", suites.ECDHE_RSA_AES_128_GCM),
]
PSK_SUITES = [
    ("PSK-AES128-GCM-SHA256", suites.PSK_AES_128_GCM),
    ("PSK-AES128-CCM8", suites.PSK_AES_128_CCM_8),
]


def s_client(port, *more):
    return Foreign(["openssl", "s_client", "-dtls1_2", "-connect", f"127.0.0.1:{port}", *more])


def s_server(port, *more):
    return Foreign(["openssl", "s_server", "-dtls1_2", "-accept", f"127.0.0.1:{port}", "-listen", *more])


def own(files):
    return [
        "-cert",
        files["cert"],
        "-cert_chain",
        files["cert"],
        "-key",
        files["key"],
        "-CAfile",
        files["ca"],
    ]


def level_zero(cipher):
    return ["-cipher", f"{cipher}:@SECLEVEL=0"]  # OpenSSL 3.5 takes 8-byte tags at this level only


GROUPS = pytest.mark.parametrize(
    "groups", [DEFAULT_GROUPS, DEFAULT_GROUPS[::-1]], ids=["x25519", "secp384r1"]
)


@GROUPS
@pytest.mark.parametrize("client", ["subscriber", "publisher_rsa"])
@pytest.mark.parametrize(("server", "cipher", "suite"), SUITES)
def test_s_client_connects_with_a_certificate(tmp_path, server, cipher, suite, client, groups):
    files = identity_files(getattr(small_pki(), client), tmp_path / "client")
    with LoopbackServer(server_config(getattr(small_pki(), server), groups=groups)) as ours:
        options = [*own(files), *level_zero(cipher), "-verify_return_error"]
        with s_client(ours.port, *options) as theirs:
            connected = ours.wait_for(Connected)
            theirs.wait_for("Extended master secret: yes")
            theirs.write("hello\n")
            theirs.wait_for("echo: hello")
    assert connected.suite == suite.name
    assert connected.group == groups[0].label
    assert connected.peer.uri == getattr(small_pki(), client).uri
    assert connected.peer.spki == getattr(small_pki(), client).spki
    assert f"Cipher is {cipher}" in theirs.output
    assert "Verify return code: 0 (ok)" in theirs.output


@GROUPS
@pytest.mark.parametrize(("server", "cipher", "suite"), SUITES)
def test_s_server_is_connected_to_with_a_certificate(tmp_path, server, cipher, suite, groups):
    files = identity_files(getattr(small_pki(), server), tmp_path / "server")
    port = free_udp_port()
    options = [*own(files), *level_zero(cipher), "-Verify", "2", "-verify_return_error"]
    with s_server(port, *options) as theirs:
        theirs.wait_for("ACCEPT")
        with LoopbackClient(client_config(suites=(suite,), groups=groups), port) as ours:
            connected = ours.wait_for(Connected)
            ours.send(b"hello\n")
            theirs.wait_for("hello")
            theirs.write("answer\n")
            ours.wait_for_data(b"answer")
    assert connected.suite == suite.name
    assert connected.peer.spki == getattr(small_pki(), server).spki
    assert f"CIPHER is {cipher}" in theirs.output


@pytest.mark.parametrize(("cipher", "suite"), PSK_SUITES)
def test_s_client_connects_with_a_shared_key(cipher, suite):
    with LoopbackServer(psk_server_config()) as ours:
        options = ["-psk", PSK.hex(), "-psk_identity", PSK_NAME.decode(), *level_zero(cipher)]
        with s_client(ours.port, *options) as theirs:
            connected = ours.wait_for(Connected)
            theirs.write("hello\n")
            theirs.wait_for("echo: hello")
    assert (connected.suite, connected.peer.psk_identity) == (suite.name, PSK_NAME)


@pytest.mark.parametrize(("cipher", "suite"), PSK_SUITES)
def test_s_server_is_connected_to_with_a_shared_key(cipher, suite):
    port = free_udp_port()
    with s_server(port, "-nocert", "-psk", PSK.hex(), *level_zero(cipher)) as theirs:
        theirs.wait_for("ACCEPT")
        with LoopbackClient(psk_client_config(suites=(suite,)), port) as ours:
            assert ours.wait_for(Connected).suite == suite.name
            ours.send(b"hello\n")
            theirs.wait_for("hello")


@pytest.mark.parametrize(
    ("key", "name"), [(bytes(16), PSK_NAME), (PSK, b"nobody")], ids=["wrong key", "unknown identity"]
)
def test_s_client_with_a_wrong_key_or_name_is_told_the_same(key, name):
    with LoopbackServer(psk_server_config()) as ours:
        options = ["-psk", key.hex(), "-psk_identity", name.decode(), *level_zero("PSK-AES128-GCM-SHA256")]
        with s_client(ours.port, *options) as theirs:
            closed = ours.wait_for(Closed)
            theirs.wait_for("decrypt error")
    assert (closed.by, closed.alert) == (ClosedBy.US, AlertDescription.DECRYPT_ERROR)


def test_s_client_without_a_certificate_is_refused():
    with LoopbackServer(server_config()) as ours, s_client(ours.port) as theirs:
        closed = ours.wait_for(Closed)
        theirs.wait_for("handshake failure")
    assert (closed.alert, closed.established) == (AlertDescription.HANDSHAKE_FAILURE, False)


@pytest.mark.parametrize(
    ("flaw", "alert", "words"),
    [
        (Flaw.OTHER_CA, AlertDescription.UNKNOWN_CA, "unknown ca"),
        (Flaw.EXPIRED, AlertDescription.CERTIFICATE_EXPIRED, "certificate expired"),
        (Flaw.SERVER_ONLY, AlertDescription.UNSUPPORTED_CERTIFICATE, "unsupported certificate"),
    ],
)
def test_s_client_with_a_bad_certificate_is_refused(tmp_path, flaw, alert, words):
    files = identity_files(small_pki().flawed(flaw), tmp_path / "client")
    with LoopbackServer(server_config()) as ours, s_client(ours.port, *own(files)) as theirs:
        closed = ours.wait_for(Closed)
        theirs.wait_for(words)
    assert (closed.alert, closed.established) == (alert, False)


def test_s_client_of_dtls_1_0_is_refused(tmp_path):
    files = identity_files(small_pki().subscriber, tmp_path / "client")
    with LoopbackServer(server_config()) as ours:
        old = [
            "openssl",
            "s_client",
            "-dtls1",
            "-cipher",
            "ALL:@SECLEVEL=0",
            "-connect",
            f"127.0.0.1:{ours.port}",
        ]
        with Foreign([*old, *own(files)]) as theirs:
            closed = ours.wait_for(Closed)
            theirs.wait_for("protocol version")
    assert closed.alert is AlertDescription.PROTOCOL_VERSION


def test_s_server_of_another_ca_is_refused_by_us(tmp_path):
    files = identity_files(small_pki().flawed(Flaw.OTHER_CA), tmp_path / "server")
    port = free_udp_port()
    with s_server(port, *own(files), "-Verify", "2") as theirs:
        theirs.wait_for("ACCEPT")
        with LoopbackClient(client_config(), port) as ours:
            closed = ours.wait_for(Closed)
            theirs.wait_for("unknown ca")
    assert (closed.by, closed.alert) == (ClosedBy.US, AlertDescription.UNKNOWN_CA)


def test_s_server_that_wants_no_certificate_is_refused_by_us(tmp_path):
    files = identity_files(small_pki().publisher_p256, tmp_path / "server")
    port = free_udp_port()
    with s_server(port, *own(files)) as theirs:
        theirs.wait_for("ACCEPT")
        with LoopbackClient(client_config(), port) as ours:
            closed = ours.wait_for(Closed)
    assert (closed.by, closed.alert) == (ClosedBy.US, AlertDescription.HANDSHAKE_FAILURE)
    assert "two-way" in closed.reason


def test_s_server_refuses_our_certificate_of_another_ca(tmp_path):
    files = identity_files(small_pki().publisher_p256, tmp_path / "server")
    port = free_udp_port()
    with s_server(port, *own(files), "-Verify", "2", "-verify_return_error") as theirs:
        theirs.wait_for("ACCEPT")
        with LoopbackClient(client_config(small_pki().outsider), port) as ours:
            closed = ours.wait_for(Closed)
    assert (closed.by, closed.established) == (ClosedBy.PEER, False)
    assert closed.alert is AlertDescription.UNKNOWN_CA


def test_s_client_that_renegotiates_is_refused(tmp_path):
    files = identity_files(small_pki().subscriber, tmp_path / "client")
    with LoopbackServer(server_config()) as ours, s_client(ours.port, *own(files)) as theirs:
        ours.wait_for(Connected)
        theirs.wait_for("Extended master secret")
        theirs.write("R\n")
        theirs.wait_for("no renegotiation")
    assert len([event for event in ours.events if isinstance(event, Connected)]) == 1


@pytest.mark.parametrize("mtu", [256, 1200])
def test_small_datagrams_are_put_together_on_both_sides(tmp_path, mtu):
    files = identity_files(small_pki().publisher_rsa, tmp_path / "client")
    with LoopbackServer(server_config(small_pki().publisher_rsa, mtu_bytes=mtu)) as ours:
        # A hello that fits one datagram: a fragmented one is dropped before the cookie.
        small_hello = ["-cipher", "ECDHE-RSA-AES128-GCM-SHA256", "-sigalgs", "RSA+SHA256:ECDSA+SHA256"]
        with s_client(ours.port, *own(files), *small_hello, "-mtu", str(mtu)) as theirs:
            ours.wait_for(Connected)
            theirs.wait_for("Extended master secret")
            theirs.write("hello\n")
            theirs.wait_for("echo: hello")
