"""The decision table of RFC 9200 section 5.8, row by row; refusals first."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import cbor2
import pytest
from ac_world import BARE, HIDDEN, METER, NOW, ACWorld, request_for, rsa_key, scope
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from twoway.ac import Asking, Grant, Outcome, Refusal, TokenService
from twoway.identity import PSKIdentity, RawPublicKeyIdentity, Unauthenticated, identity_uri
from twoway.pki import Role
from twoway.tickets import (
    CertificateReference,
    ErrorCode,
    KeyReference,
    Method,
    Profile,
    ProvisionalNumbers,
    Scope,
    TicketVerifier,
    TokenRequest,
    TrustedIssuer,
)

GET, PUT, FETCH, DELETE, IPATCH = Method.GET, Method.PUT, Method.FETCH, Method.DELETE, Method.IPATCH
POWER = scope(("/power", GET))


@pytest.fixture
def world(tmp_path: Path) -> ACWorld:
    return ACWorld.make(tmp_path / "world")


def refused(answer: Grant | Refusal, code: ErrorCode) -> Refusal:
    assert isinstance(answer, Refusal), answer
    assert answer.error.code is code, answer.error
    assert answer.entry.outcome is Outcome.REFUSED
    assert answer.entry.ticket_id is None
    assert answer.entry.granted is None
    assert answer.entry.reason
    return answer


def granted(answer: Grant | Refusal) -> Grant:
    assert isinstance(answer, Grant), answer
    assert answer.entry.outcome is Outcome.GRANTED
    return answer


class TestWhoAsks:
    def test_a_holder_of_a_pre_shared_key_gets_no_ticket(self, world: ACWorld) -> None:
        answer = world.decide(request_for(world.tenant), PSKIdentity(b"tenant"))
        assert refused(answer, ErrorCode.UNAUTHORIZED_CLIENT).entry.requester == "psk:tenant"

    def test_whoever_proved_nothing_gets_no_ticket(self, world: ACWorld) -> None:
        answer = world.decide(request_for(world.tenant), Unauthenticated())
        assert refused(answer, ErrorCode.UNAUTHORIZED_CLIENT).entry.requester == Unauthenticated().uri

    def test_a_raw_key_that_nobody_registered_gets_no_ticket_even_if_it_is_certified(
        self, world: ACWorld
    ) -> None:
        requester = RawPublicKeyIdentity(world.tenant.identity.spki)
        answer = world.decide(request_for(world.tenant, scope=POWER), requester)
        assert refused(answer, ErrorCode.INVALID_CLIENT).entry.requester == requester.uri

    def test_somebody_who_is_not_registered_gets_no_ticket(self, world: ACWorld) -> None:
        answer = world.decide(request_for(world.unknown), world.unknown.identity)
        refused(answer, ErrorCode.INVALID_CLIENT)

    def test_a_publisher_gets_no_ticket(self, world: ACWorld) -> None:
        answer = world.decide(request_for(world.meter), world.meter.identity)
        assert "publisher" in str(refused(answer, ErrorCode.UNAUTHORIZED_CLIENT).error.description)

    def test_an_ac_gets_no_ticket(self, world: ACWorld) -> None:
        refused(world.decide(request_for(world.ac), world.ac.identity), ErrorCode.UNAUTHORIZED_CLIENT)

    def test_a_sink_may_ask(self, world: ACWorld) -> None:
        sink = world.pki.sink
        granted(world.decide(request_for(sink, scope=POWER), sink.identity))

    def test_a_certified_key_that_is_not_the_registered_one_gets_no_ticket(self, world: ACWorld) -> None:
        other = world.pki.ca.mint("tenant", key=ec.generate_private_key(ec.SECP256R1()))
        answer = world.decide(request_for(other, scope=POWER), other.identity)
        refused(answer, ErrorCode.INVALID_CLIENT)

    def test_issuing_an_identity_again_takes_the_rights_from_the_lost_key(self, world: ACWorld) -> None:
        renewed = world.pki.ca.mint("tenant", key=ec.generate_private_key(ec.SECP256R1()))
        world.certify(renewed, Role.SUBSCRIBER, {"organisation": "House", "region": "north"})
        refused(
            world.decide(request_for(world.tenant, scope=POWER), world.tenant.identity),
            ErrorCode.INVALID_CLIENT,
        )
        granted(world.decide(request_for(renewed, scope=POWER), renewed.identity))

    def test_an_expired_certificate_gets_no_ticket_although_its_session_lives(self, world: ACWorld) -> None:
        late = replace(world.tenant.identity, not_after=NOW)
        refused(world.decide(request_for(world.tenant, scope=POWER), late), ErrorCode.INVALID_CLIENT)

    def test_less_than_a_second_of_certificate_is_not_enough_for_a_ticket(self, world: ACWorld) -> None:
        late = replace(world.tenant.identity, not_after=NOW + timedelta(seconds=1))
        answer = world.decide(
            request_for(world.tenant, scope=POWER), late, now=NOW + timedelta(milliseconds=500)
        )
        refused(answer, ErrorCode.INVALID_CLIENT)

    def test_a_client_id_has_to_be_the_proved_identity(self, world: ACWorld) -> None:
        lying = request_for(world.tenant, scope=POWER, client_id=world.rival.uri)
        refused(world.decide(lying, world.tenant.identity), ErrorCode.INVALID_CLIENT)
        honest = request_for(world.tenant, scope=POWER, client_id=world.tenant.uri)
        granted(world.decide(honest, world.tenant.identity))


class TestWhichKey:
    def test_a_ticket_for_anothers_key_is_refused(self, world: ACWorld) -> None:
        answer = world.decide(request_for(world.rival, scope=POWER), world.tenant.identity)
        assert "handshake" in str(refused(answer, ErrorCode.INVALID_REQUEST).error.description)
        assert answer.entry.requester == world.tenant.uri
        assert answer.entry.requested == "GET /power"

    def test_without_req_cnf_there_is_no_ticket(self, world: ACWorld) -> None:
        payload = cbor2.dumps({5: METER, 9: POWER})
        refused(world.decide(payload, world.tenant.identity), ErrorCode.INVALID_REQUEST)

    @pytest.mark.parametrize(
        ("confirmation", "code"),
        [
            ({1: {1: 4, -1: b"k" * 16}}, ErrorCode.INVALID_REQUEST),  # a symmetric key
            ({}, ErrorCode.INVALID_REQUEST),
            ({1: {1: 2, -1: 1, -2: b"\x01" * 32, -3: b"\x01" * 32}}, ErrorCode.INVALID_REQUEST),  # no point
            (b"key", ErrorCode.INVALID_REQUEST),
            ({3: b"kid"}, ErrorCode.UNSUPPORTED_POP_KEY),
        ],
    )
    def test_a_key_that_cannot_be_proved_is_refused(
        self, world: ACWorld, confirmation: object, code: ErrorCode
    ) -> None:
        payload = cbor2.dumps({4: confirmation, 5: METER, 9: POWER})
        refused(world.decide(payload, world.tenant.identity), code)

    def test_a_holder_with_another_kind_of_key_cannot_claim_a_known_one(self, world: ACWorld) -> None:
        key = ed25519.Ed25519PrivateKey.generate().public_key()
        odd = replace(
            world.tenant.identity, spki=key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        )
        assert isinstance(world.decide(request_for(world.tenant, scope=POWER), odd), Refusal)


class TestWhatIsAsked:
    @pytest.mark.parametrize(
        "payload",
        [
            b"",
            b"\xff" * 40,
            b"\xa1",
            cbor2.dumps([1, 2]),
            cbor2.dumps("text"),
            cbor2.dumps({"audience": METER}),
            b"\xa2\x05\x61a\x05\x61b",  # a key twice
            b"\x81" * 3000,
            cbor2.dumps({5: 7}),
        ],
    )
    def test_garbage_is_an_invalid_request(self, world: ACWorld, payload: bytes) -> None:
        answer = refused(world.decide(payload, world.tenant.identity), ErrorCode.INVALID_REQUEST)
        assert answer.entry.audience is None

    def test_every_cut_and_every_flipped_byte_is_refused_or_granted_no_more(self, world: ACWorld) -> None:
        good = request_for(world.tenant, scope=POWER).encode()
        picture = world.picture()
        for payload in [
            *(good[:end] for end in range(len(good))),
            *(good[:at] + bytes([good[at] ^ 0xFF]) + good[at + 1 :] for at in range(len(good))),
        ]:
            answer = world.decide(payload, world.tenant.identity, picture=picture)
            if isinstance(answer, Grant):
                ticket = world.verify(answer.response.access_token)
                ticket.require_holder(world.tenant.spki)

    def test_another_grant_type_is_refused(self, world: ACWorld) -> None:
        request = request_for(world.tenant, scope=POWER, grant_type=0)
        refused(world.decide(request, world.tenant.identity), ErrorCode.UNSUPPORTED_GRANT_TYPE)

    def test_another_profile_is_refused(self, world: ACWorld) -> None:
        message = cbor2.loads(request_for(world.tenant, scope=POWER).encode()) | {38: 2}
        answer = world.decide(cbor2.dumps(message), world.tenant.identity)
        refused(answer, ErrorCode.INCOMPATIBLE_ACE_PROFILES)

    def test_the_audience_is_required(self, world: ACWorld) -> None:
        request = request_for(world.tenant, audience=None, scope=POWER)
        refused(world.decide(request, world.tenant.identity), ErrorCode.INVALID_REQUEST)

    @pytest.mark.parametrize(
        "audience", [identity_uri("nobody"), identity_uri("tenant"), HIDDEN, "", METER + " "]
    )
    def test_an_audience_that_offers_nothing_is_refused(self, world: ACWorld, audience: str) -> None:
        request = request_for(world.tenant, audience=audience, scope=POWER)
        refused(world.decide(request, world.tenant.identity), ErrorCode.INVALID_SCOPE)

    def test_a_publisher_without_a_certificate_shares_no_profile(self, world: ACWorld) -> None:
        request = request_for(world.tenant, audience=BARE)
        refused(world.decide(request, world.tenant.identity), ErrorCode.INCOMPATIBLE_ACE_PROFILES)

    @pytest.mark.parametrize(
        "asked",
        [
            b"not AIF",
            b"",
            scope(("/nothing", GET)),
            scope(("/power", PUT)),
            scope(("/power?x=1", GET)),
            scope(("/Power", GET)),
            scope(("/power/", GET)),
            Scope().encode(),
        ],
    )
    def test_a_scope_that_the_publisher_does_not_offer_is_refused(self, world: ACWorld, asked: bytes) -> None:
        answer = world.decide(request_for(world.tenant, scope=asked), world.tenant.identity)
        assert refused(answer, ErrorCode.INVALID_SCOPE).entry.policies == ()

    def test_a_scope_in_text_is_refused(self, world: ACWorld) -> None:
        message = cbor2.loads(request_for(world.tenant).encode()) | {9: "/power"}
        refused(world.decide(cbor2.dumps(message), world.tenant.identity), ErrorCode.INVALID_SCOPE)

    @pytest.mark.parametrize("cnonce", [None, b"nonce"])
    def test_the_publishers_nonce_is_copied_into_the_ticket(
        self, world: ACWorld, cnonce: bytes | None
    ) -> None:
        request = request_for(world.tenant, scope=POWER, cnonce=cnonce)
        answer = world.decide(request, world.tenant.identity)
        assert isinstance(answer, Grant)
        envelope = cbor2.loads(answer.response.access_token)
        assert cbor2.loads(envelope.value.value[2]).get(39) == cnonce


class TestPolicy:
    def test_the_wrong_region_is_refused_and_told_which_policy_decided(self, world: ACWorld) -> None:
        answer = world.decide(request_for(world.distant, scope=POWER), world.distant.identity)
        refusal = refused(answer, ErrorCode.INVALID_SCOPE)
        assert refusal.error.description == "refused by policy: default-deny"
        assert refusal.entry.policies == ("default-deny",)
        assert refusal.entry.requested == "GET /power"

    def test_a_forbidding_policy_is_named(self, world: ACWorld) -> None:
        request = request_for(world.rival, scope=scope(("/history", GET)))
        refusal = refused(world.decide(request, world.rival.identity), ErrorCode.INVALID_SCOPE)
        assert refusal.error.description == "refused by policy: rivals-see-no-history"
        assert refusal.entry.policies == ("rivals-see-no-history",)

    def test_all_policies_that_refused_are_named(self, world: ACWorld) -> None:
        request = request_for(world.rival, scope=scope(("/history", GET), ("/alarm", DELETE)))
        refusal = refused(world.decide(request, world.rival.identity), ErrorCode.INVALID_SCOPE)
        assert set(refusal.entry.policies) == {"rivals-see-no-history", "nobody-deletes"}

    def test_who_is_registered_without_a_region_gets_nothing_and_the_audit_says_why(
        self, world: ACWorld
    ) -> None:
        answer = world.decide(request_for(world.nowhere, scope=POWER), world.nowhere.identity)
        refusal = refused(answer, ErrorCode.INVALID_SCOPE)
        assert "no region in the registry" in refusal.entry.reason
        assert "region" not in str(refusal.error.description)

    def test_without_any_policy_nothing_is_granted(self, tmp_path: Path) -> None:
        world = ACWorld.make(tmp_path / "lawless", policies="")
        answer = world.decide(request_for(world.tenant, scope=POWER), world.tenant.identity)
        refused(answer, ErrorCode.INVALID_SCOPE)

    def test_a_part_is_granted_and_the_response_says_which(self, world: ACWorld) -> None:
        asked = scope(("/power", GET), ("/history", GET), ("/alarm", GET | DELETE), ("/unknown", GET))
        grant = granted(world.decide(request_for(world.rival, scope=asked), world.rival.identity))
        expected = Scope((("/alarm", GET), ("/power", GET)))
        assert grant.response.scope == expected.encode()
        assert world.verify(grant.response.access_token).scope == expected
        assert grant.entry.policies == ("same-region",)
        assert "rivals-see-no-history" in grant.entry.reason
        assert "nobody-deletes" in grant.entry.reason

    def test_without_a_scope_everything_that_is_permitted_is_granted(self, world: ACWorld) -> None:
        grant = granted(world.decide(request_for(world.tenant), world.tenant.identity))
        expected = Scope((("/alarm", GET | PUT | IPATCH), ("/history", GET | FETCH), ("/power", GET)))
        assert world.verify(grant.response.access_token).scope == expected
        assert grant.response.scope == expected.encode()
        assert grant.entry.requested is None
        assert grant.entry.granted == str(expected)

    def test_a_scope_granted_as_asked_is_not_repeated(self, world: ACWorld) -> None:
        grant = granted(world.decide(request_for(world.tenant, scope=POWER), world.tenant.identity))
        assert grant.response.scope is None

    def test_bits_of_unknown_methods_grant_nothing(self, world: ACWorld) -> None:
        asked = cbor2.dumps([["/power", 1 | 1 << 32]])
        grant = granted(world.decide(request_for(world.tenant, scope=asked), world.tenant.identity))
        assert world.verify(grant.response.access_token).scope == Scope((("/power", GET),))


class TestTheTicket:
    def test_it_is_bound_to_the_proved_key_and_to_nobody_elses(self, world: ACWorld) -> None:
        grant = granted(world.decide(request_for(world.tenant, scope=POWER), world.tenant.identity))
        ticket = world.verify(grant.response.access_token)
        ticket.require_holder(world.tenant.spki)
        with pytest.raises(Exception, match="another key"):
            ticket.require_holder(world.rival.spki)
        assert (ticket.issuer, ticket.subject, ticket.audience) == (world.ac.uri, world.tenant.uri, METER)
        assert ticket.ticket_id == grant.entry.ticket_id

    def test_it_lives_as_long_as_configured(self, world: ACWorld) -> None:
        answer = world.decide(
            request_for(world.tenant, scope=POWER), world.tenant.identity, ticket_lifetime=90
        )
        grant = granted(answer)
        assert grant.response.expires_in == 90
        assert world.verify(grant.response.access_token).expires_at == NOW + timedelta(seconds=90)

    def test_it_never_outlives_the_certificate_of_its_holder(self, world: ACWorld) -> None:
        short = replace(world.tenant.identity, not_after=NOW + timedelta(seconds=30))
        grant = granted(world.decide(request_for(world.tenant, scope=POWER), short))
        assert grant.response.expires_in == 30
        assert world.verify(grant.response.access_token).expires_at == NOW + timedelta(seconds=30)

    def test_the_told_lifetime_never_reaches_beyond_the_real_one(self, world: ACWorld) -> None:
        now = NOW + timedelta(milliseconds=999)
        grant = granted(world.decide(request_for(world.tenant, scope=POWER), world.tenant.identity, now=now))
        ticket = world.verify(grant.response.access_token, now=now)
        assert now + timedelta(seconds=grant.response.expires_in) <= ticket.expires_at

    def test_the_publishers_registered_key_comes_with_it(self, world: ACWorld) -> None:
        grant = granted(world.decide(request_for(world.tenant, scope=POWER), world.tenant.identity))
        assert grant.response.rs_cnf_spki == world.meter.spki

    def test_the_profile_is_told_to_those_who_ask(self, world: ACWorld) -> None:
        asking = request_for(world.tenant, scope=POWER, ace_profile_asked=True)
        grant = granted(world.decide(asking, world.tenant.identity))
        assert grant.response.ace_profile == Profile.COAP_DTLS
        silent = request_for(world.tenant, scope=POWER)
        assert granted(world.decide(silent, world.tenant.identity)).response.ace_profile is None

    def test_a_compact_one_is_much_shorter_and_still_bound(self, world: ACWorld) -> None:
        directory = world.directory()
        compact = replace(directory.entities[METER], compact_tickets=True)
        directory = replace(directory, entities={**directory.entities, METER: compact})
        request = request_for(world.tenant, scope=POWER)
        long = granted(world.decide(request, world.tenant.identity)).response.access_token
        short = granted(
            world.decide(request, world.tenant.identity, directory=directory)
        ).response.access_token
        assert len(short) <= len(long) - 40
        world.verify(short).require_holder(world.tenant.spki)

    def test_a_holder_with_an_rsa_key_gets_one_too(self, world: ACWorld) -> None:
        holder = world.pki.ca.mint("rsa-tenant", key=rsa_key())
        world.certify(holder, Role.SUBSCRIBER, {"organisation": "House", "region": "north"})
        grant = granted(world.decide(request_for(holder, scope=POWER), holder.identity))
        world.verify(grant.response.access_token).require_holder(holder.spki)

    def test_two_tickets_never_share_an_id(self, world: ACWorld) -> None:
        request = request_for(world.tenant, scope=POWER)
        first, second = (granted(world.decide(request, world.tenant.identity)) for _ in range(2))
        assert first.entry.ticket_id != second.entry.ticket_id

    def test_no_ticket_shows_in_the_printed_answer_or_the_audit_entry(self, world: ACWorld) -> None:
        grant = granted(world.decide(request_for(world.tenant, scope=POWER), world.tenant.identity))
        token = grant.response.access_token
        assert repr(token)[2:-1] not in repr(grant)
        assert token.hex() not in repr(grant)


class TestWhatIsLookedUpAndWrittenDown:
    def test_the_key_of_an_earlier_ticket_is_looked_up_for_its_requester_and_publisher(
        self, world: ACWorld
    ) -> None:
        """RFC 9202 section 4; a name alone is anybody's to say."""
        service = TokenService(world.picture(), entropy=bytes)
        asking = Asking(world.tenant.identity, "192.0.2.7", NOW)
        update = TokenRequest(audience=METER, scope=POWER, req_cnf=KeyReference(b"nametag8"))
        assert service.named_key(update, asking) == (b"nametag8", world.tenant.uri, METER)
        assert service.named_key(replace(update, audience=None), asking) is None
        assert service.named_key(request_for(world.tenant), asking) is None
        assert service.named_key(update, replace(asking, identity=world.unknown.identity)) is None

    def test_a_refusal_is_written_down_with_what_was_asked(self, world: ACWorld) -> None:
        unread = world.decide(request_for(world.tenant, scope=b"\xff"), world.tenant.identity)
        entry = refused(unread, ErrorCode.INVALID_SCOPE).entry
        assert (entry.requester, entry.audience, entry.requested) == (world.tenant.uri, METER, None)
        read = world.decide(request_for(world.unknown, scope=POWER), world.unknown.identity)
        entry = refused(read, ErrorCode.INVALID_CLIENT).entry
        assert (entry.requester, entry.audience, entry.requested) == (world.unknown.uri, METER, "GET /power")
        assert (entry.at, entry.policies) == (NOW, ())

    def test_whoever_is_refused_is_told_why(self, world: ACWorld) -> None:
        stranger = world.decide(request_for(world.unknown, scope=POWER), world.unknown.identity)
        assert "not registered here" in str(refused(stranger, ErrorCode.INVALID_CLIENT).error.description)
        late = replace(world.tenant.identity, not_after=NOW)
        answer = world.decide(request_for(world.tenant, scope=POWER), late)
        description = refused(answer, ErrorCode.INVALID_CLIENT).error.description
        assert description == "the requester's certificate has expired"

    def test_a_last_second_of_certificate_is_a_ticket_of_a_second(self, world: ACWorld) -> None:
        late = replace(world.tenant.identity, not_after=NOW + timedelta(seconds=1))
        assert granted(world.decide(request_for(world.tenant, scope=POWER), late)).response.expires_in == 1

    def test_certificates_are_named_and_pinned_by_the_numbers_that_the_ac_goes_by(
        self, world: ACWorld
    ) -> None:
        numbers, asks = ProvisionalNumbers(x5t=8), world.tenant.identity
        directory = world.directory()
        pinning = replace(directory.entities[METER], pins_certificates=True)
        directory = replace(directory, entities={**directory.entities, METER: pinning})
        picture = replace(world.picture(directory=directory), numbers=numbers)
        leaf = CertificateReference.of(world.tenant.chain[0]).claim(numbers)
        payload = cbor2.dumps({4: leaf, 5: METER, 9: POWER})
        grant = granted(world.decide(payload, asks, picture=picture))
        public_key = world.ac.private_key.public_key()
        ticket = TicketVerifier(
            audience=METER, issuers=[TrustedIssuer(world.ac.uri, (public_key,))], numbers=numbers
        ).verify_untrusted(grant.response.access_token, now=NOW)
        assert ticket.confirmation.certificate_sha256 == leaf[8][1]
        refused(world.decide(payload, asks, directory=directory), ErrorCode.INVALID_REQUEST)
