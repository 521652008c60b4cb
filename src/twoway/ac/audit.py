"""The audit: what the AC was asked and decided, by which policy, for whom; and what operators did. A chain.

A row is on the disk before the answer leaves; without the row there is no answer. What operators do has its
row in the transaction that does it. A row holds identities, scopes and reasons, never a ticket or a key.

Each row is the text of its entry, JSON with sorted keys and no spaces, and a hash:

    hash = SHA-256(the hash of the row before, 32 bytes || the text in UTF-8)

The first row follows on 32 zero bytes. When the oldest rows make room, number and hash of the last of
them are kept, and the chain begins there. Whoever changes, removes or inserts a row has to compute all
later hashes anew, and then the last one is another one. So the hash of the last row, noted elsewhere
(``twoway ac audit verify`` prints it), tells the whole audit from every other one; without it, somebody
who may write to the database can forge the end of the chain, and this module cannot notice.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Generator, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection, delete, insert, select, update

from twoway.ac.decisions import AuditEntry, Outcome
from twoway.ac.storage import Database, DatabaseAddress, tables
from twoway.errors import CallerError, StorageError

CUT_EVERY = 64
"""The oldest rows are removed so many at a time: the audit may have one less than that too many."""
_CHUNK_ROWS = 1_000
"""Rows that are fetched together where all are read."""

# Built once: every decision runs them.
_INSERT = insert(tables.audit)
_LAST = select(tables.audit.c.id, tables.audit.c.hash).order_by(tables.audit.c.id.desc()).limit(1)


@dataclass(frozen=True)
class ChainEnd:
    """What a whole chain comes to."""

    row_id: int
    """The number of the last row, counting from 1; 0 for an empty audit."""
    hash: bytes
    """Its hash, 32 bytes."""
    rows: int
    """How many rows were checked; the ones before made room."""


class AuditLog:
    """Appends rows and reads them back.

    Args:
        database: where the rows go.
        rows: how many are kept, about; the oldest make room.
    """

    def __init__(self, database: Database, *, rows: int = 1_000_000) -> None:
        self._database = database
        self._rows = rows

    async def record(self, entry: AuditEntry) -> None:
        """Write ``entry``; it is on the disk when this returns.

        Raises:
            StorageError: it is not.
        """
        await self._database.run_together(self._record, entry)

    async def latest(self, count: int = 20) -> list[AuditEntry]:
        """Return the last ``count`` rows, newest first.

        Raises:
            StorageError: the database failed.
        """
        return await self._database.run(lambda connection: _latest(connection, count))

    def append(self, connection: Connection, entries: Sequence[AuditEntry]) -> None:
        """Write ``entries`` within a transaction, which has to be a writer's: they take turns."""
        first, before = _end(connection)
        rows: list[dict[str, object]] = []
        for row_id, entry in enumerate(entries, start=first + 1):
            text = _text(entry)
            before = _chained(before, text)
            rows.append({"id": row_id, "entry": text, "hash": before})
        if not rows:
            return
        connection.execute(_INSERT, rows)
        last = first + len(rows)
        if last // CUT_EVERY != first // CUT_EVERY:
            self._cut(connection, last - last % CUT_EVERY - self._rows)

    def _record(self, connection: Connection, entries: Sequence[AuditEntry]) -> Sequence[None]:
        self.append(connection, entries)
        return [None] * len(entries)

    def _cut(self, connection: Connection, last: int) -> None:
        """Remove the rows up to number ``last``, and keep its hash: the chain begins there."""
        kept = connection.execute(select(tables.audit.c.hash).where(tables.audit.c.id == last)).scalar()
        if kept is not None:
            connection.execute(update(tables.audit_cut).values(id=last, hash=kept))
            connection.execute(delete(tables.audit).where(tables.audit.c.id <= last))


@contextmanager
def reading_audit(address: DatabaseAddress) -> Iterator[Connection]:
    """Open an AC's database beside the AC, which may be running, for one consistent look at its audit.

    Raises:
        ConfigurationError: there is no such database, or it is not an AC's.
        StorageError: the database failed.
    """
    with closing(Database.existing(address)) as database, database.picture() as connection:
        yield connection


def read_audit(address: DatabaseAddress, count: int = 20) -> list[AuditEntry]:
    """Return the last ``count`` rows in an AC's database, newest first.

    Raises:
        ConfigurationError: there is no such database, or it is not an AC's.
        StorageError: the database failed.
    """
    with reading_audit(address) as connection:
        return _latest(connection, count)


def verify_audit(connection: Connection, *, noted: bytes | None = None) -> ChainEnd:
    """Check the whole chain.

    Args:
        connection: of one consistent picture.
        noted: the hash of a row that was noted before; it has to be in the chain, or where it begins.

    Raises:
        StorageError: a row does not follow from the one before; it is the first such one that is named.
            Or the noted hash is not there: rows were changed since, or it has made room.
    """
    row_id, before = _cut_of(connection)
    seen = noted is None or hmac.compare_digest(noted, before)
    rows = 0
    with closing(_rows(connection)) as chain:
        for found_id, text, found in chain:
            row_id += 1
            if found_id != row_id:
                raise _broken(f"row {row_id} of the audit is missing")
            if not hmac.compare_digest(_chained(before, text), found):
                raise _broken(f"row {row_id} of the audit does not follow from the row before")
            before, rows = found, rows + 1
            seen = seen or (noted is not None and hmac.compare_digest(noted, found))
    if not seen:
        raise _broken("the noted hash is not in the audit: its row was changed, or has made room")
    return ChainEnd(row_id, before, rows)


def export_audit(connection: Connection) -> Iterator[str]:
    """Yield the rows as JSON, a line each, oldest first: ``{"entry": ..., "hash": ..., "id": ...}``.

    The entry stands there byte for byte as it was hashed, the hash in hexadecimal digits.
    """
    with closing(_rows(connection)) as chain:
        for row_id, text, digest in chain:
            yield f'{{"entry":{text},"hash":"{digest.hex()}","id":{row_id}}}'


def _rows(connection: Connection) -> Generator[tuple[int, str, bytes], None, None]:
    """Yield the rows, oldest first, a few at a time; to be closed by who does not take them all."""
    query = select(tables.audit).order_by(tables.audit.c.id)
    with connection.execute(query, execution_options={"yield_per": _CHUNK_ROWS}) as found:
        for row in found:
            yield row.id, row.entry, row.hash


def _cut_of(connection: Connection) -> tuple[int, bytes]:
    """Return number and hash of the last row that made room."""
    row = connection.execute(select(tables.audit_cut)).one()
    return row.id, row.hash


def _end(connection: Connection) -> tuple[int, bytes]:
    """Return number and hash of the last row."""
    row = connection.execute(_LAST).first()
    return _cut_of(connection) if row is None else (row.id, row.hash)


def _chained(before: bytes, text: str) -> bytes:
    return hashlib.sha256(before + text.encode()).digest()


def _broken(what: str) -> StorageError:
    return StorageError(what, remedy="compare it with an export or a copy that you trust")


def _latest(connection: Connection, count: int) -> list[AuditEntry]:
    texts = connection.execute(select(tables.audit.c.entry).order_by(tables.audit.c.id.desc()).limit(count))
    return [_entry(json.loads(text)) for text in texts.scalars()]


def _text(entry: AuditEntry) -> str:
    """Return the text that is stored and hashed."""
    if entry.at.tzinfo is None:
        raise CallerError("a time without a time zone cannot be recorded")
    document = {
        "at": entry.at.astimezone(UTC).isoformat(timespec="microseconds"),
        "requester": entry.requester,
        "audience": entry.audience,
        "requested": entry.requested,
        "granted": entry.granted,
        "decision": entry.outcome.value,
        "policies": list(entry.policies),
        "reason": entry.reason,
        "ticket_id": None if entry.ticket_id is None else entry.ticket_id.hex(),
        "operator": entry.operator,
    }
    return json.dumps(document, sort_keys=True, separators=(",", ":"))


def _entry(document: dict[str, Any]) -> AuditEntry:
    return AuditEntry(
        at=datetime.fromisoformat(document["at"]),
        requester=document["requester"],
        audience=document["audience"],
        requested=document["requested"],
        granted=document["granted"],
        outcome=Outcome(document["decision"]),
        policies=tuple(document["policies"]),
        reason=document["reason"],
        ticket_id=None if document["ticket_id"] is None else bytes.fromhex(document["ticket_id"]),
        operator=document["operator"],
    )
