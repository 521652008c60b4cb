"""The AC's open database: transactions, and the one thread that writes.

Nothing else in the AC opens a connection. The event loop never waits for the disk. Works that wait
together are done in one transaction (group commit): a disk that takes a millisecond for a commit takes it
once for all of them. Each work has a savepoint of its own, so one that fails takes nothing with it; and
each is on the disk, or it is not answered.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

from sqlalchemy import Connection
from sqlalchemy.exc import SQLAlchemyError

from twoway.ac.storage.address import DatabaseAddress, shown
from twoway.ac.storage.engines import READS, open_engine
from twoway.ac.storage.schema import migrate, require_present
from twoway.errors import ConfigurationError, StorageError

T = TypeVar("T")

BATCH_WORKS = 256
"""Works of one transaction. Beyond it, more in one commit saves little, and the first waits for the last."""


@dataclass(frozen=True, eq=False)
class _Waiting:
    """A work and whoever waits for it."""

    work: Callable[[Connection], Any]
    future: Future[Any]


@dataclass(frozen=True)
class _Failure:
    """What a work raised; its savepoint was rolled back."""

    error: Exception


class Database:
    """An open database and the thread that writes to it.

    Args:
        address: a SQLite file, made (0600) where there is none, or the URL of a PostgreSQL server. The
            tables are made or brought up to date.

    Raises:
        ConfigurationError: it cannot be opened, is another program's or a newer version's.
    """

    def __init__(self, address: DatabaseAddress) -> None:
        self._open(address, migrate)

    @classmethod
    def existing(cls, address: DatabaseAddress) -> Database:
        """Open what an AC has made, without making or migrating anything: for tools beside a running AC.

        Raises:
            ConfigurationError: there is none, or it is not one of this version.
        """
        opened = cls.__new__(cls)
        opened._open(address, require_present)
        return opened

    def _open(self, address: DatabaseAddress, prepare: Callable[[Connection, str], None]) -> None:
        self._where = shown(address)
        self._engine = open_engine(address, make=prepare is migrate)
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="ac-database")
        self._queue: deque[_Waiting] = deque()
        try:
            with self._engine.begin() as connection:
                prepare(connection, self._where)
        except SQLAlchemyError as error:
            self.close()
            raise ConfigurationError(
                f"the database cannot be used ({_cause(error)})",
                where=self._where,
                remedy="name a database of an AC or one that is empty, and check that it can be reached",
            ) from None
        except BaseException:
            self.close()
            raise

    async def run(self, work: Callable[[Connection], T]) -> T:
        """Do ``work`` in a transaction, shared with the works that wait at the same time.

        When this returns, it is committed and on the disk. Cancelling leaves it undone only if it has not
        begun. Work must not wait for anything but the database: everybody waits for it.

        Raises:
            StorageError: the database failed. Where the commit itself failed it is not known whether it
                took effect; what must not be believed then is not answered.
            Exception: whatever ``work`` raised; nothing of it was written.
        """
        return await asyncio.wrap_future(self._submit(work))

    def transact(self, work: Callable[[Connection], T]) -> T:
        """Do :meth:`run` and wait for it here: for the start and for tools, not for a coroutine."""
        return self._submit(work).result()

    def read(self, work: Callable[[Connection], T]) -> T:
        """Do ``work`` in this thread, on one consistent picture: it only reads, and waits for no writer.

        Raises:
            StorageError: the database failed.
        """
        with self.picture() as connection:
            return work(connection)

    @contextmanager
    def picture(self) -> Iterator[Connection]:
        """Give a connection that only reads, for one ``with`` block, as :meth:`read` does.

        Raises:
            StorageError: the database failed.
        """
        try:
            with self._engine.execution_options(**{READS: True}).begin() as connection:
                yield connection
        except SQLAlchemyError as error:
            raise self._failed(error) from None

    def close(self) -> None:
        """Finish what is queued and close the connections."""
        self._thread.shutdown(wait=True)
        self._engine.dispose()

    def _submit(self, work: Callable[[Connection], T]) -> Future[T]:
        waiting = _Waiting(work, Future())
        self._queue.append(waiting)
        try:
            # As many drains as works: most of them find that an earlier one has done their work.
            self._thread.submit(self._drain)
        except RuntimeError:
            raise StorageError("the database is closed", where=self._where) from None
        return waiting.future

    def _drain(self) -> None:
        """Do what waits, in one transaction. Runs in the database's thread."""
        batch = self._take()
        if not batch:
            return
        try:
            with self._engine.begin() as connection:
                results = [_attempt(connection, waiting.work) for waiting in batch]
        except Exception as error:  # noqa: BLE001  # all who wait are told, whatever it was
            for waiting in batch:
                waiting.future.set_exception(self._failed(error))
            return
        for waiting, result in zip(batch, results, strict=True):
            if isinstance(result, _Failure):
                waiting.future.set_exception(self._failed(result.error))
            else:
                waiting.future.set_result(result)

    def _take(self) -> list[_Waiting]:
        batch: list[_Waiting] = []
        while self._queue and len(batch) < BATCH_WORKS:
            waiting = self._queue.popleft()
            if waiting.future.set_running_or_notify_cancel():
                batch.append(waiting)
        return batch

    def _failed(self, error: Exception) -> Exception:
        """Return what the caller gets for ``error``: its own exceptions as they are."""
        if not isinstance(error, SQLAlchemyError):
            return error
        return StorageError(
            f"the database failed ({_cause(error)})",
            where=self._where,
            remedy="check that it can be reached, its disk space and its permissions",
        )


def _attempt(connection: Connection, work: Callable[[Connection], object]) -> object:
    """Do ``work`` within a savepoint; return its result, or its failure."""
    savepoint = connection.begin_nested()
    try:
        result = work(connection)
    except Exception as error:  # noqa: BLE001  # told to whoever waits for this work
        # Where the whole transaction is gone, with the connection or for want of disk, this raises: then
        # all works of the batch have failed, and none is told otherwise.
        savepoint.rollback()
        return _Failure(error)
    savepoint.commit()
    return result


def _cause(error: SQLAlchemyError) -> str:
    """Return the database's own words, one line: the rest repeats the statement and its values."""
    words = str(getattr(error, "orig", None) or type(error).__name__).strip()
    return words.partition("\n")[0]
