"""Sessions that are resumed with OpenSSL and GnuTLS, in both roles, by ticket and by session ID."""

from __future__ import annotations

import os
from datetime import UTC, datetime

import pytest
from dtls_pair import PSK, PSK_NAME, client_config, psk_server_config, server_config
from foreign import Foreign, free_udp_port, identity_files
from loopback import LoopbackClient, LoopbackServer
from small_pki import small_pki

from twoway.dtls import Closed, Connected, HandshakeKind, MemorySessionStore, Resumption, SessionTickets

pytestmark = pytest.mark.peers
each_way = pytest.mark.parametrize("by", ["ticket", "id"])


def resumption(by):
    if by == "ticket":
        return Resumption(tickets=SessionTickets(os.urandom(32), since=datetime.now(UTC)))
    return Resumption(store=MemorySessionStore())


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


def connections(server):
    return [event for event in server.events if isinstance(event, Connected)]


def assert_resumed_with_all_that_was_proved(server):
    first, second = connections(server)
    assert (first.resumed, second.resumed) == (False, True)
    assert (second.peer, second.suite, second.kind) == (first.peer, first.suite, HandshakeKind.FULL)


# --- OpenSSL ----------------------------------------------------------------------------------------


def s_client_twice(server, folder, *options):
    """Connect, keep the session in a file, end, and connect with it."""
    kept = str(folder / "session.pem")
    connect = ["openssl", "s_client", "-dtls1_2", "-connect", f"127.0.0.1:{server.port}", *options]
    with Foreign([*connect, "-sess_out", kept]) as theirs:
        theirs.wait_for("Extended master secret: yes")
        theirs.write("once\n")
        theirs.wait_for("echo: once")
        theirs.write("Q\n")
        theirs.finish()
    server.wait_for(Closed)
    with Foreign([*connect, "-sess_in", kept]) as theirs:
        theirs.wait_for("Reused, TLSv1.2")
        theirs.write("twice\n")
        theirs.wait_for("echo: twice")


@each_way
@pytest.mark.parametrize("actor", ["publisher_p256", "publisher_rsa"])
def test_s_client_resumes(tmp_path, by, actor):
    files = identity_files(small_pki().subscriber, tmp_path / "client")
    options = [*own(files), *(["-no_ticket"] if by == "id" else [])]
    with LoopbackServer(server_config(getattr(small_pki(), actor), resumption=resumption(by))) as ours:
        s_client_twice(ours, tmp_path, *options)
        assert_resumed_with_all_that_was_proved(ours)


@each_way
def test_s_client_resumes_what_a_shared_key_proved(tmp_path, by):
    options = ["-psk", PSK.hex(), "-psk_identity", PSK_NAME.decode(), "-cipher", "PSK-AES128-GCM-SHA256"]
    options += ["-no_ticket"] if by == "id" else []
    with LoopbackServer(psk_server_config(resumption=resumption(by))) as ours:
        s_client_twice(ours, tmp_path, *options)
        assert_resumed_with_all_that_was_proved(ours)


def test_s_client_with_a_ticket_of_another_secret_shakes_hands_in_full(tmp_path):
    files = identity_files(small_pki().subscriber, tmp_path / "client")
    kept = str(tmp_path / "session.pem")
    for options, words in ((["-sess_out", kept], "New, TLSv1.2"), (["-sess_in", kept], "New, TLSv1.2")):
        with LoopbackServer(server_config(resumption=resumption("ticket"))) as ours:
            address = f"127.0.0.1:{ours.port}"
            connect = ["openssl", "s_client", "-dtls1_2", "-connect", address, *own(files)]
            with Foreign([*connect, *options]) as theirs:
                theirs.wait_for("Extended master secret: yes")
                assert words in theirs.output
                theirs.write("Q\n")
                theirs.finish()
            assert [connected.resumed for connected in connections(ours)] == [False]


def resume_at(port, config, between=lambda: None):
    """Connect twice as a client, the second time with the session, and give what both were.

    Both come from one port: s_server listens to the first client alone, until it is started anew.
    """
    own_port = free_udp_port()
    with LoopbackClient(config, port, own_port=own_port) as ours:
        first = ours.wait_for(Connected)
        ours.send(b"hello\n")
        held = ours.association.session
    assert held is not None
    between()
    with LoopbackClient(config, port, held, own_port) as ours:
        second = ours.wait_for(Connected)
        ours.send(b"again\n")
        yield first, second, ours


@each_way
@pytest.mark.parametrize("actor", ["publisher_p256", "publisher_rsa"])
def test_s_server_is_resumed_with(tmp_path, by, actor):
    files = identity_files(getattr(small_pki(), actor), tmp_path / "server")
    port = free_udp_port()
    options = [*own(files), "-Verify", "2", "-verify_return_error", *(["-no_ticket"] if by == "id" else [])]
    server = ["openssl", "s_server", "-dtls1_2", "-accept", f"127.0.0.1:{port}", "-listen", *options]
    with Foreign(server) as theirs:
        theirs.wait_for("ACCEPT")

        def ready_again():
            theirs.wait_for("DONE")

        for first, second, _ in resume_at(port, client_config(resumption=Resumption()), ready_again):
            theirs.wait_for("again")
            assert (first.resumed, second.resumed) == (False, True)
            assert second.peer == first.peer
    assert "Reused session-id" in theirs.output


# --- GnuTLS -----------------------------------------------------------------------------------------


DTLS_1_2 = "NORMAL:-VERS-ALL:+VERS-DTLS1.2"


def gnutls(files):
    return ["--x509certfile", files["cert"], "--x509keyfile", files["key"], "--x509cafile", files["ca"]]


@each_way
@pytest.mark.parametrize("actor", ["publisher_p256", "publisher_rsa"])
def test_gnutls_cli_resumes(tmp_path, by, actor):
    files = identity_files(small_pki().subscriber, tmp_path / "client")
    priority = DTLS_1_2 + (":%NO_TICKETS" if by == "id" else "")
    with LoopbackServer(server_config(getattr(small_pki(), actor), resumption=resumption(by))) as ours:
        address = ["--udp", "-p", str(ours.port), "127.0.0.1"]
        with Foreign(["gnutls-cli", "-r", "--priority", priority, *address, *gnutls(files)]) as theirs:
            theirs.wait_for("This is a resumed session")
            theirs.write("twice\n")
            theirs.wait_for("echo: twice")
        assert_resumed_with_all_that_was_proved(ours)


@each_way
def test_gnutls_serv_is_resumed_with(tmp_path, by):
    files = identity_files(small_pki().publisher_p256, tmp_path / "server")
    port = free_udp_port()
    options = ["--require-client-cert", "--verify-client-cert", "--priority", DTLS_1_2]
    options += ["--noticket"] if by == "id" else []
    with Foreign(["gnutls-serv", "--udp", "-p", str(port), "--echo", *gnutls(files), *options]) as theirs:
        theirs.wait_for("IPv4 0.0.0.0 port")
        # Its tickets hold our certificate and more: the hello needs a datagram that is larger than usual.
        for first, second, ours in resume_at(port, client_config(resumption=Resumption(), mtu_bytes=4000)):
            ours.wait_for_data(b"again")
            assert (first.resumed, second.resumed) == (False, True)
            assert second.peer == first.peer
