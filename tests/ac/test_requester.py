"""Who asks: a proof and a registration together; a name alone is nobody."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from datetime import timedelta
from types import MappingProxyType

import pytest
from ticket_forge import HOLDER_SPKI, NOW, OTHER_SPKI, SUBSCRIBER_URI

from twoway.ac import Directory
from twoway.ac.entity import Entity
from twoway.ac.requester import NEVER, NotAdmitted, identify
from twoway.identity import PSKIdentity, RawPublicKeyIdentity, Unauthenticated, X509Identity
from twoway.pki import Role

TENANT = Entity(SUBSCRIBER_URI, Role.SUBSCRIBER, spki=HOLDER_SPKI)
CERTIFIED = X509Identity(SUBSCRIBER_URI, HOLDER_SPKI, (b"the leaf", b"its CA"), NOW + timedelta(days=9))


def directory(*entities: Entity) -> Directory:
    return Directory(MappingProxyType({entity.uri: entity for entity in entities}))


def refusal(identity, *entities: Entity) -> NotAdmitted:
    with pytest.raises(NotAdmitted) as caught:
        identify(identity, directory(*entities))
    return caught.value


def test_a_certified_requester_is_admitted_with_its_certificate_and_its_end():
    requester = identify(CERTIFIED, directory(TENANT))
    assert (requester.entity, requester.uri, requester.proved) == (TENANT, SUBSCRIBER_URI, CERTIFIED)
    assert requester.not_after == CERTIFIED.not_after
    assert requester.certificate == b"the leaf"
    assert requester.certificate_sha256 == hashlib.sha256(b"the leaf").digest()


def test_after_an_abbreviated_handshake_there_is_no_certificate():
    requester = identify(replace(CERTIFIED, chain=()), directory(TENANT))
    assert (requester.certificate, requester.certificate_sha256) == (None, None)


def test_another_certified_key_than_the_registered_one_is_not_admitted():
    refused = refusal(replace(CERTIFIED, spki=OTHER_SPKI), TENANT)
    assert refused.is_unknown
    assert "not the registered one" in str(refused)


def test_where_no_key_is_registered_any_certified_one_is_admitted():
    anybody = replace(TENANT, spki=None)
    assert identify(replace(CERTIFIED, spki=OTHER_SPKI), directory(anybody)).entity == anybody


def test_a_raw_key_is_whom_the_registry_says_and_nobody_by_itself():
    raw = RawPublicKeyIdentity(HOLDER_SPKI)
    registered = replace(TENANT, raw_key=hashlib.sha256(HOLDER_SPKI).digest())
    requester = identify(raw, directory(registered))
    assert (requester.uri, requester.not_after) == (SUBSCRIBER_URI, NEVER)
    assert (requester.certificate, requester.certificate_sha256) == (None, None)
    assert refusal(raw, TENANT).is_unknown
    assert "not registered here" in str(refusal(RawPublicKeyIdentity(OTHER_SPKI), registered))


def test_a_certified_name_that_is_not_registered_is_not_admitted():
    refused = refusal(CERTIFIED)
    assert refused.is_unknown
    assert "not registered here" in str(refused)


@pytest.mark.parametrize(
    "identity", [PSKIdentity(SUBSCRIBER_URI.encode()), Unauthenticated()], ids=["pre-shared key", "nothing"]
)
def test_whoever_has_no_key_that_a_ticket_is_bound_to_is_not_admitted_whoever_it_says_to_be(identity):
    refused = refusal(identity, TENANT, replace(TENANT, uri=identity.uri))
    assert refused.is_unknown is False
    assert "ask with one" in str(refused)
