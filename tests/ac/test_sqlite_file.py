"""The SQLite file of an AC: private, durable, and no other program's."""

from __future__ import annotations

import sqlite3
import stat
from contextlib import closing
from pathlib import Path

import pytest

from twoway.ac import Database
from twoway.errors import ConfigurationError


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "ac.sqlite"


def test_a_commit_is_on_the_disk_when_it_returns(path):
    database = Database(path)

    def pragmas(connection):
        names = ("journal_mode", "synchronous", "foreign_keys")
        return [connection.exec_driver_sql(f"PRAGMA {name}").scalar_one() for name in names]

    try:
        assert database.transact(pragmas) == ["wal", 2, 1]
    finally:
        database.close()


def test_a_new_database_can_be_read_by_its_owner_alone(path):
    Database(path).close()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_an_open_database_keeps_its_side_files_private(path):
    database = Database(path)
    try:
        modes = {stat.S_IMODE(file.stat().st_mode) for file in path.parent.glob("ac.sqlite*")}
        assert modes == {0o600}
    finally:
        database.close()


@pytest.mark.parametrize("content", [b"not a database at all, just text" * 40, b"\x00" * 4096, b"short"])
def test_a_file_that_is_no_database_is_one_sentence(path, content):
    path.write_bytes(content)
    with pytest.raises(ConfigurationError) as caught:
        Database(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)
    assert path.read_bytes() == content


def test_another_programs_file_keeps_its_tables(path):
    with closing(sqlite3.connect(path)) as other, other:
        other.execute("CREATE TABLE photos (id INTEGER)")
    with pytest.raises(ConfigurationError, match="another program's"):
        Database(path)
    with closing(sqlite3.connect(path)) as other:
        assert other.execute("SELECT name FROM sqlite_master").fetchall() == [("photos",)]


def test_a_folder_that_does_not_exist_is_one_sentence(tmp_path):
    with pytest.raises(ConfigurationError, match="cannot be opened"):
        Database(tmp_path / "none" / "ac.sqlite")


def test_a_tool_makes_no_file(path):
    with pytest.raises(ConfigurationError, match="no such database"):
        Database.existing(path)
    assert not path.exists()
