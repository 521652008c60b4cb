"""The registry on a real SQLite file: what goes in comes out, and ledgers are followed."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from ac_world import METER, NOW, ACWorld
from sqlalchemy import select

from twoway.ac import AuditLog, Database, Outcome, Registry, generation, verify_audit
from twoway.ac.config import SubscriberSection
from twoway.ac.registry import NAMED
from twoway.ac.storage import tables
from twoway.clock import ManualClock
from twoway.errors import ConfigurationError, StorageError
from twoway.pki import Role
from twoway.trace import TraceEvent


@pytest.fixture
def world(tmp_path: Path) -> ACWorld:
    return ACWorld.make(tmp_path / "world")


def registry_of(world: ACWorld, database: Database, *events: list[TraceEvent]) -> Registry:
    trace = events[0].append if events else (lambda event: None)
    registry = Registry(
        database,
        AuditLog(database),
        clock=ManualClock(NOW),
        ledgers=[world.ledger],
        publishers=world.sections,
        trace=trace,
    )
    registry.load(why="the AC was started", operator="olga")
    return registry


def test_the_picture_survives_the_way_through_the_tables(world: ACWorld, database: Database) -> None:
    assert registry_of(world, database).directory == world.directory()


def test_loading_again_leaves_nothing_of_the_past(world: ACWorld, database: Database) -> None:
    registry_of(world, database)
    guest = SubscriberSection(identity="guest", organisation="Guests", region="north")
    registry = Registry(database, AuditLog(database), clock=ManualClock(NOW), subscribers=(guest,))
    registry.load(why="the files were taken anew", operator="olga")
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


async def rows(database: Database) -> list[tuple[str | None, str]]:
    """Who changed what, as the audit has it, oldest first."""
    entries = await AuditLog(database).latest()
    assert all(entry.outcome is Outcome.CHANGED and entry.at == NOW for entry in entries)
    return [(entry.operator, entry.reason) for entry in reversed(entries)]


async def test_the_audit_says_who_was_registered_removed_and_changed(
    world: ACWorld, database: Database
) -> None:
    registry = registry_of(world, database)
    everybody = ", ".join(sorted(registry.directory.entities))
    assert await rows(database) == [("olga", f"the AC was started; registered: {everybody}")]
    world.certify(world.unknown, Role.SUBSCRIBER, {"organisation": "House", "region": "north"})
    world.certify(world.tenant, Role.SUBSCRIBER, {"organisation": "House", "region": "south"})
    await registry.refresh()
    assert (await rows(database))[1:] == [
        (None, f"a ledger has changed; registered: {world.unknown.uri}; changed: {world.tenant.uri}")
    ]
    shorter = world.ledger.with_suffix(".new")
    shorter.write_text("".join(world.ledger.read_text().splitlines(keepends=True)[:-2]))
    os.replace(shorter, world.ledger)
    await registry.refresh()
    (_, what) = (await rows(database))[-1]
    assert what.startswith(f"a ledger has changed; removed: {world.unknown.uri}; changed: ")
    assert database.read(verify_audit).rows == 3


async def test_a_registry_that_stays_as_it_is_leaves_the_row_of_the_start_alone(
    world: ACWorld, database: Database
) -> None:
    registry = registry_of(world, database)
    os.utime(world.ledger, ns=(0, 0))
    await registry.refresh()
    assert len(await rows(database)) == 1
    registry_of(world, database)
    assert (await rows(database))[1:] == [("olga", "the AC was started")]


async def test_a_registry_that_cannot_be_read_leaves_no_row(world: ACWorld, database: Database) -> None:
    world.ledger.write_text("garbage\n")
    with pytest.raises(ConfigurationError):
        registry_of(world, database)
    assert await rows(database) == []


async def test_a_registry_that_cannot_be_recorded_does_not_change(world: ACWorld, database: Database) -> None:
    database.transact(lambda connection: connection.exec_driver_sql("ALTER TABLE audit RENAME TO gone"))
    with pytest.raises(StorageError):
        registry_of(world, database)
    kept = database.read(lambda connection: connection.execute(select(tables.entity)).all())
    assert kept == []


async def test_of_many_the_audit_names_some_and_counts_the_rest(database: Database) -> None:
    guests = tuple(
        SubscriberSection(identity=f"guest-{number:03}", organisation="Guests", region="north")
        for number in range(NAMED + 3)
    )
    registry = Registry(database, AuditLog(database), clock=ManualClock(NOW), subscribers=guests)
    registry.load(why="the AC was started", operator="olga")
    ((_, what),) = await rows(database)
    assert what.endswith(f"guest-{NAMED - 1:03}, 3 more")
