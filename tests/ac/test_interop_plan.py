"""The interop test plan of the ACE working group, its logic in today's bytes: a test for each line of it.

The plan (InteropTestPlan.txt of ace-wg/ace-oauth, 2018) has four clients and two resource servers. Here:

    plan      here
    Client1   ``nowhere``: certified and registered, and no policy lets it do anything; or a publisher
    Client2   ``tenant``, with a certificate
    Client3   ``raw``, with a raw public key
    Client4   ``distant``, who may read /history and not write
    RS1       ``psk``: no certificate, shares a secret with the AC
    RS2       ``meter``: a certificate and its key

Clients of the plan that come with pre-shared keys come with keys of their own: this AC issues to nobody else.
Of introspection, the plan has RS1 ask; here it is RS2, since who has no certificate has no way to this AC.

The lines 2.x, about the resource server, are in the publisher's tests. 3 and 4 are not taken. Revocation is
younger than the plan; it goes on with 6, here and there, in test_interop_plan_revocation.
"""

from __future__ import annotations

import hashlib
import os
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import aiocoap
import cbor2
import pytest
from ac_world import METER, NOW, ACWorld, request_for, scope
from cryptography.hazmat.primitives.asymmetric import ec
from publisher_running import ShiftedClock, client
from publisher_world import IssuingAC
from running_ac import RunningAC, running_ac
from small_pki import BOTH, Credential
from token_client import obtain

from twoway.ac import Grant, Picture, Refusal
from twoway.ac.introspection import NotEntitled, introspect, require_publisher
from twoway.ac.ticket_record import TicketRecord
from twoway.coap import TransportFailed
from twoway.identity import Identity, PSKIdentity, RawPublicKeyIdentity, Unauthenticated, identity_uri
from twoway.pki import Role
from twoway.tickets import (
    CONTENT_FORMAT_ACE,
    Confirmation,
    ErrorCode,
    IntrospectionRequest,
    KeyReference,
    Method,
    Scope,
    SharedSecret,
    SymmetricConfirmation,
    Ticket,
    TicketReason,
    TicketRejected,
    TicketVerifier,
    TokenRequest,
    TokenResponse,
    TrustedIssuer,
)

RS1, RS2 = identity_uri("psk"), METER
RAW = identity_uri("raw")
SECRET = SharedSecret(b"the random bytes of RS1 alone...")
OTHER_SECRET = SharedSecret(b"the random bytes of somebody else")
HELLO = scope(("/power", Method.GET))
R_LOCK, RW_LOCK = scope(("/alarm", Method.GET)), scope(("/alarm", Method.GET | Method.DELETE))


class Plan:
    """The parties of the plan, and the AC between them."""

    def __init__(self, folder: Path) -> None:
        self.world = ACWorld.make(folder)
        self.raw = self.world.unknown
        known = self.world.directory().entities
        meter = known[METER]
        entities = dict(known) | {
            RS1: replace(meter, uri=RS1, spki=None),
            RAW: replace(
                known[self.world.tenant.uri],
                uri=RAW,
                spki=None,
                raw_key=hashlib.sha256(self.raw.spki).digest(),
            ),
        }
        directory = replace(self.world.directory(), entities=entities)
        self.picture: Picture = self.world.picture(directory=directory, secrets={RS1: SECRET})

    @property
    def client2(self) -> Identity:
        return self.world.tenant.identity

    @property
    def client3(self) -> Identity:
        return RawPublicKeyIdentity(self.raw.spki)

    def ask(self, request: TokenRequest | bytes, requester: Identity, **more: object) -> Grant | Refusal:
        return self.world.decide(request, requester, picture=self.picture, **more)

    def verify(self, token: bytes, audience: str, secret: SharedSecret | None = None) -> Ticket:
        """Judge a ticket as a publisher would."""
        keys = () if secret else (self.world.ac.private_key.public_key(),)
        issuer = TrustedIssuer(self.world.ac.uri, keys, secret)
        return TicketVerifier(audience=audience, issuers=[issuer]).verify_untrusted(token, now=NOW)


@pytest.fixture
def plan(tmp_path: Path) -> Plan:
    return Plan(tmp_path / "plan")


def refused(answer: Grant | Refusal, code: ErrorCode, response: tuple[int, int] = (4, 0)) -> Refusal:
    assert isinstance(answer, Refusal), answer
    assert answer.error.code is code, answer.error
    assert code.response_code == response
    assert cbor2.loads(answer.error.encode())[30] == code
    return answer


def granted(answer: Grant | Refusal) -> TokenResponse:
    assert isinstance(answer, Grant), answer
    return TokenResponse.parse_untrusted(answer.response.encode())


def symmetric(audience: str = RS1, scope: bytes | None = HELLO, **more: object) -> TokenRequest:
    """A request without a key, which asks for a symmetric one."""
    return TokenRequest(audience=audience, scope=scope, req_cnf=None, **more)


class TestTokenEndpoint:
    """1."""

    def test_1_1_a_client_that_does_not_authenticate_is_rejected(self, plan: Plan) -> None:
        """C1.1. Over a socket the handshake fails already (test_end_to_end)."""
        refused(plan.ask(b"\x8f\x01random", Unauthenticated()), ErrorCode.INVALID_REQUEST)
        refused(plan.ask(symmetric(), Unauthenticated()), ErrorCode.UNAUTHORIZED_CLIENT)

    def test_1_2_a_client_that_may_not_use_the_endpoint_is_unauthorized(self, plan: Plan) -> None:
        """C1.2."""
        for client1 in (plan.world.meter.identity, plan.world.ac.identity, PSKIdentity(b"client1")):
            refused(plan.ask(request_for(plan.world.meter), client1), ErrorCode.UNAUTHORIZED_CLIENT)

    def test_1_3_a_request_without_an_audience_is_invalid(self, plan: Plan) -> None:
        """C1.3."""
        answer = plan.ask(symmetric(audience=None), plan.client2)
        assert "audience" in str(refused(answer, ErrorCode.INVALID_REQUEST).error.description)

    def test_1_4_the_grant_type_password_is_not_supported(self, plan: Plan) -> None:
        """C1.4."""
        refused(plan.ask(symmetric(grant_type=0), plan.client2), ErrorCode.UNSUPPORTED_GRANT_TYPE)

    def test_1_5_an_unknown_scope_is_invalid(self, plan: Plan) -> None:
        """C1.5."""
        unknown = scope(("/test", Method.GET))
        refused(plan.ask(symmetric(scope=unknown), plan.client2), ErrorCode.INVALID_SCOPE)
        text = cbor2.dumps({9: "test", 5: RS1, 33: 2})
        refused(plan.ask(text, plan.client2), ErrorCode.INVALID_SCOPE)

    def test_1_6_a_symmetric_key_is_made_for_the_client_and_the_publisher(self, plan: Plan) -> None:
        """C1.6.1 to C1.6.3."""
        answer = granted(plan.ask(symmetric(ace_profile_asked=True), plan.client2))
        ticket = plan.verify(answer.access_token, RS1, SECRET)
        assert answer.access_token.startswith(bytes.fromhex("d83dd0"))  # 61(16(..
        assert (ticket.audience, ticket.scope.encode()) == (RS1, HELLO)
        assert isinstance(ticket.confirmation, SymmetricConfirmation)
        assert isinstance(answer.cnf, SymmetricConfirmation)
        assert len(answer.cnf.kid) == 8
        assert 0 not in answer.cnf.kid
        assert answer.cnf.key is not None
        assert len(answer.cnf.key) == 16
        assert (answer.cnf.kid, answer.cnf.key) == (ticket.confirmation.kid, ticket.confirmation.key)
        assert answer.rs_cnf_spki is None
        assert answer.ace_profile == 1

    def test_1_7_a_client_does_not_bring_a_symmetric_key(self, plan: Plan) -> None:
        """C1.7."""
        cnf = {1: {1: 4, 2: bytes.fromhex("91ecb5cb5dbc"), -1: bytes(16)}}
        payload = cbor2.dumps({33: 2, 9: HELLO, 5: RS1, 4: cnf})
        refused(plan.ask(payload, plan.client2), ErrorCode.INVALID_REQUEST)

    def test_1_8_without_a_scope_the_default_is_what_the_publisher_offers(self, plan: Plan) -> None:
        """C1.8 wants an error where there is no default scope. This AC has one, and says what it granted."""
        answer = granted(plan.ask(request_for(plan.raw), plan.client3))
        assert answer.scope is not None
        assert Scope.parse_untrusted(answer.scope)

    def test_1_9_a_publisher_for_symmetric_keys_alone_takes_no_raw_key(self, plan: Plan) -> None:
        """C1.9."""
        request = request_for(plan.raw, audience=RS1, scope=HELLO)
        refused(plan.ask(request, plan.client3), ErrorCode.UNSUPPORTED_POP_KEY)

    def test_1_10_a_raw_key_is_bound_and_the_publishers_key_is_named(self, plan: Plan) -> None:
        """C1.10.1 to C1.10.4; signed rather than encrypted."""
        answer = granted(plan.ask(request_for(plan.raw, audience=RS2, scope=HELLO), plan.client3))
        ticket = plan.verify(answer.access_token, RS2)
        assert ticket.confirmation == Confirmation.of_key(plan.raw.spki)
        assert ticket.subject == RAW
        assert answer.rs_cnf_spki == plan.world.meter.spki

    def test_1_11_a_scope_that_the_client_may_not_have_is_invalid(self, plan: Plan) -> None:
        """C1.11."""
        delete = scope(("/alarm", Method.DELETE))
        refused(plan.ask(symmetric(scope=delete), plan.client2), ErrorCode.INVALID_SCOPE)

    def test_1_12_of_a_scope_the_part_is_granted_that_the_client_may_have(self, plan: Plan) -> None:
        """C1.12.1 and C1.12.2."""
        answer = granted(plan.ask(symmetric(scope=RW_LOCK), plan.client2))
        assert answer.scope == R_LOCK
        assert plan.verify(answer.access_token, RS1, SECRET).scope.encode() == R_LOCK


class TestIntrospection:
    """5., with an AC that runs."""

    @pytest.fixture
    def world(self, tmp_path: Path) -> ACWorld:
        return ACWorld.make(tmp_path / "plan")

    async def obtain(self, world: ACWorld, ac: RunningAC) -> bytes:
        """A ticket for HelloWorld at RS2."""
        async with client(world.tenant) as client2:
            own = Confirmation.of_key(world.tenant.spki)
            return (await obtain(ac.token_uri, client2, RS2, "/power", req_cnf=own)).access_token

    async def introspect(self, asker: Credential, ac: RunningAC, token: bytes) -> aiocoap.Message:
        async with client(asker) as peer:
            question = IntrospectionRequest(token).encode()
            return await peer.ask(
                aiocoap.POST, f"{ac.uri}/introspect", payload=question, content_format=CONTENT_FORMAT_ACE
            )

    async def described(self, world: ACWorld, ac: RunningAC, token: bytes) -> dict[int, object]:
        """What RS2 is told of a token, as it stands in the answer."""
        answer = await self.introspect(world.meter, ac, token)
        assert (answer.code, answer.opt.content_format) == (aiocoap.CREATED, CONTENT_FORMAT_ACE)
        return cbor2.loads(answer.payload)

    async def test_5_1_who_is_not_authorised_is_forbidden_without_a_payload(self, world: ACWorld) -> None:
        """C18. Neither the holder of the ticket nor a publisher that this AC does not know."""
        async with running_ac(world) as ac:
            token = await self.obtain(world, ac)
            stranger = world.pki.ca.mint("stranger", hosts=["127.0.0.1"], usages=BOTH)
            for asker in (world.tenant, stranger):
                answer = await self.introspect(asker, ac, token)
                assert (answer.code, answer.payload) == (aiocoap.FORBIDDEN, b"")
                assert answer.opt.content_format is None
            with pytest.raises(TransportFailed):  # no handshake, hence no answer at all
                await self.introspect(world.pki.outsider, ac, token)

    async def test_5_2_what_does_not_parse_is_inactive(self, world: ACWorld) -> None:
        """C19."""
        async with running_ac(world) as ac:
            for odd in (b"\x00", b"HelloWorld", cbor2.dumps({3: RS2, 9: HELLO}), os.urandom(300)):
                assert await self.described(world, ac, odd) == {10: False}

    async def test_5_3_what_has_expired_is_inactive(self, world: ACWorld) -> None:
        """C20."""
        clock = ShiftedClock()
        async with running_ac(world, clock=clock) as ac:
            token = await self.obtain(world, ac)
            assert (await self.described(world, ac, token))[10] is True
            clock.shift = timedelta(seconds=300)
            assert await self.described(world, ac, token) == {10: False}

    async def test_5_4_what_another_issued_is_inactive(self, world: ACWorld) -> None:
        """C21: under another key in the AC's name, in another name, or encrypted with an unknown key."""
        holder, now = world.tenant.identity, datetime.now(UTC)
        by_another_key = IssuingAC(uri=world.ac.uri)
        assert isinstance(world.ac.private_key, ec.EllipticCurvePrivateKey)
        by_our_key = IssuingAC(uri="urn:dev:org:32473-other-ac", key=world.ac.private_key)
        async with running_ac(world) as ac:
            for odd in (
                by_another_key.ticket(holder, audience=RS2, at=now),
                by_our_key.ticket(holder, audience=RS2, at=now),
                by_another_key.shared_ticket(OTHER_SECRET, b"somebody", audience=RS2, at=now).encoded,
            ):
                assert await self.described(world, ac, odd) == {10: False}

    async def test_5_5_what_is_valid_is_described(self, world: ACWorld) -> None:
        """C22; with the key that it is bound to, as RFC 9201 section 4.1 adds."""
        async with running_ac(world) as ac:
            said = await self.described(world, ac, await self.obtain(world, ac))
        assert (said[10], said[3], said[9]) == (True, RS2, HELLO)
        assert said[8] == Confirmation.of_key(world.tenant.spki).claim()

    def test_whoever_is_no_publisher_is_not_entitled(self, plan: Plan) -> None:
        for asker in (Unauthenticated(), plan.client2, plan.client3, PSKIdentity(b"RS1")):
            with pytest.raises(NotEntitled):
                require_publisher(asker, plan.picture)

    def test_a_record_that_is_revoked_expired_or_anothers_is_inactive(self, plan: Plan) -> None:
        token = granted(plan.ask(request_for(plan.world.tenant, scope=HELLO), plan.client2)).access_token
        (record,) = plan.world.records.values()

        def is_active(record: TicketRecord) -> bool:
            publisher = require_publisher(plan.world.meter.identity, plan.picture)
            return introspect(
                IntrospectionRequest(token), record, publisher=publisher, picture=plan.picture, now=NOW
            ).active

        assert is_active(record)
        for odd in (
            replace(record, revoked_at=NOW),
            replace(record, expires_at=NOW),
            replace(record, audience=RS1),
        ):
            assert not is_active(odd)


class TestSymmetricKeys:
    """What the security considerations imply for them."""

    def test_two_subscribers_get_different_keys_and_neither_is_the_secret(self, plan: Plan) -> None:
        """T22."""
        answers = [
            granted(plan.ask(symmetric(), client))
            for client in (plan.client2, plan.client3, plan.world.rival.identity)
        ]
        keys = {answer.cnf.key for answer in answers}
        assert len(keys) == 3
        assert not keys & {SECRET.secret, SECRET.token_key(), SECRET.key_derivation_key()}
        for answer in answers:
            assert SECRET.secret not in answer.encode()

    def test_another_publisher_can_do_nothing_with_the_ticket(self, plan: Plan) -> None:
        """T2, T3, T22."""
        token = granted(plan.ask(symmetric(), plan.client2)).access_token
        for audience, secret, reason in (
            (RS2, SECRET, TicketReason.WRONG_AUDIENCE),
            (RS1, OTHER_SECRET, TicketReason.UNKNOWN_ISSUER),
        ):
            with pytest.raises(TicketRejected) as caught:
                plan.verify(token, audience, secret)
            assert caught.value.reason is reason

    def test_rights_are_updated_for_the_same_key_by_its_name(self, plan: Plan) -> None:
        """RFC 9202 section 4."""
        first = granted(plan.ask(symmetric(scope=HELLO), plan.client2))
        kid = first.cnf.kid
        update = TokenRequest(audience=RS1, scope=R_LOCK, req_cnf=KeyReference(kid))
        second = granted(plan.ask(update, plan.client2))
        ticket = plan.verify(second.access_token, RS1, SECRET)
        assert ticket.confirmation.kid == kid
        assert ticket.sequence > plan.verify(first.access_token, RS1, SECRET).sequence

    def test_the_name_of_anothers_key_or_of_one_that_ended_updates_nothing(self, plan: Plan) -> None:
        """T20."""
        kid = granted(plan.ask(symmetric(), plan.client2)).cnf.kid
        record = plan.world.records[kid]
        update = TokenRequest(audience=RS1, scope=R_LOCK, req_cnf=KeyReference(kid))
        refused(plan.ask(update, plan.client3), ErrorCode.UNSUPPORTED_POP_KEY)
        unknown = TokenRequest(audience=RS1, scope=R_LOCK, req_cnf=KeyReference(b"somebody"))
        refused(plan.ask(unknown, plan.client2), ErrorCode.UNSUPPORTED_POP_KEY)
        elsewhere = TokenRequest(audience=RS2, scope=R_LOCK, req_cnf=KeyReference(kid))
        refused(plan.ask(elsewhere, plan.client2), ErrorCode.UNSUPPORTED_POP_KEY)
        for ended in (
            replace(record, revoked_at=NOW),
            replace(record, expires_at=NOW),
            replace(record, audience=RS2),
            replace(record, requester=RAW),
            replace(record, kid=b"other"),
        ):
            plan.world.records[kid] = ended
            refused(plan.ask(update, plan.client2), ErrorCode.UNSUPPORTED_POP_KEY)
        plan.world.records[kid] = record
        granted(plan.ask(update, plan.client2))

    def test_a_publisher_with_a_certificate_alone_gets_no_symmetric_keys(self, plan: Plan) -> None:
        refused(plan.ask(symmetric(audience=RS2), plan.client2), ErrorCode.INVALID_REQUEST)

    def test_no_secret_is_shown(self, plan: Plan) -> None:
        shown = repr(plan.picture) + repr(granted(plan.ask(symmetric(), plan.client2)))
        assert repr(SECRET.secret)[2:-1] not in shown


class TestFormsOfTickets:
    def test_a_publisher_that_pins_certificates_gets_the_certificate_and_the_key(self, plan: Plan) -> None:
        self.register(plan, pins_certificates=True)
        answer = granted(plan.ask(request_for(plan.world.tenant, scope=HELLO), plan.client2))
        ticket = plan.verify(answer.access_token, RS2)
        ticket.require_holder(plan.world.tenant.spki, plan.world.tenant.chain[0])
        for certificate in (None, plan.world.rival.chain[0]):
            with pytest.raises(TicketRejected):
                ticket.require_holder(plan.world.tenant.spki, certificate)

    def test_a_raw_key_serves_at_no_publisher_that_pins_certificates(self, plan: Plan) -> None:
        self.register(plan, pins_certificates=True)
        refused(plan.ask(request_for(plan.raw, scope=HELLO), plan.client3), ErrorCode.UNSUPPORTED_POP_KEY)

    def test_a_publisher_without_a_clock_gets_seconds_instead_of_a_time(self, plan: Plan) -> None:
        """RFC 9200 section 5.10.3, T17."""
        self.register(plan, is_clockless=True)
        answer = granted(plan.ask(request_for(plan.world.tenant, scope=HELLO), plan.client2))
        with pytest.raises(TicketRejected):
            plan.verify(answer.access_token, RS2)  # nobody there counts the seconds
        assert answer.expires_in == 600
        (record,) = plan.world.records.values()
        assert record.exi == 600
        assert (record.expires_at - record.issued_at).total_seconds() == 86_400 + 600

    def test_the_nonce_of_the_publisher_is_copied(self, plan: Plan) -> None:
        """T18."""
        answer = granted(plan.ask(request_for(plan.world.tenant, cnonce=b"n" * 16), plan.client2))
        assert plan.verify(answer.access_token, RS2).cnonce == b"n" * 16

    def test_the_key_of_another_raw_client_is_refused(self, plan: Plan) -> None:
        """T1."""
        refused(plan.ask(request_for(plan.world.tenant), plan.client3), ErrorCode.INVALID_REQUEST)
        refused(plan.ask(request_for(plan.raw), plan.client2), ErrorCode.INVALID_REQUEST)

    def register(self, plan: Plan, **changes: object) -> None:
        entities = dict(plan.picture.directory.entities)
        entities[RS2] = replace(entities[RS2], **changes)
        plan.picture = replace(plan.picture, directory=replace(plan.picture.directory, entities=entities))


def test_a_raw_key_is_not_taken_from_a_certificate_and_back(plan: Plan) -> None:
    """A key that is registered raw gives its holder no other identity by a certificate."""
    assert plan.picture.directory.holder_of_raw_key(hashlib.sha256(plan.raw.spki).digest()).uri == RAW
    refused(plan.ask(request_for(plan.raw), plan.raw.identity), ErrorCode.INVALID_CLIENT, (4, 1))
    assert plan.picture.directory.entities[RAW].role is Role.SUBSCRIBER
