"""``/token``: tickets. The decision is in the database, on the disk, before its answer leaves.

What cannot be written is not answered with a ticket.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from aiocoap import Code, Message
from aiocoap.resource import Resource

from twoway.ac.approval import Approval, Asking
from twoway.ac.audit import AuditLog
from twoway.ac.decisions import AuditEntry, Grant, Refusal
from twoway.ac.resources.bodies import body_of
from twoway.ac.resources.pending import Busy, Pending
from twoway.ac.service import TokenService
from twoway.ac.storage import Database
from twoway.ac.ticket_orders import HolderRevoked
from twoway.ac.tickets import TicketRecords, find_key
from twoway.clock import Clock
from twoway.coap import connection_of, peer_of
from twoway.errors import ConfigurationError, StorageError
from twoway.tickets import CONTENT_FORMAT_ACE, ErrorCode, TokenRequestRejected
from twoway.trace import Fault, Trace, TraceEvent, ignore


class TokenResource(Resource):  # type: ignore[misc]  # aiocoap ships no types
    """``/token`` (RFC 9200 section 5.8): POST of content format 19, and nothing else.

    Args:
        service: returns the judgement on what is known now.
        database: where earlier tickets are looked up.
        records: where tickets are written.
        audit: where refusals are written.
        clock: where time comes from.
        pending: requests that may wait for the disk at the same time.
        request_bytes: the largest request.
        trace: hears each decision.
    """

    ct = str(CONTENT_FORMAT_ACE)
    """Shown in ``.well-known/core``."""

    def __init__(
        self,
        service: Callable[[], Awaitable[TokenService]],
        database: Database,
        records: TicketRecords,
        audit: AuditLog,
        *,
        clock: Clock,
        pending: int,
        request_bytes: int,
        trace: Trace = ignore,
    ) -> None:
        super().__init__()
        self._service = service
        self._database = database
        self._records = records
        self._audit = audit
        self._clock = clock
        self._pending = Pending(pending)
        self._request_bytes = request_bytes
        self._trace = trace

    async def render_post(self, request: Message) -> Message:
        """Answer a request for a ticket: 2.01, an error of RFC 9200 section 5.8.3, or why it was not read.

        Raises:
            RenderableError: 4.06, 4.13 or 4.15, what :func:`body_of` says; 5.03 while too many wait.
        """
        payload = body_of(request, limit=self._request_bytes)
        with self._pending.one_more():
            try:
                return await self._answer(payload, request)
            except (StorageError, ConfigurationError) as error:  # the database, or a token that does not sign
                self._trace(Fault("ticket not issued", "ac", {"reason": str(error)}))
                raise Busy from None

    async def _answer(self, payload: bytes, request: Message) -> Message:
        service = await self._service()
        asking = Asking(peer_of(request), connection_of(request).remote[0], self._clock.now())
        decision = await self._decide(service, payload, asking)
        if not isinstance(decision, Refusal):
            try:
                grant = await self._records.issue(
                    decision.issue, now=asking.now, keeps_key=decision.keeps_key, is_slow=decision.is_slow
                )
            except TokenRequestRejected as rejected:
                decision = decision.refuse(rejected)
            except HolderRevoked as revoked:
                # The association is older than the revocation of what it was made with.
                decision = decision.refuse(TokenRequestRejected(ErrorCode.INVALID_CLIENT, revoked.what))
            else:
                self._trace(_event(grant.entry))
                return _created(grant)
        await self._audit.record(decision.entry)
        self._trace(_event(decision.entry))
        return _refused(decision)

    async def _decide(self, service: TokenService, payload: bytes, asking: Asking) -> Approval | Refusal:
        request = service.read_untrusted(payload, asking)
        if isinstance(request, Refusal):
            return request
        named = service.named_key(request, asking)
        earlier = None
        if named is not None:
            earlier = await asyncio.to_thread(
                self._database.read, lambda connection: find_key(connection, *named)
            )
        return service.decide(request, asking, earlier=earlier)


def _event(entry: AuditEntry) -> TraceEvent:
    data = {"requester": entry.requester, "audience": entry.audience, "reason": entry.reason}
    return TraceEvent(f"ticket {entry.outcome.value}", "ac", data)


def _created(grant: Grant) -> Message:
    return Message(
        code=Code.CREATED,
        payload=grant.response.encode(),
        content_format=CONTENT_FORMAT_ACE,
        max_age=grant.response.expires_in,
    )


def _refused(refusal: Refusal) -> Message:
    code, detail = refusal.error.code.response_code
    return Message(
        code=Code(code << 5 | detail), payload=refusal.error.encode(), content_format=CONTENT_FORMAT_ACE
    )
