"""Encrypted tickets, and tickets for a symmetric key: issued, judged, kept, updated."""

import os
from dataclasses import replace
from datetime import timedelta

import pytest
from ticket_forge import (
    AC_KEY,
    AC_URI,
    HOLDER_SPKI,
    METER_URI,
    NOW,
    SCOPE,
    SUBSCRIBER_URI,
    TRUSTED_AC,
    claims,
    signed,
    verifier,
)

from twoway.errors import CallerError, ConfigurationError
from twoway.strict_cbor import decode_untrusted, encode
from twoway.tickets import (
    Algorithm,
    Confirmation,
    SharedSecret,
    SymmetricConfirmation,
    Ticket,
    TicketIssuer,
    TicketReason,
    TicketRejected,
    TicketStore,
    TicketVerifier,
    TrustedIssuer,
    fresh_kid,
    ticket_id,
    token_hash,
)
from twoway.tickets.encrypt0 import IV_BYTES, encrypt0, parse_encrypt0_untrusted

SECRET = SharedSecret(os.urandom(16))
AC = TicketIssuer(issuer=AC_URI, private_key=AC_KEY, entropy=os.urandom)
METER = verifier(TrustedIssuer(AC_URI, secret=SECRET))
DERIVED = SymmetricConfirmation(b"\x01" * 8, derived=True)
CARRIED = SymmetricConfirmation(b"\x02" * 8, key=bytes(range(16)))
PUBLIC = Confirmation.of_key(HOLDER_SPKI)


def issue(
    confirmation=DERIVED, *, number: int = 7, secret: SharedSecret | None = SECRET, **changes: object
) -> Ticket:
    asked = {
        "subject": SUBSCRIBER_URI,
        "audience": METER_URI,
        "scope": SCOPE,
        "ticket_id": ticket_id(METER_URI, number),
        "now": NOW,
        "lifetime_seconds": 600,
        "not_after": NOW + timedelta(days=1),
    }
    return AC.issue(**(asked | changes), confirmation=confirmation, secret=secret)


def encrypted(payload: bytes, *, secret: SharedSecret = SECRET, algorithm: Algorithm | None = None) -> bytes:
    algorithm = algorithm or secret.algorithm
    iv = os.urandom(IV_BYTES[algorithm])
    return encrypt0(payload, key=secret.token_key(), key_id=secret.key_id(), iv=iv, algorithm=algorithm)


def reason_for(ticket: bytes, judge: TicketVerifier = METER) -> TicketReason:
    with pytest.raises(TicketRejected) as caught:
        judge.verify_untrusted(ticket, now=NOW)
    return caught.value.reason


# Issued and judged


@pytest.mark.parametrize("algorithm", IV_BYTES, ids=lambda algorithm: algorithm.name)
@pytest.mark.parametrize("confirmation", [DERIVED, CARRIED, PUBLIC], ids=["derived", "carried", "public"])
def test_what_the_ac_encrypts_the_publisher_accepts(algorithm, confirmation):
    secret = SharedSecret(SECRET.secret, algorithm)
    issued = issue(confirmation, secret=secret)
    accepted = verifier(TrustedIssuer(AC_URI, secret=secret)).verify_untrusted(issued.encoded, now=NOW)
    assert accepted == issued
    assert accepted.token_hash == token_hash(issued.encoded)


def test_a_derived_key_is_known_to_both_and_is_not_in_the_ticket():
    issued = issue()
    assert issued.confirmation.key == SECRET.pop_key(issued.encoded)
    plain = parse_encrypt0_untrusted(issued.encoded).decrypt(SECRET.token_key())
    assert decode_untrusted(plain)[8] == {1: {1: 4, 2: DERIVED.kid}}
    assert METER.verify_untrusted(issued.encoded, now=NOW).confirmation.key == issued.confirmation.key


def test_two_holders_have_different_keys_and_a_third_publisher_has_neither():
    first, second = issue(number=7), issue(replace(DERIVED, kid=b"\x03" * 8), number=8)
    assert first.confirmation.key != second.confirmation.key
    third = SharedSecret(os.urandom(16))
    assert third.pop_key(first.encoded) not in (first.confirmation.key, second.confirmation.key)
    other = verifier(TrustedIssuer(AC_URI, secret=third))
    assert reason_for(first.encoded, other) is TicketReason.UNKNOWN_ISSUER


def test_a_carried_key_is_in_the_ticket_and_nowhere_in_the_open():
    issued = issue(CARRIED)
    assert issued.confirmation == CARRIED
    assert CARRIED.key not in issued.encoded
    assert SUBSCRIBER_URI.encode() not in issued.encoded


def test_a_symmetric_key_is_never_signed_in_the_clear():
    with pytest.raises(CallerError, match="without a secret"):
        issue(CARRIED, secret=None)
    both = verifier(TrustedIssuer(AC_URI, TRUSTED_AC.public_keys, SECRET))
    for confirmation in (CARRIED, DERIVED):
        ticket = signed(encode(claims(cnf=confirmation.claim())))
        assert reason_for(ticket, both) is TicketReason.NO_CONFIRMATION


def test_a_publisher_with_both_takes_signed_and_encrypted_tickets():
    both = verifier(TrustedIssuer(AC_URI, TRUSTED_AC.public_keys, SECRET))
    for ticket in (issue(PUBLIC, secret=None), issue(PUBLIC), issue(DERIVED)):
        assert both.verify_untrusted(ticket.encoded, now=NOW) == ticket


def test_a_publisher_without_a_secret_takes_no_encrypted_ticket_and_the_other_way_round():
    assert reason_for(issue(PUBLIC).encoded, verifier()) is TicketReason.UNKNOWN_ISSUER
    assert reason_for(issue(PUBLIC, secret=None).encoded) is TicketReason.UNKNOWN_ISSUER


def test_an_issuer_of_whom_nothing_is_known_is_a_fault_of_the_configuration():
    with pytest.raises(ConfigurationError, match="nothing is known"):
        TrustedIssuer(AC_URI)
    with pytest.raises(ConfigurationError, match="same key"):
        verifier(TrustedIssuer(AC_URI, secret=SECRET), TrustedIssuer("urn:x", secret=SECRET))


# The nonce of the encryption


def test_no_nonce_comes_twice_while_numbers_do_not():
    stuck = TicketIssuer(issuer=AC_URI, private_key=AC_KEY, entropy=bytes)
    nonces = set()
    for number in (0, 1, 2, 255, 256, 2**64 - 1):
        ticket = stuck.issue(
            subject=SUBSCRIBER_URI,
            audience=METER_URI,
            scope=SCOPE,
            confirmation=DERIVED,
            ticket_id=ticket_id(METER_URI, number),
            now=NOW,
            lifetime_seconds=1,
            not_after=NOW + timedelta(days=1),
            secret=SECRET,
        )
        nonces.add(parse_encrypt0_untrusted(ticket.encoded).iv)
    assert len(nonces) == 6


def test_a_number_that_comes_again_still_has_another_nonce():
    assert len({parse_encrypt0_untrusted(issue(number=7).encoded).iv for _ in range(20)}) == 20


# Attacks


@pytest.mark.parametrize("confirmation", [DERIVED, CARRIED, PUBLIC], ids=["derived", "carried", "public"])
def test_a_flip_of_any_bit_of_an_encrypted_ticket_is_refused(confirmation):
    encoded = issue(confirmation).encoded
    for position in range(len(encoded) * 8):
        tampered = bytearray(encoded)
        tampered[position // 8] ^= 1 << position % 8
        reason_for(bytes(tampered))


def test_another_secret_under_the_same_name_is_not_authentic():
    iv = bytes(13)
    forged = encrypt0(
        encode(claims()), key=bytes(16), key_id=SECRET.key_id(), iv=iv, algorithm=SECRET.algorithm
    )
    assert reason_for(forged) is TicketReason.NOT_AUTHENTIC


def test_the_ticket_does_not_choose_the_algorithm():
    # The same key would even fit; a shorter tag is easier to guess.
    for algorithm in (Algorithm.AES_CCM_16_64_128, Algorithm.A128GCM):
        ticket = encrypted(encode(claims()), algorithm=algorithm)
        assert reason_for(ticket) is TicketReason.UNSUPPORTED_PROTECTION
    METER.verify_untrusted(encrypted(encode(claims())), now=NOW)


def test_one_ac_cannot_encrypt_in_the_name_of_another():
    other = SharedSecret(os.urandom(16))
    both = verifier(TrustedIssuer(AC_URI, secret=SECRET), TrustedIssuer("urn:x", secret=other))
    assert reason_for(encrypted(encode(claims()), secret=other), both) is TicketReason.UNKNOWN_ISSUER


@pytest.mark.parametrize(
    "cnf",
    [
        {1: {1: 4}},
        {1: {1: 4, 2: b""}},
        {1: {1: 4, 2: b"kid", -1: bytes(15)}},
        {1: {1: 4, 2: b"kid", -1: bytes(65)}},
        {1: {1: 4, 2: b"kid", -1: "key"}},
        {1: {1: 4, -1: bytes(16)}},
        {1: {1: 4, 2: b"kid"}, 3: b"kid"},
        {1: {1: 4, 2: b"kid"}, 5: bytes(32)},
        {3: b"kid"},
    ],
    ids=range(9),
)
def test_a_symmetric_key_that_cannot_be_proved_is_refused(cnf):
    assert reason_for(encrypted(encode(claims(cnf=cnf)))) is TicketReason.NO_CONFIRMATION


def test_a_key_is_not_shown():
    ticket = issue(CARRIED)
    assert "key=" not in repr(ticket)
    assert repr(CARRIED.key) not in repr(ticket)


def test_a_public_key_is_no_proof_for_a_symmetric_ticket():
    with pytest.raises(TicketRejected) as caught:
        issue().require_holder(HOLDER_SPKI)
    assert caught.value.reason is TicketReason.WRONG_KEY


# Kept and updated


def test_a_ticket_is_found_by_the_name_of_its_key_while_it_is_valid():
    store = TicketStore()
    mine = issue()
    store.put(mine, NOW)
    assert store.for_kid(DERIVED.kid, NOW) == mine
    assert store.for_kid(b"other", NOW) is None
    assert store.for_kid(DERIVED.kid, mine.expires_at) is None
    assert store.for_holder(DERIVED.kid, NOW) is None


@pytest.mark.parametrize("confirmation", [DERIVED, CARRIED], ids=["derived", "carried"])
def test_an_update_changes_the_rights_and_not_the_key(confirmation):
    store = TicketStore()
    first, update = issue(confirmation, number=7), issue(confirmation, number=8, lifetime_seconds=60)
    store.put(first, NOW)
    store.put(update, NOW)
    held = store.for_kid(confirmation.kid, NOW)
    assert held.confirmation.key == first.confirmation.key
    assert (held.sequence, held.expires_at, held.encoded) == (8, update.expires_at, update.encoded)
    with pytest.raises(TicketRejected) as caught:
        store.put(first, NOW)
    assert caught.value.reason is TicketReason.SUPERSEDED


@pytest.mark.parametrize(
    "second",
    [
        issue(subject="urn:dev:org:32473-mallory", number=8),
        issue(replace(CARRIED, kid=DERIVED.kid), number=8),
        replace(issue(number=8), issuer="urn:dev:org:32473-other-ac", issued_at=NOW + timedelta(seconds=9)),
    ],
    ids=["another holder", "another key", "another AC"],
)
def test_the_name_of_a_key_does_not_let_another_take_its_place(second):
    store = TicketStore()
    mine = issue()
    store.put(mine, NOW)
    with pytest.raises(TicketRejected) as caught:
        store.put(second, NOW)
    assert caught.value.reason is TicketReason.WRONG_KEY
    assert store.for_kid(DERIVED.kid, NOW) == mine


def test_new_names_do_not_collide():
    assert len({fresh_kid(os.urandom) for _ in range(1000)}) == 1000
