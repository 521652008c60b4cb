"""Grants by hand, given and taken back by the operator beside an AC that may be running.

Every replica follows within a second (:mod:`twoway.ac.generation`). Taking a grant back also revokes the
tickets of its pair: what they may still do by other rights, they get a new ticket for. A ticket that a
replica issues in the second before it has followed lives until it expires.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime

from twoway.ac.audit import AuditLog
from twoway.ac.config import ACConfig
from twoway.ac.grants import add_grant, read_grants, remove_grant
from twoway.ac.inquiry import InquiryDesk
from twoway.ac.storage import Database
from twoway.ac.tickets import TicketRecord, TicketRecords
from twoway.policy import LinkedGrant


class GrantBook:
    """The grants in an AC's database."""

    def __init__(self, config: ACConfig, database: Database) -> None:
        self._config = config
        self._database = database

    @classmethod
    @contextmanager
    def open(cls, config: ACConfig) -> Iterator[GrantBook]:
        """Open the database of an AC, which has to have run before.

        Raises:
            ConfigurationError: there is no such database, or it is not an AC's.
        """
        database = Database.existing(config.database)
        try:
            yield cls(config, database)
        finally:
            database.close()

    def grants(self) -> list[LinkedGrant]:
        """Return all grants, by name; those that are over among them.

        Raises:
            StorageError: the database failed.
        """
        return self._database.read(read_grants)

    def give(self, grant: LinkedGrant) -> None:
        """Write a grant; it is on the disk when this returns.

        Raises:
            ConfigurationError: it names somebody or something that the registry does not know.
            CallerError: there is one of that name.
            StorageError: the database failed.
        """
        InquiryDesk.open(self._config).require_known(grant)
        self._database.transact(lambda connection: add_grant(connection, grant))

    async def take_back(self, grant_id: str, *, now: datetime) -> list[TicketRecord]:
        """Remove a grant and revoke the tickets of its pair, which are returned.

        Raises:
            CallerError: there is none of that name.
            StorageError: the database failed. The grant may be gone and its tickets not yet revoked.
        """
        grant = await self._database.run(lambda connection: remove_grant(connection, grant_id))
        records = TicketRecords(self._database, AuditLog(self._database, rows=self._config.audit_rows))
        return await records.revoke_by_holder(
            grant.principal,
            audience=grant.publisher,
            reason=f"the grant {grant_id} was taken back",
            now=now,
        )
