"""Application data: authenticated, once, and only while the association is open."""

from __future__ import annotations

import pytest
from dtls_cases import KINDS, pair_of, say_protected, set_next_sequence
from dtls_wires import meanwhile

from twoway.dtls.epochs import MAX_DATA_SEQUENCE, NumbersUsedUp
from twoway.dtls.record import DTLS_1_2, MAX_PLAINTEXT_BYTES, MAX_SEQUENCE, ContentType, encode_record
from twoway.dtls.replay import WINDOW_RECORDS
from twoway.errors import CallerError

EVERY_KIND = pytest.mark.parametrize("kind", KINDS)
TO_SERVER = pytest.mark.parametrize("to_server", [True, False])


def receiver(pair, to_server):
    return pair.server if to_server else pair.client


def sender(pair, to_server):
    return pair.client if to_server else pair.server


@EVERY_KIND
@TO_SERVER
def test_a_replayed_record_is_dropped(kind, to_server):
    pair = pair_of(kind).connect()
    sender(pair, to_server).send(b"once")
    pair.run()
    record = pair.sent[-1].data
    for _ in range(3):
        pair.deliver(record, to_server=to_server)
    assert receiver(pair, to_server).received == [b"once"]
    assert receiver(pair, to_server).counters["dropped: replayed"] == 3


@EVERY_KIND
def test_records_may_come_in_any_order_within_the_window(kind):
    pair = pair_of(kind).connect()
    pair.wire = lambda sent: []
    for number in range(WINDOW_RECORDS + 1):
        pair.client.send(b"%d" % number)
    pair.drain(pair.client)
    for datagram in reversed(pair.sent[-WINDOW_RECORDS - 1 :]):
        pair.deliver(datagram.data, to_server=True)
    expected = [b"%d" % number for number in reversed(range(1, WINDOW_RECORDS + 1))]
    assert pair.server.received == expected, "the one that fell out of the window is dropped"


@EVERY_KIND
@TO_SERVER
def test_a_forged_record_is_dropped_and_does_not_move_the_window(kind, to_server):
    pair = pair_of(kind).connect()
    for sequence in (1, 2, 5000, MAX_SEQUENCE):
        pair.deliver(
            encode_record(ContentType.APPLICATION_DATA, DTLS_1_2, 1, sequence, bytes(60)), to_server=to_server
        )
    assert receiver(pair, to_server).counters["dropped: not authentic"] == 4
    assert receiver(pair, to_server).received == []
    assert pair.works()


@EVERY_KIND
@TO_SERVER
@pytest.mark.parametrize("epoch", [0, 2, 3, 0xFFFF])
def test_a_record_of_another_epoch_is_dropped(kind, to_server, epoch):
    pair = pair_of(kind).connect()
    sender(pair, to_server).send(b"data")
    pair.wire = lambda sent: []
    pair.drain(sender(pair, to_server))
    record = pair.sent[-1].records[0]._replace(epoch=epoch, sequence=77)
    pair.deliver(encode_record(*record), to_server=to_server)
    why = "unprotected data" if epoch == 0 else "wrong epoch"
    assert receiver(pair, to_server).counters[f"dropped: {why}"] == 1
    assert receiver(pair, to_server).received == []


@EVERY_KIND
@TO_SERVER
@pytest.mark.parametrize("version", [0xFEFF, 0xFEFC, 0xFE00])
def test_a_protected_record_of_another_version_is_dropped_unread(kind, to_server, version):
    pair = pair_of(kind).connect()
    sender(pair, to_server).send(b"data")
    pair.wire = lambda sent: []
    pair.drain(sender(pair, to_server))
    record = pair.sent[-1].records[0]._replace(version=version)
    pair.deliver(encode_record(*record), to_server=to_server)
    assert receiver(pair, to_server).counters["dropped: wrong version"] == 1


@EVERY_KIND
@TO_SERVER
@pytest.mark.parametrize("type_", [0, 19, 24, 26, 255])
def test_an_authentic_record_of_a_type_that_we_do_not_know_is_dropped(kind, to_server, type_):
    pair = pair_of(kind).connect()
    say_protected(sender(pair, to_server), type_, b"data")
    pair.run()
    assert receiver(pair, to_server).counters["dropped: unknown content type"] == 1
    assert pair.works()


# --- before its time --------------------------------------------------------------------------------------


@EVERY_KIND
@TO_SERVER
def test_unprotected_data_is_dropped_in_every_state(kind, to_server):
    """A hello, a flight later, and when all is done: what has no keys is nobody's."""
    for at in range(len(pair_of(kind).connect().sent)):
        pair = pair_of(kind)
        data = encode_record(ContentType.APPLICATION_DATA, DTLS_1_2, 0, 60, b"hello")
        pair.wire = meanwhile(at, lambda pair=pair, data=data: pair.deliver(data, to_server=to_server))
        pair.connect()
        assert receiver(pair, to_server).received == []
        assert pair.works()


@EVERY_KIND
def test_data_that_overtakes_the_servers_finished_is_not_delivered_unauthenticated(kind):
    """The client holds what comes under keys that it may not use yet, and drops data from before Finished."""
    pair = pair_of(kind)
    held = []

    def wire(sent):
        if not sent.to_server and sent.records[-1].epoch == 1 and sent.records[-1].type != 23:
            held.append(sent.data)
            return []
        return [(0.0, sent.data)]

    pair.wire = wire
    pair.start()
    pair.run(until=0.5)
    assert pair.server.connected
    assert not pair.client.connected
    pair.server.send(b"too early")
    pair.run(until=0.6)
    assert pair.client.received == []
    pair.deliver(held[0], to_server=False)
    assert pair.client.connected
    pair.wire = lambda sent: [(0.0, sent.data)]
    assert pair.works()


def test_a_servers_data_in_front_of_its_finished_is_dropped():
    """The keys are right and yet nobody was authenticated: Finished is still due."""
    pair = pair_of("psk")
    pair.wire = lambda sent: [] if not sent.to_server and sent.number > 4 else [(0.0, sent.data)]
    pair.start()
    pair.run(until=0.5)
    pair.server.send(b"early")
    pair.wire = lambda sent: []
    pair.drain(pair.server)
    change = encode_record(ContentType.CHANGE_CIPHER_SPEC, DTLS_1_2, 0, 80, b"\x01")
    pair.deliver(change, to_server=False)
    pair.deliver(pair.sent[-1].data, to_server=False)
    assert pair.client.received == []
    assert pair.client.counters["dropped: data before Finished"] == 1


# --- what a caller may do ---------------------------------------------------------------------------------


def test_sending_before_connected_is_the_callers_error():
    pair = pair_of("psk")
    for _ in range(2):
        with pytest.raises(CallerError, match="not connected"):
            pair.client.send(b"data")
        pair.start() if not pair.sent else None
    pair.run(until=0.035)
    with pytest.raises(CallerError, match="not connected"):
        pair.server.send(b"data")


def test_the_largest_record_is_sent_and_a_larger_one_refused():
    pair = pair_of("psk").connect()
    pair.client.send(bytes(MAX_PLAINTEXT_BYTES))
    with pytest.raises(CallerError, match="16384"):
        pair.client.send(bytes(MAX_PLAINTEXT_BYTES + 1))
    pair.run()
    assert pair.server.received == [bytes(MAX_PLAINTEXT_BYTES)]


@EVERY_KIND
def test_when_the_numbers_are_used_up_sending_is_refused_and_closing_still_possible(kind):
    pair = pair_of(kind).connect()
    set_next_sequence(pair.client, MAX_DATA_SEQUENCE)
    pair.client.send(b"the last one")
    with pytest.raises(NumbersUsedUp, match="sequence numbers are used up; connect again"):
        pair.client.send(b"one too many")
    pair.run()
    assert pair.server.received == [b"the last one"]
    pair.client.association.close()
    pair.run()
    assert pair.server.closed


def test_no_record_ever_repeats_a_number():
    """A repeated number would repeat a nonce; retransmissions take new ones, too."""
    pair = pair_of("p-256", lambda sent: [] if sent.number % 3 == 0 else [(0.0, sent.data)]).connect()
    pair.works()
    pair.client.association.close()
    pair.run()
    for to_server in (True, False):
        numbers = [
            (record.epoch, record.sequence)
            for sent in pair.sent
            if sent.to_server is to_server
            for record in sent.records
        ]
        cookie_exchange = 2  # RFC 6347 section 4.2.1: HelloVerifyRequest and ServerHello echo the client's
        assert len(numbers) - len(set(numbers)) <= (0 if to_server else cookie_exchange)
        protected = [number for number in numbers if number[0]]
        assert len(protected) == len(set(protected))
