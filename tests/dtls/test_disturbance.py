"""Forgeries that cost an attacker nothing must not cost the two sides their handshake."""

from __future__ import annotations

import pytest
from dtls_cases import assert_refused, pair_of, run
from dtls_pair import Pair, client_config
from dtls_rogue import changed, client_hello, rogue_client, rogue_server
from dtls_wires import meanwhile
from small_pki import small_pki

from twoway.dtls import AlertDescription
from twoway.dtls.handshaking import MAX_UNREADABLE_RECORDS
from twoway.dtls.messages.certificates import CertificateRequest, ClientCertificateType
from twoway.dtls.messages.handshake import HandshakeType
from twoway.dtls.record import DTLS_1_2, encode_record
from twoway.dtls.signatures import DEFAULT_SCHEMES


@pytest.mark.parametrize("kind", ["p-256", "rsa"])
def test_forged_records_do_not_end_a_handshake_by_certificate(kind):
    """Wrong keys are found out by signatures there, so unreadable records are only noise."""
    forged = [encode_record(22, DTLS_1_2, 1, 500 + n, bytes(40)) for n in range(MAX_UNREADABLE_RECORDS + 2)]
    last_flight = 5 if kind == "p-256" else 6
    pair = pair_of(kind)
    pair.wire = meanwhile(last_flight, lambda: [pair.deliver(record, to_server=True) for record in forged])
    assert run(pair).works()
    assert pair.server.association.counters["dropped: not authentic"] >= MAX_UNREADABLE_RECORDS


@pytest.mark.parametrize("kind", ["p-256", "psk"])
def test_forged_repetitions_do_not_use_up_the_timers_retries(kind):
    """A hello can be forged again and again; the server goes on waiting and sending for its full time."""
    pair = pair_of(kind)
    pair.start()
    pair.run(until=0.035)
    hello = next(sent for sent in pair.sent if sent.number == 2)
    record = hello.records[0]
    pair.wire = lambda sent: []
    for number in range(50):
        forged = encode_record(22, DTLS_1_2, 0, 1000 + number, record.fragment)
        pair.deliver(forged, to_server=True)
    before = pair.server.association.counters["flights resent"]
    assert before <= 6
    pair.run(until=40.0)
    assert pair.server.association.counters["flights resent"] - before == 5  # after 1, 3, 7, 15 and 31 s
    assert not pair.server.association.is_closed


@pytest.mark.parametrize("version", [0x0303, 0x0000, 0xFD00])
def test_a_hello_of_another_protocol_is_refused(version):
    pair = run(Pair(client_handshake=rogue_client(**client_hello(version=version))))
    assert_refused(pair, by="server", alert=AlertDescription.PROTOCOL_VERSION, why="does not speak DTLS 1.2")


@pytest.mark.parametrize(
    ("credential", "taken"),
    [("subscriber", ClientCertificateType.RSA_SIGN), ("publisher_rsa", ClientCertificateType.ECDSA_SIGN)],
)
def test_a_server_that_takes_no_certificate_of_our_kind_is_refused(credential, taken):
    request = CertificateRequest((taken,), DEFAULT_SCHEMES)
    say = changed(HandshakeType.CERTIFICATE_REQUEST, lambda body: request.encode())
    client = client_config(getattr(small_pki(), credential))
    pair = run(Pair(client, server_handshake=rogue_server(say=say)))
    assert_refused(
        pair, by="client", alert=AlertDescription.HANDSHAKE_FAILURE, why="no signature that our key can make"
    )
