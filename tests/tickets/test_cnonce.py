"""Nonces of a publisher: its own, and given out lately."""

import os
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ticket_forge import EXP, METER_URI, NOW, TRUSTED_AC, ticket_with

from twoway.errors import CallerError
from twoway.tickets import FreshNonces, TicketReason, TicketRejected, TicketVerifier

SECOND = timedelta(seconds=1)
NONCES = FreshNonces(key=os.urandom(16), lifetime_seconds=60, entropy=os.urandom)
METER = TicketVerifier(audience=METER_URI, issuers=[TRUSTED_AC], nonces=NONCES)


def refused(cnonce: bytes | None, at=NOW, nonces: FreshNonces = NONCES) -> bool:
    try:
        nonces.require_fresh(cnonce, at)
    except TicketRejected as rejected:
        return rejected.reason is TicketReason.STALE_NONCE
    return False


def test_a_nonce_is_fresh_for_its_lifetime_and_no_longer():
    nonce = NONCES.issue(NOW)
    assert len(nonce) == 32
    assert not refused(nonce, NOW)
    assert not refused(nonce, NOW + 60 * SECOND)
    assert refused(nonce, NOW + 61 * SECOND)


def test_a_nonce_from_the_future_is_refused():
    # A clock that was set back would otherwise lengthen the life of each nonce.
    assert refused(NONCES.issue(NOW), NOW - SECOND)


def test_each_nonce_is_another():
    assert len({NONCES.issue(NOW) for _ in range(100)}) == 100


@pytest.mark.parametrize("cnonce", [None, b"", bytes(31), bytes(32), bytes(33), b"\x01" * 32])
def test_what_was_not_given_out_is_refused(cnonce):
    assert refused(cnonce)


def test_each_bit_of_a_nonce_counts():
    nonce = NONCES.issue(NOW)
    for position in range(len(nonce) * 8):
        tampered = bytearray(nonce)
        tampered[position // 8] ^= 1 << position % 8
        assert refused(bytes(tampered))


def test_a_nonce_of_another_run_or_publisher_is_refused():
    other = FreshNonces(key=os.urandom(16), lifetime_seconds=60, entropy=os.urandom)
    assert refused(other.issue(NOW))


@given(st.binary(max_size=40))
def test_any_bytes_are_refused(cnonce):
    assert refused(cnonce)


@pytest.mark.parametrize(("key", "lifetime"), [(bytes(15), 60), (bytes(16), 0), (bytes(16), -1)])
def test_a_weak_key_or_no_lifetime_is_the_callers_fault(key, lifetime):
    with pytest.raises(CallerError):
        FreshNonces(key=key, lifetime_seconds=lifetime, entropy=os.urandom)


def test_a_publisher_that_asks_for_nonces_refuses_tickets_without_a_fresh_one():
    nonce = NONCES.issue(NOW)
    good = ticket_with(cnonce=nonce)
    assert METER.verify_untrusted(good, now=NOW).cnonce == nonce
    for ticket, at in (
        (ticket_with(), NOW),
        (ticket_with(cnonce=b"old"), NOW),
        (good, NOW + 61 * SECOND),
        (ticket_with(cnonce=nonce, ace_profile=2), NOW + 61 * SECOND),
    ):
        with pytest.raises(TicketRejected) as caught:
            METER.verify_untrusted(ticket, now=at)
        assert caught.value.reason is TicketReason.STALE_NONCE


def test_what_comes_before_the_nonce_is_judged_before_it():
    for ticket, reason in (
        (ticket_with(scope=b""), TicketReason.BAD_SCOPE),
        (ticket_with(aud="urn:x"), TicketReason.WRONG_AUDIENCE),
        (ticket_with(exp=EXP - 10_000), TicketReason.EXPIRED),
    ):
        with pytest.raises(TicketRejected) as caught:
            METER.verify_untrusted(ticket, now=NOW)
        assert caught.value.reason is reason


def test_a_publisher_that_asks_for_none_passes_a_nonce_over():
    TicketVerifier(audience=METER_URI, issuers=[TRUSTED_AC]).verify_untrusted(
        ticket_with(cnonce=b"of somebody"), now=NOW
    )


def test_the_shortest_lifetime_of_nonces_is_a_second():
    nonces = FreshNonces(key=os.urandom(16), lifetime_seconds=1, entropy=os.urandom)
    nonce = nonces.issue(NOW)
    assert not refused(nonce, NOW + SECOND, nonces)
    assert refused(nonce, NOW + 2 * SECOND, nonces)
