"""The ordinary course: who connects with whom, and what both learn."""

from __future__ import annotations

import pytest
from dtls_pair import PSK_NAME, Pair, client_config, psk_client_config, psk_server_config, server_config
from small_pki import small_pki

from twoway.dtls import CertificateCredential, HandshakeKind, KeyExchange, SignatureScheme, suites
from twoway.dtls.groups import DEFAULT_GROUPS
from twoway.dtls.record import DTLS_1_0, DTLS_1_2, ContentType
from twoway.dtls.signatures import sign
from twoway.dtls.states import ClientState
from twoway.identity import PSKIdentity

SERVERS = {KeyExchange.ECDHE_ECDSA: "publisher_p256", KeyExchange.ECDHE_RSA: "publisher_rsa"}
CERTIFICATE_SUITES = [
    pytest.param(suite, SERVERS[suite.key_exchange], id=suite.name)
    for suite in suites.DEFAULT_SUITES
    if suite.key_exchange in SERVERS
]
PSK_SUITES = [suite for suite in suites.DEFAULT_SUITES if suite.key_exchange is KeyExchange.PSK]


@pytest.mark.parametrize(
    "groups",
    [DEFAULT_GROUPS[at:] + DEFAULT_GROUPS[:at] for at in range(len(DEFAULT_GROUPS))],
    ids=[group.label for group in DEFAULT_GROUPS],
)
@pytest.mark.parametrize("client", ["subscriber", "publisher_rsa"])
@pytest.mark.parametrize(("suite", "server"), CERTIFICATE_SUITES)
def test_certificates_prove_both_sides(suite, server, client, groups):
    pki = small_pki()
    pair = Pair(
        client_config(getattr(pki, client), suites=(suite,)),
        server_config(getattr(pki, server), groups=groups),
    ).connect()
    assert pair.client.connected.suite == pair.server.connected.suite == suite.name
    assert pair.client.connected.group == pair.server.connected.group == groups[0].label
    assert pair.client.connected.peer == getattr(pki, server).identity
    assert pair.server.connected.peer == getattr(pki, client).identity
    assert pair.client.connected.kind is HandshakeKind.FULL


@pytest.mark.parametrize("suite", PSK_SUITES, ids=lambda suite: suite.name)
def test_a_shared_key_proves_both_sides(suite):
    pair = Pair(psk_client_config(suites=(suite,)), psk_server_config()).connect()
    assert pair.client.connected.suite == pair.server.connected.suite == suite.name
    assert pair.client.connected.peer == pair.server.connected.peer == PSKIdentity(PSK_NAME)
    assert pair.client.connected.kind is HandshakeKind.FULL


@pytest.mark.parametrize("scheme", [SignatureScheme.RSA_PSS_RSAE_SHA256, SignatureScheme.RSA_PKCS1_SHA256])
def test_rsa_signs_with_the_scheme_that_both_take(scheme):
    rsa = small_pki().publisher_rsa
    Pair(client_config(rsa, signature_schemes=(scheme,)), server_config(rsa)).connect()


def test_a_trace_tells_whom_each_side_is_connected_with():
    pair = Pair().connect()
    for side, name, peer in (
        (pair.client, "client", small_pki().publisher_p256),
        (pair.server, "server", small_pki().subscriber),
    ):
        (event,) = side.traced("connected")
        assert event.source == name
        assert event.data == {
            "suite": side.connected.suite,
            "peer": peer.identity.uri,
            "resumed": False,
        }


def test_the_first_records_have_the_versions_and_numbers_of_rfc_6347():
    """Section 4.2.1: hellos before a version is agreed upon say DTLS 1.0; a server goes on with the number of
    the hello that it answers."""
    pair = Pair().connect()
    asked = [sent.records[0] for sent in pair.sent if sent.to_server]
    said = [sent.records[0] for sent in pair.sent if not sent.to_server]
    assert [(record.version, record.sequence) for record in asked[:2]] == [(DTLS_1_0, 0), (DTLS_1_0, 1)]
    assert (said[1].version, said[1].sequence) == (DTLS_1_2, asked[1].sequence)


def test_a_server_that_refuses_a_hello_does_so_in_records_of_dtls_1_2():
    pair = Pair(client_config(groups=(DEFAULT_GROUPS[0],)), server_config(groups=(DEFAULT_GROUPS[1],)))
    pair.start()
    pair.run()
    refusal = [sent.records[0] for sent in pair.sent if not sent.to_server][-1]
    assert (refusal.type, refusal.version) == (ContentType.ALERT, DTLS_1_2)


def test_data_travels_both_ways_and_keeps_its_boundaries():
    pair = Pair().connect()
    for data in (b"", b"one", b"two", bytes(1100)):
        pair.client.send(data)
        pair.server.send(data + b"!")
    pair.run()
    assert pair.server.received == [b"", b"one", b"two", bytes(1100)]
    assert pair.client.received == [b"!", b"one!", b"two!", bytes(1100) + b"!"]


def test_a_key_elsewhere_signs_when_asked():
    pki = small_pki()
    pair = Pair(
        client_config(certificate=CertificateCredential(pki.subscriber.chain)),
        server_config(certificate=CertificateCredential(pki.publisher_p256.chain)),
    )
    requests = []

    def answer(request):
        requests.append(request)
        key = pki.publisher_p256.private_key if len(requests) == 1 else pki.subscriber.private_key
        return sign(key, SignatureScheme(request.scheme), request.data)

    pair.signer = answer
    pair.connect()
    assert len(requests) == 2


def test_a_full_handshake_takes_six_flights():
    pair = Pair().connect()
    assert [datagram.to_server for datagram in pair.sent] == [True, False, True, False, True, False] or len(
        pair.sent
    ) <= 10


def test_what_is_traced_says_whose_it_is():
    pair = Pair().connect()
    assert {event.source for event in pair.client.trace} == {"client"}
    assert {event.source for event in pair.server.trace} == {"server"}


def test_records_say_dtls_1_0_until_the_version_is_negotiated():
    """RFC 6347 section 4.2.1: hellos and the request for a cookie, so that no peer stumbles over them."""
    pair = Pair().connect()
    assert {record.version for sent in pair.sent[:3] for record in sent.records} == {DTLS_1_0}
    assert {record.version for sent in pair.sent[3:] for record in sent.records} == {DTLS_1_2}


def test_an_association_has_a_state_from_its_start_to_its_end():
    pair = Pair()
    assert pair.client.association.state is None
    pair.start()
    assert pair.client.association.state is ClientState.SERVER_HELLO
    pair.run()
    assert pair.client.association.state is ClientState.CONNECTED
