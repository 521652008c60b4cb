"""Signing keys and publishers' secrets as rows: sealed when they go in, sealed when they come out.

The functions take the connection of a transaction. Each change raises the generation, so that all replicas
have it within a second. It must never meet an open secret.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

from sqlalchemy import Connection, delete, insert, select

from twoway.ac import generation
from twoway.ac.signing_keys import StoredKey
from twoway.ac.storage import tables
from twoway.errors import CallerError


def read_signing_keys(connection: Connection) -> list[StoredKey]:
    """Return the plan of the signing keys, in the order in which they sign; empty before a rotation."""
    rows = connection.execute(select(tables.signing_key).order_by(tables.signing_key.c.signs_from))
    return [StoredKey(**row._mapping) for row in rows]


def rotate_signing_keys(
    connection: Connection, plan: Callable[[Sequence[StoredKey]], Iterable[StoredKey]]
) -> list[StoredKey]:
    """Put in the place of the plan what ``plan`` makes of it, in one transaction, and return that."""
    rows = list(plan(read_signing_keys(connection)))
    connection.execute(delete(tables.signing_key))
    connection.execute(insert(tables.signing_key), [vars(row) for row in rows])
    generation.advance(connection)
    return rows


def read_secrets(connection: Connection) -> Mapping[str, bytes]:
    """Return the sealed secret of each publisher that has one, by its identity."""
    rows = connection.execute(select(tables.publisher_secret))
    return {row.publisher: row.sealed for row in rows}


def put_secret(connection: Connection, publisher: str, sealed: bytes) -> None:
    """Write a publisher's secret, in the place of one that it had before."""
    connection.execute(
        delete(tables.publisher_secret).where(tables.publisher_secret.c.publisher == publisher)
    )
    connection.execute(insert(tables.publisher_secret).values(publisher=publisher, sealed=sealed))
    generation.advance(connection)


def remove_secret(connection: Connection, publisher: str) -> None:
    """Remove a publisher's secret. Its tickets become worthless when it has none, too.

    Raises:
        CallerError: there is none.
    """
    removed = connection.execute(
        delete(tables.publisher_secret).where(tables.publisher_secret.c.publisher == publisher)
    )
    if not removed.rowcount:
        raise CallerError(f"{publisher} has no secret here", remedy="check the identity")
    generation.advance(connection)
