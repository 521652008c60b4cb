"""Grants by hand: taking one back takes the tickets of its pair, and nobody else's."""

from __future__ import annotations

from dataclasses import replace

from issuing import HOLDER, NOON, entry_of, record_of

from twoway.ac import AuditLog, Database, GrantBook, TicketRecord, TicketRecords, generation
from twoway.ac.config import ACConfig
from twoway.ac.grants import add_grant
from twoway.ac.tickets import read_live
from twoway.policy import LinkedGrant


async def test_tickets_of_the_pair_are_revoked_with_the_grant_and_noothers(database: Database) -> None:
    records = TicketRecords(database, AuditLog(database))

    async def issue(**changes: object) -> TicketRecord:
        def make(number: int) -> tuple:
            record = replace(record_of(number), **changes)
            return record, entry_of(record), record

        return await records.issue(make, now=NOON)

    mine, elsewhere, others = [
        await issue(),
        await issue(audience="urn:other"),
        await issue(requester="urn:somebody"),
    ]
    grant = LinkedGrant("inspection", HOLDER, mine.audience, None, frozenset({"GET"}), None)
    database.transact(lambda connection: add_grant(connection, grant))
    before = database.read(generation.current)

    book = GrantBook(ACConfig.model_construct(audit_rows=1_000_000), database, operator="olga")
    revoked = book.take_back("inspection", now=NOON)

    assert [record.ticket_id for record in revoked] == [mine.ticket_id]
    assert book.grants() == []
    assert {record.ticket_id for record in database.read(lambda c: read_live(c, NOON))} == {
        elsewhere.ticket_id,
        others.ticket_id,
    }
    assert database.read(generation.current) > before
