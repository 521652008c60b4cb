"""Which ticket is usable when."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from small_pki import NOW, small_pki

from twoway.subscriber.audience import Audience
from twoway.subscriber.instant import Instant
from twoway.subscriber.wallet import HeldTicket, Wallet
from twoway.tickets import Method, Scope, token_hash

METER = Audience.proved(small_pki().publisher_p256.identity)
GET = Method.GET


def ticket(*targets: str, lifetime: float = 600.0) -> HeldTicket:
    scope = Scope(tuple((target, GET) for target in targets))
    return HeldTicket(b"ticket", scope, at(0), timedelta(seconds=lifetime))


def at(seconds: float):
    return Instant(NOW + timedelta(seconds=seconds), 1000.0 + seconds)


def test_a_ticket_is_held_until_the_moment_it_expires():
    wallet = Wallet()
    held = ticket("/power")
    wallet.put(METER, held)
    assert wallet.held(METER, at(599.999)) is held
    assert wallet.held(METER, at(600)) is None


def test_a_ticket_permits_to_read_what_its_scope_names():
    held = ticket("/power")
    assert held.permits("/power")
    assert not held.permits("/gas")
    assert not replace(held, scope=Scope((("/power", Method.POST),))).permits("/power")


@pytest.mark.parametrize("set_by", [timedelta(days=-400), timedelta(0), timedelta(days=400)])
def test_a_clock_that_is_set_never_makes_a_ticket_last_longer(set_by: timedelta):
    held = ticket("/power")
    for seconds in (0, 599, 600, 601, 10_000):
        now = at(seconds)
        changed = Instant(now.wall + set_by, now.monotonic)
        assert held.lasts(changed) <= held.lasts(now)


def test_a_machine_that_slept_does_not_use_a_ticket_that_expired_meanwhile():
    """The monotonic clock stood still, the wall clock did not."""
    assert not ticket("/power").lasts(Instant(at(600).wall, at(1).monotonic))


def test_a_ticket_is_due_for_renewal_at_four_fifths_of_its_life():
    assert ticket("/power", lifetime=100).renewal_in(at(30)) == timedelta(seconds=50)
    assert ticket("/power", lifetime=100).renewal_in(at(90)) == timedelta(0)


def test_failed_renewals_are_repeated_until_it_is_too_late():
    held = ticket("/power", lifetime=100)
    assert held.retry_after(at(80)) == timedelta(seconds=10)
    assert held.retry_after(at(90)) == timedelta(seconds=5)
    assert held.retry_after(at(99)) == timedelta(seconds=0.5)
    assert held.retry_after(at(99.85)) is None
    assert held.retry_after(at(200)) is None


def test_a_second_resource_is_asked_for_together_with_the_first():
    wallet = Wallet()
    wallet.put(METER, ticket("/power"))
    assert wallet.wanted(METER, "/gas", at(0)) == Scope((("/gas", GET), ("/power", GET)))
    assert wallet.wanted(METER, "/power", at(0)) == Scope((("/power", GET),))


def test_what_an_expired_ticket_permitted_is_not_asked_for_again():
    wallet = Wallet()
    wallet.put(METER, ticket("/power"))
    assert wallet.wanted(METER, "/gas", at(600)) == Scope((("/gas", GET),))


def test_the_same_name_with_another_key_is_another_publisher():
    wallet = Wallet()
    wallet.put(METER, ticket("/power"))
    impostor = Audience.proved(replace(small_pki().publisher_rsa.identity, uri=METER.uri))
    assert wallet.held(impostor, at(0)) is None
    assert wallet.wanted(impostor, "/gas", at(0)) == Scope((("/gas", GET),))


def test_an_old_ticket_that_is_dropped_does_not_take_the_new_one_along():
    wallet = Wallet()
    old, new = ticket("/power"), ticket("/power", "/gas")
    wallet.put(METER, old)
    wallet.put(METER, new)
    wallet.drop(METER, old)
    assert wallet.held(METER, at(0)) is new
    wallet.drop(METER, new)
    assert wallet.held(METER, at(0)) is None


def test_a_revoked_ticket_is_expunged_and_the_others_stay():
    wallet = Wallet()
    water = Audience.proved(small_pki().publisher_rsa.identity)
    revoked, good = ticket("/power"), replace(ticket("/power"), encoded=b"another")
    wallet.put(METER, revoked)
    wallet.put(water, good)
    assert wallet.expunge({token_hash(b"ticket"), token_hash(b"of somebody else")}) == [(METER, revoked)]
    assert wallet.held(METER, at(0)) is None
    assert not wallet.holds(revoked)
    assert wallet.held(water, at(0)) is good
