"""Tickets that are asked for: their numbers, and what is looked at before their rows are written.

It owns the steps between a decision and the rows, each for all tickets that are asked for together. They run
within a writer's transaction, so nothing that they have seen changes before the rows are there.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from sqlalchemy import Connection, bindparam, case, select, update

from twoway.ac.decisions import AuditEntry
from twoway.ac.storage import Failed, tables
from twoway.ac.ticket_record import TicketRecord
from twoway.errors import RefusedError, StorageError

# Built once: SQLAlchemy takes longer to build a statement than to run it.
_DRAW = (
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
    select(tables.ticket.c.kid, tables.ticket.c.requester, tables.ticket.c.audience)
    .where(tables.ticket.c.kid.in_(bindparam("kids", expanding=True)))
    .distinct()
)


class HolderRevoked(RefusedError):
    """The certificate or the key that the ticket would be bound to was revoked."""


@dataclass(frozen=True, eq=False)
class Order:
    """A ticket that is to be made."""

    make: Callable[[int], tuple[TicketRecord, AuditEntry, Any]]
    """Gets the number; signs."""
    now: datetime
    """The time, aware."""
    keeps_key: bool = False
    """Whether it keeps the symmetric key of an earlier one, and so its name."""


class Made(NamedTuple):
    """A ticket that was made and is yet to be written."""

    record: TicketRecord
    entry: AuditEntry
    answer: Any


def draw_numbers(connection: Connection, now: datetime, count: int) -> range:
    """Draw tickets' numbers: higher than all before, and at least the time in microseconds."""
    at_least = round((now - datetime.fromtimestamp(0, UTC)) / timedelta(microseconds=1))
    drawn = connection.execute(_DRAW, {"at_least": at_least, "count": count}).scalar_one()
    return range(drawn - count + 1, drawn + 1)


def make_ticket(order: Order, number: int) -> Made | Failed:
    """Make the ticket with this number."""
    try:
        return Made(*order.make(number))
    except Exception as error:  # noqa: BLE001  # told to whoever asked for this ticket
        return Failed(error)


def without_revoked(connection: Connection, made: Sequence[Made | Failed]) -> list[Made | Failed]:
    """Look within the transaction: an association may be older than the revocation of its certificate."""
    digests = {digest for each in made if isinstance(each, Made) for digest in _bound_to(each.record)}
    revoked = set(connection.execute(_REVOKED_AMONG, {"digests": list(digests)}).scalars())
    return [
        Failed(HolderRevoked("the certificate or the key was revoked", where=each.record.requester))
        if isinstance(each, Made) and not revoked.isdisjoint(_bound_to(each.record))
        else each
        for each in made
    ]


def _bound_to(record: TicketRecord) -> set[bytes]:
    return {digest for digest in (record.certificate_sha256, record.holder_key) if digest is not None}


def without_taken(
    connection: Connection, orders: Sequence[Order], made: list[Made | Failed]
) -> list[Made | Failed]:
    """See that no two keys have one name (RFC 9202 section 3.3.1), however unlikely that is.

    No index could say so, since tickets that change rights share the name of a key; but writers take turns.
    """
    kids = {each.record.kid for each in made if isinstance(each, Made)} - {None}
    if not kids:
        return made
    found = connection.execute(_HOLDERS_OF, {"kids": list(kids)})
    holders = {row.kid: (row.requester, row.audience) for row in found}
    # There may be fewer than orders, where there is no room for the last ones.
    return [_unless_taken(each, order, holders) for each, order in zip(made, orders, strict=False)]


def _unless_taken(made: Made | Failed, order: Order, holders: dict[bytes, tuple[str, str]]) -> Made | Failed:
    """Enter the name of a ticket's key with its holder and publisher, or refuse it."""
    if isinstance(made, Failed) or made.record.kid is None:
        return made
    kid, own = made.record.kid, (made.record.requester, made.record.audience)
    if kid in holders and not (order.keeps_key and holders[kid] == own):
        return Failed(StorageError("the ticket's key has the name of another", remedy="ask again"))
    holders[kid] = own
    return made
