"""Sequence numbers, epochs and the replay window, at every distance and at their ends."""

from __future__ import annotations

import pytest
from dtls_cases import KINDS, pair_of, set_next_sequence
from dtls_pair import Pair, everything

from twoway.dtls.epochs import NumbersUsedUp
from twoway.dtls.record import HEADER_BYTES, MAX_SEQUENCE, encode_record
from twoway.dtls.replay import WINDOW_RECORDS

EVERY_KIND = pytest.mark.parametrize("kind", KINDS)
TO_SERVER = pytest.mark.parametrize("to_server", [True, False])
RECORDS = 3 * WINDOW_RECORDS


def sides(pair: Pair, to_server: bool):
    return (pair.client, pair.server) if to_server else (pair.server, pair.client)


def kept_back(pair: Pair, to_server: bool, count: int) -> list[bytes]:
    """So many datagrams with data that have been sent and not arrived."""
    sender, _ = sides(pair, to_server)
    pair.wire = lambda sent: []
    for number in range(count):
        sender.send(b"%d" % number)
    pair.drain(sender)
    pair.wire = everything
    return [sent.data for sent in pair.sent[-count:]]


@EVERY_KIND
@TO_SERVER
def test_a_record_that_was_taken_is_never_taken_again_at_whatever_distance(kind, to_server):
    pair = pair_of(kind).connect()
    _, receiver = sides(pair, to_server)
    datagrams = kept_back(pair, to_server, RECORDS)
    for count, datagram in enumerate(datagrams, start=1):
        pair.deliver(datagram, to_server=to_server)
        for earlier in datagrams[:count]:
            pair.deliver(earlier, to_server=to_server)
    assert receiver.received == [b"%d" % number for number in range(RECORDS)]
    assert receiver.counters["dropped: replayed"] == RECORDS * (RECORDS + 1) // 2


@EVERY_KIND
@TO_SERVER
@pytest.mark.parametrize(
    "jump", [1, WINDOW_RECORDS - 1, WINDOW_RECORDS, WINDOW_RECORDS + 1, 10 * WINDOW_RECORDS]
)
def test_behind_a_jump_only_what_lies_in_the_window_is_taken_and_only_once(kind, to_server, jump):
    pair = pair_of(kind).connect()
    _, receiver = sides(pair, to_server)
    datagrams = kept_back(pair, to_server, jump + 1)
    for _ in range(2):
        for datagram in reversed(datagrams):
            pair.deliver(datagram, to_server=to_server)
    oldest = max(0, jump + 1 - WINDOW_RECORDS)
    assert receiver.received == [b"%d" % number for number in range(jump, oldest - 1, -1)]


@EVERY_KIND
@TO_SERVER
def test_the_last_number_of_all_is_taken_once_and_there_is_none_behind_it(kind, to_server):
    """RFC 6347 section 4.1: a sequence number must not wrap. 2^48 would be 0 again, under the same keys."""
    pair = pair_of(kind).connect()
    sender, receiver = sides(pair, to_server)
    set_next_sequence(sender, MAX_SEQUENCE)
    write = sender.association._sender._epochs[1]
    last = write.encode(23, 0xFEFD, b"the last")
    for _ in range(2):
        pair.deliver(last, to_server=to_server)
    assert receiver.received == [b"the last"]
    assert receiver.counters["dropped: replayed"] == 1
    with pytest.raises(NumbersUsedUp):
        write.encode(23, 0xFEFD, b"one too many")


@EVERY_KIND
@TO_SERVER
@pytest.mark.parametrize("epoch", [0, 2, 255, 256, 65534, 65535])
def test_a_record_moved_to_another_epoch_is_not_taken_before_or_after_the_handshake(kind, to_server, epoch):
    pair = pair_of(kind).connect()
    _, receiver = sides(pair, to_server)
    (data,) = kept_back(pair, to_server, 1)
    moved = data[:3] + epoch.to_bytes(2, "big") + data[5:]
    pair.deliver(moved, to_server=to_server)
    assert not receiver.received
    pair.deliver(data, to_server=to_server)
    assert receiver.received == [b"0"], "the number was not used up by the forgery"

    fresh = pair_of(kind)
    fresh.start()
    fresh.deliver(moved, to_server=False)
    assert fresh.client.counters[f"dropped: {'wrong epoch' if epoch else 'unprotected data'}"] == 1
    fresh.run()
    assert fresh.works()


@EVERY_KIND
@TO_SERVER
def test_each_field_of_a_protected_record_is_authenticated(kind, to_server):
    """Type, version, epoch, number, length, every byte of the content: one flipped bit is too many."""
    pair = pair_of(kind).connect()
    _, receiver = sides(pair, to_server)
    (data,) = kept_back(pair, to_server, 1)
    assert len(data) > HEADER_BYTES
    for byte in range(len(data)):
        for bit in range(8):
            flipped = data[:byte] + bytes([data[byte] ^ 1 << bit]) + data[byte + 1 :]
            pair.deliver(flipped, to_server=to_server)
    assert not receiver.received
    assert not receiver.closed
    pair.deliver(data, to_server=to_server)
    assert receiver.received == [b"0"]


def test_a_number_is_never_reused_after_a_forged_one_came():
    """What somebody writes into a header has no say in the numbers that we send."""
    pair = pair_of("psk").connect()
    pair.deliver(encode_record(23, 0xFEFD, 1, MAX_SEQUENCE, bytes(40)), to_server=True)
    before = pair.server.association._sender._epochs[1].sequence
    pair.server.send(b"next")
    pair.run()
    assert pair.sent[-1].records[0].sequence == before
