"""Which ticket is usable when."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from small_pki import NOW, small_pki

from twoway.subscriber.wallet import HeldTicket, Wallet
from twoway.tickets import Method, Scope

METER = small_pki().publisher_p256.identity
GET = Method.GET


def ticket(*targets: str, lifetime: float = 600.0) -> HeldTicket:
    scope = Scope(tuple((target, GET) for target in targets))
    return HeldTicket(b"ticket", scope, NOW, NOW + timedelta(seconds=lifetime))


def at(seconds: float):
    return NOW + timedelta(seconds=seconds)


def test_a_ticket_is_held_until_the_moment_it_expires():
    wallet = Wallet()
    held = ticket("/power")
    wallet.put(METER, held)
    assert wallet.held(METER, at(599.999)) is held
    assert wallet.held(METER, at(600)) is None


def test_a_ticket_is_usable_for_what_it_permits_and_while_it_lasts():
    held = ticket("/power")
    assert held.is_usable("/power", at(599))
    assert not held.is_usable("/power", at(600))
    assert not held.is_usable("/gas", at(0))
    posting = replace(held, scope=Scope((("/power", Method.POST),)))
    assert not posting.is_usable("/power", at(0))


def test_a_ticket_is_due_for_renewal_at_four_fifths_of_its_life():
    assert ticket("/power", lifetime=100).renew_at == at(80)


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
    impostor = replace(small_pki().publisher_rsa.identity, uri=METER.uri)
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
