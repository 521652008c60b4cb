"""Requests are counted for each identity and each network, in time that is handed in."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from twoway.ac.rate import Allowance, RequestRate, TooManyRequests, network_of

ORDINARY, AMPLE = Allowance(3, 0.5), Allowance(1000, 1000.0)


def rate(identity: Allowance = ORDINARY, network: Allowance = AMPLE, remembered=100):
    return RequestRate(per_identity=identity, per_network=network, remembered=remembered)


def exhausted(
    counter: RequestRate, identity: str = "urn:a", host: str = "192.0.2.1", now: float = 0.0
) -> int:
    """Ask until it is refused, and return when to come back."""
    while True:
        try:
            counter.take(identity, host, now)
        except TooManyRequests as refused:
            return refused.retry_after


def test_a_burst_is_taken_and_the_next_request_is_told_when_to_come_back():
    counter = rate()
    for _ in range(3):
        counter.take("urn:a", "192.0.2.1", 10.0)
    assert exhausted(counter, now=10.0) == 2
    with pytest.raises(TooManyRequests):
        counter.take("urn:a", "192.0.2.1", 11.9)
    counter.take("urn:a", "192.0.2.1", 12.0)


def test_another_address_gives_an_identity_no_more_requests():
    counter = rate()
    exhausted(counter)
    with pytest.raises(TooManyRequests):
        counter.take("urn:a", "198.51.100.7", 0.0)


def test_one_identity_does_not_use_up_anothers_requests():
    counter = rate()
    exhausted(counter)
    counter.take("urn:b", "192.0.2.1", 0.0)


def test_other_identities_give_an_address_no_more_requests():
    counter = rate(network=Allowance(5, 1.0))
    for number in range(5):
        counter.take(f"urn:{number}", "192.0.2.1", 0.0)
    with pytest.raises(TooManyRequests):
        counter.take("urn:new", "192.0.2.1", 0.0)
    counter.take("urn:new", "192.0.2.2", 0.0)


def test_the_addresses_of_one_ipv6_network_count_as_one():
    counter = rate(network=Allowance(5, 1.0))
    for number in range(5):
        counter.take(f"urn:{number}", f"2001:db8::{number + 1}", 0.0)
    with pytest.raises(TooManyRequests):
        counter.take("urn:new", "2001:db8::ffff:1", 0.0)
    counter.take("urn:new", "2001:db8:0:1::1", 0.0)


@pytest.mark.parametrize(
    ("host", "network"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("2001:db8:1:2:3::4", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
    ],
)
def test_a_network_is_what_a_host_cannot_choose(host: str, network: str):
    assert network_of(host) == network


def test_a_request_that_the_network_refuses_costs_the_identity_nothing():
    counter = rate(identity=Allowance(2, 0.001), network=Allowance(1, 1.0))
    counter.take("urn:a", "192.0.2.1", 0.0)
    for _ in range(5):
        with pytest.raises(TooManyRequests):
            counter.take("urn:a", "192.0.2.1", 0.0)
    counter.take("urn:a", "192.0.2.1", 1.0)


def test_the_table_is_bounded_and_forgets_whoever_was_quiet_longest():
    counter = rate(remembered=2)
    exhausted(counter, "urn:a", now=0.0)
    counter.take("urn:b", "192.0.2.1", 1.0)
    with pytest.raises(TooManyRequests):
        counter.take("urn:a", "192.0.2.1", 1.0)
    counter.take("urn:c", "192.0.2.1", 1.0)
    with pytest.raises(TooManyRequests):
        counter.take("urn:a", "192.0.2.1", 1.0)


def test_a_clock_that_steps_back_gives_nothing_away():
    counter = rate()
    exhausted(counter, now=100.0)
    with pytest.raises(TooManyRequests):
        counter.take("urn:a", "192.0.2.1", 0.0)


@given(st.lists(st.floats(0, 5, allow_nan=False), max_size=60))
def test_in_any_time_no_more_is_taken_than_the_burst_and_what_was_gained(pauses):
    counter, now, taken = rate(), 0.0, 0
    for pause in pauses:
        now += pause
        try:
            counter.take("urn:a", "192.0.2.1", now)
        except TooManyRequests:
            continue
        taken += 1
    assert taken <= 3 + now * 0.5 + 1e-6
