"""The picture of who exists: compiled from ledgers and the operator's tables."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from ac_world import HIDDEN, METER, ACWorld

from twoway.ac import Entity, compile_directory
from twoway.ac.config import (
    JurisdictionSection,
    OrganisationSection,
    Places,
    PublisherSection,
    ResourceSection,
    SiteSection,
    SubscriberSection,
)
from twoway.errors import ConfigurationError
from twoway.identity import identity_uri
from twoway.pki import Role, read_ledger
from twoway.policy import Jurisdiction
from twoway.tickets import Method


@pytest.fixture
def world(tmp_path: Path) -> ACWorld:
    return ACWorld.make(tmp_path / "world")


def test_attributes_come_from_the_ledger(world: ACWorld) -> None:
    tenant = world.directory().entities[world.tenant.uri]
    assert (tenant.role, tenant.organisation, tenant.region) == (Role.SUBSCRIBER, "House", "north")
    assert tenant.purposes == {"billing", "alarm"}
    assert tenant.attributes == {"floor": "3"}
    assert tenant.spki == world.tenant.spki


def test_the_operators_word_beats_the_ledger(world: ACWorld) -> None:
    section = SubscriberSection(identity=world.tenant.uri, region="south", purposes=("audit",))
    tenant = compile_directory(read_ledger(world.ledger), (), (section,)).entities[world.tenant.uri]
    assert (tenant.organisation, tenant.region, tenant.purposes) == ("House", "south", {"audit"})


def test_somebody_of_no_ledger_is_known_by_the_operators_table_with_any_certified_key() -> None:
    section = SubscriberSection(identity="guest", organisation="Guests", region="north")
    guest = compile_directory([], (), (section,)).entities[identity_uri("guest")]
    assert (guest.role, guest.organisation, guest.spki) == (Role.SUBSCRIBER, "Guests", None)


def test_a_pinned_certificate_gives_the_key(world: ACWorld, tmp_path: Path) -> None:
    path = tmp_path / "meter.pem"
    path.write_bytes(world.meter.cert_pem)
    section = PublisherSection(identity=METER, certificate=path, resources=(ResourceSection(path="/power"),))
    assert compile_directory([], (section,)).entities[METER].spki == world.meter.spki


def test_somebody_elses_certificate_cannot_be_pinned(world: ACWorld, tmp_path: Path) -> None:
    path = tmp_path / "meter.pem"
    path.write_bytes(world.tenant.cert_pem)
    section = PublisherSection(identity=METER, certificate=path, resources=(ResourceSection(path="/power"),))
    with pytest.raises(ConfigurationError, match=f"certificate of {world.tenant.uri}, not of {METER}"):
        compile_directory([], (section,))


@pytest.mark.parametrize("content", [None, b"", b"\x00\x01", b"-----BEGIN CERTIFICATE-----\nAAAA\n"])
def test_a_pinned_certificate_that_cannot_be_read_is_one_sentence(
    tmp_path: Path, content: bytes | None
) -> None:
    path = tmp_path / "meter.pem"
    if content is not None:
        path.write_bytes(content)
    section = PublisherSection(identity=METER, certificate=path, resources=(ResourceSection(path="/power"),))
    with pytest.raises(ConfigurationError) as caught:
        compile_directory([], (section,))
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_publisher_that_offers_nothing_is_no_audience(world: ACWorld) -> None:
    directory = world.directory()
    assert HIDDEN in directory.entities
    assert directory.publisher(HIDDEN) is None
    assert directory.publisher(world.tenant.uri) is None
    assert directory.publisher(METER) is not None


def test_the_offer_is_what_the_table_says_and_merges_repeated_paths() -> None:
    section = PublisherSection(
        identity=METER,
        resources=(
            ResourceSection(path="/a", methods=("GET",)),
            ResourceSection(path="/a", methods=("iPATCH",)),
            ResourceSection(path="/grün"),
        ),
    )
    offer = compile_directory([], (section,)).entities[METER].offer
    assert offer.entries == (("/a", Method.GET | Method.IPATCH), ("/gr%C3%BCn", Method.GET))


def test_a_path_with_dot_segments_is_refused() -> None:
    section = PublisherSection(identity=METER, resources=(ResourceSection(path="/a/../b"),))
    with pytest.raises(ConfigurationError, match="no request can name"):
        compile_directory([], (section,))


def test_a_publisher_of_the_ledger_cannot_be_configured_as_a_subscriber(world: ACWorld) -> None:
    with pytest.raises(ConfigurationError, match="known as a publisher"):
        compile_directory(read_ledger(world.ledger), (), (SubscriberSection(identity=METER),))


def test_a_subscriber_of_the_ledger_cannot_be_configured_as_a_publisher(world: ACWorld) -> None:
    section = PublisherSection(identity=world.tenant.uri, resources=(ResourceSection(path="/x"),))
    with pytest.raises(ConfigurationError, match="known as a subscriber"):
        compile_directory(read_ledger(world.ledger), (section,))


def test_the_newest_line_of_an_identity_counts(world: ACWorld) -> None:
    moved = world.certify(world.tenant, Role.SUBSCRIBER, {"organisation": "House", "region": "south"})
    tenant = world.directory().entities[moved.uri]
    assert (tenant.region, tenant.purposes) == ("south", frozenset())


PLACES = Places(
    organisations=(OrganisationSection(name="Grid", jurisdiction="DE", certifications=("iso-27001",)),),
    sites=(SiteSection(name="tower", jurisdiction="CH"),),
    jurisdictions=(JurisdictionSection(name="CH", partners=("DE",)),),
)
AT_TOWER = PublisherSection(
    identity="boiler",
    site="tower",
    tenant="flat-3",
    attributes={"consent": "given"},
    resources=(
        ResourceSection(path="/heat", category="billing"),
        ResourceSection(path="/heat", methods=("PUT",)),
        ResourceSection(path="/grün", category="live"),
    ),
)


def test_a_publisher_is_in_the_jurisdiction_of_its_site_with_its_treaties() -> None:
    boiler = compile_directory([], (AT_TOWER,), (), PLACES).entities[identity_uri("boiler")]
    assert (boiler.site, boiler.tenant) == ("tower", "flat-3")
    assert boiler.jurisdiction == Jurisdiction("CH", frozenset({"DE"}))
    assert boiler.attributes == {"consent": "given"}


def test_categories_are_found_by_the_target_that_a_scope_names() -> None:
    boiler = compile_directory([], (AT_TOWER,), (), PLACES).entities[identity_uri("boiler")]
    assert boiler.categories == {"/heat": "billing", "/gr%C3%BCn": "live"}
    assert set(boiler.categories) == {target for target, _ in boiler.offer.entries}


def test_a_resource_has_one_category() -> None:
    section = AT_TOWER.model_copy(
        update={
            "resources": (ResourceSection(path="/a", category="x"), ResourceSection(path="/a", category="y"))
        }
    )
    with pytest.raises(ConfigurationError, match="/a of .* has two categories"):
        compile_directory([], (section,), (), PLACES)


def test_a_site_without_a_table_is_refused() -> None:
    with pytest.raises(ConfigurationError, match=r"site tower, which has no \[\[site\]\] table"):
        compile_directory([], (AT_TOWER,))


def test_a_publisher_cannot_be_written_into_another_jurisdiction_than_its_site() -> None:
    section = AT_TOWER.model_copy(update={"jurisdiction": "DE"})
    with pytest.raises(ConfigurationError, match="in the jurisdiction DE, its site in CH"):
        compile_directory([], (section,), (), PLACES)


def test_the_operators_site_beats_the_ledgers_jurisdiction(world: ACWorld) -> None:
    world.certify(
        world.meter, Role.PUBLISHER, {"organisation": "House", "site": "tower", "jurisdiction": "XX"}
    )
    meter = compile_directory(read_ledger(world.ledger), (), (), PLACES).entities[METER]
    assert meter.jurisdiction == Jurisdiction("CH", frozenset({"DE"}))


def test_a_ledger_that_names_an_unknown_site_leaves_the_jurisdiction_unknown(world: ACWorld) -> None:
    world.certify(world.meter, Role.PUBLISHER, {"organisation": "House", "site": "nowhere"})
    meter = compile_directory(read_ledger(world.ledger), (), (), PLACES).entities[METER]
    assert (meter.site, meter.jurisdiction) == ("nowhere", None)


def test_a_subscriber_has_what_its_organisation_has_unless_it_has_its_own() -> None:
    sections = (
        SubscriberSection(identity="reader", organisation="Grid", certifications=("gdpr",)),
        SubscriberSection(identity="abroad", organisation="Grid", jurisdiction="AT"),
        SubscriberSection(identity="other", organisation="Other"),
    )
    entities = compile_directory([], (), sections, PLACES).entities
    reader, abroad, other = (entities[identity_uri(name)] for name in ("reader", "abroad", "other"))
    assert (reader.jurisdiction, reader.certifications) == (Jurisdiction("DE"), {"gdpr", "iso-27001"})
    assert abroad.jurisdiction == Jurisdiction("AT")
    assert (other.jurisdiction, other.certifications) == (None, frozenset())


def test_an_organisation_gives_its_publishers_no_jurisdiction() -> None:
    section = PublisherSection(identity="p", organisation="Grid", resources=(ResourceSection(path="/x"),))
    entity = compile_directory([], (section,), (), PLACES).entities[identity_uri("p")]
    assert (entity.jurisdiction, entity.certifications) == (None, frozenset())


def test_ledger_attributes_are_sorted_and_the_operators_beat_them(world: ACWorld) -> None:
    world.certify(
        world.tenant,
        Role.SUBSCRIBER,
        {"tenant": "flat-1", "jurisdiction": "CH", "certifications": "a, b", "floor": "1", "site": "tower"},
    )
    section = SubscriberSection(identity=world.tenant.uri, tenant="flat-2", attributes={"floor": "2"})
    tenant = compile_directory(read_ledger(world.ledger), (), (section,), PLACES).entities[world.tenant.uri]
    assert (tenant.tenant, tenant.certifications) == ("flat-2", {"a", "b"})
    assert tenant.jurisdiction == Jurisdiction("CH", frozenset({"DE"}))
    assert tenant.attributes == {"floor": "2", "site": "tower"}
    assert tenant.site == ""


def test_an_entity_comes_back_from_its_document_through_json(world: ACWorld) -> None:
    entities = compile_directory(read_ledger(world.ledger), (AT_TOWER,), (), PLACES).entities
    assert entities
    for entity in entities.values():
        assert Entity.from_document(json.loads(json.dumps(entity.to_document()))) == entity


def test_what_policies_see_is_what_the_registry_has() -> None:
    reader = SubscriberSection(
        identity="reader", organisation="Grid", region="north", purposes=("billing",), tenant="flat-3"
    )
    entities = compile_directory([], (AT_TOWER,), (reader,), PLACES).entities
    subscriber = entities[identity_uri("reader")].as_subscriber()
    assert (subscriber.organisation, subscriber.region, subscriber.tenant) == ("Grid", "north", "flat-3")
    assert subscriber.purposes == {"billing"}
    assert subscriber.certifications == {"iso-27001"}
    assert subscriber.jurisdiction == Jurisdiction("DE")
    boiler = entities[identity_uri("boiler")].as_publisher()
    assert (boiler.site, boiler.tenant, boiler.attributes) == ("tower", "flat-3", {"consent": "given"})
    assert boiler.categories == {"/heat": "billing", "/gr%C3%BCn": "live"}
