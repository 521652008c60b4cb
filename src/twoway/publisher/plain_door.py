"""Uploads without a handshake, for clients that follow RFC 9202 to the letter.

RFC 9202 section 3.2.2 has the client bring its ticket to ``/authz-info`` over plain CoAP, and shake hands
afterwards with the key that the ticket names. It owns this one exchange: a datagram in, at most one out. It
must never answer with more than three times what came, read anything but a ticket, or keep anything for a
sender beyond the few bytes whose bounds stand below.

Nobody has proved anything here, not even an address. So there is no observation, no list of resources, no
reason in words; every path but one gets the same 4.01, with the AC's address if there is room for it. What is
uploaded is judged like any other ticket and changes nothing for whoever does not prove its key.

aiocoap's own message layer remembers each sender for minutes and without a bound, so it is not asked.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

import aiocoap
from aiocoap import Message
from aiocoap.error import MethodNotAllowed, RenderableError

from twoway.clock import Clock
from twoway.coap import MalformedMessage, decode_untrusted
from twoway.identity import Unauthenticated
from twoway.publisher.admission import Admission, Throttled
from twoway.publisher.authz_info import rejection_message, require_ticket
from twoway.publisher.plain_bodies import PlainBodies, Sender
from twoway.publisher.requests import require_understood, target_of
from twoway.publisher.target import AUTHZ_INFO
from twoway.tickets import CONTENT_FORMAT_ACE, CreationHints, TicketRejected

AMPLIFICATION_LIMIT = 3
"""Bytes of an answer for each byte of the request: a forged sender gets no more than that (RFC 9175
section 2.6 asks CoAP servers for such a limit, and RFC 9000 section 8.1 has this one)."""
ANSWERS_REMEMBERED = 256
"""Answers kept for repeated requests (RFC 7252 section 4.5), some 20 bytes each; the oldest goes first."""
ANSWER_LIFETIME = 247.0
"""Seconds for which a message ID names one exchange: EXCHANGE_LIFETIME, RFC 7252 section 4.8.2."""
UPLOADS_AT_ONCE = 8
"""Uploads under way; each may wait for the AC."""

_REQUEST_CODES = range(1, 32)


@dataclass(frozen=True, slots=True)
class _Answered:
    until: float
    datagram: bytes


class PlainDoor:
    """Answers datagrams of peers that proved nothing.

    Args:
        admission: verifies tickets and keeps them.
        hints: returns what a stranger may know about where tickets come from, None for nothing.
        clock: says when.
    """

    def __init__(
        self, admission: Admission, *, hints: Callable[[], CreationHints | None], clock: Clock
    ) -> None:
        self._admission = admission
        self._hints = hints
        self._clock = clock
        self._bodies = PlainBodies()
        self._answered: OrderedDict[tuple[Sender, int], _Answered] = OrderedDict()
        self._uploads = 0
        self._message_id = 0

    async def answer_untrusted(self, data: bytes, sender: Sender) -> bytes | None:
        """Return the datagram to send back, or None.

        Args:
            data: a datagram from the network.
            sender: its source address and port.
        """
        try:
            request = decode_untrusted(data, None)
        except MalformedMessage as malformed:
            return malformed.reset
        if request.mtype not in (aiocoap.CON, aiocoap.NON) or request.code not in _REQUEST_CODES:
            return None
        known = self._answered.get((sender, request.mid))
        if known is not None and self._clock.monotonic() < known.until:
            return known.datagram
        try:
            response = await self._response_untrusted(request, sender)
        except RenderableError as error:
            response = error.to_message()
            response.payload = b""
        datagram = self._fitting(response, request, len(data))
        self._remember((sender, request.mid), datagram)
        return datagram

    async def _response_untrusted(self, request: Message, sender: Sender) -> Message:
        """Answer a request.

        Raises:
            RenderableError: with the response code.
        """
        require_understood(request)
        if target_of(request).path != AUTHZ_INFO:
            return self._refusal()
        if request.code is not aiocoap.POST:
            raise MethodNotAllowed
        block = request.opt.block1
        if block is not None:
            body = self._bodies.take(request, sender, self._clock.monotonic())
            if body is None:
                return Message(code=aiocoap.CONTINUE, block1=block)
            request = request.copy(payload=body, block1=None)
        require_ticket(request)
        response = await self._upload_untrusted(request.payload, sender)
        response.opt.block1 = block
        return response

    async def _upload_untrusted(self, encoded: bytes, sender: Sender) -> Message:
        if self._uploads >= UPLOADS_AT_ONCE:
            return rejection_message(Throttled(sender[0], 1))
        self._uploads += 1
        try:
            await self._admission.take_untrusted(encoded, Unauthenticated(), host=sender[0])
        except (TicketRejected, Throttled) as rejection:
            response = rejection_message(rejection)
            response.payload = b""
            return response
        finally:
            self._uploads -= 1
        return Message(code=aiocoap.CREATED)

    def _refusal(self) -> Message:
        hints = self._hints()
        if hints is None:
            return Message(code=aiocoap.UNAUTHORIZED)
        return Message(code=aiocoap.UNAUTHORIZED, payload=hints.encode(), content_format=CONTENT_FORMAT_ACE)

    def _fitting(self, response: Message, request: Message, request_bytes: int) -> bytes:
        """Encode a response to ``request``, without its payload where it would be too large an answer."""
        if request.mtype is aiocoap.CON:
            response.mtype, response.mid = aiocoap.ACK, request.mid
        else:
            self._message_id = (self._message_id + 1) & 0xFFFF
            response.mtype, response.mid = aiocoap.NON, self._message_id
        response.token = request.token
        datagram: bytes = response.encode()
        if len(datagram) <= AMPLIFICATION_LIMIT * request_bytes:
            return datagram
        response.payload, response.opt.content_format = b"", None
        bare: bytes = response.encode()
        return bare

    def _remember(self, exchange: tuple[Sender, int], datagram: bytes) -> None:
        self._answered[exchange] = _Answered(self._clock.monotonic() + ANSWER_LIFETIME, datagram)
        self._answered.move_to_end(exchange)
        if len(self._answered) > ANSWERS_REMEMBERED:
            self._answered.popitem(last=False)
