"""Tickets as the AC writes them, judged by our verifier and by an independent library."""

import os
from datetime import datetime, timedelta
from itertools import count

import cbor2
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cwt import COSE, COSEKey
from ticket_forge import (
    AC_KEY,
    AC_KEY_ID,
    AC_URI,
    EXP,
    HOLDER_SPKI,
    IAT,
    METER_URI,
    NOW,
    OTHER_SPKI,
    P256_ORDER,
    RSA_SPKI,
    SCOPE,
    SUBSCRIBER_URI,
    claims,
    spki_of,
    verifier,
)

from twoway.errors import CallerError, ConfigurationError
from twoway.tickets import (
    MAX_TICKET_BYTES,
    Confirmation,
    HolderExpired,
    Method,
    Scope,
    TicketIssuer,
    TicketReason,
    TicketRejected,
    thumbprint,
    ticket_id,
)
from twoway.tickets.cose_key import cose_key_from_spki

AC = TicketIssuer(issuer=AC_URI, private_key=AC_KEY, entropy=os.urandom)
NEXT_YEAR = NOW + timedelta(days=365)
JUDGE_KEY = COSEKey.new(cose_key_from_spki(spki_of(AC_KEY.public_key())) | {2: AC_KEY_ID, 3: -7, 4: [2]})


def _reading(*targets: str) -> Scope:
    return Scope(tuple((target, Method.GET) for target in targets))


def issue(**changes: object):
    asked = {
        "subject": SUBSCRIBER_URI,
        "audience": METER_URI,
        "scope": SCOPE,
        "confirmation": Confirmation.of_key(HOLDER_SPKI),
        "ticket_id": ticket_id(METER_URI, 7),
        "now": NOW,
        "lifetime_seconds": 600,
        "not_after": NEXT_YEAR,
    }
    return AC.issue(**(asked | changes))


@pytest.mark.parametrize("compact", [False, True])
@pytest.mark.parametrize("spki", [HOLDER_SPKI, RSA_SPKI], ids=["P-256", "RSA"])
def test_what_the_ac_issues_the_publisher_accepts(spki, compact):
    issued = issue(confirmation=Confirmation.of_key(spki, compact=compact))
    accepted = verifier().verify_untrusted(issued.encoded, now=NOW)
    assert accepted == issued
    accepted.require_holder(spki)
    with pytest.raises(TicketRejected):
        accepted.require_holder(OTHER_SPKI)


def test_an_independent_library_verifies_what_the_ac_issues():
    issued = issue()
    inner = cbor2.loads(issued.encoded).value
    payload = COSE.new().decode(cbor2.dumps(inner), JUDGE_KEY)
    assert cbor2.loads(payload) == claims(cti=issued.ticket_id)
    tampered = bytearray(issued.encoded)
    tampered[-1] ^= 1
    with pytest.raises(Exception, match=r"(?i)verify"):
        COSE.new().decode(cbor2.dumps(cbor2.loads(bytes(tampered)).value), JUDGE_KEY)


def test_the_publisher_accepts_what_an_independent_library_issues_in_this_shape():
    signer = COSEKey.new(
        cose_key_from_spki(spki_of(AC_KEY.public_key()))
        | {2: AC_KEY_ID, 3: -7, 4: [1], -4: AC_KEY.private_numbers().private_value.to_bytes(32)}
    )
    # The library takes either of the two signatures that there are; only the lower one is a ticket.
    messages = (
        COSE.new().encode(cbor2.dumps(claims()), signer, protected={1: -7, 4: AC_KEY_ID}, unprotected={})
        for _ in count()
    )
    sign1 = next(message for message in messages if int.from_bytes(message[-32:]) <= P256_ORDER // 2)
    ticket = verifier().verify_untrusted(b"\xd8\x3d" + sign1, now=NOW)
    assert ticket.subject == SUBSCRIBER_URI
    ticket.require_holder(HOLDER_SPKI)
    with_loose_header = COSE.new().encode(
        cbor2.dumps(claims()), signer, protected={1: -7}, unprotected={4: AC_KEY_ID}
    )
    with pytest.raises(TicketRejected) as caught:
        verifier().verify_untrusted(b"\xd8\x3d" + with_loose_header, now=NOW)
    assert caught.value.reason is TicketReason.UNSUPPORTED_PROTECTION


def test_the_claims_are_those_of_the_dtls_profile_and_nothing_else():
    issued = issue()
    message = cbor2.loads(issued.encoded)
    assert (message.tag, message.value.tag) == (61, 18)
    protected, unprotected, payload, signature = message.value.value
    assert cbor2.loads(protected) == {1: -7, 4: thumbprint(spki_of(AC_KEY.public_key()))[:8]}
    assert (unprotected, len(signature)) == ({}, 64)
    found = cbor2.loads(payload)
    assert set(found) == {1, 2, 3, 4, 6, 7, 8, 9, 38}
    assert (found[4], found[6], found[38]) == (EXP, IAT, 1)
    assert cbor2.loads(found[9]) == [["/power", 1]]


def test_a_thumbprint_makes_a_ticket_41_bytes_smaller():
    assert (
        len(issue().encoded) - len(issue(confirmation=Confirmation.of_key(HOLDER_SPKI, compact=True)).encoded)
        == 41
    )


def test_a_ticket_has_the_id_that_was_drawn_for_it():
    issued = issue(ticket_id=ticket_id(METER_URI, 2**64 - 1))
    assert (issued.ticket_id, issued.sequence) == (ticket_id(METER_URI, 2**64 - 1), 2**64 - 1)


@pytest.mark.parametrize("drawn", [ticket_id(AC_URI, 7), b"", bytes(16), ticket_id(METER_URI, 7) + b"\0"])
def test_an_id_of_another_audience_is_not_given_to_a_ticket(drawn):
    with pytest.raises(CallerError, match="audience"):
        issue(ticket_id=drawn)


def test_no_ticket_outlives_the_certificate_of_its_holder():
    assert issue(not_after=NOW + timedelta(seconds=42)).expires_at == NOW + timedelta(seconds=42)
    assert issue(not_after=NOW + timedelta(seconds=42.9)).expires_at == NOW + timedelta(seconds=42)


@pytest.mark.parametrize("not_after", [NOW, NOW - timedelta(days=1), NOW + timedelta(seconds=0.5)])
def test_the_holder_of_an_ended_certificate_gets_no_ticket(not_after):
    with pytest.raises(HolderExpired, match="have it renewed") as caught:
        issue(not_after=not_after)
    assert SUBSCRIBER_URI in str(caught.value)


def test_times_are_rounded_so_that_no_ticket_lives_longer_than_it_may():
    issued = issue(now=NOW + timedelta(seconds=0.9), lifetime_seconds=10)
    assert (issued.issued_at, issued.expires_at) == (NOW, NOW + timedelta(seconds=10))


@pytest.mark.parametrize("lifetime", [0, -1])
def test_a_ticket_without_a_lifetime_is_not_issued(lifetime):
    with pytest.raises(CallerError, match="cannot live"):
        issue(lifetime_seconds=lifetime)


def test_a_ticket_may_live_for_one_second():
    assert issue(lifetime_seconds=1).expires_at == NOW + timedelta(seconds=1)


def test_a_ticket_that_permits_nothing_is_not_issued():
    with pytest.raises(CallerError, match="permits nothing"):
        issue(scope=Scope((("/power", Method(0)),)))


def test_a_time_without_a_zone_is_refused():
    with pytest.raises(CallerError, match="zone"):
        issue(now=datetime(2026, 3, 1))  # noqa: DTZ001 - the fault under test
    with pytest.raises(CallerError, match="zone"):
        issue(not_after=datetime(2026, 3, 1))  # noqa: DTZ001 - the fault under test


def test_a_ticket_that_publishers_would_not_take_is_not_issued():
    wide = _reading(*(f"/{number}/{'x' * 200}" for number in range(30)))
    paths = [f"/{number}/{'x' * 800}" for number in range(4)]
    room = MAX_TICKET_BYTES - len(issue(scope=_reading(*paths, "/" + "y" * 300)).encoded)
    assert len(issue(scope=_reading(*paths, "/" + "y" * (300 + room))).encoded) == MAX_TICKET_BYTES
    with pytest.raises(CallerError, match="larger than publishers take"):
        issue(scope=_reading(*paths, "/" + "y" * (301 + room)))
    with pytest.raises(CallerError, match=f"larger than publishers take .{MAX_TICKET_BYTES}"):
        issue(scope=wide)


@pytest.mark.parametrize(
    "key",
    [ec.generate_private_key(ec.SECP384R1()), rsa.generate_private_key(public_exponent=65537, key_size=2048)],
    ids=["P-384", "RSA"],
)
def test_an_ac_whose_key_cannot_sign_tickets_is_a_fault_of_the_configuration(key):
    with pytest.raises(ConfigurationError, match="P-256"):
        TicketIssuer(issuer=AC_URI, private_key=key, entropy=os.urandom)


def test_a_nonce_of_the_publisher_is_copied_and_comes_back():
    issued = issue(cnonce=b"once")
    assert verifier().verify_untrusted(issued.encoded, now=NOW).cnonce == issued.cnonce == b"once"
    assert verifier().verify_untrusted(issue().encoded, now=NOW).cnonce is None
