"""The AC, as a publisher knows it: by which keys its tickets count, and until when."""

from __future__ import annotations

import os
from datetime import timedelta

import pytest
from publisher_world import AC, METER, NOW, TOKEN_URI, IssuingAC, peer

from twoway.publisher.authority import Authority
from twoway.tickets import (
    ExiLedger,
    FreshNonces,
    ProvisionalNumbers,
    SharedSecret,
    SigningKey,
    TicketReason,
    TicketRejected,
)

SECRET = SharedSecret(bytes(range(16)))
DAY = timedelta(days=1)


def keys_of(*acs: IssuingAC) -> list[SigningKey]:
    return [SigningKey(ac.key.public_key()) for ac in acs]


def authority(*acs: IssuingAC, **more: object) -> Authority:
    fields = {"token_uri": TOKEN_URI, "issuer": AC, "audience": METER, "certified_until": NOW + DAY}
    return Authority(keys=keys_of(*acs), **(fields | more))


def reason(judge: Authority, encoded: bytes) -> TicketReason | None:
    try:
        judge.verifier.verify_untrusted(encoded, now=NOW)
    except TicketRejected as rejected:
        return rejected.reason
    return None


def test_the_keys_that_the_ac_names_count_and_what_it_names_no_more_does_not():
    first, second, reader = IssuingAC(), IssuingAC(), peer("reader")
    judge = authority(first)
    assert judge.key_ids == {key.key_id for key in keys_of(first)}
    assert reason(judge, first.ticket(reader)) is None
    assert reason(judge, second.ticket(reader)) is TicketReason.UNKNOWN_ISSUER
    assert judge.learn(keys_of(first, second), certified_until=NOW + DAY) is True
    assert reason(judge, first.ticket(reader)) is reason(judge, second.ticket(reader)) is None
    assert judge.learn(keys_of(second, first), certified_until=NOW + DAY) is False
    assert judge.learn(keys_of(second), certified_until=NOW + DAY) is True
    assert judge.key_ids == {key.key_id for key in keys_of(second)}
    assert reason(judge, first.ticket(reader)) is TicketReason.UNKNOWN_ISSUER


def test_a_key_that_is_named_twice_is_one_key():
    ac = IssuingAC()
    assert reason(authority(ac, ac), ac.ticket(peer("reader"))) is None


@pytest.mark.parametrize(("told", "until"), [(-DAY, DAY), (2 * DAY, 2 * DAY)])
def test_a_certificate_that_was_proved_lengthens_the_time_and_never_shortens_it(told, until):
    ac = IssuingAC()
    judge = authority(ac)
    judge.learn(keys_of(ac), certified_until=NOW + told)
    assert judge.valid_until == NOW + until


def test_what_an_authority_was_made_with_its_later_keys_are_judged_with_too():
    """The audience, the secret, the nonces and the ledger stay, whatever keys are learnt."""
    ac, reader, ledger = IssuingAC(), peer("reader"), ExiLedger()
    nonces = FreshNonces(key=bytes(16), lifetime_seconds=60, entropy=os.urandom)
    judge = authority(secret=SECRET, nonces=nonces, exi_ledger=ledger)
    judge.learn(keys_of(ac), certified_until=NOW)
    cnonce = judge.nonce(NOW)
    assert reason(judge, ac.ticket(reader, cnonce=cnonce)) is None
    assert reason(judge, ac.ticket(reader)) is TicketReason.STALE_NONCE
    assert (
        reason(judge, ac.ticket(reader, audience="urn:other", cnonce=cnonce)) is TicketReason.WRONG_AUDIENCE
    )
    assert reason(judge, ac.shared_ticket(SECRET, b"nametag8").encoded) is TicketReason.STALE_NONCE
    assert reason(judge, ac.ticket(reader, exi=60, cnonce=cnonce)) is None
    assert ledger.to_bytes() != ExiLedger().to_bytes()
    assert reason(judge, IssuingAC(uri="urn:x", key=ac.key).ticket(reader)) is TicketReason.UNKNOWN_ISSUER


def test_nonces_are_given_out_where_they_are_asked_for():
    nonces = FreshNonces(key=bytes(16), lifetime_seconds=60, entropy=os.urandom)
    given = authority(IssuingAC(), nonces=nonces).nonce(NOW)
    nonces.require_fresh(given, NOW)
    assert authority(IssuingAC()).nonce(NOW) is None


def test_a_ticket_is_protected_by_a_key_that_counts_or_by_the_secret():
    first, second, reader = IssuingAC(), IssuingAC(), peer("reader")
    judge = authority(first, second, secret=SECRET)
    by_first, by_second = (
        judge.verifier.verify_untrusted(ac.ticket(reader), now=NOW) for ac in (first, second)
    )
    by_secret = first.shared_ticket(SECRET, b"nametag8")
    judge.learn(keys_of(second), certified_until=NOW)
    assert [judge.protected(ticket) for ticket in (by_first, by_second, by_secret)] == [False, True, True]
    assert not authority(second).protected(by_secret)


def test_of_revoked_tickets_those_that_live_from_first_sight_count_as_expired():
    """RFC 9770 section 11.1."""
    ac, reader, ledger = IssuingAC(), peer("reader"), ExiLedger()
    judge = authority(ac, exi_ledger=ledger)
    ordinary = judge.verifier.verify_untrusted(ac.ticket(reader, sequence=9), now=NOW)
    counted = judge.verifier.verify_untrusted(ac.ticket(reader, exi=60, sequence=7), now=NOW)
    judge.note_revoked(ordinary)
    ledger.require_live(7, NOW)
    judge.note_revoked(counted)
    with pytest.raises(TicketRejected):
        ledger.require_live(7, NOW)
    ledger.require_live(8, NOW)
    authority(ac).note_revoked(counted)  # there is no book: nothing to write


def test_certificates_are_pinned_by_the_number_that_the_publisher_goes_by():
    ac, reader, numbers = IssuingAC(), peer("reader"), ProvisionalNumbers(x5t=8)
    pinned = ac.ticket(reader, certificate=b"the leaf", numbers=numbers)
    for more, certificate in (({"numbers": numbers}, b"the leaf"), ({}, None)):
        judge = authority(ac, **more)
        ticket = judge.verifier.verify_untrusted(pinned, now=NOW)
        assert (ticket.confirmation.certificate_sha256 is None) is (certificate is None)
        ticket.require_holder(reader.spki, certificate)
