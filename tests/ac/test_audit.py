"""The audit: a row for each decision, on the disk, chained, bounded, and readable by others."""

from __future__ import annotations

import asyncio
import hashlib
import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone

import pytest
from sqlalchemy import delete, text, update

from twoway.ac import AuditEntry, AuditLog, Database, Outcome, audit, read_audit
from twoway.ac.audit import CUT_EVERY, ChainEnd, export_audit, verify_audit
from twoway.ac.storage import tables
from twoway.errors import CallerError, StorageError

NOON = datetime(2026, 7, 1, 12, tzinfo=UTC)
GRANTED = AuditEntry(
    at=NOON,
    requester="urn:dev:org:32473-tenant",
    audience="urn:dev:org:32473-meter",
    requested="GET /power",
    granted="GET /power",
    outcome=Outcome.GRANTED,
    policies=("same-region",),
    reason="granted by policy: same-region",
    ticket_id=b"\x00\xff" * 8,
)
REFUSED = AuditEntry(
    at=NOON,
    requester="psk:x",
    audience=None,
    requested=None,
    granted=None,
    outcome=Outcome.REFUSED,
    policies=(),
    reason="not a request",
    ticket_id=None,
)


def rows(database: Database) -> list[tuple[int, str, bytes]]:
    return database.read(lambda connection: list(audit._rows(connection)))


def write(database: Database, statement: object) -> None:
    """What an intruder does who may write to the database."""
    database.transact(lambda connection: connection.execute(statement))


async def filled(database: Database, count: int, *, rows: int = 1_000_000) -> AuditLog:
    """An audit with some decisions in it."""
    log = AuditLog(database, rows=rows)
    for number in range(count):
        await log.record(replace(GRANTED, reason=str(number)))
    return log


def verify(database: Database, noted: bytes | None = None) -> ChainEnd:
    return database.read(lambda connection: verify_audit(connection, noted=noted))


async def test_a_row_is_on_the_disk_when_record_returns(database: Database, address) -> None:
    await AuditLog(database).record(GRANTED)
    other = Database.existing(address)  # another connection sees only what was committed
    try:
        ((_, entry, _),) = rows(other)
    finally:
        other.close()
    assert json.loads(entry)["requester"] == GRANTED.requester


async def test_entries_come_back_as_they_went_in_newest_first(database: Database) -> None:
    log = AuditLog(database)
    revoked = replace(GRANTED, outcome=Outcome.REVOKED, reason='"\x00\n\u2028 é \U0001f512')
    for entry in (GRANTED, REFUSED, revoked):
        await log.record(entry)
    assert await log.latest() == [revoked, REFUSED, GRANTED]
    assert await log.latest(1) == [revoked]
    assert verify(database).rows == 3


async def test_times_are_told_in_utc_wherever_they_were_taken(database: Database) -> None:
    log = AuditLog(database)
    await log.record(replace(GRANTED, at=NOON.astimezone(timezone(timedelta(hours=-5)))))
    (entry,) = await log.latest()
    assert entry.at == NOON
    assert entry.at.tzinfo is UTC


async def test_a_time_without_a_zone_is_not_recorded(database: Database) -> None:
    log = AuditLog(database)
    with pytest.raises(CallerError, match="time zone"):
        await log.record(replace(GRANTED, at=NOON.replace(tzinfo=None)))
    assert await log.latest() == []


async def test_another_process_reads_the_audit_of_a_running_ac(database: Database, address) -> None:
    await AuditLog(database).record(GRANTED)
    assert read_audit(address) == [GRANTED]


async def test_a_failing_disk_is_an_error_without_the_rows_content(database: Database) -> None:
    write(database, text("DROP TABLE audit"))
    with pytest.raises(StorageError) as caught:
        await AuditLog(database).record(GRANTED)
    assert GRANTED.requester not in str(caught.value)
    assert "INSERT" not in str(caught.value)


# --- the chain --------------------------------------------------------------------------------------


def test_an_empty_audit_is_whole(database: Database) -> None:
    assert verify(database) == ChainEnd(0, bytes(32), 0)


async def test_the_hashes_are_those_that_the_paper_says(database: Database) -> None:
    await filled(database, 3)
    before = bytes(32)
    for number, (row_id, entry, found) in enumerate(rows(database), start=1):
        assert row_id == number
        assert entry == json.dumps(json.loads(entry), sort_keys=True, separators=(",", ":"))
        before = hashlib.sha256(before + entry.encode()).digest()
        assert found == before
    assert verify(database) == ChainEnd(3, before, 3)


@pytest.mark.parametrize("changed", ["entry", "hash"])
async def test_a_changed_row_is_named(database: Database, changed: str) -> None:
    await filled(database, 5)
    value = rows(database)[1][1] if changed == "entry" else bytes(32)
    write(database, update(tables.audit).where(tables.audit.c.id == 3).values({changed: value}))
    with pytest.raises(StorageError, match="row 3 of the audit does not follow"):
        verify(database)


@pytest.mark.parametrize("removed", [1, 3])
async def test_a_removed_row_is_named(database: Database, removed: int) -> None:
    await filled(database, 5)
    write(database, delete(tables.audit).where(tables.audit.c.id == removed))
    with pytest.raises(StorageError, match=f"row {removed} of the audit is missing"):
        verify(database)


async def test_a_removed_row_is_noticed_when_the_later_ones_are_numbered_anew(database: Database) -> None:
    await filled(database, 5)
    write(database, delete(tables.audit).where(tables.audit.c.id == 3))
    for number in (4, 5):
        write(database, update(tables.audit).where(tables.audit.c.id == number).values(id=number - 1))
    with pytest.raises(StorageError, match="row 3 of the audit does not follow"):
        verify(database)


async def test_two_rows_that_changed_places_are_noticed(database: Database) -> None:
    await filled(database, 5)
    for number, other in ((2, 99), (3, 2), (99, 3)):
        write(database, update(tables.audit).where(tables.audit.c.id == number).values(id=other))
    with pytest.raises(StorageError, match="row 2 of the audit does not follow"):
        verify(database)


async def test_a_chain_that_was_computed_anew_is_noticed_by_who_noted_its_end(database: Database) -> None:
    log = await filled(database, 5)
    noted = verify(database).hash
    await log.record(GRANTED)
    assert verify(database, noted).rows == 6
    write(database, delete(tables.audit).where(tables.audit.c.id >= 5))
    await log.record(REFUSED)
    verify(database)
    with pytest.raises(StorageError, match="noted hash is not in the audit"):
        verify(database, noted)


async def test_the_oldest_rows_make_room_and_the_chain_goes_on(database: Database) -> None:
    log = await filled(database, 2 * CUT_EVERY + 3, rows=10)
    kept = rows(database)
    assert 10 <= len(kept) < 10 + CUT_EVERY
    assert kept[-1][0] == 2 * CUT_EVERY + 3
    assert [entry.reason for entry in await log.latest(2)] == [str(2 * CUT_EVERY + 2), str(2 * CUT_EVERY + 1)]
    assert verify(database).rows == len(kept)


async def test_rows_that_are_written_together_make_room_as_well(database: Database) -> None:
    log = AuditLog(database, rows=10)
    entries = [replace(GRANTED, reason=str(number)) for number in range(2 * CUT_EVERY + 3)]
    for some in (entries[:5], entries[5:]):
        await database.run(lambda connection, some=some: log.append(connection, some))
    kept = rows(database)
    assert [row[0] for row in kept] == list(range(2 * CUT_EVERY - 10 + 1, 2 * CUT_EVERY + 4))
    assert verify(database).rows == len(kept)


async def test_where_the_chain_begins_cannot_be_moved_unnoticed(database: Database) -> None:
    await filled(database, CUT_EVERY, rows=10)
    first, _, its_hash = rows(database)[0]
    write(database, delete(tables.audit).where(tables.audit.c.id == first))
    with pytest.raises(StorageError, match=f"row {first} of the audit is missing"):
        verify(database)
    write(database, update(tables.audit_cut).values(id=first))
    with pytest.raises(StorageError, match="does not follow"):
        verify(database)
    write(database, update(tables.audit_cut).values(hash=its_hash))
    verify(database)  # more rows made room, as far as anybody can tell who noted nothing


async def test_an_audit_that_lost_its_last_rows_after_a_cut_goes_on_from_the_cut(database: Database) -> None:
    log = await filled(database, CUT_EVERY, rows=10)
    write(database, delete(tables.audit))
    await log.record(GRANTED)
    assert rows(database)[0][0] == CUT_EVERY - 10 + 1
    verify(database)


async def test_replicas_append_to_one_chain(database: Database, address) -> None:
    other = Database(address)
    try:
        await asyncio.gather(filled(database, 40), filled(other, 40))
    finally:
        await asyncio.to_thread(other.close)
    assert verify(database).rows == 80


async def test_the_export_is_what_was_hashed(database: Database) -> None:
    await filled(database, 3)
    lines = database.read(lambda connection: list(export_audit(connection)))
    assert [json.loads(line)["id"] for line in lines] == [1, 2, 3]
    assert all("\n" not in line for line in lines)
    for line, (_, entry, found) in zip(lines, rows(database), strict=True):
        assert f'"entry":{entry},' in line
        assert json.loads(line)["hash"] == found.hex()
