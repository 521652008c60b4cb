"""The audit: what was asked of the AC, what it decided, by which policy, and for whom.

A row is on the disk before the answer leaves; without the row there is no answer. A row holds
identities, scopes and reasons, never a ticket or a key.
"""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import Connection, Row, delete, insert, select

from twoway.ac import storage
from twoway.ac.decisions import AuditEntry, Outcome
from twoway.errors import ConfigurationError


class AuditLog:
    """Appends decisions and reads them back.

    Args:
        database: where the rows go.
        rows: how many are kept; the oldest make room.
    """

    def __init__(self, database: storage.Database, *, rows: int = 1_000_000) -> None:
        self._database = database
        self._rows = rows

    async def record(self, entry: AuditEntry) -> None:
        """Write ``entry``; it is on the disk when this returns.

        Raises:
            StorageError: it is not.
        """
        await self._database.run(lambda connection: self._append(connection, entry))

    async def latest(self, count: int = 20) -> list[AuditEntry]:
        """Return the last ``count`` decisions, newest first.

        Raises:
            StorageError: the database failed.
        """
        return await self._database.run(lambda connection: _select(connection, count))

    def _append(self, connection: Connection, entry: AuditEntry) -> None:
        result = connection.execute(
            insert(storage.audit).values(
                at=entry.at,
                requester=entry.requester,
                audience=entry.audience,
                requested=entry.requested,
                granted=entry.granted,
                decision=entry.outcome.value,
                policies=list(entry.policies),
                reason=entry.reason,
                ticket_id=entry.ticket_id,
            )
        )
        newest = result.inserted_primary_key
        assert newest is not None
        connection.execute(delete(storage.audit).where(storage.audit.c.id <= newest[0] - self._rows))


def read_audit(path: Path, count: int = 20) -> list[AuditEntry]:
    """Return the last ``count`` decisions in an AC's database file, newest first; the AC may be running.

    Raises:
        ConfigurationError: there is no such file, or it is not an AC's.
        StorageError: the database failed.
    """
    if not path.is_file():
        raise ConfigurationError(
            "there is no such database", where=str(path), remedy="name the AC's database"
        )
    database = storage.Database(path)
    try:
        return database.transact(lambda connection: _select(connection, count))
    finally:
        database.close()


def _select(connection: Connection, count: int) -> list[AuditEntry]:
    rows = connection.execute(select(storage.audit).order_by(storage.audit.c.id.desc()).limit(count))
    return [_entry(row) for row in rows]


def _entry(row: Row[tuple[object, ...]]) -> AuditEntry:
    return AuditEntry(
        at=row.at,
        requester=row.requester,
        audience=row.audience,
        requested=row.requested,
        granted=row.granted,
        outcome=Outcome(row.decision),
        policies=tuple(row.policies),
        reason=row.reason,
        ticket_id=row.ticket_id,
    )
