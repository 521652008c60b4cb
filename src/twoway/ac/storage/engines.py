"""How a connection to each kind of database is opened and how its transactions begin.

Two promises are made here for both. What was committed is on the disk: SQLite with ``synchronous=FULL``,
PostgreSQL with ``synchronous_commit=on``. And there is one writer at a time: SQLite's ``BEGIN IMMEDIATE``,
on PostgreSQL an advisory lock that all replicas take. Numbers that are drawn, rows that are chained and
changes that are counted are therefore in the order of their commits, and no two writers can deadlock.
"""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import URL, Connection, Engine, create_engine, event

from twoway.ac.storage.address import DatabaseAddress
from twoway.errors import ConfigurationError

if TYPE_CHECKING:
    import psycopg

READS = "twoway_reads"
"""The execution option of a connection that will not write: it waits for no writer."""

_WAIT_SECONDS = 5
"""How long a writer waits for another one, and anybody for a server that does not answer."""
_ABANDONED_SECONDS = 10
"""How long a replica that stopped in the middle of a transaction can hold up the others."""
_WRITER_LOCK = 0x74774143
"""The number of PostgreSQL's advisory lock, ``twAC``. One AC uses a database, with all of its replicas."""


def open_engine(address: DatabaseAddress, *, make: bool) -> Engine:
    """Return an engine; nothing is connected yet.

    Args:
        address: where the database is.
        make: whether a SQLite file is made (0600) where there is none.

    Raises:
        ConfigurationError: the file cannot be opened, or the driver for PostgreSQL is not installed.
    """
    return _postgresql(address) if isinstance(address, URL) else _sqlite(address, make=make)


def _sqlite(path: Path, *, make: bool) -> Engine:
    if make:
        _make_private(path)
    elif not path.is_file():
        raise ConfigurationError(
            "there is no such database",
            where=str(path),
            remedy="name the AC's database, or start the AC, which makes it",
        )
    engine = create_engine(URL.create("sqlite", database=str(path)))
    event.listen(engine, "connect", _set_up_sqlite)
    event.listen(engine, "begin", _begin_sqlite)
    return engine


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


def _set_up_sqlite(connection: sqlite3.Connection, record: object) -> None:
    connection.isolation_level = None  # the module opens no transactions by itself: see _begin_sqlite
    try:
        for pragma in (
            f"busy_timeout={_WAIT_SECONDS * 1_000}",
            "journal_mode=WAL",
            "synchronous=FULL",
            "foreign_keys=ON",
        ):
            connection.execute(f"PRAGMA {pragma}").close()
    except sqlite3.Error:
        connection.close()  # nobody else knows of it yet
        raise


def _begin_sqlite(connection: Connection) -> None:
    """Open a writer's transaction with the write lock, so that it cannot fail half-way."""
    reads = connection.get_execution_options().get(READS)
    connection.exec_driver_sql("BEGIN" if reads else "BEGIN IMMEDIATE")


def _postgresql(url: URL) -> Engine:
    try:
        engine = create_engine(
            url.set(drivername="postgresql+psycopg"),
            connect_args={"connect_timeout": _WAIT_SECONDS},
            pool_pre_ping=True,  # a server that was started anew costs a connection, not an answer
        )
    except ModuleNotFoundError:
        raise ConfigurationError(
            "the driver for PostgreSQL is not installed", remedy="install twoway[postgresql]"
        ) from None
    event.listen(engine, "connect", _set_up_postgresql)
    event.listen(engine, "begin", _begin_postgresql)
    return engine


def _set_up_postgresql(connection: psycopg.Connection, record: object) -> None:
    connection.autocommit = True
    connection.execute(
        "SET synchronous_commit = on;"  # the role's own default may be less
        f"SET lock_timeout = '{_WAIT_SECONDS}s';"
        f"SET statement_timeout = '{_ABANDONED_SECONDS}s';"
        f"SET idle_in_transaction_session_timeout = '{_ABANDONED_SECONDS}s'"
    )
    connection.autocommit = False


def _begin_postgresql(connection: Connection) -> None:
    if connection.get_execution_options().get(READS):
        connection.exec_driver_sql("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
    else:
        # Read committed: what is read after the lock was taken is what the writer before has committed.
        connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_WRITER_LOCK})")
