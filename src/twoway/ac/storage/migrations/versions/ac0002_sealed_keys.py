"""Signing keys and publishers' secrets, both sealed."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from twoway.ac.storage.times import UTCDateTime

revision = "ac0002"
down_revision = "ac0001"


def upgrade() -> None:
    """Make the tables."""
    op.create_table(
        "signing_key",
        sa.Column("key_id", sa.LargeBinary, primary_key=True),
        sa.Column("sealed", sa.LargeBinary),
        sa.Column("signs_from", UTCDateTime, nullable=False),
    )
    op.create_table(
        "publisher_secret",
        sa.Column("publisher", sa.String, primary_key=True),
        sa.Column("sealed", sa.LargeBinary, nullable=False),
    )
