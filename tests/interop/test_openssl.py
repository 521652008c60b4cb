"""OpenSSL's s_client where the interop matrix has no cell for it: what must not happen beside a handshake."""

from __future__ import annotations

import pytest
from dtls_pair import server_config
from foreign import Foreign, identity_files
from loopback import LoopbackServer
from small_pki import small_pki

from twoway.dtls import AlertDescription, Closed, Connected

pytestmark = pytest.mark.peers


def s_client(version, port, files, *more):
    start = ["openssl", "s_client", version, "-connect", f"127.0.0.1:{port}", *more]
    chain = ["-cert", files["cert"], "-cert_chain", files["cert"], "-key", files["key"]]
    return Foreign([*start, *chain, "-CAfile", files["ca"]])


def test_s_client_of_dtls_1_0_is_refused(tmp_path):
    files = identity_files(small_pki().subscriber, tmp_path / "client")
    with LoopbackServer(server_config()) as ours:
        with s_client("-dtls1", ours.port, files, "-cipher", "ALL:@SECLEVEL=0") as theirs:
            closed = ours.wait_for(Closed)
            theirs.wait_for("protocol version")
    assert closed.alert is AlertDescription.PROTOCOL_VERSION


def test_s_client_that_renegotiates_is_refused(tmp_path):
    files = identity_files(small_pki().subscriber, tmp_path / "client")
    with LoopbackServer(server_config()) as ours, s_client("-dtls1_2", ours.port, files) as theirs:
        ours.wait_for(Connected)
        theirs.wait_for("Extended master secret")
        theirs.write("R\n")
        theirs.wait_for("no renegotiation")
    assert len([event for event in ours.events if isinstance(event, Connected)]) == 1
