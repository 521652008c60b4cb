"""Timers: doubling, bounded, and quiet when there is nothing to wait for."""

from __future__ import annotations

import pytest
from dtls_cases import KINDS, configs, pair_of
from dtls_pair import LATENCY, Pair
from dtls_wires import silence_from

from twoway.dtls import ClosedBy, Retransmission
from twoway.dtls.messages.handshake import HandshakeMessage, parse_fragments_untrusted
from twoway.dtls.record import encode_record
from twoway.errors import CallerError

EVERY_KIND = pytest.mark.parametrize("kind", KINDS)


def hello_times(pair) -> list[float]:
    """When the client sent its datagrams, until it gave up."""
    times = []

    def wire(sent):
        if sent.to_server:
            times.append(round(pair.now, 3))
        return []

    pair.wire = wire
    pair.start()
    pair.run()
    return times


def test_a_client_that_nobody_answers_doubles_its_patience_and_gives_up():
    pair = pair_of("p-256", handshake_timeout=1000.0, retransmission=Retransmission(retries=6))
    assert hello_times(pair) == [0, 1, 3, 7, 15, 31, 63]
    assert pair.client.closed.by is ClosedBy.TIMEOUT
    assert pair.client.closed.alert is None
    assert pair.client.closed.reason
    assert pair.now == 63 + 60, "the seventh timeout would be 64 s, but the maximum is 60 s"


def test_the_maximum_ends_the_doubling():
    pair = pair_of("psk", retransmission=Retransmission(initial=0.5, cap=1.5, retries=4))
    assert hello_times(pair) == [0, 0.5, 1.5, 3.0, 4.5]
    assert pair.now == 6.0


def test_without_retries_one_flight_is_all():
    pair = pair_of("psk", retransmission=Retransmission(retries=0))
    assert hello_times(pair) == [0]
    assert pair.now == 1.0


def test_the_whole_handshake_has_a_timeout_of_its_own():
    pair = pair_of("psk", handshake_timeout=10.0)
    assert hello_times(pair) == [0, 1, 3, 7]
    assert pair.now == 10.0
    assert pair.client.closed.by is ClosedBy.TIMEOUT


@EVERY_KIND
def test_a_server_whose_client_vanishes_gives_up_as_well(kind):
    pair = pair_of(kind, handshake_timeout=1000.0, retransmission=Retransmission(retries=6))
    pair.start()
    pair.run(until=0.035)
    pair.wire = lambda sent: []
    pair.client.association.close()
    pair.run()
    assert pair.server.closed.by is ClosedBy.TIMEOUT
    assert pair.server.counters["flights resent"] == 6
    assert pair.server.association.next_deadline() is None


@EVERY_KIND
def test_no_number_of_retries_prolongs_the_handshake(kind):
    pair = pair_of(kind, handshake_timeout=5.0, retransmission=Retransmission(retries=100, cap=1.0))
    pair.start()
    pair.run(until=0.035)
    pair.wire = silence_from(side_is_server=False)
    pair.run()
    assert pair.client.closed.by is pair.server.closed.by is ClosedBy.TIMEOUT
    assert 5.0 <= pair.now <= 5.1


@EVERY_KIND
def test_a_repeated_final_flight_is_answered_once_a_repetition(kind):
    """Flight 6 is lost again and again; each time that flight 5 comes again, the server repeats it."""
    lost = []

    def wire(sent):
        is_flight_6 = not sent.to_server and sent.records[-1].epoch == 1
        if is_flight_6 and len(lost) < 3:
            lost.append(pair.now)
            return []
        return [(0.0, sent.data)]

    pair = pair_of(kind)
    pair.wire = wire
    pair.connect()
    assert len(lost) == 3
    assert pair.client.counters["flights resent"] == 3
    assert pair.server.counters["flights resent"] == 3
    whys = [event.data["why"] for event in pair.server.traced("flight resent")]
    assert whys == ["the peer repeated its flight"] * 3
    assert pair.now == pytest.approx(7 + lost[0] - 1 * LATENCY, abs=0.1)
    assert pair.works()


@EVERY_KIND
def test_a_server_never_repeats_its_final_flight_of_itself(kind):
    pair = pair_of(kind)
    pair.wire = lambda sent: [] if not sent.to_server and sent.records[-1].epoch == 1 else [(0.0, sent.data)]
    pair.start()
    pair.run(until=0.5)
    assert pair.server.connected
    assert pair.server.association.next_deadline() is None
    pair.wire = lambda sent: []
    before = len([sent for sent in pair.sent if not sent.to_server])
    pair.run(until=300)
    assert len([sent for sent in pair.sent if not sent.to_server]) == before


@EVERY_KIND
def test_replayed_repetitions_of_the_final_flight_are_not_answered(kind):
    pair = pair_of(kind).connect()
    flight_5 = [sent.data for sent in pair.sent if sent.to_server]
    sent = len(pair.sent)
    for data in flight_5 * 5:
        pair.deliver(data, to_server=True)
    assert len(pair.sent) == sent
    assert pair.server.counters["flights resent"] == 0


@EVERY_KIND
def test_a_client_that_is_connected_answers_no_repetition(kind):
    pair = pair_of(kind).connect()
    sent = len(pair.sent)
    pair.server.association._sender.resend()  # As if flight 5 had come again.
    pair.run()
    assert len(pair.sent) == sent + 1
    assert pair.works()


@EVERY_KIND
def test_only_the_side_that_spoke_last_keeps_its_flight(kind):
    pair = pair_of(kind).connect()
    assert not pair.client.association._sender.has_flight
    assert pair.server.association._sender.has_flight


@EVERY_KIND
def test_forged_repetitions_cannot_make_a_server_send_without_end(kind):
    """Before Finished anybody can repeat a hello with a new record number; each answer spends a repeat."""
    pair = pair_of(kind, mtu_bytes=256)
    pair.start()
    pair.run(until=0.035)
    pair.wire = lambda sent: []
    hello = [sent for sent in pair.sent if sent.to_server][1].records[0]
    sent = len(pair.sent)
    flight_4 = len([datagram for datagram in pair.sent if not datagram.to_server]) - 1
    for sequence in range(10, 60):
        pair.now += 0.01
        pair.deliver(encode_record(*hello._replace(sequence=sequence)), to_server=True)
    assert len(pair.sent) - sent == 6 * flight_4


@EVERY_KIND
def test_only_the_end_of_a_repeated_flight_is_answered(kind):
    """At a small MTU flight 4 is many datagrams. Flight 5 is lost, the server repeats flight 4 (its timer is
    the shorter one), and the client answers that once."""
    client, _ = configs(kind, mtu_bytes=180, retransmission=Retransmission(initial=30.0))
    _, server = configs(kind, mtu_bytes=180)
    pair = Pair(client, server)
    pair.wire = lambda sent: (
        [] if sent.to_server and pair.now > 0.035 and pair.now < 0.5 else [(0.0, sent.data)]
    )
    pair.connect()
    assert pair.server.counters["flights resent"] == 1
    assert pair.client.counters["flights resent"] == 1
    assert pair.now < 2
    assert pair.works()


@EVERY_KIND
def test_a_repeated_message_in_fragments_is_one_repetition(kind):
    """Its end stands for it: were each piece taken for a repetition, each would be answered."""
    pair = pair_of(kind)
    pair.start()
    pair.run(until=0.035)
    pair.wire = lambda sent: []
    record = [sent for sent in pair.sent if sent.to_server][1].records[0]
    (hello,) = parse_fragments_untrusted(record.fragment)
    message = HandshakeMessage(hello.type, hello.message_seq, hello.data)
    pair.now += 0.1
    for sequence, start in enumerate(range(0, len(hello.data), 20), 10):
        piece = message.fragment(start, min(20, len(hello.data) - start))
        pair.deliver(encode_record(*record._replace(sequence=sequence, fragment=piece)), to_server=True)
    assert pair.server.counters["flights resent"] == 1


@EVERY_KIND
def test_when_connected_there_is_nothing_to_wait_for(kind):
    pair = pair_of(kind).connect()
    for side in (pair.client, pair.server):
        assert side.association.next_deadline() is None
        side.association.handle_timer(10**9)
        assert not side.closed
    assert pair.works()


def test_a_timer_that_fires_too_early_does_nothing():
    pair = pair_of("psk")
    pair.start()
    for now in (0.0, 0.5, 0.999):
        pair.client.association.handle_timer(now)
    pair.drain(pair.client)
    assert len(pair.sent) == 1
    assert pair.client.association.next_deadline() == 1.0


def test_before_the_start_there_is_no_deadline_and_a_second_start_is_the_callers_error():
    pair = pair_of("psk")
    assert pair.client.association.next_deadline() is None
    pair.client.association.handle_timer(5.0)
    assert pair.client.association.datagrams_to_send() == []
    pair.start()
    with pytest.raises(CallerError, match="once"):
        pair.client.association.start(1.0)


def test_a_second_request_for_a_cookie_is_no_repetition():
    """It answers a first hello that was sent twice: the gate repeats nothing by itself."""
    pair = pair_of("psk")
    pair.start()
    pair.run(until=0.025)
    request = pair.sent[1].records[0]
    sent = len(pair.sent)
    pair.now += 0.5
    pair.deliver(encode_record(*request._replace(sequence=request.sequence + 7)), to_server=False)
    assert len(pair.sent) == sent
