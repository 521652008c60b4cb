"""The replay window: each number once, and never one that is too old to judge."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from twoway.dtls.record import MAX_SEQUENCE
from twoway.dtls.replay import WINDOW_RECORDS, ReplayWindow


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
    newest = [window.mark(sequence) for sequence in (0, 5, 3, 4, 6)]
    assert newest == [True, True, False, False, True]


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
