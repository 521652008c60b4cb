"""The AC's database on SQLite and PostgreSQL: durable, strict about time zones, shared by works that wait."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta, timezone
from itertools import pairwise

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from database_gate import Gate
from sqlalchemy import Column, Integer, MetaData, Table, event, func, insert, select, text, update

from twoway.ac import Database
from twoway.ac.storage import Failed, UTCDateTime, engines, tables
from twoway.errors import ConfigurationError, StorageError

CLOCK = Table("clock", MetaData(), Column("id", Integer, primary_key=True), Column("at", UTCDateTime))
NOON = datetime(2026, 7, 1, 12, tzinfo=UTC)
LATER = NOON + timedelta(hours=1)


@pytest.fixture
def clock(database) -> Table:
    database.transact(CLOCK.create)
    return CLOCK


def times(database) -> list[datetime | None]:
    return database.read(
        lambda connection: list(connection.execute(select(CLOCK.c.at).order_by(CLOCK.c.id)).scalars())
    )


def put(at: datetime | None):
    return lambda connection: connection.execute(insert(CLOCK).values(at=at))


def commits(database) -> list[None]:
    """A list that grows by one with each commit of a writer."""
    seen: list[None] = []
    event.listen(database._engine, "commit", lambda connection: seen.append(None))
    return seen


# --- tables -----------------------------------------------------------------------------------------


def test_the_migrations_make_the_tables_that_the_code_uses(database):
    def difference(connection):
        return compare_metadata(MigrationContext.configure(connection), tables.METADATA)

    assert database.transact(difference) == []


def test_a_database_opens_again_with_what_was_in_it(address):
    first = Database(address)
    first.transact(lambda connection: connection.execute(update(tables.counter).values(value=7)))
    first.close()
    second = Database(address)
    try:
        values = second.read(
            lambda connection: connection.execute(select(tables.counter.c.value)).scalars().all()
        )
    finally:
        second.close()
    assert values == [7, 7]


def test_replicas_that_start_together_make_the_tables_once(address):
    start = threading.Barrier(4)

    def replica() -> Database:
        start.wait(20)
        return Database(address)

    with ThreadPoolExecutor(4) as pool:
        replicas = [made.result() for made in [pool.submit(replica) for _ in range(4)]]
    try:
        counters = select(func.count()).select_from(tables.counter)
        assert replicas[0].read(lambda connection: connection.execute(counters).scalar_one()) == 2
    finally:
        for one in replicas:
            one.close()


def test_another_programs_database_is_refused_and_left_alone(database, address):
    def make_foreign(connection):
        tables.METADATA.drop_all(connection)
        connection.execute(text("DROP TABLE alembic_version"))
        connection.execute(text("CREATE TABLE photos (id INTEGER)"))

    database.transact(make_foreign)
    for opening in (Database, Database.existing):
        with pytest.raises(ConfigurationError, match="another program's"):
            opening(address)
    database.read(lambda connection: connection.execute(text("SELECT * FROM photos")))


def test_a_newer_versions_database_is_refused(database, address):
    newer = text("UPDATE alembic_version SET version_num = 'ac9999'")
    database.transact(lambda connection: connection.execute(newer))
    with pytest.raises(ConfigurationError, match="newer version's") as caught:
        Database(address)
    assert "\n" not in str(caught.value)


def test_a_migration_that_fails_leaves_an_empty_database_empty(address, monkeypatch):
    monkeypatch.setattr("twoway.ac.storage.schema.command.upgrade", failing_upgrade)
    with pytest.raises(ConfigurationError, match="cannot be used"):
        Database(address)
    monkeypatch.undo()
    Database(address).close()


def failing_upgrade(config, revision):
    connection = config.attributes["connection"]
    connection.execute(text("CREATE TABLE counter (name INTEGER)"))
    connection.execute(text("SELECT * FROM nowhere"))


def test_a_tool_makes_no_tables(address):
    with pytest.raises(ConfigurationError):
        Database.existing(address)
    Database(address).close()
    Database.existing(address).close()


def test_the_password_of_a_server_is_in_no_error_and_no_repr(postgresql):
    address = postgresql.new_database()
    wrong = address.set(password="correct-horse")
    with pytest.raises(ConfigurationError) as caught:
        Database(wrong)
    assert "correct-horse" not in str(caught.value)
    assert "correct-horse" not in repr(wrong)
    assert "\n" not in str(caught.value)


def test_a_server_that_is_not_there_is_one_sentence(postgresql):
    with pytest.raises(ConfigurationError, match="cannot be used") as caught:
        Database(postgresql.new_database().set(port=1))
    assert "\n" not in str(caught.value)


# --- transactions -----------------------------------------------------------------------------------


def test_times_come_back_aware_and_in_utc(database, clock):
    there = NOON.astimezone(timezone(timedelta(hours=2))).replace(microsecond=123456)
    database.transact(put(there))
    database.transact(put(None))
    back, nothing = times(database)
    assert back == there
    assert back.tzinfo is UTC
    assert nothing is None


def test_a_time_without_a_zone_is_refused(database, clock):
    with pytest.raises(StorageError, match="time zone") as caught:
        database.transact(put(datetime(2026, 7, 1, 12)))  # noqa: DTZ001  # the point
    assert "\n" not in str(caught.value)
    assert times(database) == []


def test_a_failed_transaction_leaves_nothing_behind_tables_included(database):
    def work(connection):
        CLOCK.create(connection)
        connection.execute(text("INSERT INTO nowhere VALUES (1)"))

    with pytest.raises(StorageError, match="nowhere"):
        database.transact(work)
    with pytest.raises(StorageError, match="clock"):
        times(database)


def test_an_error_of_the_database_does_not_repeat_values(database, clock):
    def twice(connection):
        for _ in range(2):
            connection.execute(insert(CLOCK).values(id=4711, at=NOON))

    with pytest.raises(StorageError) as caught:
        database.transact(twice)
    assert "4711" not in str(caught.value)
    assert "INSERT" not in str(caught.value)
    assert "\n" not in str(caught.value)


async def test_work_runs_away_from_the_event_loop(database):
    name = await database.run(lambda connection: threading.current_thread().name)
    assert name.startswith("ac-database")


async def test_works_that_wait_together_share_a_commit(database, clock):
    async with Gate(database):
        waiting = [asyncio.ensure_future(database.run(put(NOON))) for _ in range(20)]
        await asyncio.sleep(0)
        counted = commits(database)
    await asyncio.gather(*waiting)
    assert len(counted) == 2, "the gate's, and one for all that waited"
    assert len(times(database)) == 20


async def test_a_work_that_fails_in_a_shared_commit_fails_alone(database, clock):
    def fails_late(connection):
        put(NOON + timedelta(hours=1))(connection)
        connection.execute(text("INSERT INTO nowhere VALUES (1)"))

    def raises_its_own(connection):
        put(NOON + timedelta(hours=2))(connection)
        raise KeyError("mine")

    async with Gate(database):
        works = [put(NOON), fails_late, raises_its_own, put(NOON)]
        waiting = [asyncio.ensure_future(database.run(work)) for work in works]
        await asyncio.sleep(0)
    first, late, own, last = await asyncio.gather(*waiting, return_exceptions=True)
    assert not isinstance(first, Exception)
    assert not isinstance(last, Exception)
    assert isinstance(late, StorageError)
    assert isinstance(own, KeyError)
    assert times(database) == [NOON, NOON]


async def test_orders_for_the_same_work_that_wait_together_are_one_work(database, clock):
    calls = []

    def work(connection, orders):
        calls.append(orders)
        return [order * 2 for order in orders]

    async with Gate(database):
        waiting = [asyncio.ensure_future(database.run_together(work, order)) for order in (1, 2, 3)]
        other = asyncio.ensure_future(database.run(put(NOON)))
        await asyncio.sleep(0)
    assert await asyncio.gather(*waiting) == [2, 4, 6]
    await other
    assert calls == [[1, 2, 3]]


async def test_an_order_that_fails_is_tried_again_without_the_others(database, clock):
    def work(connection, orders):
        for order in orders:
            put(order)(connection)
        if LATER in orders:
            raise KeyError("mine")
        return orders

    async with Gate(database):
        orders = NOON, LATER, NOON
        waiting = [asyncio.ensure_future(database.run_together(work, order)) for order in orders]
        await asyncio.sleep(0)
    first, failed, last = await asyncio.gather(*waiting, return_exceptions=True)
    assert (first, last) == (NOON, NOON)
    assert isinstance(failed, KeyError)
    assert times(database) == [NOON, NOON]


async def test_an_order_that_names_its_failure_costs_the_others_nothing(database):
    calls = []

    def work(connection, orders):
        calls.append(orders)
        return [Failed(KeyError("mine")) if order == 2 else order for order in orders]

    async with Gate(database):
        waiting = [asyncio.ensure_future(database.run_together(work, order)) for order in (1, 2, 3)]
        await asyncio.sleep(0)
    first, failed, last = await asyncio.gather(*waiting, return_exceptions=True)
    assert (first, last) == (1, 3)
    assert isinstance(failed, KeyError)
    assert calls == [[1, 2, 3]]


async def test_a_work_that_loses_an_answer_answers_nobody_wrongly(database):
    async with Gate(database):
        waiting = [
            asyncio.ensure_future(database.run_together(lambda connection, orders: [], order))
            for order in (1, 2)
        ]
        await asyncio.sleep(0)
    answers = await asyncio.gather(*waiting, return_exceptions=True)
    assert [type(answer) for answer in answers] == [ValueError, ValueError]


async def test_a_work_that_was_cancelled_before_it_began_is_not_done(database, clock):
    async with Gate(database):
        left, done = (asyncio.ensure_future(database.run(put(NOON))) for _ in range(2))
        await asyncio.sleep(0)
        left.cancel()
        await asyncio.sleep(0)
    await done
    assert len(times(database)) == 1
    assert left.cancelled()


async def test_nobody_is_told_of_success_when_the_commit_fails(database, clock):
    def break_commit(connection):
        raise StorageError("the disk is gone")

    def put_and_break(connection):
        put(NOON)(connection)
        event.listen(database._engine, "commit", break_commit)

    async with Gate(database):
        works = (put(NOON), put_and_break, put(NOON))
        waiting = [asyncio.ensure_future(database.run(work)) for work in works]
        await asyncio.sleep(0)
    results = await asyncio.gather(*waiting, return_exceptions=True)
    event.remove(database._engine, "commit", break_commit)
    assert [type(result) for result in results] == [StorageError] * 3
    assert times(database) == []


async def test_nothing_is_done_after_closing_and_everything_before(address):
    database = Database(address)
    database.transact(CLOCK.create)
    waiting = [asyncio.ensure_future(database.run(put(NOON))) for _ in range(5)]
    await asyncio.sleep(0)
    await asyncio.to_thread(database.close)
    await asyncio.gather(*waiting)
    with pytest.raises(StorageError, match="closed"):
        await database.run(put(NOON))
    again = Database(address)
    assert len(times(again)) == 5
    again.close()


async def test_a_reader_waits_for_no_writer_and_sees_what_was_committed(database, clock):
    database.transact(put(NOON))
    async with Gate(database):
        assert await asyncio.to_thread(times, database) == [NOON]


def test_a_reader_sees_one_picture_whatever_is_written_meanwhile(database, clock):
    count = select(func.count()).select_from(CLOCK)

    def looks_twice(connection):
        before = connection.execute(count).scalar_one()
        database.transact(put(NOON))
        return before, connection.execute(count).scalar_one()

    assert database.read(looks_twice) == (0, 0)


def test_two_replicas_write_in_turns(database, address, clock):
    """Reading a number and writing the next is safe without more ado: no number is lost."""
    other = Database(address)
    value = select(tables.counter.c.value).where(tables.counter.c.name == "ticket")

    def count_up(connection):
        seen = connection.execute(value).scalar_one()
        connection.execute(update(tables.counter).values(value=seen + 1))
        return seen

    try:
        with ThreadPoolExecutor(2) as pool:
            runs = [
                pool.submit(lambda one: [one.transact(count_up) for _ in range(50)], each)
                for each in (database, other)
            ]
            seen = [run.result() for run in runs]
    finally:
        other.close()
    assert sorted(seen[0] + seen[1]) == list(range(100))
    assert all(before < after for one in seen for before, after in pairwise(one))


def test_a_writer_does_not_wait_for_ever_for_another_replica(address, monkeypatch):
    one = Database(address)
    monkeypatch.setattr(engines, "_WAIT_SECONDS", 1)
    other = Database(address)
    try:
        one.transact(CLOCK.create)

        async def both():
            async with Gate(one):
                with pytest.raises(StorageError):
                    await other.run(put(NOON))
            await other.run(put(NOON))

        asyncio.run(both())
        assert times(one) == [NOON]
    finally:
        one.close()
        other.close()


def test_a_replica_that_hangs_in_a_transaction_is_cut_off(postgresql, monkeypatch):
    address = postgresql.new_database()
    other = Database(address)
    monkeypatch.setattr(engines, "_ABANDONED_SECONDS", 1)
    hangs = Database(address)
    try:
        hangs.transact(CLOCK.create)

        async def both():
            async with Gate(hangs) as hanging:
                await other.run(put(NOON))
            with pytest.raises(StorageError):
                await hanging.task

        asyncio.run(both())
        assert times(other) == [NOON]
    finally:
        hangs.close()
        other.close()


def test_a_server_that_cut_the_connections_is_met_again(postgresql):
    database = Database(postgresql.new_database())
    try:
        database.transact(CLOCK.create)
        postgresql.disconnect_everybody()
        database.transact(put(NOON))
        assert times(database) == [NOON]
    finally:
        database.close()


def test_a_connection_that_is_cut_in_the_middle_fails_all_who_shared_the_transaction(postgresql):
    database = Database(postgresql.new_database())
    try:
        database.transact(CLOCK.create)

        def cut(connection):
            postgresql.disconnect_everybody()
            put(NOON)(connection)

        async def together():
            async with Gate(database):
                waiting = [asyncio.ensure_future(database.run(work)) for work in (put(NOON), cut, put(NOON))]
                await asyncio.sleep(0)
            return await asyncio.gather(*waiting, return_exceptions=True)

        results = asyncio.run(together())
        assert [type(result) for result in results] == [StorageError] * 3
        assert times(database) == []
    finally:
        database.close()


def test_a_commit_waits_for_the_disk_whatever_the_role_is_set_to(postgresql):
    address = postgresql.new_database()
    first = Database(address)
    first.transact(
        lambda connection: connection.execute(
            text(f"ALTER DATABASE {address.database} SET synchronous_commit = off")
        )
    )
    first.close()
    second = Database(address)
    try:
        shown = second.transact(
            lambda connection: connection.execute(text("SHOW synchronous_commit")).scalar()
        )
    finally:
        second.close()
    assert shown == "on"
