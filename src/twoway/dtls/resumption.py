"""What an endpoint is willing to do about sessions: one frozen value in its configuration.

Without it there is no resumption at all, in either role.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from twoway.dtls.session import HeldSession
from twoway.dtls.session_store import SessionStore
from twoway.dtls.session_tickets import SessionTickets
from twoway.errors import ConfigurationError
from twoway.identity import Identity

MAX_LIFETIME: Final = 86400.0
"""Seconds: the upper limit that RFC 5246 section F.1.4 suggests. Whoever learns a master secret can be that
peer for as long."""


@dataclass(frozen=True, kw_only=True)
class Resumption:
    """How sessions are kept and for how long.

    A client needs nothing but this value: it asks for a ticket, and keeps what it is given in
    ``Association.session``. A server resumes by tickets, by session IDs, or both, where a client that asks
    for a ticket gets no ID.
    """

    tickets: SessionTickets | None = None
    """A server's tickets (RFC 5077): the clients keep the sessions."""
    store: SessionStore | None = None
    """A server's own store of sessions, found by session ID (RFC 5246)."""
    lifetime: float = 3600.0
    """Seconds from the full handshake to the end of its session, at most a day."""
    deadline: Callable[[Identity], datetime | None] | None = field(default=None, repr=False)
    """Asked until when sessions of a peer may last, aware; None: not bounded by this. It is asked when a
    session begins and whenever one is to be resumed. If it raises, there is no session."""

    def __post_init__(self) -> None:
        if not 0 < self.lifetime <= MAX_LIFETIME:
            raise ConfigurationError(f"a session lasts at most {MAX_LIFETIME:g} seconds")

    def invalidate(self, held: HeldSession) -> None:
        """Take a session back that a server gave (RFC 5246 section 7.2.2)."""
        if self.store is not None and held.session_id:
            self.store.forget(held.session_id)
        if self.tickets is not None:
            self.tickets.invalidate(held.session)
