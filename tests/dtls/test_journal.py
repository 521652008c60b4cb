"""The journal: each thing that happens is counted and traced under its name, with its reason."""

from __future__ import annotations

from twoway.dtls.journal import Journal
from twoway.dtls.timers import Due
from twoway.trace import TraceEvent, ignore


def traced() -> tuple[Journal, list[TraceEvent]]:
    events: list[TraceEvent] = []
    return Journal(events.append, "meter"), events


def test_what_is_dropped_is_counted_and_traced_with_its_reason():
    journal, events = traced()
    for why in ("replayed", "not authentic", "replayed"):
        journal.drop(why)
    assert journal.counters == {"dropped: replayed": 2, "dropped: not authentic": 1}
    assert events[:2] == [
        TraceEvent("record dropped", "meter", {"why": "replayed"}),
        TraceEvent("record dropped", "meter", {"why": "not authentic"}),
    ]


def test_flights_and_reminders_are_told_apart():
    journal, events = traced()
    journal.resent(Due.FLIGHT, "no answer in time")
    journal.resent(Due.REMINDER, "the rest is missing")
    assert journal.counters == {"flights resent": 1, "reminders sent": 1}
    assert events == [
        TraceEvent("flight resent", "meter", {"why": "no answer in time"}),
        TraceEvent("reminder sent", "meter", {"why": "the rest is missing"}),
    ]


def test_it_counts_whether_anybody_watches_or_not():
    watched, _ = traced()
    alone = Journal(ignore, "meter")
    assert (watched.is_traced, alone.is_traced) == (True, False)
    alone.drop("replayed")
    alone.tell("something")
    assert alone.counters == {"dropped: replayed": 1}
