"""The first tables: registry, grants, tickets, revocations and the chained audit."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from twoway.ac.storage.times import UTCDateTime

revision = "ac0001"
down_revision = None


def upgrade() -> None:
    """Make the tables."""
    row_number = sa.BigInteger().with_variant(sa.Integer, "sqlite")
    counter = op.create_table(
        "counter",
        sa.Column("name", sa.String, primary_key=True),
        sa.Column("value", sa.BigInteger, nullable=False),
    )
    op.bulk_insert(counter, [{"name": "generation", "value": 0}, {"name": "ticket", "value": 0}])
    op.create_table(
        "entity",
        sa.Column("uri", sa.String, primary_key=True),
        sa.Column("document", sa.JSON, nullable=False),
    )
    op.create_table(
        "linked_grant",
        sa.Column("grant_id", sa.String, primary_key=True),
        sa.Column("principal", sa.String, nullable=False),
        sa.Column("publisher", sa.String, nullable=False),
        sa.Column("path", sa.String),
        sa.Column("methods", sa.JSON, nullable=False),
        sa.Column("until", UTCDateTime),
    )
    op.create_table(
        "ticket",
        sa.Column("ticket_id", sa.LargeBinary, primary_key=True),
        sa.Column("token_hash", sa.LargeBinary, nullable=False, unique=True),
        sa.Column("requester", sa.String, nullable=False),
        sa.Column("audience", sa.String, nullable=False),
        sa.Column("holder_key", sa.LargeBinary),
        sa.Column("certificate_sha256", sa.LargeBinary),
        sa.Column("scope", sa.LargeBinary, nullable=False),
        sa.Column("kid", sa.LargeBinary),
        sa.Column("issued_at", UTCDateTime, nullable=False),
        sa.Column("expires_at", UTCDateTime, nullable=False),
        sa.Column("exi", sa.BigInteger),
        sa.Column("revoked_at", UTCDateTime),
        sa.Column("revocation_reason", sa.String),
    )
    op.create_index("ticket_requester", "ticket", ["requester"])
    op.create_index("ticket_holder_key", "ticket", ["holder_key"])
    op.create_index("ticket_certificate", "ticket", ["certificate_sha256"])
    op.create_index("ticket_expiry", "ticket", ["expires_at"])
    has_kid = sa.text("kid IS NOT NULL")
    op.create_index("ticket_kid", "ticket", ["kid"], sqlite_where=has_kid, postgresql_where=has_kid)
    was_revoked = sa.text("revoked_at IS NOT NULL")
    op.create_index(
        "ticket_revoked", "ticket", ["revoked_at"], sqlite_where=was_revoked, postgresql_where=was_revoked
    )
    op.create_table(
        "revoked_credential",
        sa.Column("digest", sa.LargeBinary, primary_key=True),
        sa.Column("revoked_at", UTCDateTime, nullable=False),
        sa.Column("reason", sa.String, nullable=False),
    )
    op.create_table(
        "revocation_change",
        sa.Column("number", row_number, primary_key=True, autoincrement=False),
        sa.Column("added", sa.Boolean, nullable=False),
        sa.Column("token_hash", sa.LargeBinary, nullable=False),
        sa.Column("requester", sa.String, nullable=False),
        sa.Column("audience", sa.String, nullable=False),
        sa.Column("requester_number", sa.BigInteger, nullable=False),
        sa.Column("audience_number", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "revocation_count",
        sa.Column("party", sa.String, primary_key=True),
        sa.Column("changes", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "audit",
        sa.Column("id", row_number, primary_key=True, autoincrement=False),
        sa.Column("entry", sa.Text, nullable=False),
        sa.Column("hash", sa.LargeBinary, nullable=False),
    )
    cut = op.create_table(
        "audit_cut",
        sa.Column("id", row_number, primary_key=True, autoincrement=False),
        sa.Column("hash", sa.LargeBinary, nullable=False),
    )
    op.bulk_insert(cut, [{"id": 0, "hash": bytes(32)}])
