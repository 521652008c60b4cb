"""The registry: who exists and what is offered, kept in the database, fed by files.

The operator's configuration and the CA's ledgers are the truth; the table holds what was compiled from
them last, so that an audit can be read against it, and :attr:`Registry.directory` is the picture of the
table that decisions use. A ledger that changed is read again; one that became unreadable changes nothing,
because a half-written line must not lock everybody out. What another replica has written is followed. What
changes has its row in the audit. Rights are never widened by a failure.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from types import MappingProxyType

from sqlalchemy import Connection, delete, insert, select

from twoway.ac import generation
from twoway.ac.audit import AuditLog
from twoway.ac.config import Places, PublisherSection, SubscriberSection
from twoway.ac.decisions import AuditEntry
from twoway.ac.directory import Directory, compile_directory
from twoway.ac.entity import Entity
from twoway.ac.storage import Database, tables
from twoway.clock import Clock
from twoway.errors import ConfigurationError, StorageError
from twoway.pki import read_ledger
from twoway.trace import Fault, Trace, TraceEvent, ignore

NAMED = 16
"""Identities of each kind that a row of the audit names; beyond them they are counted."""

_Marks = dict[Path, tuple[int, int, int] | None]
"""What a ledger looked like when it was read: inode, size and time of change; None: it was not there."""


class Registry:
    """The AC's knowledge of everybody, current with its sources.

    Args:
        database: where the tables are.
        audit: where changes are recorded.
        clock: says when.
        ledgers: the CA's ledgers.
        publishers: the ``[[publisher]]`` tables.
        subscribers: the ``[[subscriber]]`` tables.
        places: organisations, sites and jurisdictions.
        trace: hears when the ledgers were read again, or could not be.
    """

    def __init__(
        self,
        database: Database,
        audit: AuditLog,
        *,
        clock: Clock,
        ledgers: Sequence[Path] = (),
        publishers: Sequence[PublisherSection] = (),
        subscribers: Sequence[SubscriberSection] = (),
        places: Places | None = None,
        trace: Trace = ignore,
    ) -> None:
        self._database = database
        self._audit = audit
        self._clock = clock
        self._ledgers = tuple(ledgers)
        self._publishers = tuple(publishers)
        self._subscribers = tuple(subscribers)
        self._places = places
        self._trace = trace
        self._marks: _Marks = {}
        self.directory = Directory()
        """The current picture. It is replaced as a whole, never changed."""

    def load(self, *, why: str, operator: str) -> None:
        """Compile the sources, write the tables, read the picture back. For the start and for a reload.

        Args:
            why: what happened, for the audit, which gets a row whether the registry changes by it or not.
            operator: who did it, for the audit.

        Raises:
            ConfigurationError: a ledger or a section is wrong.
            StorageError: the database failed.
        """

        def work(connection: Connection) -> Directory:
            changes, directory = self._compile(connection)
            self._record(connection, "; ".join([why, *changes]), operator)
            return directory

        self.directory = self._database.transact(work)

    async def refresh(self) -> None:
        """Read the ledgers again if one of them changed. Keeps the last good picture if that fails."""
        if not await asyncio.to_thread(self._changed):
            return
        try:
            compiled = await self._database.run(self._compile_if_changed)
        except ConfigurationError as error:
            self._trace(Fault("registry not refreshed", "ac", {"reason": str(error)}))
            return
        except StorageError as error:
            self._marks = {}  # the ledgers are not at fault: try again at the next look
            self._trace(Fault("registry not refreshed", "ac", {"reason": str(error)}))
            return
        if compiled is not None:
            self.directory = compiled
            self._trace(TraceEvent("registry refreshed", "ac", {"entities": len(compiled.entities)}))

    async def follow(self) -> None:
        """Read the table again: another replica has found a ledger changed. The sources are not asked.

        Raises:
            StorageError: the database failed.
        """
        self.directory = await asyncio.to_thread(self._database.read, _read)

    def _compile_if_changed(self, connection: Connection) -> Directory | None:
        # Asked again: of requests that come together, the first has done the work for all.
        if not self._changed():
            return None
        changes, directory = self._compile(connection)
        if changes:
            self._record(connection, "; ".join(["a ledger has changed", *changes]), None)
        return directory

    def _record(self, connection: Connection, what: str, operator: str | None) -> None:
        entry = AuditEntry.of_change(what, at=self._clock.now(), operator=operator)
        self._audit.append(connection, [entry])

    def _changed(self) -> bool:
        return self._look() != self._marks

    def _compile(self, connection: Connection) -> tuple[list[str], Directory]:
        """Write the tables; return what is different now, in words, and the picture of them."""
        # Looked at before reading: what is appended in between is then found by the next look. And kept
        # even if reading fails: a broken ledger is read again when it changes, not at each look.
        self._marks = self._look()
        entries = [entry for ledger in self._ledgers for entry in read_ledger(ledger)]
        before = _read(connection)
        _write(
            connection, before, compile_directory(entries, self._publishers, self._subscribers, self._places)
        )
        after = _read(connection)
        return _changes(before, after), after

    def _look(self) -> _Marks:
        return {ledger: _mark(ledger) for ledger in self._ledgers}


def _mark(path: Path) -> tuple[int, int, int] | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_ino, status.st_size, status.st_mtime_ns


def _write(connection: Connection, before: Directory, directory: Directory) -> None:
    """Make the table hold ``directory``, and count it as a change if it held anything else."""
    if before == directory:
        return
    connection.execute(delete(tables.entity))
    rows = [{"uri": item.uri, "document": item.to_document()} for item in directory.entities.values()]
    if rows:
        connection.execute(insert(tables.entity), rows)
    generation.advance(connection)


def _changes(before: Directory, after: Directory) -> list[str]:
    """Say who was registered, who was removed and who is described otherwise; nothing for what is equal."""
    old, new = before.entities, after.entities
    kinds = {
        "registered": sorted(new.keys() - old.keys()),
        "removed": sorted(old.keys() - new.keys()),
        "changed": sorted(uri for uri in old.keys() & new.keys() if old[uri] != new[uri]),
    }
    return [f"{kind}: {_named(uris)}" for kind, uris in kinds.items() if uris]


def _named(uris: Sequence[str]) -> str:
    more = [f"{len(uris) - NAMED} more"] if len(uris) > NAMED else []
    return ", ".join([*uris[:NAMED], *more])


def _read(connection: Connection) -> Directory:
    """Read the table into a picture."""
    rows = connection.execute(select(tables.entity))
    return Directory(MappingProxyType({row.uri: Entity.from_document(row.document) for row in rows}))
