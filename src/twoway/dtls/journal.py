"""The journal: what an association has to tell, to whom.

Events are for the caller, counters for whoever looks at a whole endpoint, the trace for whoever looks for a
fault. Nothing here decides anything, and no secret gets into it.
"""

from __future__ import annotations

from collections import Counter
from sys import intern

from twoway.dtls.events import Event
from twoway.dtls.timers import Due
from twoway.trace import Trace, TraceEvent, ignore


class Journal:
    """What happened to one association.

    Args:
        trace: sees what happens.
        name: what the trace calls the association.

    Attributes:
        events: those that the caller has not taken yet, oldest first.
    """

    __slots__ = ("_counters", "_name", "_trace", "events")

    def __init__(self, trace: Trace, name: str) -> None:
        self._trace = trace
        self._name = name
        self._counters: Counter[str] | None = None
        self.events: list[Event] = []

    @property
    def counters(self) -> Counter[str]:
        """How often each kind of thing happened."""
        if self._counters is None:  # To most associations nothing of the kind ever happens.
            self._counters = Counter()
        return self._counters

    @property
    def is_traced(self) -> bool:
        """Whether anybody sees what is told; where saying it costs something, it is asked first."""
        return self._trace is not ignore

    def tell(self, what: str, **data: object) -> None:
        """Trace something."""
        if self._trace is not ignore:
            self._trace(TraceEvent(what, self._name, data))

    def resent(self, due: Due, why: str) -> None:
        """Count and trace a flight that was sent again, or the reminder that stands for it."""
        is_flight = due is Due.FLIGHT
        self.counters["flights resent" if is_flight else "reminders sent"] += 1
        self.tell("flight resent" if is_flight else "reminder sent", why=why)

    def drop(self, why: str) -> None:
        """Count and trace a record, or a part of one, that is not taken."""
        self.counters[intern(f"dropped: {why}")] += 1
        self.tell("record dropped", why=why)
