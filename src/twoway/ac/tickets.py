"""The tickets that were issued: no ticket is answered that is not here, no revocation is lost.

A ticket's row, its audit row and its number are one transaction, and the ticket is made within it. One that a
token signs is made between two, of the number and of the rows, so that nobody waits for the token. The number
is what a ``cti`` ends with; numbers rise in the order in which they were drawn, on all replicas together, and
no value comes twice. A number is at least the time in microseconds: a database that was restored from
yesterday's copy does not give yesterday's numbers again, which publishers would take for old. A clock that is
set back does not lower it.

A revocation is never undone. The list of revoked tickets is the rows that were revoked and not yet
removed; removing an expired one is a change of that list like adding one (``ac/revocation_changes.py``).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple, TypeVar

from sqlalchemy import ColumnElement, Connection, Row, delete, func, insert, select, update

from twoway.ac import generation
from twoway.ac.audit import AuditLog
from twoway.ac.decisions import AuditEntry, Outcome
from twoway.ac.revocation_changes import write_changes
from twoway.ac.storage import Database, Failed, tables
from twoway.ac.ticket_orders import Made, Order, draw_numbers, make_ticket, without_revoked, without_taken
from twoway.ac.ticket_record import TicketRecord
from twoway.errors import StorageError

T = TypeVar("T")

DEFAULT_CAPACITY = 1_000_000
"""Tickets that are kept at once: 1,500 a second for ten minutes each, and some 400 MB of disk."""
PRUNE_EVERY = 4_096
"""Tickets that this process issues between two counts of all of them."""
RECOUNT_INTERVAL = timedelta(seconds=1)
"""How often they are counted while there is no room: requests that are refused must not cost more."""
EXPIRY_MARGIN = timedelta(minutes=5)
"""How long an expired ticket stays: a publisher whose clock is that much behind still honours it."""
_row = tables.ticket.c

_INSERT_TICKET = insert(tables.ticket)


class _Ended(NamedTuple):
    """A certificate or key that gets no ticket any more."""

    digest: bytes
    """Its SHA-256."""
    holder: str | None
    """Whose it is, where that is known."""


class TicketRecords:
    """The rows of tickets, and what may become of them.

    Args:
        database: where they are.
        audit: where issuing and revoking is recorded.
        capacity: how many tickets are kept, about; beyond it none is issued until some have expired.
        operator: who revokes, for the audit; None where nobody does.
    """

    def __init__(
        self,
        database: Database,
        audit: AuditLog,
        *,
        capacity: int = DEFAULT_CAPACITY,
        operator: str | None = None,
    ) -> None:
        self._database = database
        self._audit = audit
        self._capacity = capacity
        self._operator = operator
        self._token = asyncio.Lock()
        # Counted now and then, since counting reads them all. They belong to the database's thread.
        self._kept = 0
        self._since = PRUNE_EVERY
        self._counted_at = datetime.fromtimestamp(0, UTC)

    async def issue(
        self,
        make: Callable[[int], tuple[TicketRecord, AuditEntry, T]],
        *,
        now: datetime,
        keeps_key: bool = False,
        is_slow: bool = False,
    ) -> T:
        """Make a ticket with the next number; its rows are on the disk when this returns.

        Args:
            make: gets the number, signs, returns the rows and what is to be answered. What it raises is
                raised here, and then there are no rows. Where the database fails it may be asked again, with
                another number.
            now: the time, aware.
            keeps_key: whether the ticket changes the rights of an earlier one of its holder and keeps the
                symmetric key of that (RFC 9202 section 4); otherwise the name of its key has to be new.
            is_slow: whether ``make`` takes its time, since a token signs. Then it is called one ticket after
                the other, and no writer waits for it; otherwise in the database's thread, for all tickets
                that are asked for at the same time.

        Raises:
            HolderRevoked: the holder's certificate or key was revoked.
            StorageError: the rows were not written, there is no room for more tickets, or the name of the
                symmetric key is taken.
        """
        order = Order(make, now, keeps_key)
        if not is_slow:
            return await self._database.run_together(self._issue, order)
        async with self._token:
            number = await self._database.run(lambda connection: self._draw(connection, now))
            made = Made(*await asyncio.to_thread(make, number))
        return await self._database.run_together(self._write, (order, made))

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
        return await self._revoke(_held_by(requester, audience), reason, now)

    def revoke_pair(
        self, connection: Connection, requester: str, audience: str, *, reason: str, now: datetime
    ) -> list[TicketRecord]:
        """Revoke all tickets of a holder for one publisher, in the transaction of what calls for it."""
        return self._revoke_where(connection, _held_by(requester, audience), reason, now, None)

    async def revoke_by_certificate(
        self, certificate_sha256: bytes, *, holder: str | None = None, reason: str, now: datetime
    ) -> list[TicketRecord]:
        """Revoke all tickets of a certificate; none is ever issued for it again.

        Args:
            certificate_sha256: SHA-256 of the certificate (DER).
            holder: whose it is, for the audit.
            reason: why.
            now: the time, aware.
        """
        condition = _row.certificate_sha256 == certificate_sha256
        return await self._revoke(condition, reason, now, for_ever=_Ended(certificate_sha256, holder))

    async def revoke_by_key(self, holder_key: bytes, *, reason: str, now: datetime) -> list[TicketRecord]:
        """Revoke all tickets that are bound to a key; none is ever bound to it again."""
        return await self._revoke(
            _row.holder_key == holder_key, reason, now, for_ever=_Ended(holder_key, None)
        )

    async def prune(self, now: datetime) -> int:
        """Remove the tickets that expired before :data:`EXPIRY_MARGIN`; return how many.

        Revoked ones leave the list by it (RFC 9770 section 5.1), which is a change for all who see them.
        Any replica may do it, as often as it likes.
        """
        return await self._database.run(lambda connection: self._prune(connection, now))

    def _issue(self, connection: Connection, orders: Sequence[Order]) -> list[Any]:
        """Make a ticket for each order that there is room for; return the answers and the failures."""
        now = max(order.now for order in orders)
        room = self._room(connection, now, len(orders))
        numbers = draw_numbers(connection, now, room)
        made = [(order, make_ticket(order, number)) for order, number in zip(orders, numbers, strict=False)]
        return self._write(connection, made) + [_no_room() for _ in orders[room:]]

    def _draw(self, connection: Connection, now: datetime) -> int:
        """Draw the number of a ticket that is made after this transaction."""
        if not self._room(connection, now, 1):
            raise _no_room().error
        return draw_numbers(connection, now, 1)[0]

    def _write(self, connection: Connection, tickets: Sequence[tuple[Order, Made | Failed]]) -> list[Any]:
        """Write the rows of tickets that may be answered; return the answers and the failures."""
        made = without_revoked(connection, [each for _, each in tickets])
        made = without_taken(connection, [order for order, _ in tickets], made)
        written = [each for each in made if isinstance(each, Made)]
        if written:
            connection.execute(_INSERT_TICKET, [vars(each.record) for each in written])
            self._audit.append(connection, [each.entry for each in written])
        self._since += len(written)
        self._kept += len(written)
        return [each.answer if isinstance(each, Made) else each for each in made]

    def _room(self, connection: Connection, now: datetime, wanted: int) -> int:
        """Return for how many tickets there is room. What other replicas issue counts, though not at once."""
        if self._since >= PRUNE_EVERY:
            self._prune(connection, now)
        is_full = self._kept + wanted > self._capacity
        if is_full and not timedelta() <= now - self._counted_at < RECOUNT_INTERVAL:
            self._prune(connection, now)
        return max(0, min(wanted, self._capacity - self._kept))

    def _prune(self, connection: Connection, now: datetime) -> int:
        over = _row.expires_at <= now - EXPIRY_MARGIN
        listed = connection.execute(select(tables.ticket).where(over & _row.revoked_at.is_not(None)))
        write_changes(connection, map(_parties, listed), added=False)
        removed = connection.execute(delete(tables.ticket).where(over)).rowcount
        self._kept = connection.execute(select(func.count()).select_from(tables.ticket)).scalar_one()
        self._since, self._counted_at = 0, now
        return removed

    async def _revoke(
        self, condition: ColumnElement[bool], reason: str, now: datetime, *, for_ever: _Ended | None = None
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
        for_ever: _Ended | None,
    ) -> list[TicketRecord]:
        if for_ever is not None and not is_credential_revoked(connection, for_ever.digest):
            _remember_credential(connection, for_ever.digest, reason, now)
            self._audit.append(connection, [self._ended_entry(for_ever, reason, now)])
        condition &= _row.revoked_at.is_(None)
        found = connection.execute(select(tables.ticket).where(condition).order_by(_row.ticket_id)).all()
        connection.execute(
            update(tables.ticket).where(condition).values(revoked_at=now, revocation_reason=reason)
        )
        revoked = [replace(_record(row), revoked_at=now, revocation_reason=reason) for row in found]
        write_changes(connection, map(_parties, revoked), added=True)
        self._audit.append(
            connection, [_revocation_entry(record, reason, now, self._operator) for record in revoked]
        )
        return revoked

    def _ended_entry(self, ended: _Ended, reason: str, now: datetime) -> AuditEntry:
        return AuditEntry.of_change(
            f"no ticket is issued any more to the certificate or key {ended.digest.hex()}: {reason}",
            at=now,
            operator=self._operator,
            requester=ended.holder,
        )


def find_ticket(connection: Connection, token_hash: bytes) -> TicketRecord | None:
    """Return the ticket with this hash, expired and revoked ones too; None: it was not issued, or removed."""
    row = connection.execute(select(tables.ticket).where(_row.token_hash == token_hash)).first()
    return None if row is None else _record(row)


def find_key(connection: Connection, kid: bytes, requester: str, audience: str) -> TicketRecord | None:
    """Return the newest ticket of a holder at a publisher that is bound to the key called ``kid``."""
    mine = (_row.requester == requester) & (_row.audience == audience) & (_row.kid == kid)
    row = connection.execute(
        select(tables.ticket).where(mine).order_by(_row.ticket_id.desc()).limit(1)
    ).first()
    return None if row is None else _record(row)


def read_live(connection: Connection, now: datetime) -> list[TicketRecord]:
    """Return the tickets that are neither revoked nor expired, in the order of their issuing."""
    return _select(connection, _row.revoked_at.is_(None) & (_row.expires_at > now))


def read_revoked(connection: Connection) -> list[TicketRecord]:
    """Return what is on the list of revoked tickets."""
    return _select(connection, _row.revoked_at.is_not(None))


def is_credential_revoked(connection: Connection, digest: bytes) -> bool:
    """Whether a certificate or key was revoked, by its SHA-256."""
    revoked = tables.revoked_credential.c.digest
    return connection.execute(select(revoked).where(revoked == digest)).first() is not None


def _select(connection: Connection, condition: ColumnElement[bool]) -> list[TicketRecord]:
    rows = connection.execute(select(tables.ticket).where(condition).order_by(_row.issued_at, _row.ticket_id))
    return [_record(row) for row in rows]


def _record(row: Row[Any]) -> TicketRecord:
    return TicketRecord(**row._mapping)


def _parties(ticket: TicketRecord | Row[Any]) -> tuple[bytes, str, str]:
    return ticket.token_hash, ticket.requester, ticket.audience


def _no_room() -> Failed:
    return Failed(
        StorageError(
            "there is no room for another ticket", remedy="wait until some have expired, or allow more"
        )
    )


def _remember_credential(connection: Connection, digest: bytes, reason: str, now: datetime) -> None:
    connection.execute(insert(tables.revoked_credential).values(digest=digest, revoked_at=now, reason=reason))
    generation.advance(connection)


def _held_by(requester: str, audience: str | None) -> ColumnElement[bool]:
    mine = _row.requester == requester
    return mine if audience is None else mine & (_row.audience == audience)


def _revocation_entry(record: TicketRecord, reason: str, now: datetime, operator: str | None) -> AuditEntry:
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
        operator=operator,
    )
