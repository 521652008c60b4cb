"""The tickets that were issued: no ticket is answered that is not here, no revocation is lost.

A ticket's row, its audit row and its number are one transaction, and the ticket is made within it. The
number is what a ``cti`` ends with; it rises in the order of the commits, on all replicas together, and no
value comes twice. It is at least the time in microseconds: a database that was restored from yesterday's
copy does not give yesterday's numbers again, which publishers would take for old. A clock that is set
back does not lower it.

A revocation is never undone. The list of revoked tickets is the rows that were revoked and not yet
removed; removing an expired one is a change of that list like adding one (``ac/revocation_changes.py``).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple, TypeVar

from sqlalchemy import ColumnElement, Connection, Row, bindparam, case, delete, func, insert, select, update

from twoway.ac import generation
from twoway.ac.audit import AuditLog
from twoway.ac.decisions import AuditEntry, Outcome
from twoway.ac.revocation_changes import write_changes
from twoway.ac.storage import Database, Failed, tables
from twoway.errors import RefusedError, StorageError

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

# What every ticket needs is built once: SQLAlchemy takes longer to build a statement than to run it.
_INSERT_TICKET = insert(tables.ticket)
_DRAW_NUMBERS = (
    update(tables.counter)
    .where(tables.counter.c.name == "ticket")
    .values(
        value=bindparam("count")
        + case(
            (tables.counter.c.value >= bindparam("at_least"), tables.counter.c.value),
            else_=bindparam("at_least") - 1,
        )
    )
    .returning(tables.counter.c.value)
)
_REVOKED_AMONG = select(tables.revoked_credential.c.digest).where(
    tables.revoked_credential.c.digest.in_(bindparam("digests", expanding=True))
)
_HOLDERS_OF = (
    select(_row.kid, _row.requester, _row.audience)
    .where(_row.kid.in_(bindparam("kids", expanding=True)))
    .distinct()
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


@dataclass(frozen=True, eq=False)
class _Order:
    """A ticket that is to be made."""

    make: Callable[[int], tuple[TicketRecord, AuditEntry, Any]]
    now: datetime
    keeps_key: bool


class _Made(NamedTuple):
    """A ticket that was made and is yet to be written."""

    record: TicketRecord
    entry: AuditEntry
    answer: Any


class _Ended(NamedTuple):
    """A certificate or key that gets no ticket any more."""

    digest: bytes
    """Its SHA-256."""
    holder: str | None
    """Whose it is, where that is known."""


class HolderRevoked(RefusedError):
    """The certificate or the key that the ticket would be bound to was revoked."""


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
    ) -> T:
        """Make a ticket with the next number; its rows are on the disk when this returns.

        Args:
            make: gets the number, signs, returns the rows and what is to be answered. It runs in the
                database's thread, while all other writers wait; what it raises is raised here, and then
                there are no rows. Where the database fails it may be asked again, with another number.
            now: the time, aware.
            keeps_key: whether the ticket changes the rights of an earlier one of its holder and keeps the
                symmetric key of that (RFC 9202 section 4); otherwise the name of its key has to be new.

        Raises:
            HolderRevoked: the holder's certificate or key was revoked.
            StorageError: the rows were not written, there is no room for more tickets, or the name of the
                symmetric key is taken.
        """
        return await self._database.run_together(self._issue, _Order(make, now, keeps_key))

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

    def _issue(self, connection: Connection, orders: Sequence[_Order]) -> list[Any]:
        """Make a ticket for each order that there is room for; return the answers and the failures."""
        now = max(order.now for order in orders)
        room = self._room(connection, now, len(orders))
        numbers = _draw_numbers(connection, now, room)
        made = _without_revoked(connection, list(map(_make, orders[:room], numbers)))
        made = _without_taken(connection, orders, made)
        written = [each for each in made if isinstance(each, _Made)]
        if written:
            connection.execute(_INSERT_TICKET, [vars(each.record) for each in written])
            self._audit.append(connection, [each.entry for each in written])
        self._since += len(written)
        self._kept += len(written)
        answers = [each.answer if isinstance(each, _Made) else each for each in made]
        return answers + [_no_room() for _ in orders[room:]]

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


def _draw_numbers(connection: Connection, now: datetime, count: int) -> range:
    """Draw tickets' numbers: higher than all before, and at least the time in microseconds."""
    at_least = round((now - datetime.fromtimestamp(0, UTC)) / timedelta(microseconds=1))
    drawn = connection.execute(_DRAW_NUMBERS, {"at_least": at_least, "count": count}).scalar_one()
    return range(drawn - count + 1, drawn + 1)


def _make(order: _Order, number: int) -> _Made | Failed:
    try:
        return _Made(*order.make(number))
    except Exception as error:  # noqa: BLE001  # told to whoever asked for this ticket
        return Failed(error)


def _without_revoked(connection: Connection, made: Sequence[_Made | Failed]) -> list[_Made | Failed]:
    """Look within the transaction: an association may be older than the revocation of its certificate."""
    digests = {digest for each in made if isinstance(each, _Made) for digest in _bound_to(each.record)}
    revoked = set(connection.execute(_REVOKED_AMONG, {"digests": list(digests)}).scalars())
    return [
        Failed(HolderRevoked("the certificate or the key was revoked", where=each.record.requester))
        if isinstance(each, _Made) and not revoked.isdisjoint(_bound_to(each.record))
        else each
        for each in made
    ]


def _bound_to(record: TicketRecord) -> set[bytes]:
    return {digest for digest in (record.certificate_sha256, record.holder_key) if digest is not None}


def _without_taken(
    connection: Connection, orders: Sequence[_Order], made: list[_Made | Failed]
) -> list[_Made | Failed]:
    """See that no two keys have one name (RFC 9202 section 3.3.1), however unlikely that is.

    No index could say so, since tickets that change rights share the name of a key; but writers take turns.
    """
    kids = {each.record.kid for each in made if isinstance(each, _Made)} - {None}
    if not kids:
        return made
    found = connection.execute(_HOLDERS_OF, {"kids": list(kids)})
    holders = {row.kid: (row.requester, row.audience) for row in found}
    # There may be fewer than orders, where there is no room for the last ones.
    return [_unless_taken(each, order, holders) for each, order in zip(made, orders, strict=False)]


def _unless_taken(
    made: _Made | Failed, order: _Order, holders: dict[bytes, tuple[str, str]]
) -> _Made | Failed:
    """Enter the name of a ticket's key with its holder and publisher, or refuse it."""
    if isinstance(made, Failed) or made.record.kid is None:
        return made
    kid, own = made.record.kid, (made.record.requester, made.record.audience)
    if kid in holders and not (order.keeps_key and holders[kid] == own):
        return Failed(StorageError("the ticket's key has the name of another", remedy="ask again"))
    holders[kid] = own
    return made


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
