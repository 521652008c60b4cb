"""How often one peer may try, and that counting it costs bounded memory."""

from __future__ import annotations

from twoway.publisher.rate import AttemptRate


def test_a_burst_passes_and_then_the_peer_is_told_how_long_to_wait():
    rate = AttemptRate(burst=3, refill_interval=2.0)
    assert [rate.wait_for("a", 100.0) for _ in range(4)] == [0, 0, 0, 2]


def test_an_attempt_comes_back_with_time():
    rate = AttemptRate(burst=1, refill_interval=2.0)
    assert rate.wait_for("a", 100.0) == 0
    assert rate.wait_for("a", 101.5) == 1
    assert rate.wait_for("a", 102.0) == 0
    assert rate.wait_for("a", 102.0) == 2


def test_time_without_attempts_saves_no_more_than_the_burst():
    rate = AttemptRate(burst=2, refill_interval=1.0)
    rate.wait_for("a", 0.0)
    assert [rate.wait_for("a", 1000.0) for _ in range(3)] == [0, 0, 1]


def test_one_peer_does_not_use_up_anothers_attempts():
    rate = AttemptRate(burst=1)
    assert rate.wait_for("a", 0.0) == 0
    assert rate.wait_for("b", 0.0) == 0
    assert rate.wait_for("a", 0.0) > 0


def test_only_so_many_peers_are_remembered_and_the_quietest_is_forgotten():
    rate = AttemptRate(burst=1, peers=2)
    for name in ("a", "b", "c"):
        rate.wait_for(name, 0.0)
    assert rate.wait_for("c", 0.0) > 0
    assert rate.wait_for("a", 0.0) == 0
