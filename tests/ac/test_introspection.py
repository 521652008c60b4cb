"""What the AC says of a ticket to the publisher that it is for, and to nobody else."""

from __future__ import annotations

import os
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from ac_world import METER, NOW, ACWorld
from cryptography.hazmat.primitives.asymmetric import ec

from twoway.ac import Picture, TicketRecord
from twoway.ac.introspection import INACTIVE, NotEntitled, introspect, require_publisher
from twoway.ac.signing_keys import RETIREMENT, PrivateSigningKey, SigningKeys
from twoway.strict_cbor import encode
from twoway.tickets import (
    Claims,
    Confirmation,
    IntrospectionRequest,
    Method,
    Scope,
    SharedSecret,
    SigningKey,
    SymmetricConfirmation,
    TicketIssuer,
    cose,
    ticket_id,
    token_hash,
)
from twoway.tickets.provisional import ProvisionalNumbers

SECRET = SharedSecret(bytes(range(16)))
SCOPE = Scope((("/power", Method.GET),))
END = NOW + timedelta(seconds=600)


@pytest.fixture
def world(tmp_path: Path) -> ACWorld:
    return ACWorld.make(tmp_path / "world")


def record_of(world: ACWorld, encoded: bytes, **changes: object) -> TicketRecord:
    record = TicketRecord(
        ticket_id=ticket_id(METER, 7),
        token_hash=token_hash(encoded),
        requester=world.tenant.uri,
        audience=METER,
        holder_key=None,
        certificate_sha256=None,
        scope=SCOPE.encode(),
        kid=None,
        issued_at=NOW,
        expires_at=END + timedelta(days=1),
    )
    return replace(record, **changes)


def claims_of(world: ACWorld, **changes: object) -> Claims:
    """The claims of a good ticket, all of them."""
    good = Claims(
        issuer=world.ac.uri,
        subject=world.tenant.uri,
        audience=METER,
        issued_at=NOW,
        ticket_id=ticket_id(METER, 7),
        expires_at=END,
        not_before=NOW,
        scope=SCOPE.encode(),
        confirmation=Confirmation.of_key(world.tenant.spki).claim(),
        cnonce=b"n" * 16,
    )
    return replace(good, **changes)


def signed(world: ACWorld, claims: Claims, key: ec.EllipticCurvePrivateKey | None = None) -> bytes:
    key = key or world.ac.private_key
    key_id = SigningKey(key.public_key()).key_id
    return cose.sign1(encode(claims.to_map()), private_key=key, key_id=key_id)


def asked(
    world: ACWorld, token: bytes, *, picture: Picture | None = None, now: datetime = NOW, **record: object
) -> Claims | None:
    picture = picture or world.picture()
    response = introspect(
        IntrospectionRequest(token),
        record_of(world, token, **record),
        publisher=picture.directory.entities[METER],
        picture=picture,
        now=now,
    )
    assert response.active is (response.claims is not None)
    return response.claims


def test_every_claim_of_an_active_ticket_is_told(world: ACWorld) -> None:
    """RFC 9200 section 5.9.2."""
    claims = claims_of(world)
    assert asked(world, signed(world, claims)) == claims


def test_of_a_ticket_that_lives_from_first_sight_the_seconds_are_told_and_no_end(world: ACWorld) -> None:
    """RFC 9200 section 5.10.3: the publisher counts them."""
    claims = claims_of(world, expires_at=None, exi=600)
    assert asked(world, signed(world, claims)) == claims


def test_of_a_ticket_with_a_derived_key_its_name_is_told_and_not_the_key(world: ACWorld) -> None:
    encoded = (
        TicketIssuer(issuer=world.ac.uri, private_key=world.ac.private_key, entropy=os.urandom)
        .issue(
            subject=world.tenant.uri,
            audience=METER,
            scope=SCOPE,
            confirmation=SymmetricConfirmation(b"nametag8", derived=True),
            ticket_id=ticket_id(METER, 7),
            now=NOW,
            lifetime_seconds=600,
            not_after=END,
            secret=SECRET,
        )
        .encoded
    )
    found = asked(world, encoded, picture=world.picture(secrets={METER: SECRET}))
    assert found is not None
    assert found.confirmation == {1: {1: 4, 2: b"nametag8"}}
    assert asked(world, encoded) is None
    assert asked(world, encoded, picture=world.picture(secrets={"urn:other": SECRET})) is None


@pytest.mark.parametrize(
    "changes",
    [{"audience": "urn:dev:org:32473-other"}, {"revoked_at": NOW}, {"expires_at": NOW}],
    ids=["another's", "revoked", "expired"],
)
def test_a_ticket_that_does_not_count_is_inactive_without_a_reason(world: ACWorld, changes: dict) -> None:
    token = signed(world, claims_of(world))
    assert asked(world, token) is not None
    assert asked(world, token, **changes) is None


def test_a_ticket_that_is_not_in_the_books_is_inactive(world: ACWorld) -> None:
    picture, token = world.picture(), signed(world, claims_of(world))
    meter = picture.directory.entities[METER]
    answer = introspect(IntrospectionRequest(token), None, publisher=meter, picture=picture, now=NOW)
    assert answer is INACTIVE
    assert not answer.active


def test_a_ticket_is_judged_by_its_own_claims_as_well(world: ACWorld) -> None:
    assert asked(world, signed(world, claims_of(world)), now=END) is None
    assert asked(world, signed(world, claims_of(world, issuer="urn:dev:org:32473-other"))) is None
    assert asked(world, signed(world, claims_of(world), ec.generate_private_key(ec.SECP256R1()))) is None


def test_a_key_that_the_ac_has_withdrawn_vouches_for_nothing(world: ACWorld) -> None:
    new = PrivateSigningKey(ec.generate_private_key(ec.SECP256R1()), NOW)
    old = PrivateSigningKey(world.ac.private_key, NOW - timedelta(days=30))
    picture = replace(world.picture(), signing_keys=SigningKeys([old, new]))
    claims = claims_of(world, expires_at=NOW + timedelta(days=30))
    token, withdrawn_at = signed(world, claims), NOW + RETIREMENT
    late = {"picture": picture, "expires_at": NOW + timedelta(days=40)}
    assert asked(world, token, now=withdrawn_at - timedelta(seconds=1), **late) == claims
    assert asked(world, token, now=withdrawn_at, **late) is None
    assert asked(world, signed(world, claims, new.private_key), now=withdrawn_at, **late) == claims


def test_whoever_is_no_publisher_is_told_why_it_may_not_ask(world: ACWorld) -> None:
    picture = world.picture()
    for who, why in ((world.tenant, "only publishers"), (world.unknown, "not registered here")):
        with pytest.raises(NotEntitled, match=why):
            require_publisher(who.identity, picture)
    assert require_publisher(world.meter.identity, picture) == picture.directory.entities[METER]


def test_a_pinned_certificate_is_told_under_the_number_that_the_ac_goes_by(world: ACWorld) -> None:
    numbers = ProvisionalNumbers(x5t=8)
    pinned = Confirmation.of_key(world.tenant.spki, certificate_sha256=bytes(32)).claim(numbers)
    claims = claims_of(world, confirmation=pinned)
    assert asked(world, signed(world, claims), picture=replace(world.picture(), numbers=numbers)) == claims
