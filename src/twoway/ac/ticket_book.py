"""The tickets that an AC has issued, looked at and revoked by the operator beside an AC that may be running.

Every replica follows within a second, and whoever observes the list of revoked tickets is told at once. A
revocation is never undone.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import datetime
from pathlib import Path

from twoway.ac.audit import AuditLog
from twoway.ac.config import ACConfig
from twoway.ac.storage import Database
from twoway.ac.ticket_record import TicketRecord
from twoway.ac.tickets import TicketRecords, read_live
from twoway.pki import read_identity


class TicketBook:
    """The tickets in an AC's database.

    Args:
        config: the AC's.
        database: open.
        operator: who revokes, for the audit.
    """

    def __init__(self, config: ACConfig, database: Database, *, operator: str) -> None:
        self._database = database
        audit = AuditLog(database, rows=config.audit_rows)
        self._records = TicketRecords(database, audit, operator=operator)

    @classmethod
    @contextmanager
    def open(cls, config: ACConfig, *, operator: str) -> Iterator[TicketBook]:
        """Open the database of an AC, which has to have run before, for an operator.

        Raises:
            ConfigurationError: there is no such database, or it is not an AC's.
        """
        with closing(Database.existing(config.database)) as database:
            yield cls(config, database, operator=operator)

    def live(self, now: datetime) -> list[TicketRecord]:
        """Return the tickets that are neither revoked nor expired, in the order of their issuing.

        Raises:
            StorageError: the database failed.
        """
        return self._database.read(lambda connection: read_live(connection, now))

    async def revoke(self, ticket_id: bytes, *, reason: str, now: datetime) -> list[TicketRecord]:
        """Revoke one ticket by its ``cti``; like all that revoke, return those that were still in force.

        Raises:
            StorageError: the revocation is not on the disk.
        """
        return await self._records.revoke(ticket_id, reason=reason, now=now)

    async def revoke_of(
        self, subscriber: str, publisher: str | None, *, reason: str, now: datetime
    ) -> list[TicketRecord]:
        """Revoke all tickets of a subscriber, or those for one publisher. It may get new ones.

        Raises:
            StorageError: the revocation is not on the disk.
        """
        return await self._records.revoke_by_holder(subscriber, audience=publisher, reason=reason, now=now)

    async def revoke_certificate(self, path: Path, *, reason: str, now: datetime) -> list[TicketRecord]:
        """Revoke all tickets that were issued to a certificate; none is ever issued to it again.

        Args:
            path: the certificate (PEM, leaf first).
            reason: why, for the audit.
            now: the time, aware.

        Raises:
            ConfigurationError: the file holds no certificate.
            StorageError: the revocation is not on the disk.
        """
        holder = read_identity(path)
        return await self._records.revoke_by_certificate(
            hashlib.sha256(holder.chain[0]).digest(), holder=holder.uri, reason=reason, now=now
        )
