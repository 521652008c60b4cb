"""What one replica changed, the others learn: a number that every change raises, and who follows it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest
from issuing import NOON, issue_one
from sqlalchemy import text

from twoway.ac import AuditLog, Database, generation
from twoway.ac.generation import FOLLOW_INTERVAL, Follower
from twoway.ac.tickets import TicketRecords, read_revoked
from twoway.errors import StorageError
from twoway.trace import TraceEvent


@dataclass
class Pictures:
    """What is called back, and the trace."""

    taken: int = 0
    fails: bool = False
    events: list[TraceEvent] = field(default_factory=list)

    async def take(self) -> None:
        if self.fails:
            raise StorageError("the disk is gone")
        self.taken += 1


@pytest.fixture
def pictures() -> Pictures:
    return Pictures()


@pytest.fixture
def follower(database, pictures) -> Follower:
    return Follower(database, pictures.take, trace=pictures.events.append)


@pytest.fixture
def other(database, address) -> Iterator[Database]:
    """Another replica's."""
    opened = Database(address)
    yield opened
    opened.close()


async def test_no_change_takes_no_picture(follower, pictures):
    await follower.look()
    assert pictures.taken == 0


async def test_the_change_of_another_replica_is_followed_once(follower, pictures, other):
    await other.run(generation.advance)
    await other.run(generation.advance)
    await follower.look()
    await follower.look()
    assert pictures.taken == 1
    assert follower.generation == other.read(generation.current)


async def test_a_change_that_was_rolled_back_is_none(follower, pictures, other):
    def work(connection):
        generation.advance(connection)
        raise KeyError

    with pytest.raises(KeyError):
        await other.run(work)
    await follower.look()
    assert pictures.taken == 0


async def test_a_picture_that_could_not_be_taken_is_tried_again_and_told_once(follower, pictures, other):
    await other.run(generation.advance)
    pictures.fails = True
    await follower.look()
    await follower.look()
    assert [event.name for event in pictures.events] == ["generation not followed"]
    pictures.fails = False
    await follower.look()
    assert pictures.taken == 1
    pictures.fails = True
    await other.run(generation.advance)
    await follower.look()
    assert len(pictures.events) == 2


async def test_a_database_that_fails_does_not_end_the_following(database, follower, pictures):
    await database.run(lambda connection: connection.execute(text("ALTER TABLE counter RENAME TO gone")))
    await follower.look()
    await database.run(lambda connection: connection.execute(text("ALTER TABLE gone RENAME TO counter")))
    await database.run(generation.advance)
    await follower.look()
    assert pictures.taken == 1


async def test_a_revocation_is_known_everywhere_when_the_number_is_seen(database, other):
    known: list[bytes] = []

    async def take() -> None:
        known.extend(record.token_hash for record in database.read(read_revoked))

    follower = Follower(database, take)
    running = asyncio.create_task(follower.run())
    records = TicketRecords(other, AuditLog(other))
    record = await issue_one(records)
    await records.revoke(record.ticket_id, reason="lost", now=NOON)
    while not known:
        await asyncio.sleep(0.01)
    running.cancel()
    assert known == [record.token_hash]
    await asyncio.wait({running})


def test_several_looks_fit_into_the_second_that_is_promised():
    assert FOLLOW_INTERVAL * 4 <= 1
