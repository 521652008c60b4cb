"""The audit: a row for each decision, on the disk, bounded, and readable by others."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest

from twoway.ac import AuditEntry, AuditLog, Database, Outcome, read_audit
from twoway.errors import ConfigurationError, StorageError

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


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "ac.sqlite"


@pytest.fixture
def database(path: Path) -> Iterator[Database]:
    opened = Database(path)
    yield opened
    opened.close()


async def test_a_row_is_on_the_disk_when_record_returns(database: Database, path: Path) -> None:
    await AuditLog(database).record(GRANTED)
    with closing(sqlite3.connect(path)) as other, other:  # another connection sees only what was committed
        assert other.execute("SELECT requester, decision FROM audit").fetchall() == [
            (GRANTED.requester, "granted")
        ]
    other.close()


async def test_entries_come_back_as_they_went_in_newest_first(database: Database) -> None:
    log = AuditLog(database)
    await log.record(GRANTED)
    await log.record(REFUSED)
    assert await log.latest() == [REFUSED, GRANTED]
    assert await log.latest(1) == [REFUSED]


async def test_times_are_told_in_utc_wherever_they_were_taken(database: Database) -> None:
    log = AuditLog(database)
    await log.record(replace(GRANTED, at=NOON.astimezone(timezone(timedelta(hours=-5)))))
    (entry,) = await log.latest()
    assert entry.at == NOON
    assert entry.at.tzinfo is UTC


async def test_a_time_without_a_zone_is_not_recorded(database: Database) -> None:
    log = AuditLog(database)
    with pytest.raises(StorageError):
        await log.record(replace(GRANTED, at=NOON.replace(tzinfo=None)))
    assert await log.latest() == []


async def test_the_oldest_rows_make_room(database: Database) -> None:
    log = AuditLog(database, rows=3)
    for number in range(7):
        await log.record(replace(GRANTED, reason=str(number)))
    assert [entry.reason for entry in await log.latest()] == ["6", "5", "4"]


async def test_another_process_reads_the_audit_of_a_running_ac(database: Database, path: Path) -> None:
    await AuditLog(database).record(GRANTED)
    assert read_audit(path) == [GRANTED]


def test_reading_no_file_does_not_make_one(path: Path) -> None:
    with pytest.raises(ConfigurationError, match="no such database"):
        read_audit(path)
    assert not path.exists()


async def test_a_failing_disk_is_an_error_without_the_rows_content(database: Database) -> None:
    database.transact(lambda connection: connection.exec_driver_sql("DROP TABLE audit"))
    with pytest.raises(StorageError) as caught:
        await AuditLog(database).record(GRANTED)
    assert GRANTED.requester not in str(caught.value)
    assert "INSERT" not in str(caught.value)
