"""Tickets for tests of the AC's storage: what the token endpoint would make, without its keys."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from twoway.ac import AuditEntry, Outcome
from twoway.ac.ticket_record import TicketRecord
from twoway.ac.tickets import TicketRecords

NOON = datetime(2026, 7, 1, 12, tzinfo=UTC)
HOLDER, METER = "urn:dev:org:32473-tenant", "urn:dev:org:32473-meter"
KEY, CERTIFICATE = hashlib.sha256(b"key").digest(), hashlib.sha256(b"certificate").digest()


def record_of(number: int, *, now: datetime = NOON) -> TicketRecord:
    """A ticket for ten minutes."""
    ticket_id = hashlib.sha256(METER.encode()).digest()[:8] + number.to_bytes(8, "big")
    return TicketRecord(
        ticket_id=ticket_id,
        token_hash=b"\x01" + hashlib.sha256(ticket_id).digest(),
        requester=HOLDER,
        audience=METER,
        holder_key=KEY,
        certificate_sha256=CERTIFICATE,
        scope=b"\x81\x82\x66/power\x01",
        kid=None,
        issued_at=now,
        expires_at=now + timedelta(minutes=10),
    )


def entry_of(record: TicketRecord) -> AuditEntry:
    """What the audit gets for it."""
    return AuditEntry(
        at=record.issued_at,
        requester=record.requester,
        audience=record.audience,
        requested="/power GET",
        granted="/power GET",
        outcome=Outcome.GRANTED,
        policies=("same-region",),
        reason="granted by policy: same-region",
        ticket_id=record.ticket_id,
    )


def made(
    answer: Callable[[int, TicketRecord], Any] = lambda number, record: record,
    *,
    change: Callable[[TicketRecord], TicketRecord] = lambda record: record,
    now: datetime = NOON,
) -> Callable[[int], tuple[TicketRecord, AuditEntry, Any]]:
    """What ``TicketRecords.issue`` calls."""

    def make(number: int) -> tuple[TicketRecord, AuditEntry, Any]:
        record = change(record_of(number, now=now))
        return record, entry_of(record), answer(number, record)

    return make


async def issue_one(
    records: TicketRecords, *, now: datetime = NOON, keeps_key: bool = False, **changes: Any
) -> TicketRecord:
    """Issue a ticket, with some fields changed, and return its record."""
    make = made(change=lambda record: replace(record, **changes), now=now)
    return await records.issue(make, now=now, keeps_key=keeps_key)
