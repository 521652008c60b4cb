"""The AC's SQLite file: its tables, how it is opened, and the one thread that may touch it.

Nothing else in the AC opens a connection. Rights and audit are small and precious, so every commit
is on the disk when it returns (``synchronous=FULL``), and the event loop never waits for the disk.
"""

from __future__ import annotations

import asyncio
import os
import sqlite3
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar

from sqlalchemy import (
    JSON,
    URL,
    Column,
    Connection,
    DateTime,
    Dialect,
    Engine,
    ForeignKey,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    create_engine,
    event,
)
from sqlalchemy.exc import DatabaseError, SQLAlchemyError
from sqlalchemy.types import TypeDecorator

from twoway.errors import ConfigurationError, StorageError

T = TypeVar("T")

_BUSY_TIMEOUT_MILLISECONDS = 5_000
"""How long a commit waits for another process that reads or copies the file."""
_APPLICATION_ID = 0x74774143
"""``twAC`` in the file's header, so that another program's database is not taken for ours."""
_SCHEMA_VERSION = 1


class UTCDateTime(TypeDecorator[datetime]):
    """A point in time: aware when it goes in, aware and in UTC when it comes out.

    SQLite keeps no time zones, and a naive time is a guess; so it is refused.
    """

    impl = DateTime
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Turn an aware time into the naive UTC that SQLite stores."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("a time without a time zone cannot be stored")
        return value.astimezone(UTC).replace(tzinfo=None)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Give a stored time its zone back."""
        return None if value is None else value.replace(tzinfo=UTC)


METADATA = MetaData()

entity = Table(
    "entity",
    METADATA,
    Column("uri", String, primary_key=True),
    Column("role", String, nullable=False),
    Column("organisation", String, nullable=False),
    Column("region", String, nullable=False),
    Column("purposes", JSON, nullable=False),
    Column("attributes", JSON, nullable=False),
    Column("spki", LargeBinary),
    Column("compact_tickets", Integer, nullable=False, default=0),
)
"""Everybody whom the AC knows, with the attributes that policies read."""

resource = Table(
    "resource",
    METADATA,
    Column("publisher", ForeignKey("entity.uri", ondelete="CASCADE"), primary_key=True),
    Column("target", String, primary_key=True),
    Column("methods", Integer, nullable=False),
)
"""What a publisher offers; ``methods`` is the bit set of RFC 9237 section 3."""

audit = Table(
    "audit",
    METADATA,
    Column("id", Integer, primary_key=True),
    Column("at", UTCDateTime, nullable=False),
    Column("requester", String, nullable=False),
    Column("audience", String),
    Column("requested", String),
    Column("granted", String),
    Column("decision", String, nullable=False),
    Column("policies", JSON, nullable=False),
    Column("reason", String, nullable=False),
    Column("ticket_id", LargeBinary),
)
"""Every decision of the AC. Rows are appended and never changed."""


class Database:
    """The open file and the thread that works on it.

    Args:
        path: the SQLite file; made (0600) where there is none. Its folder must exist.

    Raises:
        ConfigurationError: the file cannot be opened or is no database of an AC.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="ac-database")
        _make_private(path)
        self._engine = create_engine(URL.create("sqlite", database=str(path)))
        event.listen(self._engine, "connect", _set_up)
        event.listen(self._engine, "begin", _begin)
        try:
            _prepare(self._engine, path)
        except DatabaseError as error:
            self.close()
            raise ConfigurationError(
                f"the database cannot be used ({error.orig})",
                where=str(path),
                remedy="name a file of an AC or one that does not exist yet",
            ) from None
        except ConfigurationError:
            self.close()
            raise

    def transact(self, work: Callable[[Connection], T]) -> T:
        """Run ``work`` in one transaction, here and now; committed when this returns.

        Raises:
            StorageError: nothing was written.
        """
        try:
            with self._engine.begin() as connection:
                return work(connection)
        except SQLAlchemyError as error:
            # The cause alone: SQLAlchemy's own text repeats the statement and its values.
            cause = getattr(error, "orig", None) or type(error).__name__
            raise StorageError(
                f"the database failed ({cause})",
                where=str(self._path),
                remedy="check disk space and permissions",
            ) from None

    async def run(self, work: Callable[[Connection], T]) -> T:
        """Do :meth:`transact` in the database's thread.

        Raises:
            StorageError: nothing was written.
        """
        return await asyncio.get_running_loop().run_in_executor(self._thread, self.transact, work)

    def close(self) -> None:
        """Finish what is queued and close the file."""
        self._thread.shutdown(wait=True)
        self._engine.dispose()


def _make_private(path: Path) -> None:
    """Create the file readable by its owner alone: it says who reads whose meter."""
    try:
        os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
    except OSError as error:
        raise ConfigurationError(
            f"the database cannot be opened ({error.strerror})",
            where=str(path),
            remedy="name a file in a folder that exists and may be written",
        ) from None


def _set_up(connection: sqlite3.Connection, record: object) -> None:
    connection.isolation_level = None  # the module opens no transactions by itself: see _begin
    try:
        for pragma in (
            f"busy_timeout={_BUSY_TIMEOUT_MILLISECONDS}",
            "journal_mode=WAL",
            "synchronous=FULL",
            "foreign_keys=ON",
        ):
            connection.execute(f"PRAGMA {pragma}").close()
    except sqlite3.Error:
        connection.close()  # nobody else knows of it yet
        raise


def _begin(connection: Connection) -> None:
    """Open each transaction with the write lock, tables included, so that it cannot fail half-way."""
    connection.exec_driver_sql("BEGIN IMMEDIATE")


def _prepare(engine: Engine, path: Path) -> None:
    """Make the tables in a new file; refuse another program's and another version's."""
    with engine.begin() as connection:
        application = connection.exec_driver_sql("PRAGMA application_id").scalar_one()
        version = connection.exec_driver_sql("PRAGMA user_version").scalar_one()
        tables = connection.exec_driver_sql("SELECT count(*) FROM sqlite_master").scalar_one()
        if tables == 0:
            METADATA.create_all(connection)
            connection.exec_driver_sql(f"PRAGMA application_id={_APPLICATION_ID}")
            connection.exec_driver_sql(f"PRAGMA user_version={_SCHEMA_VERSION}")
        elif (application, version) != (_APPLICATION_ID, _SCHEMA_VERSION):
            raise ConfigurationError(
                "the database is another program's or another version's",
                where=str(path),
                remedy="name a file of this AC or one that does not exist yet",
            )
