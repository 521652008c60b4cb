"""The sink's readings on disk: each exactly once, and none lost that was acknowledged.

It owns the SQLite file: its schema, its durability, its queries. It never judges a reading; that is
:mod:`twoway.sink.service`.

A reading is identified by publisher, name and time. A second arrival of it, after a restart or a
repeated notification, is ignored. :meth:`ReadingStore.add` returns only after the commit has reached
the disk (write-ahead log with ``synchronous=FULL``: one fsync a commit), so what it acknowledged
survives a crash of the process and of the machine.
"""

from __future__ import annotations

import os
import sqlite3
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from sqlalchemy import (
    URL,
    Boolean,
    Column,
    Double,
    Engine,
    LargeBinary,
    MetaData,
    PrimaryKeyConstraint,
    Select,
    String,
    Table,
    create_engine,
    event,
    func,
    select,
)
from sqlalchemy.dialects.sqlite import insert
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.pool import ConnectionPoolEntry

from twoway.errors import StorageError
from twoway.sink.service import Row

_metadata = MetaData()

_reading = Table(
    "reading",
    _metadata,
    Column("publisher", String, nullable=False),
    Column("name", String, nullable=False),
    Column("time", Double, nullable=False),
    Column("unit", String),
    Column("value", Double),
    Column("string_value", String),
    Column("boolean_value", Boolean),
    Column("data_value", LargeBinary),
    Column("sum", Double),
    Column("update_time", Double),
    Column("arrived_at", Double, nullable=False),
    PrimaryKeyConstraint("publisher", "name", "time"),
)

_BUSY_TIMEOUT_MS = 10_000
"""How long a writer waits for another process that holds the file, such as a backup."""


@dataclass(frozen=True, slots=True)
class PublisherCount:
    """How much is stored of one publisher."""

    publisher: str
    """Its identity URI."""
    readings: int
    """Stored readings of all its names."""
    first_at: float
    """Time of the oldest, in UNIX seconds."""
    last_at: float
    """Time of the newest, in UNIX seconds."""


class ReadingStore:
    """The readings of a sink in one SQLite file. Safe to use from several threads.

    Use it as a context manager, or call :meth:`close`.

    Args:
        path: the file; made, readable by its owner alone, when it does not exist.

    Raises:
        StorageError: the file cannot be opened or is no database of a sink.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._create_private_file()
        self._engine = _open_engine(path)
        try:
            with self._faults_in_words():
                _metadata.create_all(self._engine)
                self._require_own_schema()
        except StorageError:
            self._engine.dispose()
            raise

    @classmethod
    def open_existing(cls, path: Path) -> Self:
        """Open a file that a sink made before, to look into it; the sink may be running.

        Raises:
            StorageError: there is no such file, or it is no database of a sink.
        """
        if not path.is_file():
            raise StorageError(
                "there is no such database", where=str(path), remedy="start the sink that fills it"
            )
        return cls(path)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def add(self, rows: Sequence[Row]) -> int:
        """Store ``rows`` in one transaction and return how many were new, once they are on disk.

        Raises:
            StorageError: nothing of ``rows`` was stored.
        """
        if not rows:
            return 0
        statement = insert(_reading).on_conflict_do_nothing()
        with self._lock, self._faults_in_words(), self._engine.begin() as connection:
            return connection.execute(statement, [asdict(row) for row in rows]).rowcount

    def counts(self) -> list[PublisherCount]:
        """Return how much is stored of each publisher, sorted by its URI.

        Raises:
            StorageError: the file cannot be read.
        """
        query = (
            select(
                _reading.c.publisher,
                func.count(),
                func.min(_reading.c.time),
                func.max(_reading.c.time),
            )
            .group_by(_reading.c.publisher)
            .order_by(_reading.c.publisher)
        )
        with self._faults_in_words(), self._engine.connect() as connection:
            return [PublisherCount(*found) for found in connection.execute(query)]

    def latest(self, publisher: str) -> list[Row]:
        """Return the newest reading of each of a publisher's names, sorted by name.

        Raises:
            StorageError: the file cannot be read.
        """
        newest = (
            select(_reading.c.name, func.max(_reading.c.time).label("time"))
            .where(_reading.c.publisher == publisher)
            .group_by(_reading.c.name)
            .subquery()
        )
        query = (
            select(_reading)
            .join(newest, (_reading.c.name == newest.c.name) & (_reading.c.time == newest.c.time))
            .where(_reading.c.publisher == publisher)
            .order_by(_reading.c.name)
        )
        return self._rows(query)

    def readings(self, publisher: str, *, name: str | None = None) -> list[Row]:
        """Return all readings of a publisher, or of one of its names, oldest first.

        Raises:
            StorageError: the file cannot be read.
        """
        query = select(_reading).where(_reading.c.publisher == publisher)
        if name is not None:
            query = query.where(_reading.c.name == name)
        return self._rows(query.order_by(_reading.c.time, _reading.c.name))

    def close(self) -> None:
        """Close every connection to the file."""
        self._engine.dispose()

    def _rows(self, query: Select[tuple[object, ...]]) -> list[Row]:
        with self._faults_in_words(), self._engine.connect() as connection:
            return [Row(**found) for found in connection.execute(query).mappings()]

    def _create_private_file(self) -> None:
        """Make the file before SQLite does: readings say when people are at home."""
        try:
            os.close(os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600))
        except OSError as error:
            raise StorageError(
                f"the database cannot be opened ({error.strerror})",
                where=str(self._path),
                remedy="check that the folder exists and can be written to",
            ) from None

    def _require_own_schema(self) -> None:
        with self._engine.connect() as connection:
            connection.execute(select(_reading).limit(1)).all()

    @contextmanager
    def _faults_in_words(self) -> Iterator[None]:
        try:
            yield
        except SQLAlchemyError as error:
            cause = getattr(error, "orig", None) or type(error).__name__
            raise StorageError(
                f"the database does not work ({cause})",
                where=str(self._path),
                remedy="check the disk, and that the file was made by a sink",
            ) from None


def _open_engine(path: Path) -> Engine:
    engine = create_engine(URL.create("sqlite", database=str(path)))

    @event.listens_for(engine, "connect")
    def make_durable(connection: DBAPIConnection, _entry: ConnectionPoolEntry) -> None:
        cursor = connection.cursor()
        try:
            cursor.execute(f"PRAGMA busy_timeout={_BUSY_TIMEOUT_MS}")
            cursor.execute("PRAGMA journal_mode=WAL")
            cursor.execute("PRAGMA synchronous=FULL")
        except sqlite3.Error:
            connection.close()  # nobody else knows of it yet
            raise
        cursor.close()

    return engine
