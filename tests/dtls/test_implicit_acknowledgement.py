"""A fragment of the peer's next flight says that it has ours: what is not missing is not sent again."""

from __future__ import annotations

from dataclasses import replace

import pytest
from dtls_cases import KINDS, configs, pair_of
from dtls_pair import LATENCY, Pair, client_config, server_config
from dtls_wires import lose
from small_pki import small_pki

from twoway.dtls import RFC6347, RFC7925, CertificateCredential, ClosedBy, Retransmission, SignatureRequest
from twoway.dtls.messages.handshake import HandshakeMessage, HandshakeType, parse_fragments_untrusted
from twoway.dtls.record import (
    DTLS_1_2,
    MAX_SEQUENCE,
    ContentType,
    encode_record,
    split_datagram_untrusted,
)
from twoway.dtls.signatures import SignatureScheme, sign

EVERY_KIND = pytest.mark.parametrize("kind", KINDS)
PATIENT = Retransmission(initial=10_000.0, cap=10_000.0)
"""The timer of a side that a test keeps out of the way."""
LONG = 20_000.0
SERVER_HELLO_DONE_BYTES = 13 + 12
FLIGHT_4_AT = 0.035
"""When the server has sent its flight of certificates, and the client has not got it yet."""
FLIGHT_5_AT = 0.045
"""When the client has sent its flight, and the server has not got it yet."""


def pair_with(kind: str, client: Retransmission, server: Retransmission, **changes: object) -> Pair:
    """A pair whose sides differ in their patience."""
    ours, theirs = configs(kind, handshake_timeout=LONG, **changes)
    return Pair(replace(ours, retransmission=client), replace(theirs, retransmission=server))


def resent(pair: Pair) -> dict[str, int]:
    """Who sent what again."""
    counted = {
        f"{name} {what}": side.counters[what]
        for name, side in (("client", pair.client), ("server", pair.server))
        for what in ("flights resent", "reminders sent")
    }
    return {what: count for what, count in counted.items() if count}


def sent_since(pair: Pair, number: int, *, to_server: bool) -> list[bytes]:
    return [sent.data for sent in pair.sent[number:] if sent.to_server is to_server]


# --- slow peers and slow links ----------------------------------------------------------------------------


def slow_handshake(rule: Retransmission) -> Pair:
    """Both keys live elsewhere and take 4 s for a signature."""
    pki = small_pki()
    changes = {"retransmission": rule, "handshake_timeout": LONG}
    client = client_config(certificate=CertificateCredential(pki.subscriber.chain), **changes)
    server = server_config(certificate=CertificateCredential(pki.publisher_p256.chain), **changes)
    pair = Pair(client, server)
    keys = {id(pair.client): pki.subscriber.private_key, id(pair.server): pki.publisher_p256.private_key}
    answered = []
    pair.start()
    for _ in range(2):
        asked_at = pair.now
        pair.run(until=asked_at + 4.0)
        pair.now = asked_at + 4.0
        for side in (pair.client, pair.server):
            for event in side.events:
                if isinstance(event, SignatureRequest) and event not in answered:
                    answered.append(event)
                    signature = sign(keys[id(side)], SignatureScheme(event.scheme), event.data)
                    side.association.answer(event, signature, pair.now)
    pair.run(until=20.0)
    assert pair.works()
    return pair


def test_a_peer_that_computes_for_four_seconds_causes_no_repetition_under_rfc_7925():
    pair = slow_handshake(RFC7925)
    assert resent(pair) == {}
    assert pair.now > 8
    assert resent(slow_handshake(RFC6347)), "a second is too short for it"


@EVERY_KIND
def test_an_answer_that_trickles_in_is_waited_for(kind):
    """At 64 bytes a datagram and 0.6 s each a flight takes up to half a minute; the timer is set to 1 s."""
    pair = pair_with(kind, RFC6347, PATIENT, mtu_bytes=64)
    free_at = [0.0]

    def wire(sent):
        if sent.to_server:
            return [(0.0, sent.data)]
        free_at[0] = max(free_at[0] + 0.6, pair.now)
        return [(free_at[0] - pair.now, sent.data)]

    pair.wire = wire
    pair.connect()
    assert resent(pair) == {}


@EVERY_KIND
def test_the_round_trip_is_known_after_the_handshake(kind):
    pair = pair_of(kind)
    assert pair.client.association.round_trip is None
    pair.connect()
    for side in (pair.client, pair.server):
        assert side.association.round_trip == pytest.approx(2 * LATENCY)
    told = pair_of(kind, retransmission=replace(RFC6347, round_trip=0.5))
    assert told.client.association.round_trip == 0.5


# --- reminders --------------------------------------------------------------------------------------------


@EVERY_KIND
def test_a_server_that_lacks_a_part_of_flight_5_says_so_with_the_end_of_flight_4(kind):
    pair = pair_with(kind, PATIENT, RFC6347, mtu_bytes=64)
    lost = []

    def wire(sent):
        is_finished = sent.to_server and sent.records[-1].epoch == 1
        if is_finished and not lost:
            lost.append(sent.number)
            return []
        return [(0.0, sent.data)]

    pair.wire = wire
    pair.connect()
    assert resent(pair) == {"server reminders sent": 1, "client flights resent": 1}
    assert pair.now < 3
    reminder = sent_since(pair, lost[0], to_server=False)[0]
    assert len(reminder) == SERVER_HELLO_DONE_BYTES
    assert pair.works()


@pytest.mark.parametrize("lost", [0, 1], ids=["ChangeCipherSpec", "Finished"])
@EVERY_KIND
def test_a_client_that_lacks_a_part_of_flight_6_asks_for_it_with_its_finished_alone(kind, lost):
    """The server has no timer for its last flight, so there is no reason to wait for it any longer."""
    pair = pair_with(kind, RFC6347, PATIENT, mtu_bytes=64)
    flight_6 = []

    def wire(sent):
        if not sent.to_server and pair.server.association and pair.server.association.established:
            flight_6.append(sent.number)
        return [] if flight_6[lost : lost + 1] == [sent.number] else [(0.0, sent.data)]

    pair.wire = wire
    pair.connect()
    assert resent(pair) == {"client reminders sent": 1, "server flights resent": 1}
    assert [event.data["why"] for event in pair.client.traced("reminder sent")] == ["no answer in time"]
    assert [event.data["why"] for event in pair.server.traced("flight resent")] == [
        "the peer repeated its flight"
    ]
    assert pair.now < 1.2
    (asking,) = sent_since(pair, flight_6[0], to_server=True)
    assert len(asking) == 13 + 24 + 12 + 12
    assert pair.works()


@EVERY_KIND
def test_a_client_that_lacks_a_part_of_flight_4_leaves_it_to_the_server(kind):
    """Both timers are set to the same; the client's is not due before the server's has mended it."""
    lost = []

    def wire(sent):
        is_end = not sent.to_server and sent.records[-1].fragment[0] == HandshakeType.SERVER_HELLO_DONE
        if is_end and not lost:
            lost.append(sent.number)
            return []
        return [(0.0, sent.data)]

    pair = pair_of(kind, wire, mtu_bytes=64).connect()
    assert lost
    assert resent(pair) == {"server flights resent": 1}


@EVERY_KIND
def test_a_server_whose_flight_4_was_lost_repeats_it_when_the_hello_is_repeated(kind):
    pair = pair_with(kind, RFC6347, PATIENT, mtu_bytes=4000)
    pair.wire = lose(3)
    pair.connect()
    assert resent(pair) == {"client flights resent": 1, "server flights resent": 1}
    (event,) = pair.server.traced("flight resent")
    assert event.data["why"] == "the peer repeated its flight"


def test_a_flight_for_which_no_number_is_left_is_not_repeated():
    pair = pair_with("psk", RFC6347, PATIENT)
    pair.wire = lose(3)
    pair.start()
    pair.run(until=0.5)
    pair.server.association._sender._epochs[0].sequence = MAX_SEQUENCE + 1
    pair.run(until=1.5)
    assert pair.server.counters["dropped: flight without a number to resend it under"] == 1
    assert not pair.server.traced("flight resent")


@EVERY_KIND
def test_a_repetition_that_is_older_than_the_answer_is_not_answered(kind):
    pair = pair_with(kind, PATIENT, PATIENT, mtu_bytes=100)
    pair.start()
    pair.run(until=FLIGHT_5_AT)
    (first, *_) = [data for at, _, to_server, data, _ in sorted(pair._travelling) if to_server]
    pair._travelling.clear()
    pair.deliver(first, to_server=True)
    sent = len(pair.sent)
    for forged in repeated_hello(pair, 5):
        pair.now += 0.1
        pair.deliver(forged, to_server=True)
    assert len(pair.sent) == sent


@EVERY_KIND
def test_a_repeated_piece_of_flight_5_asks_for_nothing(kind):
    """It says that flight 4 came through; were it taken for a repetition, flight 4 would be sent again."""
    pair = pair_with(kind, PATIENT, RFC6347, mtu_bytes=64)
    pair.wire = lambda sent: [] if sent.to_server and sent.records[-1].epoch else [(0.0, sent.data)]
    pair.start()
    pair.run(until=2.1)
    assert pair.server.counters["reminders sent"] == 1
    sent = len(pair.sent)
    for datagram in [datagram for datagram in pair.sent if datagram.to_server]:
        pair.now += 0.05
        for record in datagram.records:
            if record.epoch == 0 and record.fragment[0] != HandshakeType.CLIENT_HELLO:
                again = record._replace(sequence=record.sequence + 500)
                pair.deliver(encode_record(*again), to_server=True)
    assert len(pair.sent) == sent


@EVERY_KIND
def test_the_same_piece_again_and_again_is_no_sign_of_life(kind):
    pair = pair_with(kind, PATIENT, RFC6347)
    pair.start()
    pair.run(until=FLIGHT_4_AT)
    deadlines = set()
    for number in range(10):
        pair.now += 0.05
        (again,), _ = split_datagram_untrusted(piece_of(HandshakeType.CERTIFICATE, 3, 100))
        pair.deliver(encode_record(*again._replace(sequence=7000 + number)), to_server=True)
        deadlines.add(pair.server.association.next_deadline())
    assert len(deadlines) == 1


def repeated_hello(pair: Pair, times: int) -> list[bytes]:
    """The client's hello with the cookie again, in records that were never seen."""
    body = b""
    for record in (record for sent in pair.sent if sent.to_server for record in sent.records):
        for fragment in parse_fragments_untrusted(record.fragment) if record.epoch == 0 else ():
            if (fragment.type, fragment.message_seq) == (HandshakeType.CLIENT_HELLO, 1):
                body = body[: fragment.offset] + fragment.data + body[fragment.offset + len(fragment.data) :]
    hello = HandshakeMessage(HandshakeType.CLIENT_HELLO, 1, body).encode()
    return [
        encode_record(ContentType.HANDSHAKE, DTLS_1_2, 0, 1000 + number, hello) for number in range(times)
    ]


# --- patience ---------------------------------------------------------------------------------------------


def test_whatever_is_new_gives_the_retries_back():
    """Flight 5 comes in pieces 2.5 s apart, and the server sends again twice in a row at most."""
    impatient = Retransmission(retries=2, cap=1.0)
    pair = pair_with("rsa", PATIENT, impatient, mtu_bytes=100)
    pieces = [0]

    def wire(sent):
        if sent.to_server and pair.now > 0.03:
            pieces[0] += 1
            return [(2.5 * pieces[0], sent.data)]
        is_reminder = pair.now > 0.1 and len(sent.data) == SERVER_HELLO_DONE_BYTES
        return [] if is_reminder else [(0.0, sent.data)]

    pair.wire = wire
    pair.connect()
    assert pair.now > 30
    assert pair.server.counters["reminders sent"] > 10


@EVERY_KIND
def test_a_peer_that_is_dead_is_found_out_by_the_number_of_retries(kind):
    pair = pair_with(kind, PATIENT, Retransmission(retries=3))
    pair.start()
    pair.run(until=FLIGHT_4_AT)
    pair.wire = lambda sent: []
    pair.client.association.close()
    pair.run()
    assert pair.server.closed.by is ClosedBy.TIMEOUT
    assert pair.now == pytest.approx(0.03 + 1 + 2 + 4 + 8)


# --- forgeries --------------------------------------------------------------------------------------------


def piece_of(kind: HandshakeType, message_seq: int, at: int) -> bytes:
    """A few bytes from the middle of some message."""
    message = HandshakeMessage(kind, message_seq, bytes(9000)).fragment(at, 1)
    return encode_record(ContentType.HANDSHAKE, DTLS_1_2, 0, 5000 + at, message)


@EVERY_KIND
def test_a_forged_piece_of_flight_4_does_not_keep_a_hello_back(kind):
    pair = pair_with(kind, RFC6347, PATIENT)
    pair.start()
    pair.run(until=0.015)
    pair.wire = lambda sent: [] if sent.to_server and pair.now < 0.5 else [(0.0, sent.data)]
    pair.run(until=0.025)
    pair.deliver(piece_of(HandshakeType.SERVER_HELLO, 2, 100), to_server=False)
    pair.run()
    assert pair.works()
    assert pair.now < 10


@EVERY_KIND
def test_a_forged_piece_of_flight_5_does_not_keep_flight_4_back(kind):
    """The reminder comes first; as nothing follows it, the whole flight does."""
    pair = pair_with(kind, PATIENT, RFC6347, mtu_bytes=100)
    pair.start()
    pair.run(until=FLIGHT_4_AT)
    pair._travelling.clear()
    pair.deliver(piece_of(HandshakeType.CERTIFICATE, 3, 100), to_server=True)
    pair.run()
    assert pair.server.counters["reminders sent"] == 1
    assert pair.server.counters["flights resent"] == 1
    assert pair.works()
    assert pair.now < 10


@EVERY_KIND
def test_a_forged_piece_of_flight_6_does_not_keep_flight_5_back(kind):
    pair = pair_with(kind, RFC6347, PATIENT, mtu_bytes=100)
    pair.start()
    pair.run(until=FLIGHT_5_AT)
    pair._travelling.clear()
    pair.deliver(encode_record(ContentType.HANDSHAKE, DTLS_1_2, 1, 77, bytes(40)), to_server=False)
    pair.run()
    assert pair.client.counters["reminders sent"] == 1
    assert pair.client.counters["flights resent"] == 1
    assert pair.works()
    assert pair.now < 10


@EVERY_KIND
def test_who_forges_pieces_gets_fewer_bytes_out_of_a_server_than_he_puts_in(kind):
    pair = pair_of(kind, handshake_timeout=60.0)
    pair.start()
    pair.run(until=FLIGHT_4_AT)
    pair.wire = lambda sent: []
    pair.client.association.close()
    before, put_in = len(pair.sent), 0
    for number in range(600):
        forged = piece_of(HandshakeType.CERTIFICATE, 3, 100 + number)
        put_in += len(forged)
        pair.deliver(forged, to_server=True)
        pair.now += 0.1
        pair.server.association.handle_timer(pair.now)
        pair.drain(pair.server)
    assert sum(map(len, sent_since(pair, before, to_server=False))) < put_in / 10
    pair.run()
    assert pair.server.closed.by is ClosedBy.TIMEOUT
    assert pair.now < 62


@pytest.mark.parametrize("repeats", [0, 3])
@EVERY_KIND
def test_forged_repetitions_get_no_more_bytes_out_of_a_server_than_was_configured(kind, repeats):
    rule = Retransmission(retries=4, repeats=repeats)
    pair = pair_of(kind, handshake_timeout=LONG, retransmission=rule)
    pair.start()
    pair.run(until=FLIGHT_4_AT)
    pair.wire = lambda sent: []
    flight_4 = sum(map(len, sent_since(pair, 2, to_server=False)))
    pair.client.association.close()
    forgeries = iter(repeated_hello(pair, 3000))
    while not pair.server.closed:
        pair.deliver(next(forgeries), to_server=True)
        pair.now += 1.0
        pair.server.association.handle_timer(pair.now)
        pair.drain(pair.server)
    sent = sum(map(len, sent_since(pair, 2, to_server=False)))
    # Smaller datagrams have more headers, hence the fifth on top.
    assert sent <= (1 + rule.repeats) * (1 + rule.retries) * flight_4 * 1.2
    assert pair.server.closed.by is ClosedBy.TIMEOUT
