"""The envelope: COSE_Sign1 with ES256 in exactly one shape, and the examples of RFC 8392."""

import hashlib
import hmac
from contextlib import suppress

import pytest
from cbor2 import CBORTag as Tagged
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_der_public_key
from hypothesis import given
from hypothesis import strategies as st
from ticket_forge import AC_KEY, AC_KEY_ID, NOW, OTHER_AC_KEY, P256_ORDER, signature_over, verifier

from twoway import strict_cbor
from twoway.strict_cbor import encode
from twoway.tickets import TicketReason, TicketRejected, TicketVerifier, TrustedIssuer, cose
from twoway.tickets.cose import COSEFault, COSERejected
from twoway.tickets.cose_key import KeyFault, UnusableKey, spki_from_cose_key_untrusted

PUBLIC = AC_KEY.public_key()
PROTECTED = encode({1: -7, 4: AC_KEY_ID})
PAYLOAD = b"what is signed"

# RFC 8392 appendix A.1, A.2.3 and A.3.
A1_CLAIMS = bytes.fromhex(
    "a70175636f61703a2f2f61732e6578616d706c652e636f6d02656572696b7703"
    "7818636f61703a2f2f6c696768742e6578616d706c652e636f6d041a5612aeb0"
    "051a5610d9f0061a5610d9f007420b71"
)
A23_KEY = bytes.fromhex(
    "a72358206c1382765aec5358f117733d281c1c7bdc39884d04a45a1e6c67c858"
    "bc206c1922582060f7f1a780d8a783bfb7a2dd6b2796e8128dbbcef9d3d168db"
    "9529971a36e7b9215820143329cce7868e416927599cf65a34f3ce2ffda55a7e"
    "ca69ed8919a394d42f0f2001010202524173796d6d6574726963454344534132"
    "35360326"
)
A3_TICKET = bytes.fromhex(
    "d28443a10126a104524173796d6d657472696345434453413235365850a70175"
    "636f61703a2f2f61732e6578616d706c652e636f6d02656572696b7703781863"
    "6f61703a2f2f6c696768742e6578616d706c652e636f6d041a5612aeb0051a56"
    "10d9f0061a5610d9f007420b7158405427c1ff28d23fbad1f29c4c7c6a555e60"
    "1d6fa29f9179bc3d7438bacaca5acd08c8d4d4f96131680c429a01f85951ecee"
    "743a52b9b63632c57209120e1c9e30"
)


def rfc_key() -> ec.EllipticCurvePublicKey:
    parts = strict_cbor.decode_untrusted(A23_KEY)
    assert isinstance(parts, dict)
    del parts[-4]
    key = load_der_public_key(spki_from_cose_key_untrusted(parts))
    assert isinstance(key, ec.EllipticCurvePublicKey)
    return key


def message(
    protected: object = PROTECTED,
    unprotected: object = None,
    payload: object = PAYLOAD,
    signature: object = None,
    *,
    tags: tuple[int, ...] = (61, 18),
) -> bytes:
    """A message with a signature that is right for its protected header, and with any part exchanged."""
    if signature is None:
        known = isinstance(protected, bytes) and isinstance(payload, bytes)
        signature = signature_over(protected, payload) if known else bytes(64)
    item: object = [protected, {} if unprotected is None else unprotected, payload, signature]
    for tag in reversed(tags):
        item = Tagged(tag, item)
    return encode(item)


def fault_of(data: bytes, key: ec.EllipticCurvePublicKey = PUBLIC) -> COSEFault:
    with pytest.raises(COSERejected) as caught:
        cose.verify1_untrusted(data, public_key=key)
    return caught.value.fault


def test_the_claims_of_rfc_8392_are_encoded_to_the_published_bytes():
    claims = {
        7: b"\x0b\x71",
        6: 1443944944,
        5: 1443944944,
        4: 1444064944,
        3: "coap://light.example.com",
        2: "erikw",
        1: "coap://as.example.com",
    }
    assert encode(claims) == A1_CLAIMS


def test_the_signature_of_rfc_8392_verifies():
    published = strict_cbor.decode_untrusted(A3_TICKET, tags={18})
    assert isinstance(published, Tagged)
    assert isinstance(published.value, list)
    protected, _, payload, signature = published.value
    assert payload == A1_CLAIMS
    cose.verify_signature(rfc_key(), protected, payload, signature)
    with pytest.raises(COSERejected):
        cose.verify_signature(rfc_key(), protected, payload + b"\x00", signature)


def test_the_published_key_is_refused_as_a_confirmation_while_it_holds_its_private_part():
    with pytest.raises(UnusableKey) as caught:
        spki_from_cose_key_untrusted(strict_cbor.decode_untrusted(A23_KEY))
    assert caught.value.fault is KeyFault.NOT_PUBLIC


def test_the_ticket_of_rfc_8392_is_refused_for_its_unprotected_header():
    # With the CWT tag put in front the unprotected key id is all that is wrong with the envelope.
    assert fault_of(encode(Tagged(61, strict_cbor.decode_untrusted(A3_TICKET, tags={18}))), rfc_key()) is (
        COSEFault.UNSUPPORTED_PROTECTION
    )
    strict = TicketVerifier(
        audience="coap://light.example.com", issuers=[TrustedIssuer("coap://as.example.com", (rfc_key(),))]
    )
    for ticket in (A3_TICKET, b"\xd8\x3d" + A3_TICKET):
        with pytest.raises(TicketRejected) as caught:
            strict.verify_untrusted(ticket, now=NOW)
        assert caught.value.reason in (TicketReason.MALFORMED, TicketReason.UNSUPPORTED_PROTECTION)


def test_what_is_signed_verifies_and_has_the_one_shape():
    signed = cose.sign1(PAYLOAD, private_key=AC_KEY, key_id=AC_KEY_ID)
    assert signed.startswith(b"\xd8\x3d\xd2\x84")
    assert cose.verify1_untrusted(signed, public_key=PUBLIC) == PAYLOAD
    parsed = cose.parse1_untrusted(signed)
    assert (parsed.key_id, parsed.protected, len(parsed.signature)) == (AC_KEY_ID, PROTECTED, 64)


def test_the_forge_makes_valid_messages_so_that_its_changes_are_what_is_refused():
    assert cose.verify1_untrusted(message(), public_key=PUBLIC) == PAYLOAD


def test_parameters_that_nobody_has_to_understand_do_not_disturb():
    protected = encode({1: -7, 4: AC_KEY_ID, 3: "text/plain", 99: [1]})
    assert cose.verify1_untrusted(message(protected), public_key=PUBLIC) == PAYLOAD


def test_the_longest_key_id_is_read():
    assert cose.parse1_untrusted(message(encode({1: -7, 4: bytes(64)}))).key_id == bytes(64)


def test_a_message_without_a_key_id_is_parsed_for_callers_that_know_the_key():
    assert cose.parse1_untrusted(message(encode({1: -7}))).key_id is None


@pytest.mark.parametrize(
    "protected",
    [
        {1: -35, 4: AC_KEY_ID},
        {1: -9, 4: AC_KEY_ID},
        {1: -8, 4: AC_KEY_ID},
        {1: 5, 4: AC_KEY_ID},
        {1: 0, 4: AC_KEY_ID},
        {1: None, 4: AC_KEY_ID},
        {1: "ES256", 4: AC_KEY_ID},
        {1: [-7], 4: AC_KEY_ID},
        {4: AC_KEY_ID},
        {},
    ],
    ids=["ES384", "ESP256", "EdDSA", "HMAC", "reserved", "null", "text", "list", "missing", "empty"],
)
def test_another_algorithm_than_es256_is_refused_even_with_a_right_signature(protected):
    assert fault_of(message(encode(protected))) is COSEFault.UNSUPPORTED_PROTECTION


def test_an_algorithm_written_as_float_is_not_es256():
    assert fault_of(message(bytes.fromhex("a101f9c700"))) is COSEFault.UNSUPPORTED_PROTECTION


def test_an_empty_protected_header_has_no_algorithm():
    assert fault_of(message(b"")) is COSEFault.UNSUPPORTED_PROTECTION


@pytest.mark.parametrize(
    ("protected", "unprotected"),
    [({4: AC_KEY_ID}, {1: -7}), ({1: -7}, {4: AC_KEY_ID}), ({1: -7, 4: AC_KEY_ID}, {99: 0})],
    ids=["alg", "kid", "unknown"],
)
def test_an_unprotected_header_is_refused(protected, unprotected):
    assert fault_of(message(encode(protected), unprotected)) is COSEFault.UNSUPPORTED_PROTECTION


@pytest.mark.parametrize("crit", [[99], [1], [], "x"])
def test_a_critical_header_is_refused_even_if_it_names_a_known_one(crit):
    protected = encode({1: -7, 2: crit, 4: AC_KEY_ID, 99: 1})
    assert fault_of(message(protected)) is COSEFault.UNSUPPORTED_PROTECTION


@pytest.mark.parametrize("tag", [16, 17, 96, 97, 98])
def test_another_cose_message_is_refused_by_its_tag(tag):
    assert fault_of(message(tags=(61, tag))) is COSEFault.UNSUPPORTED_PROTECTION


def test_a_mac_made_with_the_public_key_is_refused():
    from ticket_forge import spki_of

    protected = encode({1: 5, 4: AC_KEY_ID})
    for secret in (spki_of(PUBLIC), spki_of(PUBLIC)[-65:], spki_of(PUBLIC)[-64:]):
        tag = hmac.digest(secret, encode(["MAC0", protected, b"", PAYLOAD]), "sha256")
        for tags in ((61, 17), (61, 18), (17,)):
            assert fault_of(message(protected, signature=tag, tags=tags)) in (
                COSEFault.UNSUPPORTED_PROTECTION,
                COSEFault.MALFORMED,
            )


@pytest.mark.parametrize(
    "tags", [(), (18,), (61,), (18, 61), (61, 61, 18), (61, 18, 18), (55799, 61, 18), (61, 19), (62, 18)]
)
def test_missing_extra_and_swapped_tags_are_refused(tags):
    assert fault_of(message(tags=tags)) is COSEFault.MALFORMED


@pytest.mark.parametrize(
    "parts",
    [
        [PROTECTED, {}, PAYLOAD],
        [PROTECTED, {}, PAYLOAD, bytes(64), b""],
        [],
        {},
        b"",
        [{1: -7}, {}, PAYLOAD, bytes(64)],
        [PROTECTED, [], PAYLOAD, bytes(64)],
        [PROTECTED, None, PAYLOAD, bytes(64)],
        [PROTECTED, {}, None, bytes(64)],
        [PROTECTED, {}, "text", bytes(64)],
        [PROTECTED, {}, PAYLOAD, None],
        [PROTECTED, {}, PAYLOAD, [bytes(64)]],
        [b"\x80", {}, PAYLOAD, bytes(64)],
        [b"\xa1\x01", {}, PAYLOAD, bytes(64)],
        [PROTECTED + b"\x00", {}, PAYLOAD, bytes(64)],
        [bytes.fromhex("a201260126"), {}, PAYLOAD, bytes(64)],
        [encode({1: -7, 4: "text"}), {}, PAYLOAD, bytes(64)],
        [encode({1: -7, 4: bytes(65)}), {}, PAYLOAD, bytes(64)],
    ],
)
def test_another_structure_than_the_four_parts_is_malformed(parts):
    assert fault_of(encode(Tagged(61, Tagged(18, parts)))) is COSEFault.MALFORMED


def test_a_detached_payload_is_refused():
    assert fault_of(message(payload=None)) is COSEFault.MALFORMED


@pytest.mark.parametrize(
    "signature", [b"", bytes(63), bytes(64), bytes(65), b"\xff" * 64, bytes(32) + b"\x01" * 32]
)
def test_a_signature_of_another_size_or_out_of_range_is_refused(signature):
    assert fault_of(message(signature=signature)) is COSEFault.BAD_SIGNATURE


def test_a_der_signature_is_refused():
    from cryptography.hazmat.primitives.hashes import SHA256

    der = AC_KEY.sign(encode(["Signature1", PROTECTED, b"", PAYLOAD]), ec.ECDSA(SHA256()))
    assert fault_of(message(signature=der)) is COSEFault.BAD_SIGNATURE


def test_a_signature_padded_with_zeroes_is_not_the_same_signature():
    good = signature_over(PROTECTED, PAYLOAD)
    for padded in (b"\x00" + good[:32] + b"\x00" + good[32:], good[:32] + b"\x00" + good[32:]):
        assert fault_of(message(signature=padded)) is COSEFault.BAD_SIGNATURE


def test_a_signature_by_another_key_or_over_another_context_is_refused():
    assert fault_of(message(), OTHER_AC_KEY.public_key()) is COSEFault.BAD_SIGNATURE
    countersigned = signature_over(PROTECTED, b"other payload")
    assert fault_of(message(signature=countersigned)) is COSEFault.BAD_SIGNATURE


@pytest.mark.parametrize("position", range(4))
def test_a_head_longer_than_needed_is_refused(position):
    # The same message, with the head of a tag, the array or the first part written in one byte more.
    good = message()
    prefixes = [b"\xd8\x3d", b"\xd2", b"\x84", b"\x4c"]
    longer = [b"\xd9\x00\x3d", b"\xd8\x12", b"\x98\x04", b"\x58\x0c"]
    start = sum(map(len, prefixes[:position]))
    assert good[start:].startswith(prefixes[position]) or position == 3
    if position == 3:
        prefixes[3] = good[start : start + 1]
        longer[3] = b"\x58" + bytes((good[start] & 0x1F,))
    changed = good[:start] + longer[position] + good[start + len(prefixes[position]) :]
    assert fault_of(changed) is COSEFault.MALFORMED


@given(st.binary(max_size=300))
def test_any_bytes_are_refused_with_the_one_error(data):
    with pytest.raises(COSERejected):
        cose.verify1_untrusted(data, public_key=PUBLIC)


@given(st.binary(max_size=300))
def test_any_protected_header_is_judged_or_refused_with_the_one_error(protected):
    with suppress(COSERejected):
        cose.parse1_untrusted(message(protected, signature=bytes(64)))


@given(st.binary(max_size=300), st.binary(max_size=64))
def test_any_payload_and_key_id_come_back(payload, key_id):
    signed = cose.sign1(payload, private_key=AC_KEY, key_id=key_id)
    assert cose.verify1_untrusted(signed, public_key=PUBLIC) == payload
    assert cose.parse1_untrusted(signed).key_id == key_id


def test_a_verifier_never_reads_claims_before_the_signature():
    unreadable = cose.sign1(b"\xff", private_key=OTHER_AC_KEY, key_id=AC_KEY_ID)
    with pytest.raises(TicketRejected) as caught:
        verifier().verify_untrusted(unreadable, now=NOW)
    assert caught.value.reason is TicketReason.BAD_SIGNATURE


@pytest.mark.parametrize(("above_the_half", "is_accepted"), [(0, True), (1, False)])
def test_the_lower_of_the_two_signatures_goes_up_to_half_the_order_and_no_further(
    above_the_half, is_accepted
):
    """The order is odd: its half and the half and one are twins, and one of them has to go.

    Nobody finds a message whose signature has a given s; but to a given signature there is always a key.
    """
    nonce, s = 0x1234567890ABCDEF, P256_ORDER // 2 + above_the_half
    r = ec.derive_private_key(nonce, ec.SECP256R1()).public_key().public_numbers().x % P256_ORDER
    digest = int.from_bytes(hashlib.sha256(encode(["Signature1", PROTECTED, b"", PAYLOAD])).digest())
    secret = (s * nonce - digest) * pow(r, -1, P256_ORDER) % P256_ORDER
    public_key = ec.derive_private_key(secret, ec.SECP256R1()).public_key()
    signature = r.to_bytes(32) + s.to_bytes(32)
    cose.verify_signature(public_key, PROTECTED, PAYLOAD, signature)  # which takes either of the two
    if is_accepted:
        assert cose.verify1_untrusted(message(signature=signature), public_key=public_key) == PAYLOAD
    else:
        assert fault_of(message(signature=signature), public_key) is COSEFault.BAD_SIGNATURE
