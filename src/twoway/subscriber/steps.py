"""What a subscriber did, step by step, for those who narrate it.

It owns the events. Each is told after it happened, with what was really sent and decided; none holds a
key, a ticket or a reading.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from twoway.identity import Identity
from twoway.tickets import Scope


@dataclass(frozen=True, slots=True)
class Handshake:
    """A handshake was completed and the peer is who it has to be."""

    peer: Identity
    """Who the peer proved to be."""
    remote: tuple[str, int]
    """Its address and UDP port."""
    kind: str
    """Who was authenticated: ``fully authenticated``."""
    suite: str
    """The suite's IANA name."""
    group: str | None
    """The group of the key exchange."""
    datagrams: int
    """Datagrams of the handshake, both ways."""
    bytes: int
    """UDP payload bytes of the handshake, both ways."""


@dataclass(frozen=True, slots=True)
class Request:
    """A request is on its way."""

    peer: Identity
    method: str
    """``GET`` or ``POST``."""
    target: str
    """Path and query."""
    observe: bool
    """Whether it asks to be notified of changes."""
    payload_bytes: int


@dataclass(frozen=True, slots=True)
class Response:
    """A response or a notification arrived."""

    peer: Identity
    target: str
    code: str
    """``2.05 Content``."""
    notification: bool
    """Whether it is a further answer to a request that observes."""
    payload_bytes: int
    wire_bytes: int
    """UDP payload bytes on the connection, both ways, since the step before on it."""


@dataclass(frozen=True, slots=True)
class Hint:
    """A publisher said where to get a ticket, and the AC is the configured one."""

    publisher: Identity
    ac_uri: str
    """The AC's token endpoint, as configured."""
    audience: str
    """The publisher's identity URI."""


@dataclass(frozen=True, slots=True)
class TicketObtained:
    """The AC issued a ticket, and it fits: our key, this publisher's key, what was asked."""

    ac: Identity
    audience: str
    """The publisher's identity URI."""
    scope: Scope
    """What it permits."""
    lifetime_seconds: float
    ticket_bytes: int
    renewal: bool
    """Whether it replaces one that is about to expire."""


@dataclass(frozen=True, slots=True)
class TicketPresented:
    """A ticket was uploaded to a publisher."""

    audience: str
    """The publisher's identity URI."""
    accepted: bool
    code: str
    """``2.01 Created`` where it was accepted."""


@dataclass(frozen=True, slots=True)
class TicketRevoked:
    """The AC lists a ticket of ours as revoked; we no longer use it."""

    audience: str
    """The identity URI of the publisher that it was for."""


Step = Handshake | Request | Response | Hint | TicketObtained | TicketPresented | TicketRevoked
"""Everything that a subscriber can tell."""

Steps = Callable[[Step], None]
"""Takes each step; must not raise and must not block."""


def silent(step: Step) -> None:
    """Take a step and do nothing: the default."""
