"""The AC's tables, the same on SQLite and PostgreSQL. A change here needs a migration beside it."""

from __future__ import annotations

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
)

from twoway.ac.storage.times import UTCDateTime

METADATA = MetaData()

_RowNumber = BigInteger().with_variant(Integer, "sqlite")  # SQLite's own row number is an INTEGER

counter = Table(
    "counter",
    METADATA,
    Column("name", String, primary_key=True),
    Column("value", BigInteger, nullable=False),
)
"""Numbers that only ever rise: ``generation`` and ``ticket``. The migration makes a row for each."""

entity = Table(
    "entity",
    METADATA,
    Column("uri", String, primary_key=True),
    Column("document", JSON, nullable=False),
)
"""Everybody whom the AC knows, with the attributes that policies read."""

linked_grant = Table(
    "linked_grant",
    METADATA,
    Column("grant_id", String, primary_key=True),
    Column("principal", String, nullable=False),
    Column("publisher", String, nullable=False),
    Column("path", String),
    Column("methods", JSON, nullable=False),
    Column("until", UTCDateTime),
)
"""Rights that were given by hand."""

ticket = Table(
    "ticket",
    METADATA,
    Column("ticket_id", LargeBinary, primary_key=True),
    Column("token_hash", LargeBinary, nullable=False, unique=True),
    Column("requester", String, nullable=False),
    Column("audience", String, nullable=False),
    Column("holder_key", LargeBinary),
    Column("certificate_sha256", LargeBinary),
    Column("scope", LargeBinary, nullable=False),
    Column("kid", LargeBinary),
    Column("issued_at", UTCDateTime, nullable=False),
    Column("expires_at", UTCDateTime, nullable=False),
    Column("exi", BigInteger),
    Column("revoked_at", UTCDateTime),
    Column("revocation_reason", String),
    Index("ticket_requester", "requester"),
    Index("ticket_holder_key", "holder_key"),
    Index("ticket_certificate", "certificate_sha256"),
    Index("ticket_expiry", "expires_at"),
)
"""Every ticket that was answered, until it has expired."""

_has_kid = ticket.c.kid.is_not(None)
Index("ticket_kid", ticket.c.kid, sqlite_where=_has_kid, postgresql_where=_has_kid)
_was_revoked = ticket.c.revoked_at.is_not(None)
Index("ticket_revoked", ticket.c.revoked_at, sqlite_where=_was_revoked, postgresql_where=_was_revoked)

revoked_credential = Table(
    "revoked_credential",
    METADATA,
    Column("digest", LargeBinary, primary_key=True),
    Column("revoked_at", UTCDateTime, nullable=False),
    Column("reason", String, nullable=False),
)
"""Certificates and keys to which no ticket is bound any more, each by its SHA-256."""

revocation_change = Table(
    "revocation_change",
    METADATA,
    Column("number", _RowNumber, primary_key=True, autoincrement=False),
    Column("added", Boolean, nullable=False),
    Column("token_hash", LargeBinary, nullable=False),
    Column("requester", String, nullable=False),
    Column("audience", String, nullable=False),
    Column("requester_number", BigInteger, nullable=False),
    Column("audience_number", BigInteger, nullable=False),
)
"""How the list of revoked tickets came to be, for diff queries (RFC 9770 section 6.2).

Each number counts the changes before this one: all of them, those of the requester, those of the audience.
"""

revocation_count = Table(
    "revocation_count",
    METADATA,
    Column("party", String, primary_key=True),
    Column("changes", BigInteger, nullable=False),
)
"""How many changes of that list concerned whom, so far; ``*`` is everybody. It outlives the changes."""

audit = Table(
    "audit",
    METADATA,
    Column("id", _RowNumber, primary_key=True, autoincrement=False),
    Column("entry", Text, nullable=False),
    Column("hash", LargeBinary, nullable=False),
)
"""Every decision of the AC, chained. Rows are appended and never changed."""

audit_cut = Table(
    "audit_cut",
    METADATA,
    Column("id", _RowNumber, primary_key=True, autoincrement=False),
    Column("hash", LargeBinary, nullable=False),
)
"""Where the audit begins: number and hash of the last row that made room. One row, 0 and zeros at first."""

signing_key = Table(
    "signing_key",
    METADATA,
    Column("key_id", LargeBinary, primary_key=True),
    Column("sealed", LargeBinary),
    Column("signs_from", UTCDateTime, nullable=False),
)
"""The plan of the keys that sign tickets. None sealed: the key of the AC's identity, which has a file."""

publisher_secret = Table(
    "publisher_secret",
    METADATA,
    Column("publisher", String, primary_key=True),
    Column("sealed", LargeBinary, nullable=False),
)
"""What the AC and a publisher share, sealed."""
