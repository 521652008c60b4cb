"""The words of the token endpoint and of the creation hints."""

import hashlib
from contextlib import suppress

import pytest
from cbor2 import CBORTag as Tagged
from hypothesis import given, settings
from hypothesis import strategies as st
from ticket_forge import HOLDER_SPKI, METER_URI, OTHER_SPKI, P384_SPKI, RSA_SPKI, SCOPE

from twoway.errors import PeerError
from twoway.strict_cbor import decode_untrusted, encode
from twoway.tickets import (
    MAX_MESSAGE_BYTES,
    MAX_TICKET_BYTES,
    CertificateReference,
    Confirmation,
    CreationHints,
    ErrorCode,
    KeyReference,
    MalformedACE,
    ProvisionalNumbers,
    SymmetricConfirmation,
    TokenError,
    TokenRequest,
    TokenRequestRejected,
    TokenResponse,
    thumbprint,
)
from twoway.tickets.cose_key import cose_key_from_spki

KEY = cose_key_from_spki(HOLDER_SPKI)
REQUEST: dict[object, object] = {4: {1: KEY}, 5: METER_URI, 9: SCOPE.encode(), 33: 2}
RESPONSE: dict[object, object] = {1: b"ticket", 2: 600}
P384_KEY = {1: 2, -1: 2, -2: bytes(48), -3: bytes(48)}


def without(message: dict[object, object], key: int) -> dict[object, object]:
    return {other: value for other, value in message.items() if other != key}


def refusal(payload: bytes) -> ErrorCode:
    with pytest.raises(TokenRequestRejected) as caught:
        TokenRequest.parse_untrusted(payload)
    # The answer can be sent as it is, and the other side reads it.
    assert TokenError.parse_untrusted(caught.value.error.encode()) == caught.value.error
    assert isinstance(caught.value, PeerError)
    return caught.value.error.code


# Token request


def test_a_request_has_the_integer_keys_of_rfc_9200():
    request = TokenRequest(
        audience=METER_URI,
        scope=SCOPE.encode(),
        req_cnf=Confirmation.of_key(HOLDER_SPKI),
        ace_profile_asked=True,
        cnonce=b"nonce",
        client_id="me",
    )
    assert decode_untrusted(request.encode()) == REQUEST | {24: "me", 38: None, 39: b"nonce"}


@pytest.mark.parametrize("spki", [HOLDER_SPKI, RSA_SPKI], ids=["P-256", "RSA"])
@pytest.mark.parametrize("asked", [False, True])
def test_a_request_is_read_as_it_was_written(spki, asked):
    request = TokenRequest(
        METER_URI,
        SCOPE.encode(),
        Confirmation.of_key(spki),
        ace_profile_asked=asked,
        cnonce=b"n",
        client_id="me",
    )
    assert TokenRequest.parse_untrusted(request.encode()) == request
    least = TokenRequest(None, None, Confirmation.of_key(spki))
    assert TokenRequest.parse_untrusted(least.encode()) == least


def test_the_largest_values_that_are_read_are_read():
    largest = REQUEST | {5: "x" * 1024, 39: bytes(64)}
    assert TokenRequest.parse_untrusted(encode(largest)).audience == "x" * 1024
    padding = MAX_MESSAGE_BYTES - len(encode(REQUEST | {1000: bytes(256)})) + 256
    full = encode(REQUEST | {1000: bytes(padding)})
    assert len(full) == MAX_MESSAGE_BYTES
    TokenRequest.parse_untrusted(full)
    assert refusal(encode(REQUEST | {1000: bytes(padding + 1)})) is ErrorCode.INVALID_REQUEST


def test_an_absent_grant_type_means_client_credentials():
    assert TokenRequest.parse_untrusted(encode(without(REQUEST, 33))).grant_type == 2


def test_parameters_that_are_not_known_are_passed_over():
    TokenRequest.parse_untrusted(encode(REQUEST | {28: "state", -70000: [1]}))


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"\xff",
        encode([]),
        encode(None),
        encode(REQUEST) + b"\x00",
        encode(REQUEST)[:-1],
        b"\xa5" + encode(REQUEST)[1:] + b"\x05\x61x",
        b"\xbf" + encode(REQUEST)[1:] + b"\xff",
        encode(REQUEST | {"audience": METER_URI}),
        encode(REQUEST | {b"": 1}),
        encode({"req_cnf": {1: KEY}, "audience": METER_URI}),
        encode(REQUEST | {5: b"bytes"}),
        encode(REQUEST | {5: 1}),
        encode(REQUEST | {5: None}),
        encode(REQUEST | {5: [METER_URI]}),
        encode(REQUEST | {5: "urn:x\n"}),
        encode(REQUEST | {5: "x" * 1025}),
        encode(REQUEST | {9: 1}),
        encode(REQUEST | {9: None}),
        encode(REQUEST | {9: [["/power", 1]]}),
        encode(REQUEST | {24: b"me"}),
        encode(REQUEST | {33: "client_credentials"}),
        encode(REQUEST | {33: True}),
        encode(REQUEST | {33: None}),
        encode(REQUEST | {38: "coap_dtls"}),
        encode(REQUEST | {38: False}),
        encode(REQUEST | {39: "nonce"}),
        encode(REQUEST | {39: bytes(65)}),
        encode(REQUEST | {1000: bytes(MAX_MESSAGE_BYTES)}),
    ],
    ids=range(29),
)
def test_a_request_of_another_shape_is_an_invalid_request(payload):
    assert refusal(payload) is ErrorCode.INVALID_REQUEST


@pytest.mark.parametrize(
    ("cnf", "code"),
    [
        (None, ErrorCode.INVALID_REQUEST),
        ({}, ErrorCode.INVALID_REQUEST),
        (b"", ErrorCode.INVALID_REQUEST),
        ({1: {1: 4, -1: bytes(16)}}, ErrorCode.INVALID_REQUEST),
        ({1: KEY | {-4: bytes(32)}}, ErrorCode.INVALID_REQUEST),
        ({1: KEY | {-3: bytes(32)}}, ErrorCode.INVALID_REQUEST),
        ({1: KEY, 3: b"kid"}, ErrorCode.INVALID_REQUEST),
        ({1: P384_KEY}, ErrorCode.UNSUPPORTED_POP_KEY),
        ({1: {1: 1, -1: 6, -2: bytes(32)}}, ErrorCode.UNSUPPORTED_POP_KEY),
        ({2: b"sealed"}, ErrorCode.UNSUPPORTED_POP_KEY),
        ({1: {1: 4, 2: b"kid"}}, ErrorCode.INVALID_REQUEST),
        ({3: b""}, ErrorCode.INVALID_REQUEST),
        ({3: "kid"}, ErrorCode.INVALID_REQUEST),
        ({3: bytes(65)}, ErrorCode.INVALID_REQUEST),
        ({5: thumbprint(HOLDER_SPKI)[:8]}, ErrorCode.INVALID_REQUEST),
        ({6: [-15, bytes(8)]}, ErrorCode.UNSUPPORTED_POP_KEY),
        ({6: bytes(32)}, ErrorCode.INVALID_REQUEST),
        ({6: [-16, bytes(32)], 24: b"certificate"}, ErrorCode.INVALID_REQUEST),
        ({24: []}, ErrorCode.INVALID_REQUEST),
        ({24: b""}, ErrorCode.INVALID_REQUEST),
        ({24: [b"leaf", "text"]}, ErrorCode.INVALID_REQUEST),
        ({25: b"bag"}, ErrorCode.INVALID_REQUEST),
    ],
    ids=range(22),
)
def test_a_key_that_no_ticket_can_be_bound_to_has_its_error(cnf, code):
    assert refusal(encode(REQUEST | {4: cnf})) is code


def test_a_request_without_a_key_asks_for_a_symmetric_one_and_is_no_holders():
    request = TokenRequest.parse_untrusted(encode(without(REQUEST, 4)))
    assert request.req_cnf is None
    assert not_held(request, HOLDER_SPKI) is ErrorCode.INVALID_REQUEST
    assert TokenRequest.parse_untrusted(request.encode()) == request


def not_held(request: TokenRequest, spki: bytes, certificate: bytes | None = None) -> ErrorCode:
    with pytest.raises(TokenRequestRejected) as caught:
        request.require_holder(spki, certificate)
    return caught.value.error.code


CERTIFICATE = b"the DER of a certificate"


@pytest.mark.parametrize(
    "cnf",
    [
        {6: [-16, hashlib.sha256(CERTIFICATE).digest()]},
        {24: CERTIFICATE},
        {24: [CERTIFICATE]},
        {24: [CERTIFICATE, b"its issuer"]},
    ],
    ids=["x5t", "x5chain", "x5chain of one", "x5chain of two"],
)
def test_a_certificate_stands_for_its_key_if_it_is_the_one_of_the_session(cnf):
    request = TokenRequest.parse_untrusted(encode(REQUEST | {4: cnf}))
    assert request.req_cnf == CertificateReference.of(CERTIFICATE)
    request.require_holder(HOLDER_SPKI, CERTIFICATE)
    for certificate in (None, b"", b"its issuer"):
        assert not_held(request, HOLDER_SPKI, certificate) is ErrorCode.INVALID_REQUEST
    assert TokenRequest.parse_untrusted(request.encode()) == request


def test_a_key_and_a_certificate_in_one_request_both_count():
    both = Confirmation.of_key(HOLDER_SPKI, certificate_sha256=hashlib.sha256(CERTIFICATE).digest())
    request = TokenRequest.parse_untrusted(encode(REQUEST | {4: both.claim()}))
    request.require_holder(HOLDER_SPKI, CERTIFICATE)
    assert not_held(request, HOLDER_SPKI) is ErrorCode.INVALID_REQUEST
    assert not_held(request, OTHER_SPKI, CERTIFICATE) is ErrorCode.INVALID_REQUEST


def test_a_key_may_be_named_by_its_thumbprint():
    request = TokenRequest.parse_untrusted(encode(REQUEST | {4: {5: thumbprint(HOLDER_SPKI)}}))
    request.require_holder(HOLDER_SPKI)
    assert not_held(request, OTHER_SPKI) is ErrorCode.INVALID_REQUEST


def test_the_name_of_a_key_is_no_proof_of_it():
    request = TokenRequest.parse_untrusted(encode(REQUEST | {4: {3: b"kid"}}))
    assert request.req_cnf == KeyReference(b"kid")
    assert not_held(request, HOLDER_SPKI) is ErrorCode.UNSUPPORTED_POP_KEY
    assert TokenRequest.parse_untrusted(request.encode()) == request


def test_the_numbers_of_another_draft_can_be_spoken():
    rise = ProvisionalNumbers(x5t=8, x5chain=6)
    request = TokenRequest.parse_untrusted(encode(REQUEST | {4: {6: CERTIFICATE}}), rise)
    assert request.req_cnf == CertificateReference.of(CERTIFICATE)
    assert decode_untrusted(request.encode(rise))[4] == {8: [-16, hashlib.sha256(CERTIFICATE).digest()]}


@pytest.mark.parametrize("grant", [0, 1, 3, -1, 99])
def test_another_grant_is_an_unsupported_grant_type(grant):
    assert refusal(encode(REQUEST | {33: grant})) is ErrorCode.UNSUPPORTED_GRANT_TYPE


@pytest.mark.parametrize("profile", [0, 2, 4])
def test_another_profile_is_incompatible(profile):
    assert refusal(encode(REQUEST | {38: profile})) is ErrorCode.INCOMPATIBLE_ACE_PROFILES


def test_null_asks_for_the_profile_and_so_does_its_number():
    assert TokenRequest.parse_untrusted(encode(REQUEST | {38: None})).ace_profile_asked
    assert TokenRequest.parse_untrusted(encode(REQUEST | {38: 1})).ace_profile_asked
    assert not TokenRequest.parse_untrusted(encode(REQUEST)).ace_profile_asked


def test_a_scope_in_text_is_an_invalid_scope():
    assert refusal(encode(REQUEST | {9: "GET /power"})) is ErrorCode.INVALID_SCOPE


def test_the_scope_asked_for_is_read_or_is_an_invalid_scope():
    assert TokenRequest.parse_untrusted(encode(REQUEST)).requested_scope() == SCOPE
    assert TokenRequest.parse_untrusted(encode(without(REQUEST, 9))).requested_scope() is None
    for scope in (b"", b"\xff", encode([["power", 1]])):
        with pytest.raises(TokenRequestRejected) as caught:
            TokenRequest.parse_untrusted(encode(REQUEST | {9: scope})).requested_scope()
        assert caught.value.error.code is ErrorCode.INVALID_SCOPE


def test_a_key_that_is_not_the_one_of_the_session_is_refused():
    request = TokenRequest.parse_untrusted(encode(REQUEST))
    request.require_holder(HOLDER_SPKI)
    for spki in (OTHER_SPKI, RSA_SPKI, P384_SPKI, b""):
        with pytest.raises(TokenRequestRejected) as caught:
            request.require_holder(spki)
        assert caught.value.error.code is ErrorCode.INVALID_REQUEST


# Token response


def test_a_response_has_the_integer_keys_of_rfc_9200_and_9201():
    response = TokenResponse(
        b"ticket",
        600,
        scope=SCOPE.encode(),
        rs_cnf_spki=HOLDER_SPKI,
        ace_profile=1,
        cnf=Confirmation.of_key(OTHER_SPKI, compact=True),
    )
    assert decode_untrusted(response.encode()) == {
        1: b"ticket",
        2: 600,
        8: {5: thumbprint(OTHER_SPKI)},
        9: SCOPE.encode(),
        34: 2,
        38: 1,
        41: {1: KEY},
    }


@pytest.mark.parametrize(
    "response",
    [
        TokenResponse(b"t", 1),
        TokenResponse(b"t" * MAX_TICKET_BYTES, 86400, scope=SCOPE.encode(), ace_profile=1),
        TokenResponse(b"t", 600, rs_cnf_spki=RSA_SPKI),
        TokenResponse(b"t", 600, cnf=Confirmation.of_key(HOLDER_SPKI)),
    ],
    ids=range(4),
)
def test_a_response_is_read_as_it_was_written(response):
    assert TokenResponse.parse_untrusted(response.encode()) == response


@pytest.mark.parametrize(
    "change",
    [
        {1: b""},
        {1: "text"},
        {1: None},
        {1: bytes(MAX_TICKET_BYTES + 1)},
        {2: 0},
        {2: -1},
        {2: "600"},
        {2: True},
        {2: None},
        {2: 2**63},
        {9: "scope"},
        {34: 1},
        {34: "PoP"},
        {38: "coap_dtls"},
        {38: 2},
        {38: None},
        {41: {}},
        {41: None},
        {41: {1: {1: 4, -1: bytes(16)}}},
        {41: {5: thumbprint(HOLDER_SPKI)}},
        {8: {1: {1: 4, 2: b"kid", -1: bytes(15)}}},
        {8: {1: {1: 4, -1: bytes(16)}}},
        {8: {1: {1: 4, 2: b"kid", -1: bytes(16)}}, 41: {1: KEY}},
        {8: {3: b"kid"}},
        {"access_token": b"t"},
    ],
    ids=range(25),
)
def test_a_response_that_a_holder_cannot_use_is_refused(change):
    with pytest.raises(MalformedACE):
        TokenResponse.parse_untrusted(encode(RESPONSE | change))


@pytest.mark.parametrize("key", [1, 2])
def test_a_response_without_ticket_or_lifetime_is_refused(key):
    with pytest.raises(MalformedACE):
        TokenResponse.parse_untrusted(encode(without(RESPONSE, key)))


def test_a_ticket_for_somebody_elses_key_is_noticed_by_the_client():
    TokenResponse(b"t", 600).require_holder(HOLDER_SPKI)
    bound = TokenResponse(b"t", 600, cnf=Confirmation.of_key(HOLDER_SPKI))
    bound.require_holder(HOLDER_SPKI)
    with pytest.raises(MalformedACE, match="another key than ours"):
        bound.require_holder(OTHER_SPKI)


def test_a_response_with_a_symmetric_key_is_that_of_rfc_9202():
    kid, key = bytes.fromhex("3d027833fc6267ce"), b"sessionkey 16 B."
    response = TokenResponse(b"t", 86400, cnf=SymmetricConfirmation(kid, key))
    assert decode_untrusted(response.encode())[8] == {1: {1: 4, 2: kid, -1: key}}
    assert TokenResponse.parse_untrusted(response.encode()) == response
    assert repr(key) not in repr(response)
    # The ticket has the name alone where the publisher derives the key; the holder is told the key.
    derived = TokenResponse(b"t", 86400, cnf=SymmetricConfirmation(kid, key, derived=True))
    assert derived.encode() == response.encode()


def test_a_symmetric_key_in_the_place_of_ours_is_noticed():
    with pytest.raises(MalformedACE, match="instead of ours"):
        TokenResponse(b"t", 600, cnf=SymmetricConfirmation(b"kid", bytes(16))).require_holder(HOLDER_SPKI)


def test_a_response_shows_no_ticket():
    assert "ticket" not in repr(TokenResponse(b"ticket", 600))


# Errors


@pytest.mark.parametrize("code", list(ErrorCode))
def test_an_error_is_read_as_it_was_written(code):
    error = TokenError(code, "the region has to be ch-zh (policy region-match)")
    assert decode_untrusted(error.encode()) == {30: int(code), 31: error.description}
    assert TokenError.parse_untrusted(error.encode()) == error
    assert error.content_format == 19
    assert TokenError.parse_untrusted(TokenError(code).encode()) == TokenError(code)


def test_only_an_unauthenticated_client_is_answered_with_4_01():
    assert ErrorCode.INVALID_CLIENT.response_code == (4, 1)
    assert {code.response_code for code in ErrorCode if code is not ErrorCode.INVALID_CLIENT} == {(4, 0)}
    assert ErrorCode.INVALID_SCOPE.label == "invalid_scope"


@pytest.mark.parametrize(
    "message",
    [
        {},
        {30: 0},
        {30: 9},
        {30: -1},
        {30: "invalid_request"},
        {30: None},
        {30: True},
        {30: 1, 31: 5},
        {30: 1, 31: "\x1b[2J"},
    ],
)
def test_an_error_that_cannot_be_shown_is_malformed(message):
    with pytest.raises(MalformedACE):
        TokenError.parse_untrusted(encode(message))


# Hints


def test_hints_have_the_integer_keys_of_rfc_9200():
    hints = CreationHints("coaps://ac/token", METER_URI, SCOPE.encode(), b"nonce", b"kid")
    assert decode_untrusted(hints.encode()) == {
        1: "coaps://ac/token",
        2: b"kid",
        5: METER_URI,
        9: SCOPE.encode(),
        39: b"nonce",
    }
    assert CreationHints.parse_untrusted(hints.encode()) == hints
    assert CreationHints.parse_untrusted(encode({})) == CreationHints()


def test_a_hint_of_a_scope_in_text_is_passed_over():
    assert CreationHints.parse_untrusted(encode({1: "coaps://ac", 9: "rw"})) == CreationHints("coaps://ac")


@pytest.mark.parametrize(
    "message",
    [
        [],
        None,
        {"AS": "x"},
        {1: b"x"},
        {1: None},
        {1: "x\n"},
        {1: "x" * 1025},
        {2: "kid"},
        {5: 1},
        {9: 1},
        {39: 1},
        {39: bytes(65)},
    ],
)
def test_hints_of_another_shape_are_malformed(message):
    with pytest.raises(MalformedACE):
        CreationHints.parse_untrusted(encode(message))


# Anything


@given(st.binary(max_size=200))
def test_any_bytes_for_any_message_raise_its_one_error(data):
    for parse, error in (
        (TokenRequest.parse_untrusted, TokenRequestRejected),
        (TokenResponse.parse_untrusted, MalformedACE),
        (TokenError.parse_untrusted, MalformedACE),
        (CreationHints.parse_untrusted, MalformedACE),
    ):
        with suppress(error):
            parse(data)


LEAVES = (
    st.none()
    | st.booleans()
    | st.integers(-10, 50)
    | st.binary(max_size=33)
    | st.text(st.characters(codec="utf-8"), max_size=9)
)
VALUES = st.recursive(
    LEAVES,
    lambda inner: (
        st.dictionaries(st.integers(-4, 6), inner, max_size=4)
        | st.lists(inner, max_size=3)
        | st.builds(Tagged, st.integers(0, 99), inner)
    ),
    max_leaves=8,
)


@settings(max_examples=300)
@given(
    st.dictionaries(st.sampled_from([1, 2, 4, 5, 8, 9, 24, 30, 31, 33, 34, 38, 39, 41]), VALUES, max_size=6)
)
def test_any_map_for_any_message_raises_its_one_error(changes):
    for base, parse, error in (
        (REQUEST, TokenRequest.parse_untrusted, TokenRequestRejected),
        (RESPONSE, TokenResponse.parse_untrusted, MalformedACE),
        ({30: 1}, TokenError.parse_untrusted, MalformedACE),
        ({}, CreationHints.parse_untrusted, MalformedACE),
    ):
        with suppress(error):
            parse(encode(base | changes))
