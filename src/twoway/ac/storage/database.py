"""The AC's open database: transactions, and the one thread that writes.

Nothing else in the AC opens a connection. The event loop never waits for the disk. Works that wait
together are done in one transaction (group commit): a disk that takes a millisecond for a commit takes it
once for all of them. Works of one kind are done as one where they can be, with one statement for the rows of
all. Each other work has a savepoint of its own, so one that fails takes nothing with it; and each is on the
disk, or it is not answered.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeAlias, TypeVar

from sqlalchemy import Connection
from sqlalchemy.exc import SQLAlchemyError

from twoway.ac.storage.address import DatabaseAddress, shown
from twoway.ac.storage.engines import READS, open_engine
from twoway.ac.storage.schema import migrate, require_present
from twoway.errors import ConfigurationError, StorageError

T = TypeVar("T")
Order = TypeVar("Order")
_Work: TypeAlias = Callable[[Connection, Sequence[Any]], Sequence[Any]]

BATCH_WORKS = 256
"""Works of one transaction. Beyond it, more in one commit saves little, and the first waits for the last."""


@dataclass(frozen=True)
class Failed:
    """The result of an order that failed by itself and has written nothing."""

    error: Exception
    """What whoever waits for it gets."""


@dataclass(frozen=True, eq=False)
class _Waiting:
    """An order and whoever waits for it."""

    work: _Work
    order: Any
    future: Future[Any]


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
        return await self.run_together(_alone(work), None)

    async def run_together(
        self, work: Callable[[Connection, Sequence[Order]], Sequence[T | Failed]], order: Order
    ) -> T:
        """Do ``work`` for ``order`` and for whatever orders wait for the same work, all at once.

        Promises and errors are those of :meth:`run`, for each order by itself.

        Args:
            work: gets the orders, returns the result of each, in their order. If it raises, all that it did
                is undone and each order is tried alone: it must be possible to do it again.
            order: what is asked of it.
        """
        done: Future[T] = self._submit(work, order)
        return await asyncio.wrap_future(done)

    def transact(self, work: Callable[[Connection], T]) -> T:
        """Do :meth:`run` and wait for it here: for the start and for tools, not for a coroutine."""
        done: Future[T] = self._submit(_alone(work), None)
        return done.result()

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

    def _submit(self, work: _Work, order: object) -> Future[Any]:
        waiting = _Waiting(work, order, Future())
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
                results = [result for kind in _kinds(batch) for result in _attempt(connection, kind)]
        except Exception as error:  # noqa: BLE001  # all who wait are told, whatever it was
            for waiting in batch:
                waiting.future.set_exception(self._failed(error))
            return
        for waiting, result in results:
            if isinstance(result, Failed):
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


def _alone(work: Callable[[Connection], T]) -> Callable[[Connection, Sequence[None]], Sequence[T]]:
    """Return ``work`` as one that nothing else can be done together with."""
    return lambda connection, _: [work(connection)]


def _kinds(batch: Sequence[_Waiting]) -> Iterator[list[_Waiting]]:
    """Put together what is the same work. None has been answered, so they may be done in any order."""
    kinds: dict[object, list[_Waiting]] = {}
    for waiting in batch:
        kinds.setdefault(waiting.work, []).append(waiting)
    return iter(kinds.values())


def _attempt(connection: Connection, kind: Sequence[_Waiting]) -> list[tuple[_Waiting, object]]:
    """Do one kind of work within a savepoint; return the results, or the failures."""
    savepoint = connection.begin_nested()
    try:
        results = kind[0].work(connection, [waiting.order for waiting in kind])
        done: list[tuple[_Waiting, object]] = list(zip(kind, results, strict=True))
    except Exception as error:  # noqa: BLE001  # told to whoever waits for this work
        # Where the whole transaction is gone, with the connection or for want of disk, this raises: then
        # all works of the batch have failed, and none is told otherwise.
        savepoint.rollback()
        if len(kind) > 1:
            return [result for waiting in kind for result in _attempt(connection, [waiting])]
        return [(kind[0], Failed(error))]
    savepoint.commit()
    return done


def _cause(error: SQLAlchemyError) -> str:
    """Return the database's own words, one line: the rest repeats the statement and its values."""
    words = str(getattr(error, "orig", None) or type(error).__name__).strip()
    return words.partition("\n")[0]
