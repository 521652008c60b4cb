"""Pre-shared keys: a wrong key and an unknown name are refused, and an outsider cannot tell which it was."""

from __future__ import annotations

import pytest
from dtls_cases import assert_refused, run
from dtls_pair import PSK, PSK_NAME, Pair, client_config, psk_client_config, psk_server_config, server_config
from dtls_rogue import changed, rogue_server
from dtls_wires import damage, meanwhile

from twoway.dtls import AlertDescription, Closed, ClosedBy, suites
from twoway.dtls.handshaking import MAX_UNREADABLE_RECORDS
from twoway.dtls.messages.handshake import HandshakeType
from twoway.dtls.record import DTLS_1_2, ContentType, encode_record

OTHER_KEY = bytes(range(100, 116))


def refused(**client: object) -> Pair:
    pair = run(Pair(psk_client_config(**client), psk_server_config()))
    assert_refused(pair, by="server", alert=AlertDescription.DECRYPT_ERROR, why="pre-shared key")
    return pair


def test_a_wrong_key_is_refused_after_a_few_unreadable_records():
    pair = refused(key=OTHER_KEY)
    assert pair.server.counters["dropped: not authentic"] == MAX_UNREADABLE_RECORDS
    assert pair.now < pair.client.association._config.handshake_timeout


def test_an_unknown_name_is_refused():
    refused(name=b"nobody")


def test_a_wrong_key_and_an_unknown_name_look_alike_to_the_peer():
    views = []
    for client in ({"key": OTHER_KEY}, {"name": b"sensor-8"}):
        pair = refused(**client)
        seen = [
            (sent.to_server, [(record.type, record.epoch, len(record.fragment)) for record in sent.records])
            for sent in pair.sent
        ]
        views.append((seen, pair.client.closed, pair.now))
    assert views[0] == views[1]


def test_the_lookup_is_asked_for_the_name_and_for_nothing_else():
    asked = []

    def lookup(name):
        asked.append(name)
        return PSK

    Pair(psk_client_config(name=b"any \x00 name"), psk_server_config(psk_lookup=lookup)).connect()
    assert asked == [b"any \x00 name"]


@pytest.mark.parametrize("stored", [b"", b"short", bytes(15), bytes(65)])
def test_a_stored_key_that_is_too_short_or_too_long_lets_nobody_in(stored):
    """The peer uses that very key; its own configuration would refuse it, so a rogue brings it along."""
    config = psk_client_config()
    object.__setattr__(config.psk, "key", stored)
    pair = run(Pair(config, psk_server_config(psk_lookup=lambda name: stored)))
    assert_refused(pair, by="server", alert=AlertDescription.DECRYPT_ERROR, why="pre-shared key")


@pytest.mark.parametrize("size", [16, 64])
def test_keys_of_the_shortest_and_longest_size_work(size):
    key = bytes(range(size))
    Pair(psk_client_config(key=key), psk_server_config(psk_lookup=lambda name: key)).connect()


def test_a_server_that_does_not_know_the_key_is_refused_by_the_client():
    """It cannot make the client's keys, so its Finished stays unreadable; the client must not be taken in."""
    pair = run(Pair(psk_client_config(), psk_server_config(psk_lookup={PSK_NAME: OTHER_KEY}.get)))
    assert not pair.client.connected
    assert not pair.server.connected


def test_a_client_that_reads_no_finished_of_the_server_says_so():
    """The server's Finished is damaged each time, as if the keys differed in that direction alone."""

    def wire(sent):
        if not sent.to_server and sent.records and sent.records[-1].epoch == 1:
            return [(0.0, sent.data[:-1] + bytes([sent.data[-1] ^ 1]))]
        return [(0.0, sent.data)]

    pair = Pair(psk_client_config(), psk_server_config(), wire=wire)
    pair.start()
    pair.run()
    assert not pair.client.connected
    assert (pair.client.closed.by, pair.client.closed.alert) == (ClosedBy.US, AlertDescription.DECRYPT_ERROR)


def test_two_unreadable_records_do_not_end_a_handshake():
    pair = Pair(psk_client_config(), psk_server_config())
    finished = next(sent for sent in pair.connect().sent if sent.to_server and sent.records[-1].epoch == 1)

    def forged_twice(data):
        record = finished.records[-1]
        assert record.type == ContentType.HANDSHAKE
        bad = data[:-1] + bytes([data[-1] ^ 1])
        return bad + bad[-13 - len(record.fragment) :]

    pair = Pair(
        psk_client_config(), psk_server_config(), wire=damage(finished.number, forged_twice)
    ).connect()
    assert pair.server.counters["dropped: not authentic"] == MAX_UNREADABLE_RECORDS - 1


def test_a_refusal_is_said_once_however_many_records_are_unreadable():
    """More than enough of them wait when the keys change; the end comes with the first few."""
    pair = Pair(psk_client_config(), psk_server_config())
    forged = [encode_record(22, DTLS_1_2, 1, 500 + number, bytes(40)) for number in range(8)]
    pair.wire = meanwhile(3, lambda: [pair.deliver(record, to_server=True) for record in forged])
    run(pair)
    assert [event for event in pair.server.events if isinstance(event, Closed)] == [pair.server.closed]
    assert pair.server.events[-1] is pair.server.closed
    assert len(pair.server.traced("alert sent")) == 1


PLAIN_PSK = psk_client_config(suites=(suites.PSK_AES_128_GCM,))


def test_a_hint_from_the_server_is_read_and_not_acted_upon():
    def say(saying):
        kind, _, epoch = saying
        hint = (HandshakeType.SERVER_KEY_EXCHANGE, b"\x00\x04hint", epoch)
        return [hint, saying] if kind == HandshakeType.SERVER_HELLO_DONE else [saying]

    Pair(PLAIN_PSK, psk_server_config(), server_handshake=rogue_server(say)).connect()


def test_a_malformed_hint_is_refused():
    def say(saying):
        kind, _, epoch = saying
        hint = (HandshakeType.SERVER_KEY_EXCHANGE, b"\x00\x05hint", epoch)
        return [hint, saying] if kind == HandshakeType.SERVER_HELLO_DONE else [saying]

    pair = run(Pair(PLAIN_PSK, psk_server_config(), server_handshake=rogue_server(say)))
    assert_refused(pair, by="client", alert=AlertDescription.DECODE_ERROR, why="ServerKeyExchange")


def test_a_server_hello_done_with_a_body_is_refused():
    say = changed(HandshakeType.SERVER_HELLO_DONE, lambda body: b"\x00")
    pair = run(Pair(psk_client_config(), psk_server_config(), server_handshake=rogue_server(say)))
    assert_refused(pair, by="client", alert=AlertDescription.DECODE_ERROR, why="ServerHelloDone")


@pytest.mark.parametrize(
    ("client", "server"), [(psk_client_config, server_config), (client_config, psk_server_config)]
)
def test_a_shared_key_and_a_certificate_have_nothing_in_common(client, server):
    pair = run(Pair(client(), server()))
    assert_refused(pair, by="server", alert=AlertDescription.HANDSHAKE_FAILURE, why="in common")
