"""The picture of who exists: compiled from ledgers and the operator's tables."""

from __future__ import annotations

from pathlib import Path

import pytest
from ac_world import HIDDEN, METER, ACWorld

from twoway.ac import compile_directory
from twoway.ac.config import PublisherSection, ResourceSection, SubscriberSection
from twoway.errors import ConfigurationError
from twoway.identity import identity_uri
from twoway.pki import Role, read_ledger
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
