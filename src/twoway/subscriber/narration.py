"""A subscriber's steps in words; the same words in ``--verbose`` and in the demonstration."""

from __future__ import annotations

from typing import assert_never

from twoway.subscriber.steps import (
    Handshake,
    Hint,
    Request,
    Response,
    Step,
    TicketObtained,
    TicketPresented,
    TicketRevoked,
)


def describe(step: Step) -> str:
    """Write one step as one line."""
    match step:
        case Handshake():
            group = f" with {step.group}" if step.group else ""
            return (
                f"handshake ({step.kind}) with {step.peer} at {step.remote[0]} port {step.remote[1]}: "
                f"{step.suite}{group}, {step.datagrams} datagrams, {step.bytes} bytes"
            )
        case Request():
            observing = ", observing" if step.observe else ""
            return f"→ {step.method} {step.target}{observing}, {step.payload_bytes} bytes of payload"
        case Response():
            kind = "notification " if step.notification else ""
            return (
                f"← {kind}{step.code}, {step.payload_bytes} bytes of payload, {step.wire_bytes} on the wire"
            )
        case Hint():
            return f"the publisher wants a ticket and names the AC: {step.ac_uri}"
        case TicketObtained():
            again = " anew" if step.renewal else ""
            return (
                f"ticket issued{again} by {step.ac}: for {step.audience}, {_scope(step)}, "
                f"{step.lifetime_seconds:.0f} s, {step.ticket_bytes} bytes, bound to our key"
            )
        case TicketPresented():
            return f"ticket {'accepted' if step.accepted else 'refused'} by {step.audience}: {step.code}"
        case TicketRevoked():
            return f"the AC has revoked our ticket for {step.audience}; it is not used any more"
        case _:
            assert_never(step)


def _scope(step: TicketObtained) -> str:
    return ", ".join(f"{method.name} {path}" for path, method in step.scope.entries) or "nothing"
