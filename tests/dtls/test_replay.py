"""The replay window: each number once, and never one that is too old to judge."""

from __future__ import annotations

import pytest
from dtls_pair import Pair
from dtls_wires import duplicate
from hypothesis import given
from hypothesis import strategies as st

from twoway.dtls.epochs import ReadEpoch
from twoway.dtls.protection import RecordRejected
from twoway.dtls.record import DTLS_1_2, MAX_SEQUENCE, Record
from twoway.dtls.replay import WINDOW_RECORDS, RecentRecords, ReplayWindow


def window_with(*marked: int) -> ReplayWindow:
    window = ReplayWindow()
    for sequence in marked:
        assert window.is_fresh(sequence)
        window.mark(sequence)
    return window


def test_the_window_is_at_least_as_large_as_the_rfc_requires():
    assert WINDOW_RECORDS >= 32


@pytest.mark.parametrize("distance", range(2 * WINDOW_RECORDS + 2))
def test_at_every_distance_the_verdict_is_right(distance):
    window = window_with(1000 - distance, 1000) if distance else window_with(1000)
    assert not window.is_fresh(1000)
    assert not window.is_fresh(1000 - distance)
    assert window.is_fresh(1001 + distance)
    unseen = window_with(1000)
    assert unseen.is_fresh(1000 - distance) is (0 < distance < WINDOW_RECORDS)


def test_asking_alone_moves_nothing():
    window = window_with(5)
    assert window.is_fresh(10**6)
    assert window.is_fresh(4)
    assert window.is_fresh(10**6)


def test_only_a_number_greater_than_all_is_the_newest():
    window = ReplayWindow()
    newest = [window.mark(sequence) for sequence in (0, 5, 5, 3, 4, 6)]
    assert newest == [True, True, False, False, False, True]


def test_the_first_and_the_last_number_are_judged_like_any_other():
    window = window_with(0, MAX_SEQUENCE)
    assert not window.is_fresh(0)
    assert not window.is_fresh(MAX_SEQUENCE)
    assert window.is_fresh(MAX_SEQUENCE - 1)


@given(st.lists(st.integers(0, 200), max_size=120))
def test_no_number_is_ever_accepted_twice_and_recent_new_ones_always_are(arrivals):
    window, accepted = ReplayWindow(), set()
    for sequence in arrivals:
        fresh = window.is_fresh(sequence)
        recent = not accepted or sequence > max(accepted) - WINDOW_RECORDS
        assert fresh is (recent and sequence not in accepted)
        if fresh:
            window.mark(sequence)
            accepted.add(sequence)


def test_the_window_takes_no_more_memory_however_many_records_come():
    window = ReplayWindow()
    for sequence in range(10 * WINDOW_RECORDS):
        window.mark(sequence)
        assert window._seen.bit_length() <= WINDOW_RECORDS


# --- unprotected records ----------------------------------------------------------------------------------


def unprotected(number: int) -> Record:
    return Record(22, DTLS_1_2, 0, number, b"hello")


def test_an_unprotected_record_counts_as_repeated_only_if_all_of_it_repeats():
    recent = RecentRecords()
    record = unprotected(1)
    assert not recent.repeats(record)
    assert recent.repeats(record)
    others = (
        record._replace(type=21),
        record._replace(version=0xFEFF),
        record._replace(sequence=2),
        record._replace(fragment=b"hullo"),
    )
    assert not any(recent.repeats(other) for other in others)
    assert all(recent.repeats(other) for other in others)


def test_so_many_unprotected_records_are_remembered_and_no_more():
    recent = RecentRecords()
    for number in range(WINDOW_RECORDS):
        assert not recent.repeats(unprotected(number))
    assert recent.repeats(unprotected(0)), "the first is still known"
    assert not recent.repeats(unprotected(WINDOW_RECORDS))
    assert not recent.repeats(unprotected(0)), "the next one has pushed it out"


def test_an_epoch_without_keys_takes_each_record_once():
    epoch = ReadEpoch(None)
    assert epoch.open_untrusted(unprotected(7)) == (22, b"hello", False)
    with pytest.raises(RecordRejected, match="replayed"):
        epoch.open_untrusted(unprotected(7))
    assert epoch.open_untrusted(unprotected(6)), "it has no window of numbers"


def test_a_record_of_a_handshake_that_comes_twice_is_dropped_as_such():
    pair = Pair(wire=duplicate(3)).connect()
    assert pair.client.counters["dropped: replayed"] == len(pair.sent[3].records)
