"""What becomes of a decision: the whole answer, the whole row of the ticket, the whole row of the audit."""

from __future__ import annotations

import hashlib
import os
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from ac_world import METER, NOW, ACWorld, request_for

from twoway.ac import Asking, AuditEntry, Outcome, Refusal, TicketRecord, TokenService
from twoway.ac.approval import Approval, Asked, refusal
from twoway.ac.signing_keys import PrivateSigningKey, SigningKeys
from twoway.tickets import (
    ErrorCode,
    KeyReference,
    Method,
    Profile,
    Scope,
    SharedSecret,
    TokenRequest,
    TokenRequestRejected,
    ticket_id,
    token_hash,
)

SECRET = SharedSecret(bytes(range(16)))
POWER = Scope((("/power", Method.GET),))
BOTH = Scope((("/history", Method.GET), ("/power", Method.GET)))


@pytest.fixture
def world(tmp_path: Path) -> ACWorld:
    return ACWorld.make(tmp_path / "world")


def approval(
    world: ACWorld, request: TokenRequest, who=None, *, shares_secret: bool = False, **publisher: object
) -> Approval:
    """What the service approves of, where the meter is registered with some changes."""
    directory = world.directory()
    meter = replace(directory.entities[METER], **publisher)
    directory = replace(directory, entities={**directory.entities, METER: meter})
    picture = world.picture(directory=directory, secrets={METER: SECRET} if shares_secret else {})
    asking = Asking((who or world.tenant).identity, "192.0.2.7", NOW)
    decided = TokenService(picture, entropy=os.urandom).decide(request, asking)
    assert isinstance(decided, Approval), decided
    return decided


def test_a_ticket_for_a_proved_key_is_answered_and_written_down_whole(world: ACWorld) -> None:
    approved = approval(world, request_for(world.tenant, scope=POWER.encode(), ace_profile_asked=True))
    record, entry, grant = approved.issue(7)
    ticket = world.verify(grant.response.access_token)
    assert ticket.ticket_id == ticket_id(METER, 7)
    assert (ticket.subject, ticket.scope) == (world.tenant.uri, POWER)
    ticket.require_holder(world.tenant.spki)
    assert record == TicketRecord(
        ticket_id=ticket.ticket_id,
        token_hash=token_hash(ticket.encoded),
        requester=world.tenant.uri,
        audience=METER,
        holder_key=hashlib.sha256(world.tenant.spki).digest(),
        certificate_sha256=hashlib.sha256(world.tenant.chain[0]).digest(),
        scope=POWER.encode(),
        kid=None,
        issued_at=NOW,
        expires_at=NOW + timedelta(seconds=600),
    )
    assert entry == AuditEntry(
        at=NOW,
        requester=world.tenant.uri,
        audience=METER,
        requested="GET /power",
        granted="GET /power",
        outcome=Outcome.GRANTED,
        policies=("same-region",),
        reason="granted by policy: same-region",
        ticket_id=ticket.ticket_id,
    )
    response = grant.response
    assert grant.entry == entry
    assert (response.expires_in, response.scope, response.cnf) == (600, None, None)
    assert (response.rs_cnf_spki, response.ace_profile) == (world.meter.spki, Profile.COAP_DTLS)


def test_a_ticket_for_a_key_that_the_ac_makes_is_answered_and_written_down_whole(world: ACWorld) -> None:
    """RFC 9200 section 5.8.2: the key comes in ``cnf``, and no other beside it."""
    asked = TokenRequest(audience=METER, scope=POWER.encode(), req_cnf=None)
    approved = approval(world, asked, shares_secret=True, spki=None)
    record, _, grant = approved.issue(7)
    response = grant.response
    assert response.cnf is not None
    assert response.cnf.key == SECRET.pop_key(response.access_token)
    assert (response.rs_cnf_spki, response.ace_profile) == (None, None)
    assert record == TicketRecord(
        ticket_id=ticket_id(METER, 7),
        token_hash=token_hash(response.access_token),
        requester=world.tenant.uri,
        audience=METER,
        holder_key=None,
        certificate_sha256=hashlib.sha256(world.tenant.chain[0]).digest(),
        scope=POWER.encode(),
        kid=response.cnf.kid,
        issued_at=NOW,
        expires_at=NOW + timedelta(seconds=600),
    )


def test_at_a_publisher_with_certificate_and_secret_the_key_decides_the_form(world: ACWorld) -> None:
    """RFC 9201 section 3.2: beside a symmetric key there is no other, though the publisher has one."""
    asked = TokenRequest(audience=METER, scope=POWER.encode(), req_cnf=None)
    _, _, grant = approval(world, asked, shares_secret=True).issue(7)
    assert grant.response.rs_cnf_spki is None
    assert grant.response.cnf is not None
    _, _, grant = approval(world, request_for(world.tenant), shares_secret=True).issue(8)
    world.verify(grant.response.access_token).require_holder(world.tenant.spki)  # signed, not encrypted
    assert (grant.response.rs_cnf_spki, grant.response.cnf) == (world.meter.spki, None)


def test_a_ticket_of_seconds_is_kept_in_the_books_for_as_long_as_it_may_be_kept_back(world: ACWorld) -> None:
    """RFC 9200 section 5.10.3: they count from when the publisher sees it, at most a day later."""
    record, _, grant = approval(world, request_for(world.tenant), is_clockless=True).issue(7)
    assert (record.exi, grant.response.expires_in) == (600, 600)
    assert record.expires_at == NOW + timedelta(seconds=600, days=1)


def test_what_policies_left_out_is_told_in_the_audit_and_the_rest_in_the_answer(world: ACWorld) -> None:
    _, entry, grant = approval(world, request_for(world.rival, scope=BOTH.encode()), who=world.rival).issue(7)
    assert (entry.requested, entry.granted) == (str(BOTH), str(POWER))
    assert entry.reason == "granted by policy: same-region; left out by policy: rivals-see-no-history"
    assert grant.response.scope == POWER.encode()


def test_without_a_scope_the_audit_says_that_none_was_asked_for(world: ACWorld) -> None:
    _, entry, grant = approval(world, request_for(world.tenant)).issue(7)
    assert entry.requested is None
    assert grant.response.scope is not None
    assert str(Scope.parse_untrusted(grant.response.scope)) == entry.granted


def rejection(approved: Approval) -> TokenRequestRejected:
    with pytest.raises(TokenRequestRejected) as caught:
        approved.issue(7)
    return caught.value


def test_a_certificate_that_ends_while_it_is_decided_is_no_ticket(world: ACWorld) -> None:
    approved = approval(world, request_for(world.tenant, scope=POWER.encode()))
    ended = replace(world.tenant.identity, not_after=NOW)
    rejected = rejection(replace(approved, requester=replace(approved.requester, proved=ended)))
    assert rejected.error.code is ErrorCode.INVALID_CLIENT
    assert rejected.error.description == "the requester's certificate has expired"


def test_a_scope_that_makes_too_large_a_ticket_is_no_ticket_and_written_down(world: ACWorld) -> None:
    approved = approval(world, request_for(world.tenant, scope=POWER.encode()))
    large = Scope(tuple((f"/{number}{'x' * 200}", Method.GET) for number in range(30)))
    judgement = replace(approved.judgement, granted=large)
    rejected = rejection(replace(approved, judgement=judgement))
    assert rejected.error.code is ErrorCode.INVALID_SCOPE
    refused = approved.refuse(rejected)
    assert isinstance(refused, Refusal)
    assert refused.error == rejected.error
    assert refused.entry == AuditEntry(
        at=NOW,
        requester=world.tenant.uri,
        audience=METER,
        requested="GET /power",
        granted=None,
        outcome=Outcome.REFUSED,
        policies=(),
        reason=str(rejected.error.description),
        ticket_id=None,
    )


def test_a_refusal_without_words_is_written_down_by_its_code(world: ACWorld) -> None:
    asking = Asking(world.tenant.identity, "192.0.2.7", NOW)
    silent = TokenRequestRejected(ErrorCode.INVALID_GRANT, "")
    assert refusal(silent, asking, Asked()).entry.reason == ErrorCode.INVALID_GRANT.label
    assert refusal(silent, asking, Asked()).entry.requested is None


def test_only_a_ticket_for_the_name_of_a_key_keeps_that_key(world: ACWorld) -> None:
    """RFC 9202 section 4."""
    by_key = approval(world, request_for(world.tenant))
    assert not by_key.keeps_key
    by_name = replace(by_key, request=replace(by_key.request, req_cnf=KeyReference(b"nametag8")))
    assert by_name.keeps_key


class KeyInAToken(PrivateSigningKey):
    """A signing key as one in a token looks."""

    @property
    def is_slow(self) -> bool:
        return True


def test_an_approval_knows_whether_its_signer_is_slow(world: ACWorld) -> None:
    asking = Asking(world.tenant.identity, "192.0.2.7", NOW)
    for kind in (PrivateSigningKey, KeyInAToken):
        keys = SigningKeys([kind(world.ac.private_key, NOW)])
        service = TokenService(replace(world.picture(), signing_keys=keys), entropy=os.urandom)
        decided = service.decide(request_for(world.tenant), asking)
        assert isinstance(decided, Approval)
        assert decided.is_signer_slow is (kind is KeyInAToken)
