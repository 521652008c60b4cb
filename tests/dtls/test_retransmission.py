"""The rule of retransmission and its timer, in numbers."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from twoway.dtls import LINK_MEASURED, RFC6347, RFC7925, Retransmission
from twoway.dtls.timers import Due, RetransmissionTimer, RoundTrip
from twoway.errors import ConfigurationError

SMALL = Retransmission(initial=1.0, cap=10.0, retries=6, repeats=2)


def started(rule: Retransmission = SMALL, *, at: float = 0.0, is_answer_last: bool = False):
    timer = RetransmissionTimer(rule)
    timer.start(at, is_answer_last=is_answer_last)
    return timer


def timeouts(timer: RetransmissionTimer, count: int) -> list[float]:
    """How long the timer waits, time after time, while nothing comes."""
    waited, now = [], timer.deadline
    for _ in range(count):
        timer.expire(now)
        waited.append(timer.deadline - now)
        now = timer.deadline
    return waited


# --- the rule ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rule", "pauses"),
    [(RFC6347, [1, 2, 4, 8, 16, 32, 60, 60]), (RFC7925, [9, 18, 36, 60, 60]), (LINK_MEASURED, [1, 2, 4])],
)
def test_the_presets_wait_as_their_documents_say_where_nothing_is_measured(rule, pauses):
    timer = started(rule)
    assert [timer.deadline, *timeouts(timer, len(pauses) - 1)] == pauses


@pytest.mark.parametrize(
    "wrong",
    [
        {"initial": 0.0},
        {"initial": -1.0},
        {"initial": 61.0},
        {"initial": math.nan},
        {"cap": math.inf},
        {"floor": 0.0},
        {"floor": 1.5},
        {"factor": 0.5},
        {"factor": math.inf},
        {"factor": math.nan},
        {"round_trip": 0.0},
        {"round_trip": -0.1},
        {"round_trip": math.inf},
        {"retries": -1},
        {"repeats": -1},
    ],
    ids=str,
)
def test_a_rule_that_contradicts_itself_is_refused_when_it_is_made(wrong):
    why = {
        "factor": "timer's factor is a number from 1 on",
        "round_trip": "a link's round trip is a positive number",
        "retries": "a number of retransmissions is not negative",
        "repeats": "a number of retransmissions is not negative",
    }.get(*wrong, "do not ascend; give positive seconds with floor <= initial <= cap")
    with pytest.raises(ConfigurationError, match=why):
        Retransmission(**wrong)


def test_a_timer_with_a_factor_of_one_never_changes():
    timer = started(Retransmission(initial=5.0, factor=1.0))
    assert timeouts(timer, 4) == [5.0] * 4


# --- the budgets ------------------------------------------------------------------------------------------


def test_after_its_retries_the_timer_says_that_the_peer_is_gone():
    timer = started()
    for _ in range(6):
        assert timer.expire(timer.deadline) is Due.FLIGHT
    assert timer.expire(timer.deadline) is Due.NOTHING
    assert timer.deadline is None


def test_a_sign_of_life_gives_all_retries_back():
    timer = started()
    for _ in range(4):
        for _ in range(6):
            assert timer.expire(timer.deadline) is not Due.NOTHING
        timer.hear(timer.deadline - 0.1)
    assert timer.unanswered == 0


def test_transmissions_without_a_sign_of_life_are_counted_whatever_caused_them():
    timer = started()
    counts = [timer.unanswered]
    for send_again in (timer.expire, timer.spend_repeat, timer.expire, timer.spend_repeat):
        send_again(timer.deadline)
        counts.append(timer.unanswered)
    assert counts == [0, 1, 2, 3, 4]
    timer.start(200.0, is_answer_last=False)
    assert timer.unanswered == 0


def test_a_new_flight_begins_with_all_of_both_budgets():
    timer = started()
    for _ in range(6):
        timer.expire(timer.deadline)
    assert [timer.spend_repeat(now) for now in (150.0, 151.0, 152.0)] == [True, True, False]
    timer.start(200.0, is_answer_last=False)
    assert [timer.spend_repeat(now) for now in (201.0, 202.0, 203.0)] == [True, True, False]
    assert timer.expire(timer.deadline) is Due.FLIGHT


def test_repetitions_of_the_peers_do_not_touch_the_timers_own_budget():
    """Anybody can forge one before there are keys."""
    timer = started()
    assert [timer.spend_repeat(now) for now in (0.5, 0.6, 0.7)] == [True, True, False]
    for _ in range(6):
        assert timer.expire(timer.deadline) is Due.FLIGHT


def test_a_repetition_of_the_peers_is_a_sign_of_life_as_often_as_it_is_answered():
    timer = started()
    for _ in range(SMALL.repeats):
        for _ in range(SMALL.retries):
            assert timer.expire(timer.deadline) is Due.FLIGHT
        assert timer.spend_repeat(timer.deadline - 0.1)
    for _ in range(SMALL.retries):
        assert timer.expire(timer.deadline) is Due.FLIGHT
    assert not timer.spend_repeat(timer.deadline - 0.1)
    assert timer.expire(timer.deadline) is Due.NOTHING


def test_a_flight_that_was_repeated_on_demand_is_not_due_at_once():
    """RFC 6347 section 4.2.4: whoever repeats its flight resets its timer."""
    timer = started()
    assert timer.spend_repeat(0.9)
    assert timer.deadline == 1.9


def test_a_repetition_that_crosses_our_flight_is_not_answered():
    """It comes within a round trip, so the peer sent it before our flight could be there."""
    timer = started()
    assert not timer.spend_repeat(0.0)
    assert timer.spend_repeat(0.1)
    known = started(replace(SMALL, round_trip=0.3), at=10.0)
    assert not known.spend_repeat(10.2)
    assert known.spend_repeat(10.4)
    assert not known.spend_repeat(10.6)


def test_a_repetition_is_a_late_one_where_the_answer_has_begun():
    timer = started()
    timer.hear(0.5)
    assert not timer.spend_repeat(0.6)


def test_a_stopped_timer_has_no_deadline_and_hears_nothing():
    assert RetransmissionTimer(SMALL).deadline is None
    timer = started()
    timer.stop()
    timer.hear(0.5)
    assert timer.deadline is None
    assert timer.round_trip is None


# --- the answer has begun ---------------------------------------------------------------------------------


def test_while_the_answer_trickles_in_nothing_is_due():
    timer = started()
    for tenth in range(5, 1000):
        timer.hear(tenth / 10)
        assert timer.deadline > tenth / 10 + 1


def test_the_peers_timer_goes_first_if_it_has_one():
    for is_answer_last, pause in ((False, 2.0), (True, 1.0)):
        timer = started(is_answer_last=is_answer_last)
        timer.hear(0.3)
        assert timer.deadline == pytest.approx(0.3 + pause)


def test_what_is_new_earns_one_reminder_and_then_the_flight_is_due():
    """The piece of the answer may have been forged, and the peer may lack the flight."""
    timer = started()
    timer.hear(0.5)
    dues = [timer.expire(timer.deadline) for _ in range(3)]
    assert dues == [Due.REMINDER, Due.FLIGHT, Due.FLIGHT]
    timer.hear(timer.deadline - 0.1)
    assert timer.expire(timer.deadline) is Due.REMINDER


# --- what is learnt ---------------------------------------------------------------------------------------


def test_round_trips_are_smoothed_as_rfc_6298_says():
    """Section 2: the first sample R gives SRTT = R, RTTVAR = R/2; then beta = 1/4 and alpha = 1/8."""
    link = RoundTrip(None)
    assert link.timeout is None
    link.measure(2.0)
    assert (link.smoothed, link.timeout) == (2.0, 2.0 + 4 * 1.0)
    link.measure(4.0)  # RTTVAR = 3/4 * 1 + 1/4 * 2, SRTT = 7/8 * 2 + 1/8 * 4
    assert (link.smoothed, link.timeout) == (2.25, 2.25 + 4 * 1.25)


@given(st.lists(st.floats(0.0, 1e4), min_size=1))
def test_the_smoothed_round_trip_lies_within_the_samples(samples):
    link = RoundTrip(None)
    for sample in samples:
        link.measure(sample)
    assert min(samples) * (1 - 1e-9) <= link.smoothed <= max(samples) * (1 + 1e-9)
    assert link.timeout >= link.smoothed


def answered(rule: Retransmission, *after: float) -> RetransmissionTimer:
    """A timer whose flights were answered after so many seconds each; one more has just been sent, at 0."""
    timer = RetransmissionTimer(rule)
    for index, elapsed in enumerate(after):
        begun = 100.0 * index
        timer.start(begun, is_answer_last=False)
        while timer.deadline < begun + elapsed:
            timer.expire(timer.deadline)
        timer.hear(begun + elapsed)
    timer.start(0.0, is_answer_last=False)
    return timer


def test_a_slow_answer_makes_every_preset_more_patient():
    assert answered(RFC6347, 0.8).deadline == pytest.approx(2.4)
    assert answered(RFC7925, 8.0).deadline == pytest.approx(24.0)


def test_a_quick_answer_makes_only_the_measured_preset_less_patient():
    assert answered(RFC6347, 0.1).deadline == 1.0
    assert answered(RFC7925, 0.1).deadline == 9.0
    assert answered(LINK_MEASURED, 0.1).deadline == pytest.approx(0.3)


def test_no_measurement_leads_below_the_floor_or_beyond_the_cap():
    assert answered(LINK_MEASURED, 0.001).deadline == LINK_MEASURED.floor
    assert answered(replace(RFC7925, cap=20.0), 8.0).deadline == 20.0


def test_a_caller_who_knows_the_round_trip_may_say_so():
    known = started(replace(LINK_MEASURED, round_trip=0.2))
    assert (known.round_trip, known.deadline) == (0.2, pytest.approx(0.6))
    assert started(replace(RFC6347, round_trip=0.2)).deadline == 1.0
    assert started(replace(RFC6347, round_trip=5.0)).deadline == 15.0


def test_a_flight_that_was_sent_twice_gives_no_sample():
    """Karn's algorithm: nobody can say which of them was answered."""
    assert answered(RFC6347, 1.2).round_trip is None
    timer = started()
    timer.spend_repeat(0.4)
    timer.hear(0.5)
    assert timer.round_trip is None


def test_only_the_first_piece_of_an_answer_is_a_sample():
    timer = started()
    timer.hear(0.5)
    timer.hear(0.9)
    assert timer.round_trip == 0.5


def test_on_a_path_that_is_slower_than_the_first_timeout_the_round_trip_is_found_out():
    """With a doubled timeout forgotten after each flight, every flight would be sent four times for ever."""
    timer = answered(RFC6347, 10.0)
    assert timer.deadline == 8.0, "0, 1, 3, 7, and the answer came 3 s after the last"
    timer = answered(RFC6347, 10.0, 10.0)
    assert timer.round_trip is None
    assert timer.deadline == 16.0
    timer = answered(RFC6347, 10.0, 10.0, 10.0)
    assert timer.round_trip == 10.0
    assert timer.deadline == 30.0


def test_on_a_path_that_loses_much_one_doubling_is_kept_and_not_all():
    timer = answered(RFC6347, 63.1)
    assert timer.deadline == 2.0, "the answer came 0.1 s after the seventh transmission"
    half = answered(RFC6347, 63.5)
    assert half.deadline == 2.0, "half of the first timeout is soon enough"
    slower = answered(Retransmission(initial=4.0), 13.5)
    assert slower.deadline == 8.0, "0, 4, 12, and the answer came 1.5 s after the last"


def test_an_answer_to_a_flight_that_was_repeated_on_demand_doubles_nothing():
    timer = started()
    assert timer.spend_repeat(0.4)
    timer.hear(0.5)
    timer.start(10.0, is_answer_last=False)
    assert timer.deadline == 11.0


def test_a_sample_ends_the_doubling():
    timer = answered(RFC6347, 63.1, 0.1)
    assert timer.deadline == 1.0
