"""What happened, for those who watch: one event type and the function that takes it.

The engine and its shells call a trace with every drop, retransmission, alert and change of state.
A trace never decides anything, and no secret is ever put into an event.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class TraceEvent:
    """One thing that happened."""

    name: str
    """What happened, as a short constant: ``"record dropped"``, ``"flight resent"``."""
    source: str
    """Who saw it: an association, an endpoint, an actor."""
    data: Mapping[str, object] = field(default_factory=dict)
    """Details: reasons, sizes, states. Never keys, tickets or payloads."""


@dataclass(frozen=True, slots=True)
class Fault(TraceEvent):
    """One thing that an operator should look at: servers say it even where nobody watches."""


Trace = Callable[[TraceEvent], None]
"""Takes each event; must not raise and must not block."""


def ignore(event: TraceEvent) -> None:
    """Take an event and do nothing: the default trace."""
