"""The tickets that the AC issued: numbered upwards, known before they are answered, revoked for ever."""

from __future__ import annotations

import asyncio
import hashlib
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from database_gate import Gate
from issuing import CERTIFICATE, HOLDER, KEY, METER, NOON, issue_one, made
from sqlalchemy import delete, func, select, text

from twoway.ac import AuditLog, Database, Outcome, generation, revocation_changes
from twoway.ac.audit import verify_audit
from twoway.ac.revocation_changes import read_changes
from twoway.ac.storage import tables
from twoway.ac.ticket_orders import HolderRevoked
from twoway.ac.ticket_record import TicketRecord
from twoway.ac.tickets import (
    EXPIRY_MARGIN,
    TicketRecords,
    find_ticket,
    is_credential_revoked,
    read_live,
    read_revoked,
)
from twoway.errors import StorageError

LATER = NOON + timedelta(minutes=1)
OVER = NOON + timedelta(minutes=10) + EXPIRY_MARGIN


@pytest.fixture
def records(database: Database) -> TicketRecords:
    return TicketRecords(database, AuditLog(database))


def live(database, now=NOON) -> list[TicketRecord]:
    return database.read(lambda connection: read_live(connection, now))


def revoked(database) -> list[TicketRecord]:
    return database.read(read_revoked)


# --- issuing ----------------------------------------------------------------------------------------


async def test_a_ticket_is_known_and_audited_when_it_is_answered(database, records, address):
    issued = await issue_one(records)
    other = Database.existing(address)  # sees only what was committed
    try:
        found = other.read(lambda connection: find_ticket(connection, issued.token_hash))
    finally:
        other.close()
    assert found == issued
    (entry,) = await AuditLog(database).latest()
    assert entry.ticket_id == issued.ticket_id


@pytest.mark.parametrize(
    "changes",
    [{"exi": 600}, {"kid": b"\x01\xff" * 4, "holder_key": None, "certificate_sha256": None}],
    ids=["exi", "key made by the AC"],
)
async def test_every_field_comes_back_as_it_went_in(database, records, changes):
    issued = await issue_one(records, **changes)
    assert live(database) == [issued]
    assert issued.issued_at.tzinfo is UTC


async def test_numbers_rise_and_begin_at_the_time_in_microseconds(records):
    numbers = [await records.issue(made(lambda number, record: number), now=NOON) for _ in range(5)]
    assert numbers[0] == int(NOON.timestamp()) * 1_000_000
    assert all(before < after for before, after in pairwise(numbers))


async def test_a_clock_that_is_set_back_does_not_lower_the_numbers(records):
    before = await records.issue(made(lambda number, record: number), now=NOON)
    after = await records.issue(made(lambda number, record: number), now=NOON - timedelta(days=400))
    assert after == before + 1


async def test_a_database_restored_from_an_old_copy_does_not_give_old_numbers_again(database, records):
    """Publishers take a ticket with a lower number for the older one."""
    before = await records.issue(made(lambda number, record: number), now=LATER)
    database.transact(lambda connection: connection.execute(text("UPDATE counter SET value = 0")))
    assert await records.issue(made(lambda number, record: number), now=LATER + timedelta(seconds=1)) > before


async def test_a_ticket_that_could_not_be_made_leaves_nothing(database, records):
    def fails(number):
        raise KeyError("no key")

    with pytest.raises(KeyError):
        await records.issue(fails, now=NOON)
    assert live(database) == []
    assert await AuditLog(database).latest() == []


async def test_a_ticket_whose_audit_row_cannot_be_written_is_not_answered(database, records):
    database.transact(lambda connection: connection.execute(text("ALTER TABLE audit RENAME TO gone")))
    with pytest.raises(StorageError):
        await issue_one(records)
    assert live(database) == []


KEYED = {"kid": b"\x01\xff" * 4, "holder_key": None, "certificate_sha256": None}
"""A ticket for a key that the AC made."""


@pytest.mark.parametrize("changes", [{}, {"requester": "urn:other"}, {"audience": "urn:other"}])
async def test_a_new_key_whose_name_is_taken_gets_no_ticket(database, records, changes):
    """Eight random bytes come twice some day, or where randomness is bad."""
    first = await issue_one(records, **KEYED)
    with pytest.raises(StorageError, match="has the name of another; ask again"):
        await issue_one(records, **KEYED | changes)
    assert live(database) == [first]
    assert [entry.ticket_id for entry in await AuditLog(database).latest()] == [first.ticket_id]


async def test_of_two_new_keys_with_one_name_that_are_made_together_one_gets_a_ticket(database, records):
    async with Gate(database):
        orders = [asyncio.ensure_future(issue_one(records, **KEYED)) for _ in range(2)]
        await asyncio.sleep(0)  # both wait for the database now
    first, second = await asyncio.gather(*orders, return_exceptions=True)
    assert live(database) == [first]
    assert isinstance(second, StorageError)


async def test_a_ticket_that_changes_rights_keeps_the_name_of_its_key(database, records):
    first = await issue_one(records, **KEYED)
    second = await issue_one(records, keeps_key=True, **KEYED)
    assert live(database) == [first, second]


@pytest.mark.parametrize("changes", [{"requester": "urn:other"}, {"audience": "urn:other"}])
async def test_the_key_of_another_is_kept_by_no_ticket(database, records, changes):
    first = await issue_one(records, **KEYED)
    with pytest.raises(StorageError, match="has the name of another"):
        await issue_one(records, keeps_key=True, **KEYED | changes)
    assert live(database) == [first]


async def test_the_name_of_a_key_is_free_when_its_tickets_are_gone(records):
    await issue_one(records, **KEYED)
    await records.prune(OVER)
    assert await issue_one(records, now=OVER, **KEYED)


async def test_no_two_tickets_share_a_cti(database, records):
    first = await issue_one(records)
    with pytest.raises(StorageError):
        await records.issue(made(change=lambda record: replace(record, ticket_id=first.ticket_id)), now=NOON)
    assert live(database) == [first]


async def test_works_that_wait_together_get_numbers_of_their_own(database, records):
    issued = await asyncio.gather(*(issue_one(records) for _ in range(50)))
    assert len({record.ticket_id for record in issued}) == 50
    assert database.read(verify_audit).rows == 50


async def together(database, *makes):
    """Have tickets issued in one transaction; return answers and errors."""
    records = TicketRecords(database, AuditLog(database), capacity=5)
    async with Gate(database):
        waiting = [asyncio.ensure_future(records.issue(make, now=NOON)) for make in makes]
        await asyncio.sleep(0)
    return await asyncio.gather(*waiting, return_exceptions=True)


async def test_of_tickets_that_are_issued_together_one_that_cannot_be_made_fails_alone(database):
    def fails(number):
        raise KeyError("no key")

    first, failed, last = await together(database, made(), fails, made())
    assert isinstance(failed, KeyError)
    assert live(database) == [first, last]
    assert database.read(verify_audit).rows == 2


async def test_of_tickets_that_are_issued_together_one_that_cannot_be_written_fails_alone(database, records):
    known = await issue_one(records)
    twin = made(change=lambda record: replace(record, token_hash=known.token_hash))
    first, failed, last = await together(database, made(), twin, made())
    assert isinstance(failed, StorageError)
    assert live(database) == [known, first, last]
    assert database.read(verify_audit).rows == 3


@pytest.mark.parametrize("field", ["holder_key", "certificate_sha256"])
async def test_of_tickets_that_are_issued_together_one_of_a_revoked_holder_fails_alone(
    database, records, field
):
    gone = bytes(32)
    revoke = records.revoke_by_key if field == "holder_key" else records.revoke_by_certificate
    await revoke(gone, reason="lost", now=NOON)
    of_another = made(change=lambda record: replace(record, **{field: gone}))
    first, failed, last = await together(database, made(), of_another, made())
    assert isinstance(failed, HolderRevoked)
    assert live(database) == [first, last]


async def test_of_tickets_that_are_issued_together_as_many_are_made_as_there_is_room_for(database):
    answers = await together(database, *[made() for _ in range(8)])
    assert live(database) == answers[:5]
    assert all(isinstance(failed, StorageError) for failed in answers[5:])
    assert database.read(verify_audit).rows == 5


async def test_beyond_the_capacity_nothing_is_issued_until_tickets_have_expired(database):
    records = TicketRecords(database, AuditLog(database), capacity=3)
    for _ in range(3):
        await issue_one(records)
    with pytest.raises(StorageError, match="no room"):
        await issue_one(records)
    assert len(live(database)) == 3
    await issue_one(records, now=OVER)


async def test_the_capacity_counts_what_was_issued_before_this_process(database, records):
    for _ in range(3):
        await issue_one(records)
    with pytest.raises(StorageError, match="no room"):
        await issue_one(TicketRecords(database, AuditLog(database), capacity=3))


async def test_while_there_is_no_room_requests_do_not_make_it_count_each_time(database):
    records = TicketRecords(database, AuditLog(database), capacity=1)
    await issue_one(records, expires_at=NOON)
    full = NOON + EXPIRY_MARGIN - timedelta(milliseconds=1)
    for moment in (full, full + timedelta(milliseconds=999)):  # expired since, and not looked at again yet
        with pytest.raises(StorageError, match="no room"):
            await issue_one(records, now=moment)
    await issue_one(records, now=full + timedelta(seconds=1))


# --- revoking ---------------------------------------------------------------------------------------

WAYS = {
    "its cti": lambda records, record, **how: records.revoke(record.ticket_id, **how),
    "its hash": lambda records, record, **how: records.revoke_by_hash(record.token_hash, **how),
    "its holder": lambda records, record, **how: records.revoke_by_holder(record.requester, **how),
    "its holder at one publisher": lambda records, record, **how: records.revoke_by_holder(
        record.requester, audience=record.audience, **how
    ),
    "its certificate": lambda records, record, **how: records.revoke_by_certificate(
        record.certificate_sha256, **how
    ),
    "its key": lambda records, record, **how: records.revoke_by_key(record.holder_key, **how),
}


@pytest.mark.parametrize("way", WAYS)
async def test_a_ticket_is_revoked_by(database, records, way):
    mine = await issue_one(records)
    stranger = await issue_one(
        records,
        requester="urn:dev:org:32473-stranger",
        holder_key=hashlib.sha256(b"stranger's key").digest(),
        certificate_sha256=hashlib.sha256(b"stranger's").digest(),
    )
    before = database.read(generation.current)
    found = await WAYS[way](records, mine, reason="lost", now=LATER)
    assert found == [replace(mine, revoked_at=LATER, revocation_reason="lost")]
    assert live(database) == [stranger]
    assert revoked(database) == found
    assert database.read(generation.current) > before
    (entry, *_) = await AuditLog(database).latest()
    assert (entry.outcome, entry.ticket_id, entry.reason) == (Outcome.REVOKED, mine.ticket_id, "lost")


async def test_a_holders_tickets_for_other_publishers_stay(database, records):
    await issue_one(records)
    other = await issue_one(records, audience="urn:dev:org:32473-other")
    await records.revoke_by_holder(HOLDER, audience=METER, reason="moved out", now=LATER)
    assert live(database) == [other]


async def test_revoking_again_changes_nothing(database, records):
    mine = await issue_one(records)
    first = await records.revoke(mine.ticket_id, reason="first", now=LATER)
    before = database.read(generation.current)
    for way in WAYS.values():
        assert await way(records, mine, reason="again", now=LATER + timedelta(seconds=1)) == []
    assert revoked(database) == first
    assert len(database.read(read_changes)) == 1
    assert database.read(generation.current) == before + 2, "the certificate and the key, from now on"


async def test_revoking_the_unknown_is_no_change(database, records):
    before = database.read(generation.current)
    assert await records.revoke(bytes(16), reason="lost", now=LATER) == []
    assert database.read(read_changes) == []
    assert database.read(generation.current) == before


@pytest.mark.parametrize(("way", "digest"), [("its certificate", CERTIFICATE), ("its key", KEY)])
async def test_no_ticket_is_bound_to_a_revoked(database, records, way, digest):
    """An association may have begun before its certificate was revoked."""
    mine = await issue_one(records)
    await WAYS[way](records, mine, reason="stolen", now=LATER)
    with pytest.raises(HolderRevoked):
        await issue_one(records)
    assert live(database) == []
    assert database.read(lambda connection: is_credential_revoked(connection, digest))


async def test_a_ticket_of_one_replica_is_revoked_at_the_other(database, records, address):
    mine = await issue_one(records)
    other = Database(address)
    try:
        await TicketRecords(other, AuditLog(other)).revoke(mine.ticket_id, reason="lost", now=LATER)
        assert [found.ticket_id for found in revoked(database)] == [mine.ticket_id]
    finally:
        await asyncio.to_thread(other.close)


# --- expiry and the list ----------------------------------------------------------------------------


async def test_a_ticket_lives_until_it_expires(database, records):
    mine = await issue_one(records)
    assert live(database, mine.expires_at - timedelta(microseconds=1)) == [mine]
    assert live(database, mine.expires_at) == []


async def test_an_expired_ticket_stays_for_a_margin_and_then_goes(database, records):
    await issue_one(records)
    assert await records.prune(OVER - timedelta(microseconds=1)) == 0
    assert await records.prune(OVER) == 1
    assert database.read(lambda connection: connection.execute(select(tables.ticket)).all()) == []


async def test_pruning_what_was_not_revoked_is_no_change_of_the_list(database, records):
    await issue_one(records)
    before = database.read(generation.current)
    await records.prune(OVER)
    assert database.read(generation.current) == before
    assert database.read(read_changes) == []


async def test_a_revoked_ticket_leaves_the_list_when_it_has_expired(database, records):
    mine = await issue_one(records)
    await records.revoke(mine.ticket_id, reason="lost", now=LATER)
    before = database.read(generation.current)
    await records.prune(OVER)
    assert revoked(database) == []
    came, left = database.read(read_changes)
    assert (came.added, left.added) == (True, False)
    assert came.token_hash == left.token_hash == mine.token_hash
    assert database.read(generation.current) == before + 1


async def test_changes_are_numbered_for_each_who_may_see_them(database, records):
    pairs = [("a", "m"), ("b", "m"), ("a", "n"), ("m", "m"), ("a", "m")]
    for requester, audience in pairs:
        record = await issue_one(records, requester=requester, audience=audience)
        await records.revoke(record.ticket_id, reason="lost", now=LATER)
    found = [
        (change.number, change.requester_number, change.audience_number)
        for change in database.read(read_changes)
    ]
    assert found == [(0, 0, 0), (1, 0, 1), (2, 1, 0), (3, 2, 2), (4, 2, 3)]
    assert [change.number for change in database.read(lambda connection: read_changes(connection, 2))] == [
        3,
        4,
    ]


async def test_the_numbers_go_on_when_old_changes_are_forgotten(database, records, monkeypatch):
    monkeypatch.setattr(revocation_changes, "HISTORY_ROWS", 3)
    for _ in range(7):
        record = await issue_one(records)
        await records.revoke(record.ticket_id, reason="lost", now=LATER)
    changes = database.read(read_changes)
    assert [change.number for change in changes] == [4, 5, 6]
    assert [change.audience_number for change in changes] == [4, 5, 6]


async def test_revocations_outlive_the_history(database, records):
    mine = await issue_one(records)
    await records.revoke(mine.ticket_id, reason="lost", now=LATER)
    database.transact(lambda connection: connection.execute(delete(tables.revocation_change)))
    assert [record.ticket_id for record in revoked(database)] == [mine.ticket_id]


async def test_audit_rows_and_tickets_are_as_many(database, records):
    for _ in range(4):
        await issue_one(records)
    await records.revoke_by_holder(HOLDER, reason="moved out", now=LATER)
    outcomes = [entry.outcome for entry in await AuditLog(database).latest(100)]
    assert outcomes == [Outcome.REVOKED] * 4 + [Outcome.GRANTED] * 4
    count = select(func.count()).select_from(tables.ticket)
    assert database.read(lambda connection: connection.execute(count).scalar_one()) == 4


def test_a_time_of_a_ticket_is_aware(database, records):
    naive = datetime(2026, 7, 1, 12)  # noqa: DTZ001  # the point
    with pytest.raises((StorageError, TypeError)):
        asyncio.run(issue_one(records, expires_at=naive))
    assert live(database) == []
