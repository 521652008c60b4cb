"""From a source to published readings: the rhythm, the time of each reading, and what a failure costs."""

from __future__ import annotations

import asyncio
import threading

import pytest

from twoway.clock import ManualClock
from twoway.errors import ConfigurationError
from twoway.publisher.config import ResourceSection
from twoway.publisher.sources import Feed, open_source
from twoway.readings import CSVReplay, HostFigures, Record, TelegramReplay, recorded_file
from twoway.trace import TraceEvent


class Shelf:
    def __init__(self) -> None:
        self.readings: list[list[Record]] = []
        self.arrived = asyncio.Event()

    def publish(self, records) -> None:
        self.readings.append(list(records))
        self.arrived.set()


class DriverFault(Exception):
    """What some driver raises; none of our errors."""


class Flaky:
    """A source that fails at each second reading, and knows in which thread it was asked."""

    interval = 0.001

    def __init__(self) -> None:
        self.asked: list[float] = []
        self.threads: set[int] = set()

    def read(self, now: float) -> list[Record]:
        self.asked.append(now)
        self.threads.add(threading.get_ident())
        if len(self.asked) % 2 == 0:
            raise DriverFault("the figure cannot be read")
        return [Record(name="x", time=now, value=len(self.asked))]


def section(**keys: object) -> ResourceSection:
    return ResourceSection.model_validate({"path": "/x", **keys})


def test_each_kind_of_source_is_opened_from_its_section():
    p1 = section(source="p1", files=(str(recorded_file("p1/kaifa-v4.2.txt")),))
    flow = section(source="csv", file=str(recorded_file("water-flow.csv")), name="flow", unit="l/s")
    assert isinstance(open_source(p1), TelegramReplay)
    assert isinstance(open_source(flow), CSVReplay)
    assert isinstance(open_source(section(source="host", interval=2.0)), HostFigures)
    assert open_source(flow).interval == 1.0


async def test_the_first_reading_is_there_once_the_feed_has_started():
    clock, shelf, source = ManualClock(), Shelf(), Flaky()
    await Feed("/x", source, shelf, clock=clock, trace=lambda event: None).start()
    assert shelf.readings == [[Record(name="x", time=clock.now().timestamp(), value=1)]]


async def test_a_source_is_asked_outside_of_the_event_loops_thread():
    source = Flaky()
    await Feed("/x", source, Shelf(), clock=ManualClock(), trace=lambda event: None).start()
    assert source.threads.isdisjoint({threading.get_ident()})


async def test_a_source_that_gives_nothing_at_the_start_is_the_operators_to_correct():
    source = Flaky()
    source.asked.append(0.0)
    feed = Feed("/x", source, Shelf(), clock=ManualClock(), trace=lambda event: None)
    with pytest.raises(ConfigurationError, match=r"/x: .*the figure cannot be read"):
        await feed.start()


async def test_a_failure_costs_one_reading_and_is_traced():
    events: list[TraceEvent] = []
    shelf, source = Shelf(), Flaky()
    running = asyncio.create_task(Feed("/x", source, shelf, clock=ManualClock(), trace=events.append).run())
    async with asyncio.timeout(10):
        while len(shelf.readings) < 3:
            shelf.arrived.clear()
            await shelf.arrived.wait()
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert [reading[0].value for reading in shelf.readings[:3]] == [1, 3, 5]
    assert {(event.name, event.data["path"]) for event in events} == {("source failed", "/x")}
