"""The AC over CoAP: the token endpoint. It reads, has decided, has written, answers; it decides nothing.

The order is the point: the decision is in the audit, on the disk, before its answer leaves. What cannot
be written is not answered with a ticket.
"""

from __future__ import annotations

from aiocoap import Code, Message
from aiocoap.resource import Resource

from twoway.ac.audit import AuditLog
from twoway.ac.decisions import Answer, AuditEntry, Grant
from twoway.ac.registry import Registry
from twoway.ac.service import TokenService
from twoway.clock import Clock
from twoway.coap import peer_of
from twoway.errors import StorageError
from twoway.tickets import CONTENT_FORMAT_ACE
from twoway.trace import Trace, TraceEvent, ignore

REQUEST_LIMIT_BYTES = 4096
"""A request is a key, a name and a scope: 150 bytes as a rule, 4 KiB for 64 long paths and an RSA key."""

_PENDING_REQUESTS = 256
"""Requests that wait for the disk at the same time. What a disk writes in a tenth of a second; beyond it,
waiting only turns into retransmissions."""
_RETRY_SECONDS = 2
"""When to come back: Max-Age of a 5.03 (RFC 7252 section 5.9.3.4)."""


class TokenResource(Resource):  # type: ignore[misc]  # aiocoap ships no types
    """``/token`` (RFC 9200 section 5.8): POST of content format 19, and nothing else."""

    ct = str(CONTENT_FORMAT_ACE)
    """Shown in ``.well-known/core``."""

    def __init__(
        self,
        service: TokenService,
        registry: Registry,
        audit: AuditLog,
        *,
        clock: Clock,
        trace: Trace = ignore,
    ) -> None:
        super().__init__()
        self._service = service
        self._registry = registry
        self._audit = audit
        self._clock = clock
        self._trace = trace
        self._pending = 0

    async def render_post(self, request: Message) -> Message:
        """Answer a request for a ticket: 2.01, an error of RFC 9200 section 5.8.3, or why it was not read."""
        if request.opt.content_format != CONTENT_FORMAT_ACE:
            return Message(code=Code.UNSUPPORTED_CONTENT_FORMAT)
        if request.opt.accept not in (None, CONTENT_FORMAT_ACE):
            return Message(code=Code.NOT_ACCEPTABLE)
        if len(request.payload) > REQUEST_LIMIT_BYTES:
            return Message(code=Code.REQUEST_ENTITY_TOO_LARGE)
        if self._pending >= _PENDING_REQUESTS:
            return Message(code=Code.SERVICE_UNAVAILABLE, max_age=_RETRY_SECONDS)
        self._pending += 1
        try:
            return await self._answer(request)
        finally:
            self._pending -= 1

    async def _answer(self, request: Message) -> Message:
        await self._registry.refresh()
        answer = self._service.decide_untrusted(
            request.payload,
            requester=peer_of(request),
            directory=self._registry.directory,
            now=self._clock.now(),
        )
        message = _message(answer)
        try:
            await self._audit.record(answer.entry)
        except StorageError as error:
            self._trace(TraceEvent("audit failed", "ac", {"reason": str(error)}))
            return Message(code=Code.INTERNAL_SERVER_ERROR)
        self._trace(_event(answer.entry))
        return message


def _event(entry: AuditEntry) -> TraceEvent:
    data = {"requester": entry.requester, "audience": entry.audience, "reason": entry.reason}
    return TraceEvent(f"ticket {entry.outcome.value}", "ac", data)


def _message(answer: Answer) -> Message:
    if isinstance(answer, Grant):
        return Message(
            code=Code.CREATED,
            payload=answer.response.encode(),
            content_format=CONTENT_FORMAT_ACE,
            max_age=answer.response.expires_in,
        )
    code, detail = answer.error.code.response_code
    return Message(
        code=Code(code << 5 | detail), payload=answer.error.encode(), content_format=CONTENT_FORMAT_ACE
    )
