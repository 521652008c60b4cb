"""OpenSSL offers a session that our server cannot open. What is resumed stands in the interop matrix."""

from __future__ import annotations

import os
from datetime import UTC, datetime

import pytest
from dtls_pair import server_config
from foreign import Foreign, identity_files
from loopback import LoopbackServer
from small_pki import small_pki

from twoway.dtls import Connected, Resumption, SessionTickets

pytestmark = pytest.mark.peers


def test_s_client_with_a_ticket_of_another_secret_shakes_hands_in_full(tmp_path):
    files = identity_files(small_pki().subscriber, tmp_path / "client")
    credential = ["-cert", files["cert"], "-cert_chain", files["cert"], "-key", files["key"]]
    kept = str(tmp_path / "session.pem")
    for option in ("-sess_out", "-sess_in"):
        tickets = SessionTickets(os.urandom(32), since=datetime.now(UTC))
        with LoopbackServer(server_config(resumption=Resumption(tickets=tickets))) as ours:
            connect = ["openssl", "s_client", "-dtls1_2", "-connect", f"127.0.0.1:{ours.port}"]
            with Foreign([*connect, *credential, "-CAfile", files["ca"], option, kept]) as theirs:
                theirs.wait_for("Extended master secret: yes")
                assert "New, TLSv1.2" in theirs.output
                theirs.write("Q\n")
                theirs.finish()
            assert [event.resumed for event in ours.events if isinstance(event, Connected)] == [False]
