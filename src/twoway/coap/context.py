"""The context: an aiocoap context whose one transport is an endpoint of ours.

It owns the wiring, and the way of a request from the transport to the site: options that nobody here
understands are refused, bodies in blocks are put together and cut (:mod:`~twoway.coap.blocks`), and each
response goes out as a message of its own.
"""

from __future__ import annotations

import asyncio
import copy
from typing import Final

import aiocoap
from aiocoap import Message
from aiocoap.error import BadOption, ProxyingNotSupported
from aiocoap.interfaces import Resource
from aiocoap.messagemanager import MessageManager
from aiocoap.numbers.codes import Code
from aiocoap.numbers.optionnumbers import OptionNumber
from aiocoap.pipe import Pipe

from twoway.clock import Clock
from twoway.coap.blocks import BodyLimits, RequestBodies, ResponseBodies, require_block_sizes
from twoway.coap.pool import ClientConfig, ConnectionPool
from twoway.coap.remote import connection_of
from twoway.coap.transport import LAST_WORDS_TIMEOUT, SecureTokenManager, SecureTransport, transport_of
from twoway.net import Connection, Endpoint

UNDERSTOOD: Final = frozenset(
    {
        OptionNumber.IF_MATCH,
        OptionNumber.URI_HOST,
        OptionNumber.IF_NONE_MATCH,
        OptionNumber.URI_PORT,
        OptionNumber.URI_PATH,
        OptionNumber.URI_QUERY,
        OptionNumber.ACCEPT,
        OptionNumber.BLOCK2,
        OptionNumber.BLOCK1,
        OptionNumber.PROXY_URI,
        OptionNumber.PROXY_SCHEME,
    }
)
"""The critical options that this package or a resource can do something about."""


class SecureContext(aiocoap.Context):  # type: ignore[misc]  # aiocoap ships no types
    """An aiocoap context without aiocoap's transports.

    Args:
        site: answers the peers' requests; None: each is answered with 4.04.
        limits: bounds of bodies in blocks.
        clock: where time comes from.
    """

    def __init__(self, site: Resource | None, *, limits: BodyLimits, clock: Clock) -> None:
        super().__init__(loop=asyncio.get_running_loop(), serversite=site, loggername="twoway.coap")
        self.requests = RequestBodies(limits)
        self.responses = ResponseBodies(limits)
        self._clock = clock
        self._is_shut = False

    def forget(self, connection: Connection) -> None:
        """Drop the bodies that a connection which is over has begun."""
        self.requests.forget(connection)
        self.responses.forget(connection)

    async def shutdown(self) -> None:
        """Stop asking and answering; may be called twice."""
        if not self._is_shut:
            self._is_shut = True
            await super().shutdown()

    async def _render_to_pipe(self, pipe: Pipe) -> None:
        """Take a request to the site; errors that are raised here become responses above."""
        if self.serversite is None:
            await super()._render_to_pipe(pipe)
            return
        require_understood(pipe.request)
        request = self._whole_request(pipe)
        if request is None:
            return
        if not await self.serversite.needs_blockwise_assembly(request):
            await self.serversite.render_to_pipe(_Answers(pipe, request))
        elif request.opt.block2 is not None and request.opt.block2.block_number > 0:
            pipe.add_response(self.responses.next_block(request, self._clock.monotonic()), is_last=True)
        else:
            cutter = _Cutter(self.responses, request, self._clock)
            await self.serversite.render_to_pipe(_Answers(pipe, _uncut(request), cutter))

    def _whole_request(self, pipe: Pipe) -> Message | None:
        if pipe.request.opt.block1 is None:
            return pipe.request
        whole = self.requests.take(pipe.request, self._clock.monotonic())
        if whole is None:
            pipe.add_response(Message(code=Code.CONTINUE, block1=pipe.request.opt.block1), is_last=True)
        return whole


def _uncut(request: Message) -> Message:
    """Return a request that asks for the whole response; the library's own copy is deep, and dear."""
    if request.opt.block2 is not None:
        return request.copy(remote=request.remote.uncut(), block2=None)
    whole = copy.copy(request)
    whole.remote = request.remote.uncut()
    return whole


class _Cutter:
    """Cuts the responses to one request."""

    def __init__(self, bodies: ResponseBodies, request: Message, clock: Clock) -> None:
        self._bodies = bodies
        self._request = request
        self._clock = clock

    def __call__(self, response: Message) -> Message:
        return self._bodies.cut(self._request, response, self._clock.monotonic())


class _Answers:
    """What a site meets in place of aiocoap's pipe.

    Its request is the whole one, while the pipe below keeps the one that came: aiocoap matches answers by
    that. Site and resources may put another request in its place, as aiocoap's own do.
    """

    def __init__(self, pipe: Pipe, request: Message, cutter: _Cutter | None = None) -> None:
        self.request = request
        self._pipe = pipe
        self._cutter = cutter
        self._is_observed = pipe.request.opt.observe is not None
        self._block1 = pipe.request.opt.block1

    def add_response(self, response: Message, is_last: bool = False) -> None:
        """Send a response.

        aiocoap writes token, remote and message ID into the message it gets. A resource that notifies
        several observers with one message would have one peer's retransmission go to another, so each
        answer to an observation is a copy.
        """
        if self._cutter is not None:
            response = self._cutter(response)
        if self._is_observed:
            response = response.copy()
        if self._block1 is not None:
            response.opt.block1 = self._block1
        self._pipe.add_response(response, is_last=is_last)


def require_understood(request: Message) -> None:
    """Refuse what must not be ignored: RFC 7252 sections 5.4.1 and 5.7.2.

    Raises:
        BadOption: 4.02, a critical option is not understood.
        ProxyingNotSupported: 5.05, it is for somebody else.
        BadRequest: 4.00, a block size is reserved.
    """
    for option in request.opt.option_list():
        if option.number.is_critical() and option.number not in UNDERSTOOD:
            raise BadOption(f"option {int(option.number)} is not understood")
    if request.opt.proxy_uri is not None or request.opt.proxy_scheme is not None:
        raise ProxyingNotSupported
    require_block_sizes(request)


async def open_context(
    endpoint: Endpoint,
    *,
    site: Resource | None = None,
    client_config: ClientConfig | None = None,
    body_limits: BodyLimits | None = None,
) -> aiocoap.Context:
    """Speak CoAP over the connections of an endpoint.

    Peers that open a connection reach ``site``; requests to ``coaps://`` URIs open connections with what
    ``client_config`` returns for a host and port, and share them. On each connection both sides may ask.
    Bodies in blocks are put together before the site sees the request, whoever asks; later blocks of a
    response that the site has given are given to the same connection without asking the site again,
    unless it says that it needs no assembly and so cuts by itself.
    A request that cannot be carried fails with :class:`~twoway.coap.TransportFailed`, an
    ``aiocoap.error.NetworkError`` whose ``__cause__`` is our own error.

    ``await context.shutdown()`` stops it, before ``await endpoint.close()``.

    Args:
        endpoint: carries the connections; its ``on_connection`` is taken over, and still called.
        site: answers requests; any aiocoap resource.
        client_config: credentials to connect with; None: requests of ours fail.
        body_limits: bounds of bodies in blocks.
    """
    context = SecureContext(site, limits=body_limits or BodyLimits(), clock=endpoint.clock)
    tokens = SecureTokenManager(context)
    messages = MessageManager(tokens)
    transport = SecureTransport(messages, ConnectionPool(endpoint, client_config))
    messages.message_interface = transport
    tokens.token_interface = messages
    context.request_interfaces.append(tokens)
    before = endpoint.on_connection

    def carry(connection: Connection) -> None:
        transport.adopt(connection)
        connection.add_closed_listener(lambda _closed: context.forget(connection))

    def welcome(connection: Connection) -> None:
        if before is not None:
            before(connection)
        carry(connection)

    for connection in endpoint.connections:
        carry(connection)
    endpoint.on_connection = welcome
    return context


def end_connection(
    connection: Connection, code: Code | None = None, *, last_words_timeout: float = LAST_WORDS_TIMEOUT
) -> None:
    """End a connection after its last words: what was sent is acknowledged first, if that is soon.

    For the moment when a peer's rights end. A caller that has sent final answers by itself leaves ``code``
    out; with it, every request of the peer that still runs, observations foremost, gets a final response
    with this code and without an Observe option (RFC 7641 section 3.2).

    Args:
        connection: the connection; one that is over, or not carried by CoAP, is closed at once.
        code: how to answer what still runs, for instance ``aiocoap.UNAUTHORIZED``.
        last_words_timeout: seconds to wait for the acknowledgement.
    """
    transport = transport_of(connection)
    if transport is None:
        connection.close()
        return
    if code is not None:
        for (_, remote), (pipe, _) in list((transport.tokens.incoming_requests or {}).items()):
            if remote.connection is connection:
                pipe.add_response(Message(code=code), is_last=True)
    transport.end(connection, last_words_timeout)


def hold_acknowledgements(connection: Connection) -> None:
    """Leave confirmable responses on a connection unacknowledged until :func:`acknowledge` says so.

    For whoever stores notifications: until then their sender keeps and repeats them.

    Args:
        connection: carried by a context of this package; for any other one nothing changes.
    """
    transport = transport_of(connection)
    if transport is not None:
        transport.hold_acknowledgements(connection)


def acknowledge(response: Message) -> None:
    """Acknowledge a response or notification that :func:`hold_acknowledgements` has held.

    Those before it in the same observation are acknowledged with it. One that needs no acknowledgement,
    or has had it, is left alone.
    """
    transport = transport_of(connection_of(response))
    if transport is not None:
        transport.acknowledge(response)
