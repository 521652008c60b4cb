"""How the list of revoked tickets came to be: what was added to it and removed from it, in order.

Each change is numbered for all who may see it: its holder, its publisher, and everybody. The numbers are
counted here, where all replicas write, so a requester gets the same change under the same number from each
of them and from each later process; and they go on when the changes themselves are forgotten. Diff queries
and cursors (RFC 9770 section 6.2) rest on that.
"""

from __future__ import annotations

from collections.abc import Iterable

from sqlalchemy import Connection, delete, insert, select, update

from twoway.ac import generation
from twoway.ac.revocation import EVERYBODY, RevocationChange
from twoway.ac.storage import tables

HISTORY_ROWS = 10_000
"""Changes of the list that are kept for diff queries. Who has missed more asks for the whole list."""

_change = tables.revocation_change.c


def read_changes(connection: Connection, after: int = -1) -> list[RevocationChange]:
    """Return the changes of that list that are kept, oldest first: those numbered higher than ``after``."""
    rows = connection.execute(
        select(tables.revocation_change).where(_change.number > after).order_by(_change.number)
    )
    return [RevocationChange(**row._mapping) for row in rows]


def write_changes(connection: Connection, tickets: Iterable[tuple[bytes, str, str]], *, added: bool) -> None:
    """Write a change of the list for each ticket, forget the oldest, and raise the generation.

    Args:
        connection: of the transaction in which the tickets come onto the list or leave it.
        tickets: each with its token hash, its holder and its audience.
        added: whether they came.
    """
    newest = None
    for token_hash, requester, audience in tickets:
        newest = _count(connection, EVERYBODY)
        requester_number = _count(connection, requester)
        connection.execute(
            insert(tables.revocation_change).values(
                number=newest,
                added=added,
                token_hash=token_hash,
                requester=requester,
                audience=audience,
                requester_number=requester_number,
                # Who holds a ticket for itself is one party, whom the change concerns once.
                audience_number=requester_number if audience == requester else _count(connection, audience),
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
