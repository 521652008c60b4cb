"""Bodies of requests in ``application/ace+cbor``: taken, or refused before anybody reads them."""

from __future__ import annotations

from aiocoap import Code, Message
from aiocoap.error import RenderableError

from twoway.tickets import CONTENT_FORMAT_ACE


class BodyRefused(RenderableError):  # type: ignore[misc]  # aiocoap ships no types
    """A request whose body is not read."""

    def __init__(self, code: Code) -> None:
        super().__init__(str(code))
        self.code = code

    def to_message(self) -> Message:
        """Return the response that says so."""
        return Message(code=self.code)


def body_of(request: Message, *, limit: int) -> bytes:
    """Return the body of a POST to ``/token`` or ``/introspect`` (RFC 9200 sections 5.8 and 5.9).

    Raises:
        BodyRefused: 4.15 for another format, 4.06 if another is wanted in return, 4.13 for more than
            ``limit`` bytes.
    """
    if request.opt.content_format != CONTENT_FORMAT_ACE:
        raise BodyRefused(Code.UNSUPPORTED_CONTENT_FORMAT)
    if request.opt.accept not in (None, CONTENT_FORMAT_ACE):
        raise BodyRefused(Code.NOT_ACCEPTABLE)
    if len(request.payload) > limit:
        raise BodyRefused(Code.REQUEST_ENTITY_TOO_LARGE)
    return bytes(request.payload)
