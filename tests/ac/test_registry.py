"""The registry on a real SQLite file: what goes in comes out, and ledgers are followed."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from ac_world import METER, ACWorld
from sqlalchemy import select

from twoway.ac import Database, Registry, generation
from twoway.ac.config import SubscriberSection
from twoway.ac.storage import tables
from twoway.errors import ConfigurationError
from twoway.pki import Role
from twoway.trace import TraceEvent


@pytest.fixture
def world(tmp_path: Path) -> ACWorld:
    return ACWorld.make(tmp_path / "world")


def registry_of(world: ACWorld, database: Database, *events: list[TraceEvent]) -> Registry:
    trace = events[0].append if events else (lambda event: None)
    registry = Registry(database, ledgers=[world.ledger], publishers=world.sections, trace=trace)
    registry.load()
    return registry


def test_the_picture_survives_the_way_through_the_tables(world: ACWorld, database: Database) -> None:
    assert registry_of(world, database).directory == world.directory()


def test_loading_again_leaves_nothing_of_the_past(world: ACWorld, database: Database) -> None:
    registry_of(world, database)
    guest = SubscriberSection(identity="guest", organisation="Guests", region="north")
    registry = Registry(database, subscribers=(guest,))
    registry.load()
    assert list(registry.directory.entities) == ["urn:dev:org:32473-guest"]


async def test_a_line_appended_to_the_ledger_is_known_at_the_next_request(
    world: ACWorld, database: Database
) -> None:
    registry = registry_of(world, database)
    assert registry.directory.requester(world.unknown.uri) is None
    world.certify(world.unknown, Role.SUBSCRIBER, {"organisation": "House", "region": "north"})
    await registry.refresh()
    known = registry.directory.requester(world.unknown.uri)
    assert known is not None
    assert known.spki == world.unknown.spki


async def test_a_ledger_that_was_replaced_by_another_file_is_read_again(
    world: ACWorld, database: Database
) -> None:
    registry = registry_of(world, database)
    shorter = world.ledger.with_suffix(".new")
    shorter.write_text("".join(world.ledger.read_text().splitlines(keepends=True)[:1]))
    os.replace(shorter, world.ledger)
    await registry.refresh()
    assert registry.directory.requester(world.tenant.uri) is None
    assert registry.directory.publisher(METER) is not None


async def test_an_unchanged_ledger_is_not_read_again(world: ACWorld, database: Database) -> None:
    registry = registry_of(world, database)
    before = registry.directory
    await registry.refresh()
    assert registry.directory is before


async def test_a_half_written_line_changes_nothing_until_it_is_whole(
    world: ACWorld, database: Database
) -> None:
    registry = registry_of(world, database)
    world.certify(world.unknown, Role.SUBSCRIBER, {"organisation": "House", "region": "north"})
    whole = world.ledger.read_bytes()
    world.ledger.write_bytes(whole[:-20])
    await registry.refresh()
    assert registry.directory.requester(world.unknown.uri) is None
    assert registry.directory.requester(world.tenant.uri) is not None
    world.ledger.write_bytes(whole)
    await registry.refresh()
    assert registry.directory.requester(world.unknown.uri) is not None


@pytest.mark.parametrize("damage", [b"garbage\n", b"\xff\xfe\n", b"{}\n", None])
async def test_a_ledger_that_breaks_while_running_keeps_the_last_good_picture_and_is_reported(
    world: ACWorld, database: Database, damage: bytes | None
) -> None:
    events: list[TraceEvent] = []
    registry = registry_of(world, database, events)
    before = registry.directory
    if damage is None:
        world.ledger.unlink()
    else:
        with world.ledger.open("ab") as file:
            file.write(damage)
    await registry.refresh()
    await registry.refresh()
    assert registry.directory is before
    assert [event.name for event in events] == ["registry not refreshed"]
    assert str(world.ledger) in str(events[0].data["reason"])


async def test_a_failing_disk_is_tried_again_at_the_next_request(world: ACWorld, database: Database) -> None:
    registry = registry_of(world, database)
    world.certify(world.unknown, Role.SUBSCRIBER, {"organisation": "House", "region": "north"})
    database.transact(lambda connection: connection.exec_driver_sql("ALTER TABLE entity RENAME TO gone"))
    await registry.refresh()
    assert registry.directory.requester(world.unknown.uri) is None
    database.transact(lambda connection: connection.exec_driver_sql("ALTER TABLE gone RENAME TO entity"))
    await registry.refresh()
    assert registry.directory.requester(world.unknown.uri) is not None


def test_a_ledger_that_is_missing_at_the_start_is_one_sentence(world: ACWorld, database: Database) -> None:
    world.ledger.unlink()
    with pytest.raises(ConfigurationError, match="ledger"):
        registry_of(world, database)


async def test_the_table_follows_the_picture(world: ACWorld, database: Database) -> None:
    registry = registry_of(world, database)
    world.certify(world.unknown, Role.SUBSCRIBER, {"organisation": "House", "region": "north"})
    await registry.refresh()
    documents = database.read(lambda connection: connection.execute(select(tables.entity.c.document)).all())
    assert [row.document for row in documents if row.document["uri"] == world.unknown.uri] == [
        registry.directory.entities[world.unknown.uri].to_document()
    ]
    assert len(documents) == len(registry.directory.entities)


async def test_what_one_replica_found_in_a_ledger_the_other_follows(
    world: ACWorld, database: Database
) -> None:
    one, other = registry_of(world, database), registry_of(world, database)
    world.certify(world.unknown, Role.SUBSCRIBER, {"organisation": "House", "region": "north"})
    before = database.read(generation.current)
    await one.refresh()
    assert database.read(generation.current) == before + 1
    await other.follow()
    assert other.directory == one.directory
    assert other.directory.requester(world.unknown.uri) is not None


def test_loading_what_is_there_already_counts_as_no_change(world: ACWorld, database: Database) -> None:
    registry_of(world, database)
    before = database.read(generation.current)
    registry_of(world, database)
    assert database.read(generation.current) == before
