"""The tickets that a publisher holds: one for each key, the newest, and only while it is valid."""

from dataclasses import replace
from datetime import timedelta

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from ticket_forge import (
    EXP,
    HOLDER_SPKI,
    IAT,
    METER_URI,
    NOW,
    OTHER_AC_KEY,
    OTHER_AC_KEY_ID,
    OTHER_SPKI,
    P384_SPKI,
    TRUSTED_AC,
    claims,
    signed,
    spki_of,
    ticket_with,
    verifier,
)

from twoway.errors import CallerError
from twoway.strict_cbor import encode
from twoway.tickets import (
    Confirmation,
    Method,
    Scope,
    SymmetricConfirmation,
    Ticket,
    TicketReason,
    TicketRejected,
    TicketStore,
    TrustedIssuer,
    ticket_id,
)
from twoway.tickets.store import UNUSED_TIMEOUT

OTHER_AC_URI = "urn:dev:org:32473-other-ac"
METER = verifier()
METER_OF_TWO = verifier(TRUSTED_AC, TrustedIssuer(OTHER_AC_URI, (OTHER_AC_KEY.public_key(),)))
SPKIS = [spki_of(ec.generate_private_key(ec.SECP256R1()).public_key()) for _ in range(4)]


def ticket(
    spki: bytes = HOLDER_SPKI,
    *,
    age: int = 0,
    life: int = 600,
    methods: Method = Method.GET,
    number: int | None = None,
) -> Ticket:
    """A verified ticket that was issued ``age`` seconds before NOW and ends ``life`` seconds after it.

    One ticket is issued a second, unless a number is given.
    """
    return METER.verify_untrusted(
        ticket_with(
            cnf=Confirmation.of_key(spki).claim(),
            cti=ticket_id(METER_URI, number if number is not None else 10_000 - age),
            iat=IAT - age,
            exp=IAT + life,
            scope=Scope((("/power", methods),)).encode(),
        ),
        now=NOW,
    )


def refusal(store: TicketStore, refused: Ticket, now=NOW) -> TicketReason:
    with pytest.raises(TicketRejected) as caught:
        store.put(refused, now)
    return caught.value.reason


def use(store: TicketStore, spki: bytes, now=NOW) -> Ticket:
    """Somebody proves a key."""
    found = store.for_holder(spki, now)
    store.note_use(found)
    return found


def test_a_ticket_is_found_by_the_key_that_its_holder_proves():
    store = TicketStore()
    mine = ticket()
    assert store.put(mine, NOW) == ()
    assert store.for_holder(HOLDER_SPKI, NOW) is mine
    assert len(store) == 1


@pytest.mark.parametrize("spki", [OTHER_SPKI, P384_SPKI, b"", b"junk"], ids=range(4))
def test_another_key_finds_nothing(spki):
    store = TicketStore()
    store.put(ticket(), NOW)
    assert store.for_holder(spki, NOW) is None


def test_a_ticket_is_not_handed_out_once_it_has_expired():
    store = TicketStore()
    mine = ticket()
    store.put(mine, NOW)
    assert store.for_holder(HOLDER_SPKI, mine.expires_at - timedelta(microseconds=1)) is mine
    assert store.for_holder(HOLDER_SPKI, mine.expires_at) is None


def test_a_newer_ticket_replaces_the_rights_of_the_older():
    store = TicketStore()
    store.put(ticket(age=10, methods=Method.GET | Method.PUT), NOW)
    narrower = ticket(age=5)
    store.put(narrower, NOW)
    assert store.for_holder(HOLDER_SPKI, NOW) is narrower
    assert len(store) == 1


def test_a_delayed_older_ticket_does_not_widen_rights_again():
    store = TicketStore()
    narrow = ticket(age=5)
    store.put(narrow, NOW)
    assert (
        refusal(store, ticket(age=6, life=9000, methods=Method.GET | Method.PUT)) is TicketReason.SUPERSEDED
    )
    assert store.for_holder(HOLDER_SPKI, NOW) is narrow


def test_the_number_decides_and_not_the_clock_of_the_ac():
    store = TicketStore()
    store.put(ticket(age=60, number=9), NOW)
    earlier_by_number = ticket(age=0, number=8, methods=Method.PUT)
    assert refusal(store, earlier_by_number) is TicketReason.SUPERSEDED
    later_by_number = ticket(age=90, number=10)
    store.put(later_by_number, NOW)
    assert store.for_holder(HOLDER_SPKI, NOW) is later_by_number


def test_an_older_ticket_does_not_come_back_after_the_newer_one_has_ended():
    store = TicketStore()
    short = ticket(number=8, life=10)
    store.put(short, NOW)
    assert store.drop_expired(short.expires_at) == (short,)
    wide = ticket(number=7, life=600, methods=Method.GET | Method.PUT)
    assert refusal(store, wide, short.expires_at) is TicketReason.SUPERSEDED
    store.put(ticket(number=9), short.expires_at)


def test_an_older_ticket_does_not_come_back_after_the_newer_one_was_revoked():
    store = TicketStore()
    mine, others = ticket(number=8), ticket(SPKIS[0], number=9)
    store.put(mine, NOW)
    store.put(others, NOW)
    assert store.drop_revoked({mine.token_hash}) == (mine,)
    assert store.for_holder(HOLDER_SPKI, NOW) is None
    assert store.for_holder(SPKIS[0], NOW) is others
    assert refusal(store, ticket(number=7)) is TicketReason.SUPERSEDED


def test_what_is_remembered_of_ended_tickets_is_bounded():
    store = TicketStore(capacity=2)
    ended = [ticket(spki, life=10, number=8) for spki in SPKIS[:3]]
    for one in ended:
        store.put(one, NOW)
        store.drop_revoked({one.token_hash})
    store.put(ticket(SPKIS[0], number=7), NOW)
    assert refusal(store, ticket(SPKIS[1], number=7)) is TicketReason.SUPERSEDED
    assert refusal(store, ticket(SPKIS[2], number=7)) is TicketReason.SUPERSEDED


def test_between_two_acs_the_time_of_issue_decides():
    store = TicketStore()
    other = METER_OF_TWO.verify_untrusted(
        signed(
            encode(claims(iss=OTHER_AC_URI, iat=IAT - 5, cti=ticket_id(METER_URI, 1))),
            key=OTHER_AC_KEY,
            key_id=OTHER_AC_KEY_ID,
        ),
        now=NOW,
    )
    store.put(ticket(age=10, number=900), NOW)
    store.put(other, NOW)
    assert store.for_holder(HOLDER_SPKI, NOW) is other
    assert refusal(store, ticket(age=6, number=901)) is TicketReason.SUPERSEDED


def test_the_same_ticket_may_be_presented_again():
    store = TicketStore()
    mine = ticket()
    store.put(mine, NOW)
    store.put(mine, NOW)
    assert len(store) == 1


def test_a_ticket_that_is_not_valid_now_is_not_kept():
    store = TicketStore()
    assert refusal(store, ticket(life=1), NOW + timedelta(seconds=1)) is TicketReason.EXPIRED
    early = METER.verify_untrusted(ticket_with(nbf=IAT), now=NOW)
    assert refusal(store, early, NOW - timedelta(seconds=1)) is TicketReason.NOT_YET_VALID
    assert len(store) == 0


def test_the_next_expiry_is_the_earliest_and_dropping_returns_what_ended():
    store = TicketStore()
    assert store.next_expiry() is None
    short, long = ticket(SPKIS[0], life=10), ticket(SPKIS[1], life=20)
    store.put(long, NOW)
    store.put(short, NOW)
    assert store.next_expiry() == short.expires_at
    assert store.drop_expired(short.expires_at - timedelta(microseconds=1)) == ()
    assert store.drop_expired(short.expires_at) == (short,)
    assert store.next_expiry() == long.expires_at
    assert store.drop_expired(long.expires_at) == (long,)
    assert (len(store), store.next_expiry()) == (0, None)


def test_a_full_store_drops_what_has_expired_first():
    store = TicketStore(capacity=2)
    ended, kept = ticket(SPKIS[0], life=10), ticket(SPKIS[1])
    store.put(ended, NOW)
    store.put(kept, NOW)
    use(store, SPKIS[0])
    later = NOW + timedelta(seconds=10)
    assert store.put(ticket(SPKIS[2]), later) == (ended,)
    assert store.for_holder(SPKIS[1], later) is kept
    assert len(store) == 2


def test_a_flood_of_valid_tickets_displaces_itself_and_not_those_in_use():
    store = TicketStore(capacity=3)
    served = ticket(SPKIS[0])
    store.put(served, NOW)
    assert use(store, SPKIS[0]) is served
    flood = [ticket(spki_of(ec.generate_private_key(ec.SECP256R1()).public_key())) for _ in range(20)]
    dropped = [gone for one in flood for gone in store.put(one, NOW)]
    assert dropped == flood[:-2]
    assert store.for_holder(SPKIS[0], NOW) is served
    assert len(store) == 3


def test_a_store_full_of_used_tickets_takes_no_more_but_renews_what_it_has():
    store = TicketStore(capacity=2)
    for spki in SPKIS[:2]:
        store.put(ticket(spki, age=10), NOW)
        use(store, spki)
    assert refusal(store, ticket(SPKIS[2])) is TicketReason.STORE_FULL
    renewed = ticket(SPKIS[0])
    store.put(renewed, NOW)
    assert store.for_holder(SPKIS[0], NOW) is renewed
    assert store.for_holder(SPKIS[1], NOW) is not None


def test_a_renewed_ticket_stays_marked_as_used():
    store = TicketStore(capacity=1)
    store.put(ticket(age=10), NOW)
    use(store, HOLDER_SPKI)
    store.put(ticket(), NOW)
    assert refusal(store, ticket(OTHER_SPKI)) is TicketReason.STORE_FULL


def test_a_store_without_room_is_the_callers_fault():
    with pytest.raises(CallerError):
        TicketStore(capacity=0)


def test_tickets_of_both_forms_for_one_key_are_one_ticket():
    store = TicketStore()
    store.put(ticket(age=10), NOW)
    compact = METER.verify_untrusted(
        ticket_with(
            cnf=Confirmation.of_key(HOLDER_SPKI, compact=True).claim(),
            exp=EXP,
            cti=ticket_id(METER_URI, 10_000),
        ),
        now=NOW,
    )
    store.put(compact, NOW)
    assert store.for_holder(HOLDER_SPKI, NOW) is compact
    assert len(store) == 1


def test_a_ticket_that_nobody_uses_is_kept_for_ten_minutes_and_one_that_is_used_until_it_expires():
    """T15."""
    later = timedelta(seconds=UNUSED_TIMEOUT)
    store, judge = TicketStore(), verifier()
    used = judge.verify_untrusted(ticket_with(exp=EXP + 3600), now=NOW)
    unused = judge.verify_untrusted(
        ticket_with(cnf=Confirmation.of_key(OTHER_SPKI).claim(), exp=EXP + 3600), now=NOW
    )
    store.put(used, NOW)
    store.put(unused, NOW)
    assert use(store, HOLDER_SPKI) == used
    assert store.for_holder(OTHER_SPKI, NOW) == unused  # somebody names the key, and proves nothing
    assert store.drop_expired(NOW + later - timedelta(seconds=1)) == ()
    assert store.drop_expired(NOW + later) == (unused,)
    assert store.for_holder(HOLDER_SPKI, NOW + later) == used
    store.put(unused, NOW + later)


def test_what_is_forgotten_first_of_ended_tickets_is_what_ended_longest_ago():
    store = TicketStore(capacity=2)
    for spki, number in ((SPKIS[0], 8), (SPKIS[1], 8), (SPKIS[0], 9), (SPKIS[2], 8)):
        ends = ticket(spki, number=number)
        store.put(ends, NOW)
        store.drop_revoked({ends.token_hash})
    assert refusal(store, ticket(SPKIS[0], number=8)) is TicketReason.SUPERSEDED
    assert refusal(store, ticket(SPKIS[2], number=7)) is TicketReason.SUPERSEDED
    store.put(ticket(SPKIS[1], number=7), NOW)


def test_of_two_acs_that_issue_in_the_same_second_the_later_upload_counts():
    store = TicketStore()
    other = METER_OF_TWO.verify_untrusted(
        signed(
            encode(claims(iss=OTHER_AC_URI, cti=ticket_id(METER_URI, 1))),
            key=OTHER_AC_KEY,
            key_id=OTHER_AC_KEY_ID,
        ),
        now=NOW,
    )
    store.put(ticket(number=900), NOW)
    store.put(other, NOW)
    assert store.for_holder(HOLDER_SPKI, NOW) is other


# Symmetric keys


def symmetric(kid: bytes = b"nametag8", *, number: int = 7, key: bytes | None = None) -> Ticket:
    """A ticket for a symmetric key, derived unless it is given."""
    confirmation = SymmetricConfirmation(kid, key or bytes((number,) * 16), derived=key is None)
    return replace(ticket(number=number), confirmation=confirmation)


def test_a_carried_key_of_the_same_name_has_to_be_the_same():
    store = TicketStore()
    carried = symmetric(number=7, key=bytes(16))
    store.put(carried, NOW)
    assert refusal(store, symmetric(number=8, key=bytes(15) + b"\1")) is TicketReason.WRONG_KEY
    update = symmetric(number=8, key=bytes(16))
    store.put(update, NOW)
    assert store.for_kid(b"nametag8", NOW) == update


def test_a_symmetric_ticket_that_is_in_use_is_not_displaced():
    store = TicketStore(capacity=1)
    store.put(symmetric(), NOW)
    store.note_use(store.for_kid(b"nametag8", NOW))
    assert refusal(store, symmetric(b"another8", number=8)) is TicketReason.STORE_FULL


def test_use_of_a_ticket_that_is_not_held_is_no_use_of_any():
    store = TicketStore(capacity=1)
    store.note_use(ticket())
    assert len(store) == 0


def test_use_of_a_ticket_that_was_replaced_keeps_the_newer_one_no_longer():
    store = TicketStore(capacity=1)
    old, new = ticket(age=10), ticket(age=5)
    store.put(old, NOW)
    store.put(new, NOW)
    store.note_use(old)
    assert store.put(ticket(SPKIS[0]), NOW) == (new,), "the newer one makes room, for nobody has used it"
