"""Links of 64 bytes and more: everything fits, everything comes through, and nobody runs out of patience."""

from __future__ import annotations

from dataclasses import replace

import pytest
from dtls_cases import KINDS, configs, datagrams, pair_of
from dtls_pair import Pair, everything
from dtls_wires import duplicate, lose, lossy, reverse_flights

from twoway.dtls import RFC6347, AlertDescription, ClosedBy, DTLSConfig, HandshakeFailure, HandshakeKind
from twoway.dtls.config import MIN_MTU_BYTES
from twoway.dtls.flights import smallest_mtu_bytes
from twoway.dtls.record import HEADER_BYTES, ContentType, encode_record
from twoway.dtls.sending import SMALLER_DATAGRAMS_BYTES, Sender

EVERY_KIND = pytest.mark.parametrize("kind", KINDS)
MTUS = [64, 65, 100, 128, 150, 256]


@pytest.mark.parametrize("mtu", MTUS)
@EVERY_KIND
def test_a_handshake_keeps_to_the_mtu_and_needs_no_repetition(kind, mtu):
    pair = pair_of(kind, mtu_bytes=mtu).connect()
    assert max(len(sent.data) for sent in pair.sent) <= mtu
    assert not pair.client.counters["flights resent"] + pair.server.counters["flights resent"]
    assert pair.works()


@pytest.mark.parametrize(("ours", "theirs"), [(64, 1200), (1200, 64), (65, 150)])
@EVERY_KIND
def test_each_direction_has_an_mtu_of_its_own(kind, ours, theirs):
    client, server = configs(kind)
    pair = Pair(replace(client, mtu_bytes=ours), replace(server, mtu_bytes=theirs)).connect()
    assert max(len(sent.data) for sent in pair.sent if sent.to_server) <= ours
    # The gate answers without a configuration: 60 bytes, which is below any MTU.
    assert max(len(sent.data) for sent in pair.sent if not sent.to_server) <= theirs
    assert pair.works()


def test_a_request_for_a_cookie_fits_the_smallest_datagram():
    pair = pair_of("psk", mtu_bytes=MIN_MTU_BYTES).connect()
    requests = [sent for sent in pair.sent if not sent.to_server and sent.records[0].fragment[0] == 3]
    assert [len(sent.data) for sent in requests] == [60]


@EVERY_KIND
def test_the_loss_of_any_datagram_of_64_bytes_is_mended(kind):
    for number in range(datagrams(kind, mtu_bytes=64)):
        pair = pair_of(kind, lose(number), mtu_bytes=64).connect()
        assert pair.works(), number
        assert pair.now < 3, "one timeout mends one loss"


@EVERY_KIND
def test_pieces_that_come_twice_or_backwards_cost_nothing(kind):
    assert pair_of(kind, duplicate(*range(500)), mtu_bytes=64).connect().works()
    patient = replace(RFC6347, initial=2.0)
    pair = pair_of(kind, reverse_flights(), mtu_bytes=64, retransmission=patient).connect()
    assert pair.works()
    assert not pair.client.counters["flights resent"] + pair.server.counters["flights resent"]


@pytest.mark.parametrize(("kind", "mtu"), [("rsa", 100), ("p-256", 64), ("psk", 64)])
def test_half_of_all_datagrams_may_be_lost(kind, mtu):
    """What it takes is time. 200 seeds of each kind succeed under every preset; 20 are tried here."""
    for seed in range(20):
        pair = pair_of(kind, lossy(0.5, seed), seed=seed, mtu_bytes=mtu, handshake_timeout=10_000.0)
        pair.start()
        pair.run(until=10_000.0)
        assert pair.client.connected, (seed, pair.client.events)
        assert pair.server.connected, (seed, pair.server.events)


# --- what is too small ------------------------------------------------------------------------------------


def test_the_smallest_mtu_has_room_for_every_suite_of_aead_to_spare():
    assert smallest_mtu_bytes(0) == 13 + 12 + 1
    assert smallest_mtu_bytes(8 + 16) == 50 < MIN_MTU_BYTES


class Bulky:
    """Protection that takes more room than the MTU leaves."""

    overhead_bytes = MIN_MTU_BYTES - HEADER_BYTES - 12


def test_keys_that_leave_no_room_end_the_handshake_with_a_plain_sentence(monkeypatch):
    pair = pair_of("psk", mtu_bytes=MIN_MTU_BYTES)
    install_keys, clients = Sender.install_keys, pair.client.association._sender
    monkeypatch.setattr(
        Sender,
        "install_keys",
        lambda sender, protection, connection_id: install_keys(
            sender, Bulky() if sender is clients else protection, connection_id
        ),
    )
    pair.start()
    pair.run()
    assert pair.client.closed.by is ClosedBy.US
    assert pair.client.closed.alert is AlertDescription.INTERNAL_ERROR
    assert "the MTU is 64 bytes, and what was negotiated takes at least 65" in pair.client.closed.reason
    assert pair.server.closed.by is ClosedBy.PEER


def test_keys_that_leave_room_for_a_single_byte_will_do():
    config = DTLSConfig(psk_lookup={}.get, mtu_bytes=65)
    sender = Sender(config, None, first_sequence=0, version=0xFEFD)
    sender.install_keys(Bulky(), b"")
    with pytest.raises(HandshakeFailure, match="with 4 bytes of connection ID, takes at least 70"):
        sender.install_keys(Bulky(), b"abcd")


@EVERY_KIND
def test_how_long_a_record_will_be_is_known_before_it_is_made(kind):
    sender = pair_of(kind, connection_id_bytes=3).connect().server.association._sender
    sender.collect()
    sender.send(ContentType.APPLICATION_DATA, b"12345")
    assert [len(datagram) for datagram in sender.collect()] == [sender.record_bytes(5)]


# --- datagrams that shrink --------------------------------------------------------------------------------


def narrow(limit: int):
    """A path that swallows what is larger, and says nothing."""
    return lambda sent: [(0.0, sent.data)] if len(sent.data) <= limit else []


@pytest.mark.parametrize("limit", [1000, 508, 300, 256])
@pytest.mark.parametrize("kind", ["p-256", "rsa"])
def test_a_path_that_swallows_large_datagrams_is_crossed_by_smaller_ones(kind, limit):
    pair = pair_of(kind, narrow(limit), mtu_bytes=1400, handshake_timeout=200.0).connect()
    assert pair.works()


@EVERY_KIND
def test_a_hello_is_whole_in_the_smallest_datagram_that_we_shrink_to(kind):
    """Many servers keep nothing for an unverified address, not even a piece of its hello."""
    pair = pair_of(kind, record_size_limit=64, admit=frozenset(HandshakeKind)).connect()
    hellos = [sent.data for sent in pair.sent if sent.to_server][:2]
    assert max(map(len, hellos)) <= SMALLER_DATAGRAMS_BYTES[-1]


def test_datagrams_shrink_after_each_two_retransmissions_without_an_answer_and_stop_at_the_floor():
    pair = pair_of("rsa", mtu_bytes=1400, handshake_timeout=400.0)
    pair.start()
    pair.run(until=0.035)
    sizes: dict[float, int] = {}

    def wire(sent):
        if not sent.to_server:
            sizes[round(pair.now, 2)] = max(sizes.get(round(pair.now, 2), 0), len(sent.data))
        return []

    pair.wire = wire
    pair.client.association.close()
    pair.run()
    largest = list(sizes.values())
    assert [size > 508 for size in largest[:3]] == [True, True, False]
    assert [256 < size <= 508 for size in largest[2:4]] == [True, True]
    assert all(size <= 256 for size in largest[4:])
    assert len(largest) > 8


@EVERY_KIND
def test_how_long_a_flights_datagrams_will_be_is_known_before_they_are_made(kind):
    sender = pair_of(kind).connect().server.association._sender
    expected = [sum(map(sender._wire_bytes, pieces)) for pieces in sender._packed(sender._flight)]
    sender._transmit(sender._flight)
    assert [len(datagram) for datagram in sender.collect()] == expected


@pytest.mark.parametrize("mtu", [64, 100, 256])
def test_datagrams_that_are_small_already_stay_as_they_are(mtu):
    pair = pair_of("rsa", mtu_bytes=mtu, handshake_timeout=400.0)
    pair.wire = lambda sent: []
    pair.start()
    pair.run()
    assert pair.client.association._sender._mtu_bytes == mtu


def test_a_small_flight_that_stays_unanswered_says_nothing_about_size():
    """A hello that nobody answers is no reason to cut the certificates that follow it."""
    pair = pair_of("rsa", mtu_bytes=1400, handshake_timeout=400.0)
    pair.wire = lambda sent: [] if pair.now < 10 else everything(sent)
    pair.connect()
    assert pair.client.association._sender._mtu_bytes == 1400
    assert max(len(sent.data) for sent in pair.sent) > SMALLER_DATAGRAMS_BYTES[0]


def test_within_a_handshake_datagrams_do_not_grow_again():
    """Not even when the flight has come through and is answered."""
    pair = pair_of("rsa", mtu_bytes=1400, handshake_timeout=200.0)
    sizes = {True: [1400], False: [1400]}

    def wire(sent):
        side = pair.client if sent.to_server else pair.server
        if side.association:
            sizes[sent.to_server].append(side.association._sender._mtu_bytes)
        return narrow(508)(sent)

    pair.wire = wire
    pair.connect()
    for of_one_side in sizes.values():
        assert of_one_side[-1] < 1400
        assert of_one_side == sorted(of_one_side, reverse=True)


def test_forged_repetitions_make_datagrams_no_smaller_than_the_floor():
    pair = pair_of("rsa", mtu_bytes=1400)
    pair.start()
    pair.run(until=0.035)
    pair.wire = lambda sent: []
    hello = [sent for sent in pair.sent if sent.to_server][1].records[0]
    for sequence in range(10, 60):
        pair.now += 0.01
        pair.deliver(encode_record(*hello._replace(sequence=sequence)), to_server=True)
    assert pair.server.association._sender._mtu_bytes == SMALLER_DATAGRAMS_BYTES[-1]
