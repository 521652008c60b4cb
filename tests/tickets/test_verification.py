"""The judgement of a ticket: each check refuses for its own reason, in the order of RFC 9200."""

import random
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from hashlib import sha256

import pytest
from cbor2 import CBORTag as Tagged
from cryptography.hazmat.primitives.serialization import load_der_public_key
from hypothesis import given, settings
from hypothesis import strategies as st
from ticket_forge import (
    ABSENT,
    AC_KEY,
    AC_KEY_ID,
    AC_URI,
    EXP,
    HOLDER_SPKI,
    IAT,
    METER_URI,
    NOW,
    OTHER_AC_KEY,
    OTHER_AC_KEY_ID,
    OTHER_SPKI,
    P256_ORDER,
    P384_SPKI,
    RSA_SPKI,
    SCOPE,
    SUBSCRIBER_URI,
    claims,
    signature_over,
    signed,
    ticket_with,
    verifier,
)

from twoway.errors import ConfigurationError
from twoway.strict_cbor import decode_untrusted, encode
from twoway.tickets import (
    MAX_TICKET_BYTES,
    Confirmation,
    ExiLedger,
    Method,
    Scope,
    TicketReason,
    TicketRejected,
    TicketVerifier,
    TrustedIssuer,
    thumbprint,
    ticket_id,
)
from twoway.tickets.provisional import ProvisionalNumbers

METER = verifier()


def reason_for(ticket: bytes, *, judge: TicketVerifier = METER, now: datetime = NOW) -> TicketReason:
    with pytest.raises(TicketRejected) as caught:
        judge.verify_untrusted(ticket, now=now)
    assert str(caught.value).startswith("the ticket is refused: ")
    return caught.value.reason


def test_a_good_ticket_is_accepted_with_all_it_says():
    encoded = ticket_with()
    ticket = METER.verify_untrusted(encoded, now=NOW)
    assert (ticket.issuer, ticket.subject, ticket.audience) == (AC_URI, SUBSCRIBER_URI, METER_URI)
    assert (ticket.issued_at, ticket.expires_at) == (NOW, NOW + timedelta(seconds=600))
    assert (ticket.scope, ticket.ticket_id) == (SCOPE, ticket_id(METER_URI, 7))
    assert ticket.encoded == encoded
    ticket.require_holder(HOLDER_SPKI)
    ticket.require_valid_at(NOW)


def test_a_ticket_is_only_its_holders():
    ticket = METER.verify_untrusted(ticket_with(), now=NOW)
    for spki in (OTHER_SPKI, RSA_SPKI, P384_SPKI, b""):
        with pytest.raises(TicketRejected) as caught:
            ticket.require_holder(spki)
        assert caught.value.reason is TicketReason.WRONG_KEY


@pytest.mark.parametrize(
    "cnf", [{5: thumbprint(HOLDER_SPKI)}, {1: Confirmation.of_key(HOLDER_SPKI).claim()[1]}]
)
def test_both_forms_of_the_binding_are_accepted(cnf):
    METER.verify_untrusted(ticket_with(cnf=cnf), now=NOW).require_holder(HOLDER_SPKI)


# Tampering


def test_a_flip_of_any_bit_of_a_ticket_is_refused():
    encoded = ticket_with()
    for position in range(len(encoded)):
        for bit in range(8):
            tampered = bytearray(encoded)
            tampered[position] ^= 1 << bit
            reason_for(bytes(tampered))


def test_a_ticket_cut_or_lengthened_anywhere_is_refused():
    encoded = ticket_with()
    for length in range(len(encoded)):
        reason_for(encoded[:length])
    for tail in (b"\x00", b"\xf6", encoded):
        assert reason_for(encoded + tail) is TicketReason.MALFORMED


@given(st.binary(max_size=400))
def test_any_bytes_are_refused_with_the_one_error(data):
    with pytest.raises(TicketRejected):
        METER.verify_untrusted(data, now=NOW)


@settings(max_examples=200)
@given(st.binary(max_size=200))
def test_any_signed_payload_is_refused_with_the_one_error(payload):
    with pytest.raises(TicketRejected):
        METER.verify_untrusted(signed(payload), now=NOW)


CLAIM_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**64), 2**64 - 1) | st.binary(max_size=40) | st.just("x"),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.integers(-5, 9), inner, max_size=3),
    max_leaves=6,
)


@settings(max_examples=200)
@given(st.sampled_from(sorted(claims())), CLAIM_VALUES)
def test_any_value_of_a_signed_claim_is_judged_or_refused_with_the_one_error(claim, value):
    with suppress(TicketRejected):
        METER.verify_untrusted(signed(encode(claims() | {claim: value})), now=NOW)


def test_random_edits_of_a_ticket_are_refused():
    rng = random.Random(8392)
    encoded = ticket_with()
    for _ in range(2000):
        edited = bytearray(encoded)
        for _ in range(rng.randint(1, 4)):
            position = rng.randrange(len(edited))
            match rng.randrange(3):
                case 0:
                    edited[position] = rng.randrange(256)
                case 1:
                    del edited[position]
                case _:
                    edited.insert(position, rng.randrange(256))
        if edited != encoded:
            reason_for(bytes(edited))


# 1: shape


def test_a_ticket_that_is_too_large_is_not_even_parsed():
    padding = {1000: bytes(MAX_TICKET_BYTES)}
    assert reason_for(signed(encode(claims() | padding))) is TicketReason.MALFORMED
    largest = bytes(MAX_TICKET_BYTES - len(signed(encode(claims() | {1000: bytes(256)}))) + 256)
    encoded = signed(encode(claims() | {1000: largest}))
    assert len(encoded) == MAX_TICKET_BYTES
    METER.verify_untrusted(encoded, now=NOW)


@pytest.mark.parametrize("data", [b"", b"\x00", b"not a ticket", b"\xd8\x3d\xd2\x84", b"\xa0"])
def test_what_is_no_ticket_is_malformed(data):
    assert reason_for(data) is TicketReason.MALFORMED


@pytest.mark.parametrize("tags", [(), (18,), (61,), (61, 61, 18), (55799, 61, 18)])
def test_other_tags_than_the_two_are_malformed(tags):
    message = decode_untrusted(ticket_with(), tags={18, 61})
    assert isinstance(message, Tagged)
    assert isinstance(message.value, Tagged)
    item = message.value.value
    for tag in reversed(tags):
        item = Tagged(tag, item)
    assert reason_for(encode(item)) is TicketReason.MALFORMED


# 2: protection


@pytest.mark.parametrize(
    ("protected", "unprotected", "tag"),
    [
        ({1: -35, 4: AC_KEY_ID}, {}, 18),
        ({4: AC_KEY_ID}, {}, 18),
        ({1: None, 4: AC_KEY_ID}, {}, 18),
        ({4: AC_KEY_ID}, {1: -7}, 18),
        ({1: -7}, {4: AC_KEY_ID}, 18),
        ({1: -7, 2: [99], 4: AC_KEY_ID, 99: 0}, {}, 18),
        ({1: 5, 4: AC_KEY_ID}, {}, 17),
        ({1: -7, 4: AC_KEY_ID}, {}, 17),
    ],
    ids=["ES384", "no alg", "alg null", "alg unprotected", "kid unprotected", "crit", "MAC", "ES256 as MAC"],
)
def test_other_protection_than_es256_over_all_headers_is_refused(protected, unprotected, tag):
    payload = encode(claims())
    header = encode(protected)
    parts = [header, unprotected, payload, signature_over(header, payload)]
    assert reason_for(encode(Tagged(61, Tagged(tag, parts)))) is TicketReason.UNSUPPORTED_PROTECTION


def test_a_ticket_under_an_unknown_key_id_is_from_an_unknown_issuer():
    payload = encode(claims())
    other_id = OTHER_AC_KEY_ID
    assert reason_for(signed(payload, key=OTHER_AC_KEY, key_id=other_id)) is TicketReason.UNKNOWN_ISSUER
    assert reason_for(signed(payload, key_id=b"")) is TicketReason.UNKNOWN_ISSUER


def test_a_ticket_without_a_key_id_is_from_an_unknown_issuer():
    payload, header = encode(claims()), encode({1: -7})
    parts = [header, {}, payload, signature_over(header, payload)]
    assert reason_for(encode(Tagged(61, Tagged(18, parts)))) is TicketReason.UNKNOWN_ISSUER


def test_the_key_id_finds_the_key_but_proves_nothing():
    forged = signed(encode(claims()), key=OTHER_AC_KEY, key_id=AC_KEY_ID)
    assert reason_for(forged) is TicketReason.BAD_SIGNATURE


def test_a_publisher_that_trusts_nobody_accepts_nothing():
    nobody = TicketVerifier(audience=METER_URI, issuers=[])
    assert reason_for(ticket_with(), judge=nobody) is TicketReason.UNKNOWN_ISSUER


# 3: claims


@pytest.mark.parametrize(
    "payload", [b"", b"\x80", b"\xf6", b"\xa0", encode([claims()]), encode(claims()) + b"\x00"]
)
def test_a_payload_that_is_no_claim_set_is_refused(payload):
    assert reason_for(signed(payload)) is TicketReason.MALFORMED_CLAIMS


def test_a_claim_that_stands_twice_is_refused():
    good = encode(claims())
    assert good[0] == 0xA9
    # A second audience behind the others, which a reader that takes the last would believe.
    doubled = b"\xaa" + good[1:] + encode(3) + encode(METER_URI)
    assert reason_for(signed(doubled)) is TicketReason.MALFORMED_CLAIMS


@pytest.mark.parametrize("claim", ["iss", "sub", "aud", "exp", "iat", "cti"])
def test_a_claim_that_is_missing_is_refused(claim):
    assert reason_for(ticket_with(**{claim: ABSENT})) is TicketReason.MALFORMED_CLAIMS


@pytest.mark.parametrize("claim", ["iss", "sub", "aud"])
@pytest.mark.parametrize(
    "value",
    [
        b"bytes",
        1,
        None,
        True,
        "",
        [METER_URI],
        Tagged(32, METER_URI),
        "x" * 256,
        "urn:x\n",
        "urn:x\x1b[2J",
        "a\u202e",
    ],
)
def test_a_name_that_is_no_plain_text_is_refused(claim, value):
    assert reason_for(ticket_with(**{claim: value})) is TicketReason.MALFORMED_CLAIMS


@pytest.mark.parametrize("claim", ["exp", "iat", "nbf"])
@pytest.mark.parametrize(
    "value",
    [
        Tagged(1, EXP),
        -1,
        -EXP,
        2**63,
        2**64 - 1,
        253_402_300_800,
        True,
        None,
        str(EXP),
        b"\x00",
        [EXP],
        Tagged(2, b"\x7f"),
    ],
)
def test_a_time_that_is_no_plain_number_of_seconds_is_refused(claim, value):
    assert reason_for(ticket_with(**{claim: value})) is TicketReason.MALFORMED_CLAIMS


@pytest.mark.parametrize("claim", [4, 5, 6])
@pytest.mark.parametrize("number", ["fb41da000000000000", "f97c00", "f97e00", "f9fc00", "fa7f7fffff"])
def test_a_time_as_float_is_refused_even_if_it_is_far_ahead(claim, number):
    others = {key: value for key, value in claims().items() if key != claim}
    payload = bytes((0xA0 + len(others) + 1,)) + encode(others)[1:] + encode(claim) + bytes.fromhex(number)
    assert isinstance(decode_untrusted(payload), dict)
    assert reason_for(signed(payload)) is TicketReason.MALFORMED_CLAIMS


@pytest.mark.parametrize("value", [b"", bytes(65), "text", 1, None])
def test_a_ticket_id_that_is_no_short_byte_string_is_refused(value):
    assert reason_for(ticket_with(cti=value)) is TicketReason.MALFORMED_CLAIMS


# 4: issuer


def test_one_trusted_ac_cannot_issue_in_the_name_of_another():
    other = TrustedIssuer("urn:dev:org:32473-other-ac", (OTHER_AC_KEY.public_key(),))
    both = verifier(TrustedIssuer(AC_URI, (AC_KEY.public_key(),)), other)
    own = signed(encode(claims(iss=other.uri)), key=OTHER_AC_KEY, key_id=OTHER_AC_KEY_ID)
    assert both.verify_untrusted(own, now=NOW).issuer == other.uri
    posing = signed(encode(claims()), key=OTHER_AC_KEY, key_id=OTHER_AC_KEY_ID)
    assert reason_for(posing, judge=both) is TicketReason.UNKNOWN_ISSUER
    assert reason_for(ticket_with(iss=other.uri), judge=both) is TicketReason.UNKNOWN_ISSUER


def test_the_same_key_for_two_issuers_is_a_fault_of_the_configuration():
    with pytest.raises(ConfigurationError, match="same key"):
        verifier(
            TrustedIssuer(AC_URI, (AC_KEY.public_key(),)), TrustedIssuer("urn:x", (AC_KEY.public_key(),))
        )


@pytest.mark.parametrize("kind", ["P-384", "RSA"])
def test_an_issuer_whose_key_cannot_sign_tickets_is_a_fault_of_the_configuration(kind):
    key = load_der_public_key({"P-384": P384_SPKI, "RSA": RSA_SPKI}[kind])
    with pytest.raises(ConfigurationError, match="P-256"):
        TrustedIssuer(AC_URI, (key,))


# 5: time


def test_a_ticket_ends_with_its_last_second_without_any_leeway():
    end = datetime.fromtimestamp(EXP, UTC)
    METER.verify_untrusted(ticket_with(), now=end - timedelta(microseconds=1))
    for now in (end, end + timedelta(seconds=1), end + timedelta(days=4000)):
        assert reason_for(ticket_with(), now=now) is TicketReason.EXPIRED


def test_a_ticket_begins_with_its_first_second_without_any_leeway():
    begin = NOW + timedelta(seconds=60)
    encoded = ticket_with(nbf=IAT + 60)
    assert METER.verify_untrusted(encoded, now=begin).not_before == begin
    assert reason_for(encoded, now=begin - timedelta(microseconds=1)) is TicketReason.NOT_YET_VALID


def test_a_ticket_that_was_accepted_is_judged_by_time_again():
    ticket = METER.verify_untrusted(ticket_with(nbf=IAT), now=NOW)
    ticket.require_valid_at(ticket.expires_at - timedelta(microseconds=1))
    with pytest.raises(TicketRejected) as caught:
        ticket.require_valid_at(ticket.expires_at)
    assert caught.value.reason is TicketReason.EXPIRED
    with pytest.raises(TicketRejected) as caught:
        ticket.require_valid_at(NOW - timedelta(seconds=1))
    assert caught.value.reason is TicketReason.NOT_YET_VALID


# 6: audience


@pytest.mark.parametrize(
    "audience", [METER_URI + "2", METER_URI[:-1], METER_URI.upper(), METER_URI + "/", " " + METER_URI]
)
def test_a_ticket_for_another_publisher_is_refused(audience):
    assert reason_for(ticket_with(aud=audience)) is TicketReason.WRONG_AUDIENCE


# 7: scope


@pytest.mark.parametrize(
    "scope",
    [
        ABSENT,
        None,
        "GET /power",
        [["/power", 1]],
        b"",
        b"\xff",
        encode("GET /power"),
        encode([["/power"]]),
        encode([["power", 1]]),
        encode([["/power", -1]]),
        encode([["/../power", 1]]),
        SCOPE.encode() + b"\x00",
    ],
)
def test_a_scope_that_is_no_aif_is_refused(scope):
    assert reason_for(ticket_with(scope=scope)) is TicketReason.BAD_SCOPE


def test_a_scope_of_unknown_permissions_permits_nothing():
    ticket = METER.verify_untrusted(ticket_with(scope=encode([["/power", 0], ["/x", 1 << 40]])), now=NOW)
    assert not ticket.scope
    assert not ticket.scope.permits("/power", Method.GET)


# Profile and key


@pytest.mark.parametrize("profile", [0, 2, 4, "coap_dtls", None, True, [1]])
def test_a_ticket_of_another_profile_is_refused(profile):
    assert reason_for(ticket_with(ace_profile=profile)) is TicketReason.UNSUPPORTED_PROFILE


def test_a_ticket_may_leave_the_profile_out():
    METER.verify_untrusted(ticket_with(ace_profile=ABSENT), now=NOW)


@pytest.mark.parametrize(
    "cnf",
    [
        ABSENT,
        None,
        b"",
        {},
        {3: b"kid"},
        {1: {1: 4, -1: bytes(16)}},
        {1: Confirmation.of_key(HOLDER_SPKI).claim()[1], 5: thumbprint(HOLDER_SPKI)},
        {5: thumbprint(HOLDER_SPKI)[:8]},
        {6: [-16, thumbprint(HOLDER_SPKI)]},
    ],
    ids=["missing", "null", "bytes", "empty", "kid", "symmetric", "two", "short thumbprint", "unknown"],
)
def test_a_ticket_that_is_not_bound_to_exactly_one_public_key_is_refused(cnf):
    assert reason_for(ticket_with(cnf=cnf)) is TicketReason.NO_CONFIRMATION


# Order and answers


def test_the_first_check_that_fails_gives_the_reason():
    faults: list[tuple[dict[str, object], TicketReason]] = [
        ({"cnf": ABSENT}, TicketReason.NO_CONFIRMATION),
        ({"ace_profile": 2}, TicketReason.UNSUPPORTED_PROFILE),
        ({"scope": b""}, TicketReason.BAD_SCOPE),
        ({"aud": "urn:other"}, TicketReason.WRONG_AUDIENCE),
        ({"nbf": EXP}, TicketReason.NOT_YET_VALID),
        ({"exp": IAT}, TicketReason.EXPIRED),
        ({"iss": "urn:other"}, TicketReason.UNKNOWN_ISSUER),
        ({"cti": None}, TicketReason.MALFORMED_CLAIMS),
    ]
    all_so_far: dict[str, object] = {}
    for fault, reason in faults:
        all_so_far |= fault
        assert reason_for(ticket_with(**all_so_far)) is reason
    broken = signed(encode(claims(**all_so_far)), key=OTHER_AC_KEY, key_id=AC_KEY_ID)
    assert reason_for(broken) is TicketReason.BAD_SIGNATURE
    assert reason_for(broken + b"\x00") is TicketReason.MALFORMED


@pytest.mark.parametrize(
    ("reason", "code"),
    [
        (TicketReason.MALFORMED, (4, 0)),
        (TicketReason.UNSUPPORTED_PROTECTION, (4, 1)),
        (TicketReason.BAD_SIGNATURE, (4, 1)),
        (TicketReason.MALFORMED_CLAIMS, (4, 0)),
        (TicketReason.UNKNOWN_ISSUER, (4, 1)),
        (TicketReason.EXPIRED, (4, 1)),
        (TicketReason.NOT_YET_VALID, (4, 1)),
        (TicketReason.WRONG_AUDIENCE, (4, 3)),
        (TicketReason.BAD_SCOPE, (4, 0)),
        (TicketReason.UNSUPPORTED_PROFILE, (4, 0)),
        (TicketReason.NO_CONFIRMATION, (4, 0)),
        (TicketReason.WRONG_KEY, (4, 1)),
        (TicketReason.SUPERSEDED, (4, 1)),
        (TicketReason.NOT_AUTHENTIC, (4, 1)),
        (TicketReason.STALE_NONCE, (4, 1)),
        (TicketReason.REVOKED, (4, 1)),
        (TicketReason.STORE_FULL, (5, 3)),
    ],
)
def test_each_reason_has_the_answer_of_rfc_9200(reason, code):
    assert reason.response_code == code
    assert reason.sentence


def test_every_reason_has_its_own_words():
    assert len({reason.sentence for reason in TicketReason}) == len(TicketReason) == 20


def test_a_ticket_shows_neither_its_bytes_nor_its_key():
    ticket = METER.verify_untrusted(ticket_with(), now=NOW)
    assert "encoded" not in repr(ticket)
    assert "spki" not in repr(ticket)


def test_a_scope_wider_than_one_path_survives_the_journey():
    scope = Scope((("/power", Method.GET), ("/s/valve?x=1", Method.PUT | Method.DELETE)))
    assert METER.verify_untrusted(ticket_with(scope=scope.encode()), now=NOW).scope == scope


@pytest.mark.parametrize("cnonce", ["text", 7, b"", bytes(65), [b"n"], None])
def test_a_nonce_of_another_shape_is_refused(cnonce):
    assert reason_for(ticket_with(cnonce=cnonce)) is TicketReason.MALFORMED_CLAIMS


# Keys of an issuer, and the one form of a ticket


def test_during_a_change_of_keys_tickets_of_both_keys_are_accepted_and_after_it_one():
    old, new = AC_KEY.public_key(), OTHER_AC_KEY.public_key()
    by_old = ticket_with()
    by_new = signed(encode(claims()), key=OTHER_AC_KEY, key_id=OTHER_AC_KEY_ID)
    during = verifier(TrustedIssuer(AC_URI, (new, old)))
    for ticket in (by_old, by_new):
        during.verify_untrusted(ticket, now=NOW)
    after = verifier(TrustedIssuer(AC_URI, (new,)))
    after.verify_untrusted(by_new, now=NOW)
    assert reason_for(by_old, judge=after) is TicketReason.UNKNOWN_ISSUER


def test_a_key_id_of_one_key_does_not_lend_itself_to_the_other():
    both = verifier(TrustedIssuer(AC_URI, (AC_KEY.public_key(), OTHER_AC_KEY.public_key())))
    crossed = signed(encode(claims()), key=OTHER_AC_KEY, key_id=AC_KEY_ID)
    assert reason_for(crossed, judge=both) is TicketReason.BAD_SIGNATURE


def test_the_twin_of_a_signature_does_not_make_a_second_ticket_with_another_hash():
    # (r, n - s) verifies wherever (r, s) does: a revoked ticket would come back under another token hash.
    for _ in range(8):
        encoded = ticket_with()
        s = int.from_bytes(encoded[-32:])
        assert s <= P256_ORDER // 2
        twin = encoded[:-32] + (P256_ORDER - s).to_bytes(32)
        METER.verify_untrusted(encoded, now=NOW)
        assert reason_for(twin) is TicketReason.BAD_SIGNATURE


def test_a_ticket_whose_name_is_of_another_audience_is_refused():
    assert reason_for(ticket_with(cti=ticket_id(AC_URI, 7))) is TicketReason.MALFORMED_CLAIMS
    # A fault of the claims, hence said before that it has expired.
    assert reason_for(ticket_with(cti=ticket_id(AC_URI, 7), exp=IAT)) is TicketReason.MALFORMED_CLAIMS
    assert METER.verify_untrusted(ticket_with(), now=NOW).sequence == 7


def test_a_certificate_is_pinned_under_the_number_that_this_publisher_goes_by():
    numbers = ProvisionalNumbers(x5t=8)
    pinned = Confirmation.of_key(HOLDER_SPKI, certificate_sha256=sha256(b"certificate").digest())
    ticket = TicketVerifier(
        audience=METER_URI, issuers=[TrustedIssuer(AC_URI, (AC_KEY.public_key(),))], numbers=numbers
    ).verify_untrusted(ticket_with(cnf=pinned.claim(numbers)), now=NOW)
    ticket.require_holder(HOLDER_SPKI, b"certificate")
    for certificate in (None, b"renewed"):
        with pytest.raises(TicketRejected) as caught:
            ticket.require_holder(HOLDER_SPKI, certificate)
        assert caught.value.reason is TicketReason.WRONG_KEY


def test_a_fault_of_the_configuration_names_the_ac_or_the_publisher():
    one, same = (TrustedIssuer(uri, (AC_KEY.public_key(),)) for uri in (AC_URI, "urn:x"))
    other = TrustedIssuer("urn:y", (OTHER_AC_KEY.public_key(),))
    for fault, where in (
        (lambda: verifier(one, same), "urn:x"),
        (lambda: TrustedIssuer("urn:x"), "urn:x"),
        (lambda: TrustedIssuer("urn:x", (load_der_public_key(P384_SPKI),)), "urn:x"),
        (
            lambda: TicketVerifier(audience=METER_URI, issuers=[one, other], exi_ledger=ExiLedger()),
            METER_URI,
        ),
    ):
        with pytest.raises(ConfigurationError) as caught:
            fault()
        assert caught.value.where == where
