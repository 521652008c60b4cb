"""Tickets at a publisher without a clock: from first sight, once, and never again."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ticket_forge import (
    ABSENT,
    AC_KEY,
    AC_URI,
    HOLDER_SPKI,
    METER_URI,
    NOW,
    OTHER_AC_KEY,
    SCOPE,
    SUBSCRIBER_URI,
    TRUSTED_AC,
    ticket_with,
    verifier,
)

from twoway.errors import CallerError, ConfigurationError
from twoway.tickets import (
    Confirmation,
    ExiLedger,
    Ticket,
    TicketIssuer,
    TicketReason,
    TicketRejected,
    TicketVerifier,
    TrustedIssuer,
    ticket_id,
)

SECOND = timedelta(seconds=1)


def clockless(ledger: ExiLedger) -> TicketVerifier:
    return TicketVerifier(audience=METER_URI, issuers=[TRUSTED_AC], exi_ledger=ledger)


def exi_ticket(number: int, exi: object = 60, **changes: object) -> bytes:
    return ticket_with(cti=ticket_id(METER_URI, number), exp=ABSENT, exi=exi, **changes)


def reason(judge: TicketVerifier, ticket: bytes, now=NOW) -> TicketReason:
    with pytest.raises(TicketRejected) as caught:
        judge.verify_untrusted(ticket, now=now)
    return caught.value.reason


def expired(ledger: ExiLedger, sequence: int, now=NOW) -> bool:
    try:
        ledger.require_live(sequence, now)
    except TicketRejected as rejected:
        return rejected.reason is TicketReason.EXPIRED
    return False


def test_a_ticket_counts_from_its_first_sight_and_not_anew():
    judge = clockless(ExiLedger())
    first = judge.verify_untrusted(exi_ticket(7), now=NOW)
    assert (first.exi, first.expires_at) == (60, NOW + 60 * SECOND)
    again = judge.verify_untrusted(exi_ticket(7), now=NOW + 59 * SECOND)
    assert again.expires_at == NOW + 60 * SECOND
    assert reason(judge, exi_ticket(7), NOW + 60 * SECOND) is TicketReason.EXPIRED


def test_an_expired_ticket_takes_those_with_lower_numbers_with_it():
    judge = clockless(ExiLedger())
    judge.verify_untrusted(exi_ticket(7, exi=10), now=NOW)
    later = NOW + 10 * SECOND
    assert reason(judge, exi_ticket(7), later) is TicketReason.EXPIRED
    assert reason(judge, exi_ticket(6), later) is TicketReason.EXPIRED
    assert reason(judge, exi_ticket(6, scope=b""), later) is TicketReason.EXPIRED  # time comes before scope
    assert judge.verify_untrusted(exi_ticket(8), now=later).expires_at == later + 60 * SECOND


def test_what_was_seen_before_a_restart_has_expired_after_it():
    ledger = ExiLedger()
    judge = clockless(ledger)
    judge.verify_untrusted(exi_ticket(7), now=NOW)
    restarted = clockless(ExiLedger.from_bytes(ledger.to_bytes()))
    # The clock of the new run may say anything.
    for now in (NOW, NOW - timedelta(days=9000)):
        assert reason(restarted, exi_ticket(7), now) is TicketReason.EXPIRED
        assert reason(restarted, exi_ticket(6), now) is TicketReason.EXPIRED
    restarted.verify_untrusted(exi_ticket(8), now=NOW)


def test_the_last_number_there_is_survives_a_restart():
    ledger = ExiLedger()
    ledger.admit(2**64 - 1, 1, NOW)
    assert expired(ExiLedger.from_bytes(ledger.to_bytes()), 2**64 - 1)
    assert not expired(ExiLedger.from_bytes(ExiLedger().to_bytes()), 0)


def test_a_ticket_that_is_refused_for_something_else_is_not_written_down():
    ledger = ExiLedger()
    judge = clockless(ledger)
    assert reason(judge, exi_ticket(7, cnf={})) is TicketReason.NO_CONFIRMATION
    assert reason(judge, exi_ticket(7, scope=b"")) is TicketReason.BAD_SCOPE
    assert ledger.to_bytes() == ExiLedger().to_bytes()


def test_a_revoked_ticket_counts_as_expired_from_then_on():
    ledger = ExiLedger()
    ledger.admit(7, 60, NOW)
    ledger.note_revoked(7)
    assert expired(ledger, 7)
    assert not expired(ledger, 8)


def test_a_publisher_with_a_clock_takes_no_ticket_that_needs_counting():
    assert reason(verifier(), exi_ticket(7)) is TicketReason.EXPIRED
    assert reason(verifier(), ticket_with(exi=60)) is TicketReason.EXPIRED


def test_with_both_ends_the_earlier_one_counts():
    judge = clockless(ExiLedger())
    assert judge.verify_untrusted(ticket_with(exi=60), now=NOW).expires_at == NOW + 60 * SECOND
    long = ticket_with(exi=6000, cti=ticket_id(METER_URI, 8))
    assert judge.verify_untrusted(long, now=NOW).expires_at == NOW + 600 * SECOND


@pytest.mark.parametrize("exi", [0, -1, 1.0, True, "60", None, 2**63, b"\x3c"])
def test_an_exi_that_is_no_number_of_seconds_is_refused(exi):
    assert reason(clockless(ExiLedger()), exi_ticket(7, exi=exi)) is TicketReason.MALFORMED_CLAIMS


def test_a_ledger_is_bounded():
    ledger = ExiLedger(capacity=2)
    ledger.admit(1, 60, NOW)
    ledger.admit(2, 60, NOW)
    with pytest.raises(TicketRejected) as caught:
        ledger.admit(3, 60, NOW)
    assert caught.value.reason is TicketReason.STORE_FULL
    assert ledger.admit(2, 60, NOW + SECOND) == NOW + 60 * SECOND
    ledger.admit(3, 60, NOW + 60 * SECOND)


def test_the_numbers_of_two_acs_are_not_counted_in_one_ledger():
    other = TrustedIssuer("urn:x", (OTHER_AC_KEY.public_key(),))
    with pytest.raises(ConfigurationError, match="one AC"):
        TicketVerifier(audience=METER_URI, issuers=[TRUSTED_AC, other], exi_ledger=ExiLedger())


@pytest.mark.parametrize("stored", [b"", bytes(8), bytes(10), b"\xff" * 9])
def test_stored_bytes_that_cannot_be_read_are_not_taken_for_an_empty_ledger(stored):
    with pytest.raises(CallerError):
        ExiLedger.from_bytes(stored)


STEPS = st.lists(
    st.tuples(st.integers(0, 9), st.integers(1, 9), st.integers(0, 5), st.booleans()), max_size=25
)


@given(STEPS)
def test_what_has_expired_once_stays_expired_whatever_happens(steps):
    ledger, now, over = ExiLedger(), NOW, set()
    for sequence, exi, pause, restarts in steps:
        now += pause * SECOND
        if restarts:
            ledger = ExiLedger.from_bytes(ledger.to_bytes())
        try:
            assert ledger.admit(sequence, exi, now) > now
            assert sequence not in over
        except TicketRejected:
            over.add(sequence)


def issued(**changes: object) -> Ticket:
    asked = {
        "subject": SUBSCRIBER_URI,
        "audience": METER_URI,
        "scope": SCOPE,
        "confirmation": Confirmation.of_key(HOLDER_SPKI),
        "ticket_id": ticket_id(METER_URI, 7),
        "now": NOW,
        "lifetime_seconds": 600,
        "not_after": NOW + timedelta(days=1),
        "exi": 60,
    }
    return TicketIssuer(issuer=AC_URI, private_key=AC_KEY, entropy=bytes).issue(**(asked | changes))


def test_what_the_ac_issues_with_exi_the_publisher_counts():
    ticket = issued()
    assert (ticket.exi, ticket.expires_at) == (60, NOW + 60 * SECOND)
    assert clockless(ExiLedger()).verify_untrusted(ticket.encoded, now=NOW) == ticket


def test_neither_lifetime_nor_certificate_is_exceeded_by_exi():
    assert issued(exi=6000).exi == 600
    assert issued(not_after=NOW + 5 * SECOND).exi == 5


def test_one_more_than_the_highest_number_there_is_cannot_have_been_stored():
    assert expired(ExiLedger.from_bytes((1 << 64).to_bytes(9)), 2**64 - 1)
    with pytest.raises(CallerError):
        ExiLedger.from_bytes(((1 << 64) + 1).to_bytes(9))


def test_a_ledger_is_as_bounded_after_a_restart_as_before():
    ledger = ExiLedger.from_bytes(ExiLedger().to_bytes(), capacity=1)
    ledger.admit(1, 60, NOW)
    with pytest.raises(TicketRejected) as caught:
        ledger.admit(2, 60, NOW)
    assert caught.value.reason is TicketReason.STORE_FULL


def test_a_ticket_that_has_expired_takes_no_room():
    ledger = ExiLedger(capacity=1)
    ledger.admit(1, 60, NOW)
    assert ledger.admit(2, 60, NOW + 60 * SECOND) == NOW + 120 * SECOND
