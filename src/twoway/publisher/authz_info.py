"""``/authz-info``: where a subscriber presents its ticket (RFC 9200 section 5.10.1).

It owns the upload as a CoAP exchange: format, size, rate, and the response code of each refusal. It
must never look into a ticket: :class:`~twoway.publisher.service.AccessControl` verifies and keeps it.
"""

from __future__ import annotations

import aiocoap
from aiocoap.error import BadOption, RequestEntityTooLarge, UnsupportedContentFormat
from aiocoap.resource import Resource

from twoway.clock import Clock
from twoway.coap import connection_of, peer_of
from twoway.publisher.rate import AttemptRate
from twoway.publisher.service import AccessControl
from twoway.publisher.sessions import Sessions
from twoway.tickets import CONTENT_FORMAT_CWT, MAX_TICKET_BYTES, TicketRejected
from twoway.trace import Trace, TraceEvent, ignore


class AuthzInfoResource(Resource):  # type: ignore[misc]  # aiocoap ships no types
    """Takes tickets, from anybody who finished a handshake; POST and nothing else.

    Args:
        access: verifies and keeps.
        sessions: is told when the ticket gives the bringer rights, so that these end when they end.
        rate: says how often one peer may try.
        clock: says when.
        trace: hears of each upload, by ticket identifier or reason.
    """

    rt = "ace.ai"

    def __init__(
        self,
        access: AccessControl,
        sessions: Sessions,
        *,
        clock: Clock,
        rate: AttemptRate | None = None,
        trace: Trace = ignore,
    ) -> None:
        super().__init__()
        self._access = access
        self._sessions = sessions
        self._clock = clock
        self._rate = rate if rate is not None else AttemptRate()
        self._trace = trace

    async def needs_blockwise_assembly(self, request: aiocoap.Message) -> bool:
        """Say no: the transport has put the body together, and the answers are short."""
        return False

    async def render_post(self, request: aiocoap.Message) -> aiocoap.Message:
        """Verify and keep the ticket in the payload: 2.01 without a payload, or the reason's code.

        Raises:
            BadOption: 4.02, there is a query.
            UnsupportedContentFormat: 4.15, the payload does not say that it is a CWT.
            RequestEntityTooLarge: 4.13.
        """
        if request.opt.uri_query:
            raise BadOption
        peer = peer_of(request)
        wait = self._rate.wait_for(str(peer), self._clock.monotonic())
        if wait:
            return aiocoap.Message(code=aiocoap.TOO_MANY_REQUESTS, max_age=wait)
        if request.opt.content_format != CONTENT_FORMAT_CWT:
            raise UnsupportedContentFormat
        if len(request.payload) > MAX_TICKET_BYTES:
            raise RequestEntityTooLarge
        try:
            upload = self._access.upload_untrusted(request.payload, peer, now=self._clock.now())
        except TicketRejected as rejection:
            self._tell("ticket refused", str(peer), because=rejection.reason.name.lower())
            major, minor = rejection.reason.response_code
            return aiocoap.Message(
                code=aiocoap.Code((major << 5) | minor), payload=rejection.reason.sentence.encode()
            )
        if upload.is_bringers:
            self._sessions.note(connection_of(request))
        self._tell(
            "ticket stored", str(peer), ticket=upload.ticket.ticket_id.hex(), is_bringers=upload.is_bringers
        )
        return aiocoap.Message(code=aiocoap.CREATED)

    def _tell(self, name: str, peer: str, **data: object) -> None:
        self._trace(TraceEvent(name, "publisher", {"peer": peer, **data}))
