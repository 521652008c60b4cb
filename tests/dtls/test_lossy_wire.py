"""Loss, repetition and reordering: the handshake succeeds, for that is what retransmission is for."""

from __future__ import annotations

import pytest
from dtls_cases import KINDS, datagrams, pair_of
from dtls_wires import delay, duplicate, lose, lossy, reverse_flights

from twoway.dtls import Retransmission

CASES = [(kind, mtu) for kind in KINDS for mtu in (1200, 256)]
EVERY = pytest.mark.parametrize(("kind", "mtu"), CASES)


@EVERY
def test_the_loss_of_any_single_datagram_is_mended(kind, mtu):
    for number in range(datagrams(kind, mtu_bytes=mtu)):
        pair = pair_of(kind, lose(number), mtu_bytes=mtu).connect()
        assert pair.works(), number
        assert pair.now < 3, "one timeout mends one loss"


@EVERY
def test_the_loss_of_any_two_neighbours_is_mended(kind, mtu):
    for number in range(datagrams(kind, mtu_bytes=mtu)):
        assert pair_of(kind, lose(number, number + 1), mtu_bytes=mtu).connect().works(), number


@pytest.mark.parametrize("later", [0.0, 0.015, 0.5])
@EVERY
def test_a_repeated_datagram_changes_nothing(kind, mtu, later):
    count = datagrams(kind, mtu_bytes=mtu)
    for number in range(count):
        pair = pair_of(kind, duplicate(number, delay=later), mtu_bytes=mtu).connect()
        assert pair.works(), number
        handshake = len(pair.sent) - 2
        assert handshake <= count + 1, "at most a repeated first hello is answered again"


@EVERY
def test_everything_repeated_is_no_storm(kind, mtu):
    count = datagrams(kind, mtu_bytes=mtu)
    pair = pair_of(kind, duplicate(*range(500)), mtu_bytes=mtu).connect()
    assert pair.works()
    assert len(pair.sent) <= count + 8


@EVERY
def test_any_two_neighbours_may_change_places(kind, mtu):
    for number in range(datagrams(kind, mtu_bytes=mtu)):
        pair = pair_of(kind, delay([number], 0.005), mtu_bytes=mtu).connect()
        assert pair.works(), number
        assert pair.now < 2, "reordering alone needs no retransmission"
        assert not pair.client.counters["flights resent"] + pair.server.counters["flights resent"]


@EVERY
def test_flights_may_arrive_backwards(kind, mtu):
    pair = pair_of(
        kind, reverse_flights(), mtu_bytes=mtu, retransmission=Retransmission(initial=2.0)
    ).connect()
    assert pair.works()
    assert not pair.client.counters["flights resent"] + pair.server.counters["flights resent"]


@EVERY
def test_any_datagram_may_arrive_after_its_own_repetition(kind, mtu):
    for number in range(datagrams(kind, mtu_bytes=mtu)):
        assert pair_of(kind, delay([number], 1.5), mtu_bytes=mtu).connect().works(), number


@pytest.mark.parametrize("mtu", [1200, 256])
@pytest.mark.parametrize("kind", KINDS)
def test_of_200_handshakes_on_a_wire_that_loses_a_tenth_all_succeed(kind, mtu):
    for seed in range(200):
        wire = lossy(0.1, seed)
        pair = pair_of(kind, wire, seed=seed, mtu_bytes=mtu, handshake_timeout=600.0)
        pair.start()
        pair.run()
        assert pair.client.connected, (seed, pair.client.events)
        assert pair.server.connected, (seed, pair.server.events)
