"""Grants by hand, given and taken back by the operator beside an AC that may be running.

Every replica follows within a second (:mod:`twoway.ac.generation`). Taking a grant back also revokes the
tickets of its pair: what they may still do by other rights, they get a new ticket for. A ticket that a
replica issues in the second before it has followed lives until it expires.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import datetime

from sqlalchemy import Connection

from twoway.ac.audit import AuditLog
from twoway.ac.config import ACConfig
from twoway.ac.decisions import AuditEntry
from twoway.ac.grants import add_grant, read_grants, remove_grant
from twoway.ac.inquiry import InquiryDesk
from twoway.ac.storage import Database
from twoway.ac.ticket_record import TicketRecord
from twoway.ac.tickets import TicketRecords
from twoway.policy import LinkedGrant


class GrantBook:
    """The grants in an AC's database.

    Args:
        config: the AC's.
        database: open.
        operator: who gives and takes back, for the audit.
    """

    def __init__(self, config: ACConfig, database: Database, *, operator: str) -> None:
        self._config = config
        self._database = database
        self._operator = operator
        self._audit = AuditLog(database, rows=config.audit_rows)

    @classmethod
    @contextmanager
    def open(cls, config: ACConfig, *, operator: str) -> Iterator[GrantBook]:
        """Open the database of an AC, which has to have run before, for an operator.

        Raises:
            ConfigurationError: there is no such database, or it is not an AC's.
        """
        with closing(Database.existing(config.database)) as database:
            yield cls(config, database, operator=operator)

    def grants(self) -> list[LinkedGrant]:
        """Return all grants, by name; those that are over among them.

        Raises:
            StorageError: the database failed.
        """
        return self._database.read(read_grants)

    def give(self, grant: LinkedGrant, *, now: datetime) -> None:
        """Write a grant and its row in the audit; both are on the disk when this returns.

        Raises:
            ConfigurationError: it names somebody or something that the registry does not know.
            CallerError: there is one of that name.
            StorageError: the database failed.
        """
        InquiryDesk.open(self._config).require_known(grant)
        ends = "" if grant.until is None else f" until {grant.until.isoformat()}"

        def write(connection: Connection) -> None:
            add_grant(connection, grant)
            self._audit.append(connection, [self._entry(grant, f"was given{ends}", now)])

        self._database.transact(write)

    def take_back(self, grant_id: str, *, now: datetime) -> list[TicketRecord]:
        """Remove a grant and revoke the tickets of its pair, which are returned.

        Raises:
            CallerError: there is none of that name.
            StorageError: the database failed; nothing was done.
        """
        records = TicketRecords(self._database, self._audit, operator=self._operator)

        def write(connection: Connection) -> list[TicketRecord]:
            grant = remove_grant(connection, grant_id)
            entry = self._entry(grant, "was taken back", now)
            self._audit.append(connection, [entry])
            return records.revoke_pair(
                connection, grant.principal, grant.publisher, reason=entry.reason, now=now
            )

        return self._database.transact(write)

    def _entry(self, grant: LinkedGrant, became: str, now: datetime) -> AuditEntry:
        return AuditEntry.of_change(
            f"the grant {grant.grant_id} {became}",
            at=now,
            operator=self._operator,
            requester=grant.principal,
            audience=grant.publisher,
            granted=f"{', '.join(sorted(grant.methods))} {grant.path or 'on everything'}",
        )
