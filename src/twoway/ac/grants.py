"""Grants by hand as rows: added, taken back, read into a picture. Each change raises the generation.

The functions take the connection of a transaction, so that a change and its audit row are one.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, Row, delete, insert, select

from twoway.ac import generation
from twoway.ac.storage import tables
from twoway.errors import CallerError
from twoway.policy.grants import LinkedGrant


def add_grant(connection: Connection, grant: LinkedGrant) -> None:
    """Write a grant.

    Raises:
        CallerError: there is one of that name.
    """
    rows = tables.linked_grant
    if connection.execute(select(rows.c.grant_id).where(rows.c.grant_id == grant.grant_id)).first():
        raise CallerError(f"there is a grant called {grant.grant_id} already", remedy="choose another name")
    connection.execute(
        insert(rows).values(
            grant_id=grant.grant_id,
            principal=grant.principal,
            publisher=grant.publisher,
            path=grant.path,
            methods=sorted(grant.methods),
            until=grant.until,
        )
    )
    generation.advance(connection)


def remove_grant(connection: Connection, grant_id: str) -> LinkedGrant:
    """Take a grant back and return it. Tickets that were issued by it are not touched.

    Raises:
        CallerError: there is none of that name.
    """
    removed = connection.execute(
        delete(tables.linked_grant)
        .where(tables.linked_grant.c.grant_id == grant_id)
        .returning(*tables.linked_grant.c)
    ).first()
    if removed is None:
        raise CallerError(f"there is no grant called {grant_id}", remedy="list them with: twoway ac list")
    generation.advance(connection)
    return _grant_of(removed)


def read_grants(connection: Connection) -> list[LinkedGrant]:
    """Return all grants, by name; those that are over among them."""
    rows = connection.execute(select(tables.linked_grant).order_by(tables.linked_grant.c.grant_id))
    return [_grant_of(row) for row in rows]


def _grant_of(row: Row[Any]) -> LinkedGrant:
    return LinkedGrant(
        grant_id=row.grant_id,
        principal=row.principal,
        publisher=row.publisher,
        path=row.path,
        methods=frozenset(row.methods),
        until=row.until,
    )
