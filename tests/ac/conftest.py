"""The databases that the AC's tests run on: each of them on SQLite and on PostgreSQL."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from postgres import PostgreSQL

from twoway.ac import Database
from twoway.ac.storage import DatabaseAddress


@pytest.fixture(scope="session")
def postgresql() -> Iterator[PostgreSQL]:
    """One server for all tests of this test process."""
    with PostgreSQL() as server:
        yield server


@pytest.fixture(params=["sqlite", "postgresql"])
def address(request: pytest.FixtureRequest, tmp_path: Path) -> DatabaseAddress:
    """An empty database of each kind."""
    if request.param == "sqlite":
        return tmp_path / "ac.sqlite"
    return request.getfixturevalue("postgresql").new_database()


@pytest.fixture
def database(address: DatabaseAddress) -> Iterator[Database]:
    """An open database of each kind."""
    opened = Database(address)
    yield opened
    opened.close()
