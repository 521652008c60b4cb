"""The rhythm in which the AC is followed: whatever happens it goes on, and never becomes a hammer."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import suppress
from datetime import UTC, datetime

import pytest

from twoway.publisher import watch
from twoway.publisher.ac_link import ACUnavailable, Reply
from twoway.trace import TraceEvent

LONG = 3600.0


class Course:
    """A watch over something that answers as it is told to, and what became of it."""

    def __init__(self, *, is_observed: bool = False, fault: Exception | None = None) -> None:
        self.is_observed, self.fault = is_observed, fault
        self.begun = self.asked = 0
        self.taken: list[bytes] = []
        self.events: list[TraceEvent] = []

    async def observe(self) -> AsyncGenerator[Reply, None]:
        self.begun += 1
        yield Reply(b"state", 0, self.is_observed, datetime.now(UTC))
        if self.fault is not None:
            raise self.fault

    async def take(self, reply: Reply) -> None:
        self.taken.append(reply.payload)

    async def ask(self) -> None:
        self.asked += 1
        if self.fault is not None:
            raise self.fault

    async def run(self, *, interval: float) -> None:
        followed = watch.Watch(
            "thing",
            observe=self.observe,
            take=self.take,
            ask=self.ask,
            interval=interval,
            first_question=interval,
            trace=self.events.append,
        )
        with suppress(TimeoutError):
            async with asyncio.timeout(0.5):
                await followed.run()


async def test_what_cannot_be_observed_is_asked_for_less_and_less_often(monkeypatch):
    monkeypatch.setattr(watch, "FIRST_PAUSE", 0.01)
    course = Course()
    await course.run(interval=LONG)
    assert 2 <= course.begun <= 7  # the pauses double: 10, 20, 40, ... milliseconds


@pytest.mark.parametrize("fault", [ACUnavailable("away"), RuntimeError("a fault of ours")], ids=repr)
async def test_no_fault_ends_it(monkeypatch, fault):
    monkeypatch.setattr(watch, "FIRST_PAUSE", 0.01)
    course = Course(fault=fault)
    await course.run(interval=0.05)
    assert course.begun > 1
    assert course.asked > 1
    assert len(course.taken) == course.begun
    assert {event.name for event in course.events} == {"thing observation failed", "thing question failed"}
