"""``/authz-info``: where a subscriber presents its ticket (RFC 9200 section 5.10.1).

It owns the upload as a CoAP exchange: format, size, and the response code of each refusal. It must never
look into a ticket: :class:`~twoway.publisher.admission.Admission` has it verified and kept.
"""

from __future__ import annotations

import aiocoap
from aiocoap.error import BadOption, RequestEntityTooLarge, UnsupportedContentFormat
from aiocoap.resource import Resource

from twoway.coap import connection_of, peer_of
from twoway.publisher.admission import Admission, Throttled
from twoway.publisher.sessions import Sessions
from twoway.tickets import CONTENT_FORMAT_CWT, MAX_TICKET_BYTES, TicketRejected


def require_ticket(request: aiocoap.Message) -> None:
    """Check that a POST is an upload at all, before anybody reads the ticket.

    Raises:
        BadOption: 4.02, there is a query.
        UnsupportedContentFormat: 4.15, the payload does not say that it is a CWT.
        RequestEntityTooLarge: 4.13.
    """
    if request.opt.uri_query:
        raise BadOption
    if request.opt.content_format != CONTENT_FORMAT_CWT:
        raise UnsupportedContentFormat
    if len(request.payload) > MAX_TICKET_BYTES:
        raise RequestEntityTooLarge


def rejection_message(rejection: TicketRejected | Throttled) -> aiocoap.Message:
    """Say in CoAP why a ticket was not kept; RFC 8516 for one that came too soon."""
    if isinstance(rejection, Throttled):
        return aiocoap.Message(code=aiocoap.TOO_MANY_REQUESTS, max_age=rejection.wait)
    major, minor = rejection.reason.response_code
    return aiocoap.Message(
        code=aiocoap.Code((major << 5) | minor), payload=rejection.reason.sentence.encode()
    )


class AuthzInfoResource(Resource):  # type: ignore[misc]  # aiocoap ships no types
    """Takes tickets, from anybody who finished a handshake; POST and nothing else.

    Args:
        admission: verifies and keeps.
        sessions: is told when the ticket gives the bringer rights, so that these end when they end.
    """

    rt = "ace.ai"

    def __init__(self, admission: Admission, sessions: Sessions) -> None:
        super().__init__()
        self._admission = admission
        self._sessions = sessions

    async def needs_blockwise_assembly(self, request: aiocoap.Message) -> bool:
        """Say no: the transport has put the body together, and the answers are short."""
        return False

    async def render_post(self, request: aiocoap.Message) -> aiocoap.Message:
        """Verify and keep the ticket in the payload: 2.01 without a payload, or the reason's code.

        Raises:
            RenderableError: as :func:`require_ticket`.
        """
        require_ticket(request)
        connection = connection_of(request)
        try:
            upload = await self._admission.take_untrusted(
                request.payload, peer_of(request), host=connection.remote[0]
            )
        except (TicketRejected, Throttled) as rejection:
            return rejection_message(rejection)
        if upload.is_bringers:
            self._sessions.note(connection)
        return aiocoap.Message(code=aiocoap.CREATED)
