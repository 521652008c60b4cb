"""How many requests wait for the database at the same time; beyond that, requesters are told to come back.

Each that waits holds memory and its turn. Beyond what the database answers while a requester is patient,
waiting only turns into retransmissions.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from aiocoap import Code, Message
from aiocoap.error import RenderableError

_RETRY_SECONDS = 2
"""When to come back: Max-Age of a 5.03 (RFC 7252 section 5.9.3.4)."""


class Busy(RenderableError):  # type: ignore[misc]  # aiocoap ships no types
    """A request that is not waited for."""

    def to_message(self) -> Message:
        """Return the response that says when to come back."""
        return Message(code=Code.SERVICE_UNAVAILABLE, max_age=_RETRY_SECONDS)


class Pending:
    """The requests of one resource that wait for the database.

    Args:
        most: how many may.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._waiting = 0

    @contextmanager
    def one_more(self) -> Iterator[None]:
        """Count a request for as long as the context lasts.

        Raises:
            Busy: there is no room for it.
        """
        if self._waiting >= self._most:
            raise Busy
        self._waiting += 1
        try:
            yield
        finally:
            self._waiting -= 1
