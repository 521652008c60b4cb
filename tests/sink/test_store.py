"""The readings on disk: each once, none lost that was acknowledged."""

from __future__ import annotations

import sqlite3
import stat
import subprocess
import sys
import threading
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from twoway.errors import StorageError
from twoway.sink import PublisherCount, ReadingStore, Row

METER = "urn:dev:org:32473-meter"
OTHER = "urn:dev:org:32473-other"


def row(number: int = 0, *, publisher: str = METER, name: str = "power", value: float | None = None) -> Row:
    return Row(
        publisher=publisher,
        name=f"{publisher}/{name}",
        time=1.7e9 + number,
        unit="W",
        value=float(number) if value is None else value,
        string_value=None,
        boolean_value=None,
        data_value=None,
        sum=None,
        update_time=None,
        arrived_at=1.7e9 + number + 0.25,
    )


def test_what_was_stored_is_read_back_as_it_was(tmp_path: Path):
    rows = [
        row(1),
        replace(row(2), unit=None, value=None, string_value="Zähler 4"),
        replace(row(3), value=None, boolean_value=False),
        replace(row(4), value=None, data_value=b"\x00\xff"),
        replace(row(5), value=None, sum=12.5, update_time=60.0),
        replace(row(6), time=1.7e9 + 0.1 + 0.2),
    ]
    with ReadingStore(tmp_path / "sink.sqlite") as store:
        assert store.add(rows) == 6
        assert store.readings(METER) == sorted(rows, key=lambda each: each.time)


def test_a_reading_that_arrives_again_is_not_stored_again(tmp_path: Path):
    with ReadingStore(tmp_path / "sink.sqlite") as store:
        assert store.add([row(1), row(2)]) == 2
        assert store.add([row(2, value=999.0), row(3)]) == 1
        assert [each.value for each in store.readings(METER)] == [1.0, 2.0, 3.0]


def test_a_reading_that_stands_twice_in_one_payload_is_stored_once(tmp_path: Path):
    with ReadingStore(tmp_path / "sink.sqlite") as store:
        assert store.add([row(1), row(1)]) == 1


def test_the_same_name_and_time_of_two_publishers_are_two_readings(tmp_path: Path):
    with ReadingStore(tmp_path / "sink.sqlite") as store:
        assert store.add([row(1), replace(row(1), publisher=OTHER)]) == 2


def test_storing_nothing_is_nothing(tmp_path: Path):
    with ReadingStore(tmp_path / "sink.sqlite") as store:
        assert store.add([]) == 0
        assert store.counts() == []
        assert store.latest(METER) == []


def test_counts_and_latest_speak_of_each_publisher(tmp_path: Path):
    with ReadingStore(tmp_path / "sink.sqlite") as store:
        store.add([row(1), row(5), row(3), row(4, name="voltage"), row(9, publisher=OTHER)])
        assert store.counts() == [
            PublisherCount(METER, 4, 1.7e9 + 1, 1.7e9 + 5),
            PublisherCount(OTHER, 1, 1.7e9 + 9, 1.7e9 + 9),
        ]
        assert store.latest(METER) == [row(5), row(4, name="voltage")]
        assert store.readings(METER, name=f"{METER}/voltage") == [row(4, name="voltage")]


def test_readings_survive_closing_and_are_still_not_repeated(tmp_path: Path):
    for expected in (2, 0):
        with ReadingStore(tmp_path / "sink.sqlite") as store:
            assert store.add([row(1), row(2)]) == expected


def test_another_process_can_look_into_a_running_sinks_database(tmp_path: Path):
    with ReadingStore(tmp_path / "sink.sqlite") as writer:
        writer.add([row(1)])
        with ReadingStore.open_existing(tmp_path / "sink.sqlite") as reader:
            assert reader.counts()[0].readings == 1
            writer.add([row(2)])
            assert reader.counts()[0].readings == 2


def test_threads_that_store_at_once_lose_nothing(tmp_path: Path):
    with ReadingStore(tmp_path / "sink.sqlite") as store:

        def write(name: str) -> None:
            for number in range(20):
                store.add([row(number, name=name)])

        threads = [threading.Thread(target=write, args=(f"name{each}",)) for each in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        assert store.counts()[0].readings == 80


def test_every_commit_reaches_the_disk(tmp_path: Path):
    with ReadingStore(tmp_path / "sink.sqlite") as store, store._engine.connect() as connection:
        assert connection.exec_driver_sql("PRAGMA journal_mode").scalar() == "wal"
        assert connection.exec_driver_sql("PRAGMA synchronous").scalar() == 2, "FULL"
        assert connection.exec_driver_sql("PRAGMA busy_timeout").scalar() == 10_000


def test_the_file_is_readable_by_its_owner_alone(tmp_path: Path):
    with ReadingStore(tmp_path / "sink.sqlite") as store:
        store.add([row(1)])
        modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()}
    assert set(modes.values()) == {0o600}, modes


def test_closing_leaves_one_whole_file(tmp_path: Path):
    with ReadingStore(tmp_path / "sink.sqlite") as store:
        store.add([row(1)])
    assert [path.name for path in tmp_path.iterdir()] == ["sink.sqlite"]


def test_a_file_that_is_no_database_gives_one_sentence(tmp_path: Path):
    path = tmp_path / "sink.sqlite"
    path.write_bytes(b"this is a letter to my aunt, and long enough to be one" * 100)
    with pytest.raises(StorageError, match=r"sink\.sqlite: the database does not work .*made by a sink"):
        ReadingStore(path)
    assert path.read_bytes().startswith(b"this is a letter"), "nothing of it was overwritten"


def test_a_database_of_another_program_gives_one_sentence(tmp_path: Path):
    path = tmp_path / "sink.sqlite"
    with closing(sqlite3.connect(path)) as other, other:
        other.execute("CREATE TABLE reading (id INTEGER PRIMARY KEY, colour TEXT)")
    other.close()
    with pytest.raises(StorageError, match="the database does not work"):
        ReadingStore(path)


def test_a_folder_that_is_missing_gives_one_sentence(tmp_path: Path):
    with pytest.raises(StorageError, match="check that the folder exists"):
        ReadingStore(tmp_path / "nowhere" / "sink.sqlite")


def test_a_database_to_look_into_must_be_there(tmp_path: Path):
    with pytest.raises(StorageError, match="there is no such database; start the sink"):
        ReadingStore.open_existing(tmp_path / "sink.sqlite")
    assert not list(tmp_path.iterdir())


WRITER = """
import sys
from pathlib import Path
from twoway.sink import ReadingStore, Row

store = ReadingStore(Path(sys.argv[1]))
number = 0
while True:
    rows = [
        Row("urn:p", f"urn:p/{name}", float(number), None, 1.0, None, None, None, None, None, 0.0)
        for name in ("a", "b", "c")
    ]
    store.add(rows)
    sys.stdout.write(f"{number}\\n")
    sys.stdout.flush()
    number += 1
"""


@pytest.mark.parametrize("acknowledged_before_kill", [1, 7, 40])
def test_a_kill_in_the_middle_loses_nothing_that_was_acknowledged(
    tmp_path: Path, acknowledged_before_kill: int
):
    path = tmp_path / "sink.sqlite"
    with subprocess.Popen(
        [sys.executable, "-c", WRITER, str(path)], stdout=subprocess.PIPE, text=True
    ) as writer:
        assert writer.stdout is not None
        acknowledged = [writer.stdout.readline() for _ in range(acknowledged_before_kill)]
        writer.kill()
        acknowledged += writer.stdout.readlines()
    numbers = [int(line) for line in acknowledged if line.endswith("\n")]
    with ReadingStore(path) as store:
        stored = store.readings("urn:p")
        for number in numbers:
            assert {each.name for each in stored if each.time == number} == {"urn:p/a", "urn:p/b", "urn:p/c"}
        assert len(stored) % 3 == 0, "a payload is stored whole or not at all"
        assert len({(each.name, each.time) for each in stored}) == len(stored)
        again = [replace(each, value=2.0) for each in stored]
        assert store.add(again) == 0, "what comes again after the crash is known"
