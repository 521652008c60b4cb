"""``/introspect``: what publishers ask about tickets (RFC 9200 section 5.9)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from aiocoap import Code, Message
from aiocoap.resource import Resource

from twoway.ac.introspection import NotEntitled, introspect, require_publisher
from twoway.ac.picture import Picture
from twoway.ac.resources.bodies import body_of
from twoway.ac.resources.pending import Busy, Pending
from twoway.ac.storage import Database
from twoway.ac.ticket_record import TicketRecord
from twoway.ac.tickets import find_ticket
from twoway.clock import Clock
from twoway.coap import peer_of
from twoway.errors import StorageError
from twoway.tickets import (
    CONTENT_FORMAT_ACE,
    ErrorCode,
    IntrospectionRequest,
    MalformedACE,
    TokenError,
    token_hash,
)
from twoway.trace import Fault, Trace, TraceEvent, ignore


class IntrospectionResource(Resource):  # type: ignore[misc]  # aiocoap ships no types
    """``/introspect``: POST of content format 19, and nothing else.

    Args:
        picture: returns what is known now.
        database: where the tickets are.
        clock: where time comes from.
        pending: questions that may wait for the database at the same time.
        request_bytes: the largest request.
        trace: hears who asked and what of it was said; never a ticket.
    """

    ct = str(CONTENT_FORMAT_ACE)
    """Shown in ``.well-known/core``."""

    def __init__(
        self,
        picture: Callable[[], Picture],
        database: Database,
        *,
        clock: Clock,
        pending: int,
        request_bytes: int,
        trace: Trace = ignore,
    ) -> None:
        super().__init__()
        self._picture = picture
        self._database = database
        self._clock = clock
        self._pending = Pending(pending)
        self._request_bytes = request_bytes
        self._trace = trace

    async def render_post(self, request: Message) -> Message:
        """Answer 2.01 with what the AC vouches for, or 4.03 without a payload to whom it is none of.

        Raises:
            RenderableError: 4.06, 4.13 or 4.15, what :func:`body_of` says; 5.03 while too many wait.
        """
        payload = body_of(request, limit=self._request_bytes)
        picture, peer = self._picture(), peer_of(request)
        try:
            publisher = require_publisher(peer, picture)
        except NotEntitled:
            self._tell(peer.uri, "not entitled")
            return Message(code=Code.FORBIDDEN)
        try:
            question = IntrospectionRequest.parse_untrusted(payload)
        except MalformedACE as fault:
            error = TokenError(ErrorCode.INVALID_REQUEST, fault.what)
            return Message(code=Code.BAD_REQUEST, payload=error.encode(), content_format=CONTENT_FORMAT_ACE)
        record = await self._find(question)
        answer = introspect(question, record, publisher=publisher, picture=picture, now=self._clock.now())
        self._tell(publisher.uri, "active" if answer.active else "inactive")
        return Message(code=Code.CREATED, payload=answer.encode(), content_format=CONTENT_FORMAT_ACE)

    async def _find(self, question: IntrospectionRequest) -> TicketRecord | None:
        name = token_hash(question.token)
        with self._pending.one_more():
            try:
                return await asyncio.to_thread(
                    self._database.read, lambda connection: find_ticket(connection, name)
                )
            except StorageError as error:
                # Who cannot be told grants nothing, which is the publisher's part (RFC 9200 section 5.9).
                self._trace(Fault("introspection failed", "ac", {"reason": str(error)}))
                raise Busy from None

    def _tell(self, requester: str, outcome: str) -> None:
        self._trace(TraceEvent("ticket introspected", "ac", {"requester": requester, "outcome": outcome}))
