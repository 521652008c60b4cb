"""Sessions that the server keeps, for clients without tickets: found by session ID (RFC 5246 section
7.4.1.2).

The store finds what it was given. Whether a session may be resumed is for others to judge.
"""

from __future__ import annotations

from collections import OrderedDict
from datetime import datetime
from typing import Protocol

from twoway.dtls.session import Session
from twoway.errors import ConfigurationError


class SessionStore(Protocol):
    """Where a server keeps sessions; workers may share one. Called within a handshake, so it must not block,
    and must not raise: what cannot be found is not there."""

    def keep(self, session_id: bytes, session: Session) -> None:
        """Keep a session, at most until it ends. An ID is 32 bytes and is given once."""

    def find(self, session_id: bytes, at: datetime) -> Session | None:
        """Return the session of an ID, if it is there and has not ended at this time."""

    def forget(self, session_id: bytes) -> None:
        """Let go of a session; it must not be found again. Unknown IDs are none of anybody's concern."""


class MemorySessionStore:
    """A store in the memory of this process; when it is full, the session goes that was not used for longest.

    Args:
        capacity: how many sessions it holds, about 1 KiB each.
    """

    def __init__(self, capacity: int = 4096) -> None:
        if capacity < 1:
            raise ConfigurationError("a session store holds at least one session")
        self._capacity = capacity
        self._sessions: OrderedDict[bytes, Session] = OrderedDict()

    def __len__(self) -> int:
        return len(self._sessions)

    def keep(self, session_id: bytes, session: Session) -> None:
        """See :meth:`SessionStore.keep`."""
        self._sessions[session_id] = session
        while len(self._sessions) > self._capacity:
            self._sessions.popitem(last=False)

    def find(self, session_id: bytes, at: datetime) -> Session | None:
        """See :meth:`SessionStore.find`."""
        session = self._sessions.get(session_id)
        if session is None:
            return None
        if session.not_after <= at:
            del self._sessions[session_id]
            return None
        self._sessions.move_to_end(session_id)
        return session

    def forget(self, session_id: bytes) -> None:
        """See :meth:`SessionStore.forget`."""
        self._sessions.pop(session_id, None)
