"""The tickets that were issued: no ticket is answered that is not here, no revocation is lost.

A ticket's row, its audit row and its number are one transaction, and the ticket is made within it. The
number is what a ``cti`` ends with; it rises in the order of the commits, on all replicas together, and no
value comes twice. It is at least the time in microseconds: a database that was restored from yesterday's
copy does not give yesterday's numbers again, which publishers would take for old. A clock that is set
back does not lower it.

A revocation is never undone. The list of revoked tickets is the rows that were revoked and not yet
removed; removing an expired one is a change of that list like adding one, and only :meth:`prune` does it.
Every change is kept, up to :data:`HISTORY_ROWS` of them, in its order and with the numbers that it has for
those who may see it (RFC 9770 section 6.2), which are therefore the same at each replica.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

from sqlalchemy import ColumnElement, Connection, Row, bindparam, case, delete, func, insert, select, update

from twoway.ac import generation
from twoway.ac.audit import AuditLog
from twoway.ac.decisions import AuditEntry, Outcome
from twoway.ac.storage import Database, tables
from twoway.errors import RefusedError, StorageError

T = TypeVar("T")

HISTORY_ROWS = 10_000
"""Changes of the list that are kept for diff queries. Who has missed more asks for the whole list."""
DEFAULT_CAPACITY = 1_000_000
"""Tickets that are kept at once: 1,500 a second for ten minutes each, and some 400 MB of disk."""
PRUNE_EVERY = 4_096
"""Tickets that this process issues between two counts of all of them."""
EXPIRY_MARGIN = timedelta(minutes=5)
"""How long an expired ticket stays: a publisher whose clock is that much behind still honours it."""
EVERYBODY = "*"
"""Whom every change of the list concerns. No identity is written like this."""

_row = tables.ticket.c
_change = tables.revocation_change.c

# What every ticket needs is built once: SQLAlchemy takes longer to build a statement than to run it.
_INSERT_TICKET = insert(tables.ticket)
_NEXT_NUMBER = (
    update(tables.counter)
    .where(tables.counter.c.name == "ticket")
    .values(
        value=case(
            (tables.counter.c.value >= bindparam("at_least"), tables.counter.c.value + 1),
            else_=bindparam("at_least"),
        )
    )
    .returning(tables.counter.c.value)
)
_ANY_REVOKED = select(tables.revoked_credential.c.digest).where(
    (tables.revoked_credential.c.digest == bindparam("certificate"))
    | (tables.revoked_credential.c.digest == bindparam("key"))
)


@dataclass(frozen=True)
class TicketRecord:
    """What the AC knows of a ticket that it issued."""

    ticket_id: bytes
    """Its ``cti``."""
    token_hash: bytes
    """The hash of RFC 9770 section 4, 33 bytes."""
    requester: str
    """The identity URI of its holder."""
    audience: str
    """The identity URI of the publisher."""
    holder_key: bytes | None
    """SHA-256 of the holder's SubjectPublicKeyInfo; None where the AC made the key."""
    certificate_sha256: bytes | None
    """SHA-256 of the certificate that the holder showed (DER); None where it showed none."""
    scope: bytes
    """The encoded scope (RFC 9237)."""
    kid: bytes | None
    """The name of the key, where the AC made it."""
    issued_at: datetime
    """When, aware."""
    expires_at: datetime
    """When it ends, aware. With :attr:`exi` the latest moment, as whoever issues it sees it."""
    exi: int | None = None
    """Seconds from the first receipt, for publishers without a clock (RFC 9200 section 5.10.3)."""
    revoked_at: datetime | None = None
    """When it was revoked, aware; None: it was not."""
    revocation_reason: str | None = None
    """Why."""


@dataclass(frozen=True)
class RevocationChange:
    """One change of the list of revoked tickets."""

    number: int
    """Changes before this one."""
    added: bool
    """Whether the ticket came onto the list; else it has expired and left it."""
    token_hash: bytes
    """Which ticket."""
    requester: str
    """Its holder."""
    audience: str
    """Its publisher."""
    requester_number: int
    """Changes before this one that concerned the holder, as the holder or the audience of a ticket."""
    audience_number: int
    """The same of the audience."""


class HolderRevoked(RefusedError):
    """The certificate or the key that the ticket would be bound to was revoked."""


class TicketRecords:
    """The rows of tickets, and what may become of them.

    Args:
        database: where they are.
        audit: where issuing and revoking is recorded.
        capacity: how many tickets are kept, about; beyond it none is issued until some have expired.
    """

    def __init__(self, database: Database, audit: AuditLog, *, capacity: int = DEFAULT_CAPACITY) -> None:
        self._database = database
        self._audit = audit
        self._capacity = capacity
        # Counted now and then, since counting reads them all. Both belong to the database's thread.
        self._counted: int | None = None
        self._since = 0

    async def issue(self, make: Callable[[int], tuple[TicketRecord, AuditEntry, T]], *, now: datetime) -> T:
        """Make a ticket with the next number; its rows are on the disk when this returns.

        Args:
            make: gets the number, signs, returns the rows and what is to be answered. It runs in the
                database's thread, while all other writers wait; what it raises is raised here, and then
                there are no rows.
            now: the time, aware.

        Raises:
            HolderRevoked: the holder's certificate or key was revoked.
            StorageError: the rows were not written, or there is no room for more tickets.
        """
        return await self._database.run(lambda connection: self._issue(connection, make, now))

    async def revoke(self, ticket_id: bytes, *, reason: str, now: datetime) -> list[TicketRecord]:
        """Revoke one ticket by its ``cti``.

        Like all that revoke, it returns the tickets that it has put on the list: none that are unknown,
        none that were there already, and none that expired and were removed.

        Raises:
            StorageError: the revocation is not on the disk.
        """
        return await self._revoke(_row.ticket_id == ticket_id, reason, now)

    async def revoke_by_hash(self, token_hash: bytes, *, reason: str, now: datetime) -> list[TicketRecord]:
        """Revoke one ticket by its token hash."""
        return await self._revoke(_row.token_hash == token_hash, reason, now)

    async def revoke_by_holder(
        self, requester: str, *, audience: str | None = None, reason: str, now: datetime
    ) -> list[TicketRecord]:
        """Revoke all tickets of a holder, or those for one publisher. New ones may be issued."""
        mine = _row.requester == requester
        condition = mine if audience is None else mine & (_row.audience == audience)
        return await self._revoke(condition, reason, now)

    async def revoke_by_certificate(
        self, certificate_sha256: bytes, *, reason: str, now: datetime
    ) -> list[TicketRecord]:
        """Revoke all tickets of a certificate; none is ever issued for it again."""
        condition = _row.certificate_sha256 == certificate_sha256
        return await self._revoke(condition, reason, now, for_ever=certificate_sha256)

    async def revoke_by_key(self, holder_key: bytes, *, reason: str, now: datetime) -> list[TicketRecord]:
        """Revoke all tickets that are bound to a key; none is ever bound to it again."""
        return await self._revoke(_row.holder_key == holder_key, reason, now, for_ever=holder_key)

    async def prune(self, now: datetime) -> int:
        """Remove the tickets that expired before :data:`EXPIRY_MARGIN`; return how many.

        Revoked ones leave the list by it (RFC 9770 section 5.1), which is a change for all who see them.
        Any replica may do it, as often as it likes.
        """
        return await self._database.run(lambda connection: self._prune(connection, now))

    def _issue(
        self, connection: Connection, make: Callable[[int], tuple[TicketRecord, AuditEntry, T]], now: datetime
    ) -> T:
        self._make_room(connection, now)
        record, entry, answer = make(_next_number(connection, now))
        _refuse_revoked(connection, record)
        connection.execute(_INSERT_TICKET, vars(record))
        self._audit.append(connection, entry)
        self._since += 1
        return answer

    def _make_room(self, connection: Connection, now: datetime) -> None:
        """Refuse beyond the capacity, which counts what other replicas issue, though not at once."""
        if self._counted is None or self._since >= PRUNE_EVERY:
            self._prune(connection, now)
        if (self._counted or 0) + self._since >= self._capacity:
            self._prune(connection, now)
            if (self._counted or 0) >= self._capacity:
                raise StorageError(
                    "there is no room for another ticket",
                    remedy="wait until some have expired, or allow more",
                )

    def _prune(self, connection: Connection, now: datetime) -> int:
        over = _row.expires_at <= now - EXPIRY_MARGIN
        listed = connection.execute(select(tables.ticket).where(over & _row.revoked_at.is_not(None)))
        _write_changes(connection, map(_record, listed.all()), added=False)
        removed = connection.execute(delete(tables.ticket).where(over)).rowcount
        self._counted = connection.execute(select(func.count()).select_from(tables.ticket)).scalar_one()
        self._since = 0
        return removed

    async def _revoke(
        self, condition: ColumnElement[bool], reason: str, now: datetime, *, for_ever: bytes | None = None
    ) -> list[TicketRecord]:
        return await self._database.run(
            lambda connection: self._revoke_where(connection, condition, reason, now, for_ever)
        )

    def _revoke_where(
        self,
        connection: Connection,
        condition: ColumnElement[bool],
        reason: str,
        now: datetime,
        for_ever: bytes | None,
    ) -> list[TicketRecord]:
        if for_ever is not None:
            _remember_credential(connection, for_ever, reason, now)
        condition &= _row.revoked_at.is_(None)
        found = connection.execute(select(tables.ticket).where(condition).order_by(_row.ticket_id)).all()
        connection.execute(
            update(tables.ticket).where(condition).values(revoked_at=now, revocation_reason=reason)
        )
        revoked = [replace(_record(row), revoked_at=now, revocation_reason=reason) for row in found]
        _write_changes(connection, revoked, added=True)
        for record in revoked:
            self._audit.append(connection, _revocation_entry(record, reason, now))
        return revoked


def find_ticket(connection: Connection, token_hash: bytes) -> TicketRecord | None:
    """Return the ticket with this hash, expired and revoked ones too; None: it was not issued, or removed."""
    row = connection.execute(select(tables.ticket).where(_row.token_hash == token_hash)).first()
    return None if row is None else _record(row)


def read_live(connection: Connection, now: datetime) -> list[TicketRecord]:
    """Return the tickets that are neither revoked nor expired, in the order of their issuing."""
    return _select(connection, _row.revoked_at.is_(None) & (_row.expires_at > now))


def read_revoked(connection: Connection) -> list[TicketRecord]:
    """Return what is on the list of revoked tickets."""
    return _select(connection, _row.revoked_at.is_not(None))


def read_changes(connection: Connection, after: int = -1) -> list[RevocationChange]:
    """Return the changes of that list that are kept, oldest first: those numbered higher than ``after``."""
    rows = connection.execute(
        select(tables.revocation_change).where(_change.number > after).order_by(_change.number)
    )
    return [RevocationChange(**row._mapping) for row in rows]


def is_credential_revoked(connection: Connection, digest: bytes) -> bool:
    """Whether a certificate or key was revoked, by its SHA-256."""
    revoked = tables.revoked_credential.c.digest
    return connection.execute(select(revoked).where(revoked == digest)).first() is not None


def _select(connection: Connection, condition: ColumnElement[bool]) -> list[TicketRecord]:
    rows = connection.execute(select(tables.ticket).where(condition).order_by(_row.issued_at, _row.ticket_id))
    return [_record(row) for row in rows]


def _record(row: Row[Any]) -> TicketRecord:
    return TicketRecord(**row._mapping)


def _next_number(connection: Connection, now: datetime) -> int:
    """Draw a ticket's number: higher than all before, and at least the time in microseconds."""
    at_least = round((now - datetime.fromtimestamp(0, UTC)) / timedelta(microseconds=1))
    return int(connection.execute(_NEXT_NUMBER, {"at_least": at_least}).scalar_one())


def _refuse_revoked(connection: Connection, record: TicketRecord) -> None:
    """Look within the transaction: an association may be older than the revocation of its certificate."""
    digests = {"certificate": record.certificate_sha256, "key": record.holder_key}
    if connection.execute(_ANY_REVOKED, digests).first():
        raise HolderRevoked("the certificate or the key was revoked", where=record.requester)


def _remember_credential(connection: Connection, digest: bytes, reason: str, now: datetime) -> None:
    if not is_credential_revoked(connection, digest):
        connection.execute(
            insert(tables.revoked_credential).values(digest=digest, revoked_at=now, reason=reason)
        )
        generation.advance(connection)


def _write_changes(connection: Connection, records: Iterable[TicketRecord], *, added: bool) -> None:
    """Write a change of the list for each ticket, remove the oldest, and raise the generation."""
    newest = None
    for record in records:
        newest = _count(connection, EVERYBODY)
        requester_number = _count(connection, record.requester)
        connection.execute(
            insert(tables.revocation_change).values(
                number=newest,
                added=added,
                token_hash=record.token_hash,
                requester=record.requester,
                audience=record.audience,
                requester_number=requester_number,
                # Who holds a ticket for itself is one party, whom the change concerns once.
                audience_number=requester_number
                if record.audience == record.requester
                else _count(connection, record.audience),
            )
        )
    if newest is not None:
        connection.execute(delete(tables.revocation_change).where(_change.number <= newest - HISTORY_ROWS))
        generation.advance(connection)


def _count(connection: Connection, party: str) -> int:
    """Count a change for ``party`` and return how many there were before."""
    count = tables.revocation_count
    changes = connection.execute(
        update(count)
        .where(count.c.party == party)
        .values(changes=count.c.changes + 1)
        .returning(count.c.changes)
    ).scalar()
    if changes is None:
        connection.execute(insert(count).values(party=party, changes=1))
        return 0
    return int(changes) - 1


def _revocation_entry(record: TicketRecord, reason: str, now: datetime) -> AuditEntry:
    return AuditEntry(
        at=now,
        requester=record.requester,
        audience=record.audience,
        requested=None,
        granted=None,
        outcome=Outcome.REVOKED,
        policies=(),
        reason=reason,
        ticket_id=record.ticket_id,
    )
