"""Renegotiation (RFC 5746): both sides declare a first handshake, and there is never a second one."""

from __future__ import annotations

from dataclasses import replace

import pytest
from dtls_cases import KINDS, assert_refused, pair_of, run, say_protected
from dtls_pair import Pair
from dtls_rogue import client_hello, rogue_client, rogue_server, server_hello, with_extension, without

from twoway.dtls import AlertDescription, suites
from twoway.dtls.messages.handshake import HandshakeMessage, HandshakeType
from twoway.dtls.messages.hello import RENEGOTIATION_SCSV, ExtensionType
from twoway.dtls.record import DTLS_1_2, ContentType, encode_record

INFO = ExtensionType.RENEGOTIATION_INFO
HANDSHAKE_FAILURE = AlertDescription.HANDSHAKE_FAILURE


def test_a_server_that_does_not_answer_renegotiation_info_is_refused():
    pair = run(Pair(server_handshake=rogue_server(server_hello(extensions=without(INFO)))))
    assert_refused(pair, by="client", alert=HANDSHAKE_FAILURE, why="RFC 5746")


@pytest.mark.parametrize("data", [b"", b"\x01", b"\x0c" + bytes(12), b"\x00\x00", b"\x01\x00"])
def test_renegotiation_info_that_is_not_empty_is_refused_by_both_roles(data):
    change = with_extension(INFO, data)
    pair = run(Pair(server_handshake=rogue_server(server_hello(extensions=change))))
    assert_refused(pair, by="client", alert=HANDSHAKE_FAILURE, why="RFC 5746")
    pair = run(Pair(client_handshake=rogue_client(**client_hello(extensions=change))))
    assert_refused(pair, by="server", alert=HANDSHAKE_FAILURE, why="renegotiating")


def test_the_signalling_suite_is_as_good_as_the_extension():
    """Without it the server could not answer, and the client (which offers by suite alone) insists on it."""
    from twoway.dtls.client import ClientHandshake

    def accept(self, hello, suite):
        self._hello = replace(self._hello, extensions={**self._hello.extensions, INFO: b"\x00"})
        ClientHandshake._accept_extensions_untrusted(self, hello, suite)

    hello = client_hello(
        extensions=without(INFO), suites=(suites.ECDHE_ECDSA_AES_128_GCM.code, RENEGOTIATION_SCSV)
    )
    assert run(Pair(client_handshake=rogue_client(**hello, _accept_extensions_untrusted=accept))).works()


def test_a_client_that_offers_neither_is_not_answered():
    hello = client_hello(extensions=without(INFO))
    pair = run(Pair(client_handshake=rogue_client(**hello)))
    assert_refused(pair, by="client", alert=HANDSHAKE_FAILURE, why="RFC 5746")


def send_handshake(side, kind: int, body: bytes = b"", seq: int = 0) -> None:
    say_protected(side, ContentType.HANDSHAKE, HandshakeMessage(kind, seq, body).encode())


@pytest.mark.parametrize("seq", [0, 7])
@pytest.mark.parametrize("kind", KINDS)
def test_a_client_that_wants_to_renegotiate_is_told_no_and_the_association_stays(kind, seq):
    pair = pair_of(kind).connect()
    sent = len(pair.sent)
    send_handshake(pair.client, HandshakeType.CLIENT_HELLO, bytes(60), seq)
    pair.run()
    assert [event.data["alert"] for event in pair.client.traced("alert received")] == ["no_renegotiation"]
    assert pair.client.counters["warnings received"] == 1
    assert len(pair.sent) == sent + 2
    assert pair.works()


@pytest.mark.parametrize("kind", KINDS)
def test_a_server_that_wants_to_renegotiate_is_told_no_and_the_association_stays(kind):
    pair = pair_of(kind).connect()
    send_handshake(pair.server, HandshakeType.HELLO_REQUEST)
    pair.run()
    assert [event.data["alert"] for event in pair.server.traced("alert received")] == ["no_renegotiation"]
    assert pair.works()


@pytest.mark.parametrize("kind", KINDS)
def test_other_handshake_messages_after_the_handshake_are_dropped(kind):
    """Whatever number they carry; not even that of a Finished makes them a repetition of it."""
    pair = pair_of(kind).connect()
    sent, said = len(pair.sent), 0
    for message in HandshakeType:
        for seq in range(10):
            if message not in (HandshakeType.HELLO_REQUEST, HandshakeType.FINISHED):
                send_handshake(pair.server, message, bytes(12), seq)
                said += 1
            if message not in (HandshakeType.CLIENT_HELLO, HandshakeType.FINISHED):
                send_handshake(pair.client, message, bytes(12), seq)
                said += 1
    pair.run()
    assert len(pair.sent) == sent + said, "nobody answers"
    assert pair.works()


@pytest.mark.parametrize("kind", KINDS)
def test_a_forged_repetition_of_finished_is_not_answered(kind):
    """Only the peer, with its keys, can show that the last flight did not come through."""
    pair = pair_of(kind).connect()
    sent = len(pair.sent)
    for seq in range(12):
        message = HandshakeMessage(HandshakeType.FINISHED, seq, bytes(12)).encode()
        record = encode_record(ContentType.HANDSHAKE, DTLS_1_2, 0, 60 + seq, message)
        pair.deliver(record, to_server=True)
        pair.deliver(record, to_server=False)
    assert len(pair.sent) == sent
    assert pair.works()


def test_an_unprotected_wish_to_renegotiate_is_not_even_answered():
    pair = Pair().connect()
    sent = len(pair.sent)
    for kind, to_server in ((HandshakeType.CLIENT_HELLO, True), (HandshakeType.HELLO_REQUEST, False)):
        for seq in (0, 1, 20):
            message = HandshakeMessage(kind, seq, b"").encode()
            pair.deliver(
                encode_record(ContentType.HANDSHAKE, DTLS_1_2, 0, 90 + seq, message), to_server=to_server
            )
    assert len(pair.sent) == sent
    assert pair.works()


def test_a_hello_request_during_the_handshake_is_ignored_and_not_hashed():
    """RFC 5246 section 7.4.1.1; the rogue's transcript leaves it out as well."""

    def say(saying):
        kind, _, epoch = saying
        if kind == HandshakeType.SERVER_KEY_EXCHANGE:
            return [(HandshakeType.HELLO_REQUEST, b"", epoch), saying]
        return [saying]

    def _note(self, message):
        if message.type != HandshakeType.HELLO_REQUEST:
            self._transcript += message.encode()

    assert run(Pair(server_handshake=rogue_server(say, _note=_note))).works()
