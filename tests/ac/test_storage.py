"""The AC's SQLite file: durable, private, and strict about time zones."""

from __future__ import annotations

import sqlite3
import stat
from contextlib import closing
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest
from sqlalchemy import Column, Integer, MetaData, Table, insert, select

from twoway.ac.storage import Database, UTCDateTime, resource
from twoway.errors import ConfigurationError, StorageError

CLOCK = Table("clock", MetaData(), Column("id", Integer, primary_key=True), Column("at", UTCDateTime))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "ac.sqlite"


def test_a_commit_is_on_the_disk_when_it_returns(path: Path) -> None:
    database = Database(path)

    def pragmas(connection):
        names = ("journal_mode", "synchronous", "foreign_keys")
        return [connection.exec_driver_sql(f"PRAGMA {name}").scalar_one() for name in names]

    try:
        assert database.transact(pragmas) == ["wal", 2, 1]
    finally:
        database.close()


def test_a_new_database_can_be_read_by_its_owner_alone(path: Path) -> None:
    Database(path).close()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_an_open_database_keeps_its_side_files_private(path: Path) -> None:
    database = Database(path)
    try:
        modes = {stat.S_IMODE(file.stat().st_mode) for file in path.parent.glob("ac.sqlite*")}
        assert modes == {0o600}
    finally:
        database.close()


def test_times_come_back_aware_and_in_utc(path: Path) -> None:
    database = Database(path)
    noon = datetime(2026, 7, 1, 12, tzinfo=timezone(timedelta(hours=2)))

    def work(connection):
        CLOCK.create(connection)
        connection.execute(insert(CLOCK).values(at=noon))
        connection.execute(insert(CLOCK).values(at=None))
        return list(connection.execute(select(CLOCK.c.at).order_by(CLOCK.c.id)).scalars())

    try:
        back, nothing = database.transact(work)
    finally:
        database.close()
    assert back == noon
    assert back.tzinfo is UTC
    assert nothing is None


def test_a_time_without_a_zone_is_refused(path: Path) -> None:
    database = Database(path)

    def work(connection):
        CLOCK.create(connection)
        connection.execute(insert(CLOCK).values(at=datetime(2026, 7, 1, 12)))  # noqa: DTZ001  # the point

    try:
        with pytest.raises(StorageError, match="time zone") as caught:
            database.transact(work)
    finally:
        database.close()
    assert "\n" not in str(caught.value)


def test_a_failed_transaction_leaves_nothing_behind_tables_included(path: Path) -> None:
    database = Database(path)

    def work(connection):
        CLOCK.create(connection)
        connection.exec_driver_sql("INSERT INTO nowhere VALUES (1)")

    try:
        with pytest.raises(StorageError, match="no such table"):
            database.transact(work)
        with pytest.raises(StorageError, match="no such table"):
            database.transact(lambda connection: connection.execute(select(CLOCK)))
    finally:
        database.close()


def test_a_resource_without_its_publisher_is_refused(path: Path) -> None:
    database = Database(path)
    try:
        with pytest.raises(StorageError, match="FOREIGN KEY"):
            database.transact(
                lambda connection: connection.execute(
                    insert(resource).values(publisher="urn:nobody", target="/x", methods=1)
                )
            )
    finally:
        database.close()


@pytest.mark.parametrize("content", [b"not a database at all, just text" * 40, b"\x00" * 4096, b"short"])
def test_a_file_that_is_no_database_is_one_sentence(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    with pytest.raises(ConfigurationError) as caught:
        Database(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)
    assert path.read_bytes() == content


def test_another_programs_database_is_refused_and_left_alone(path: Path) -> None:
    with closing(sqlite3.connect(path)) as other, other:
        other.execute("CREATE TABLE photos (id INTEGER)")
    other.close()
    with pytest.raises(ConfigurationError, match="another program's"):
        Database(path)
    with closing(sqlite3.connect(path)) as other, other:
        assert other.execute("SELECT name FROM sqlite_master").fetchall() == [("photos",)]
    other.close()


def test_a_folder_that_does_not_exist_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="cannot be opened"):
        Database(tmp_path / "none" / "ac.sqlite")


def test_a_database_opens_again(path: Path) -> None:
    Database(path).close()
    Database(path).close()


async def test_work_runs_away_from_the_event_loop(path: Path) -> None:
    import threading

    database = Database(path)
    try:
        name = await database.run(lambda connection: threading.current_thread().name)
    finally:
        database.close()
    assert name.startswith("ac-database")
