"""A certificate that is wrong in one thing is refused, by both roles, with the alert that names the thing."""

from __future__ import annotations

import pytest
from dtls_cases import assert_refused, run
from dtls_pair import Pair, client_config, server_config
from dtls_rogue import changed, rogue_client, rogue_server
from small_pki import Flaw, small_pki

from twoway.dtls import AlertDescription
from twoway.dtls.messages.certificates import Certificate
from twoway.dtls.messages.handshake import HandshakeType

ALERTS = {
    "EXPIRED": AlertDescription.CERTIFICATE_EXPIRED,
    "NOT_YET_VALID": AlertDescription.CERTIFICATE_EXPIRED,
    "UNKNOWN_CA": AlertDescription.UNKNOWN_CA,
    "WRONG_USAGE": AlertDescription.UNSUPPORTED_CERTIFICATE,
    "UNSUPPORTED_KEY": AlertDescription.UNSUPPORTED_CERTIFICATE,
    "BAD_SIGNATURE": AlertDescription.BAD_CERTIFICATE,
    "BAD_CHAIN": AlertDescription.BAD_CERTIFICATE,
    "NO_IDENTITY": AlertDescription.BAD_CERTIFICATE,
    "WEAK_SIGNATURE": AlertDescription.UNSUPPORTED_CERTIFICATE,
}
"""RFC 5246 section 7.2.2, for each reason that the flaws name."""

NO_SUITE_OF_OURS = {Flaw.UNSUPPORTED_CURVE}
"""With this key our own engine would not even begin; a rogue shows the chain without having the key."""

FOR_CLIENTS = [flaw for flaw in Flaw if flaw is not Flaw.CLIENT_ONLY]
FOR_SERVERS = [flaw for flaw in Flaw if flaw is not Flaw.SERVER_ONLY]


def shows(chain: tuple[bytes, ...]):
    return changed(HandshakeType.CERTIFICATE, lambda body: Certificate(chain).encode())


@pytest.mark.parametrize("flaw", FOR_CLIENTS, ids=lambda flaw: flaw.name)
def test_a_flawed_client_is_refused_by_the_server(flaw):
    credential = small_pki().flawed(flaw)
    if flaw in NO_SUITE_OF_OURS:
        pair = Pair(client_handshake=rogue_client(shows(credential.chain)))
    else:
        pair = Pair(client=client_config(credential))
    assert_refused(run(pair), by="server", alert=ALERTS[flaw.expected], why="")


@pytest.mark.parametrize("flaw", FOR_SERVERS, ids=lambda flaw: flaw.name)
def test_a_flawed_server_is_refused_by_the_client(flaw):
    credential = small_pki().flawed(flaw)
    if flaw in NO_SUITE_OF_OURS:
        pair = Pair(server_handshake=rogue_server(shows(credential.chain)))
    else:
        pair = Pair(server=server_config(credential))
    assert_refused(run(pair), by="client", alert=ALERTS[flaw.expected], why="")


def test_a_usage_for_one_role_admits_to_that_role_alone():
    pki = small_pki()
    assert Pair(client=client_config(pki.flawed(Flaw.CLIENT_ONLY))).connect().works()
    assert Pair(server=server_config(pki.flawed(Flaw.SERVER_ONLY))).connect().works()


def test_each_side_judges_by_its_own_anchors():
    pki = small_pki()
    stranger = client_config(pki.outsider, trust=pki.other_ca.trust)
    assert_refused(run(Pair(client=stranger)), by="client", alert=AlertDescription.UNKNOWN_CA, why="")
    trusting = server_config(trust=pki.other_ca.trust)
    both = Pair(client=client_config(pki.outsider), server=trusting).connect()
    assert both.server.connected.peer == pki.outsider.identity


def test_a_client_that_shows_no_certificate_is_refused():
    pair = run(Pair(client_handshake=rogue_client(shows(()))))
    assert_refused(pair, by="server", alert=AlertDescription.HANDSHAKE_FAILURE, why="certificate")


def test_a_server_that_shows_no_certificate_is_refused():
    pair = run(Pair(server_handshake=rogue_server(shows(()))))
    assert_refused(pair, by="client", alert=AlertDescription.HANDSHAKE_FAILURE, why="certificate")


@pytest.mark.parametrize("chain", [(b"no certificate",), (b"\x30\x00",), (bytes(1000),)])
def test_what_is_no_certificate_is_refused_by_both_roles(chain):
    bad = AlertDescription.BAD_CERTIFICATE
    assert_refused(run(Pair(client_handshake=rogue_client(shows(chain)))), by="server", alert=bad, why="")
    assert_refused(run(Pair(server_handshake=rogue_server(shows(chain)))), by="client", alert=bad, why="")


def test_a_chain_that_is_longer_than_any_message_may_be_is_never_taken():
    endless = small_pki().subscriber.chain * 40
    pair = run(Pair(client_handshake=rogue_client(shows(endless))))
    assert not pair.server.connected
    assert pair.server.closed


def test_a_server_whose_key_is_not_of_its_suites_kind_is_refused():
    pki = small_pki()
    pair = run(Pair(server_handshake=rogue_server(shows(pki.publisher_rsa.chain))))
    assert_refused(
        pair, by="client", alert=AlertDescription.UNSUPPORTED_CERTIFICATE, why="another kind than its suite"
    )
