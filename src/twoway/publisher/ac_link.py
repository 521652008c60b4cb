"""Requests to the AC over the publisher's own association, mutually authenticated.

It owns the contact: connect, see that it is the AC that answers, ask, be notified. Whatever goes wrong is one
exception. It must never send a byte to a peer that has not proved to be the configured AC, and it never looks
into an answer.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from urllib.parse import urlsplit

import aiocoap
import aiocoap.error

from twoway.clock import Clock
from twoway.coap import connection_of, open_context
from twoway.dtls import DTLSConfig
from twoway.errors import NetworkError, PeerError, TwowayError
from twoway.identity import Identity, PSKIdentity, X509Identity
from twoway.net import Connection, Endpoint
from twoway.publisher.authority import Authority
from twoway.trace import Trace

ANSWER_TIMEOUT = 10.0
"""Seconds that an answer may take: two retransmissions (RFC 7252 section 4.8)."""


class ACUnavailable(NetworkError):
    """The AC did not answer, was somebody else, or answered with an error."""


@dataclass(frozen=True, slots=True)
class Reply:
    """A success of the AC's, or a notification, without CoAP's machinery."""

    payload: bytes = field(repr=False)
    content_format: int | None
    is_observed: bool
    """Whether notifications follow."""
    certified_until: datetime
    """When the certificate that the AC proved in this association ends; the end of time where it proved our
    shared secret."""


class ACLink:
    """The way to one AC.

    Args:
        context: a CoAP context whose connections to the AC prove who this publisher is.
        token_uri: the AC's token endpoint; scheme, host and port count.
        identity: identity URI that the AC has to prove by certificate, or the name of the key that we share
            with it, which nobody else can have proved.
        answer_timeout: seconds that an answer may take.
    """

    def __init__(
        self,
        context: aiocoap.Context,
        *,
        token_uri: str,
        identity: str | PSKIdentity,
        answer_timeout: float = ANSWER_TIMEOUT,
    ) -> None:
        self._context = context
        self._origin = f"coaps://{urlsplit(token_uri).netloc}"
        self._identity = identity
        self._answer_timeout = answer_timeout

    async def get(self, path: str, *, content_format: int, queries: Sequence[str] = ()) -> Reply:
        """Read ``path`` in a content format.

        Raises:
            ACUnavailable: for whatever reason there is no such answer.
        """
        message = self._message(aiocoap.GET, path, accept=content_format, uri_query=queries)
        _, reply = await self._ask(message, content_format)
        return reply

    async def post(self, path: str, payload: bytes, *, content_format: int) -> Reply:
        """Post ``payload`` to ``path``; the answer has the same content format.

        Raises:
            ACUnavailable: for whatever reason there is no success.
        """
        message = self._message(aiocoap.POST, path, payload=payload, content_format=content_format)
        _, reply = await self._ask(message, content_format)
        return reply

    async def observe(self, path: str, *, content_format: int) -> AsyncGenerator[Reply, None]:
        """Yield ``path`` as it is, and each notification, until the AC ends the observation.

        Raises:
            ACUnavailable: for whatever reason there is no answer, or no further one.
        """
        message = self._message(aiocoap.GET, path, accept=content_format, observe=0)
        asked, first = await self._ask(message, content_format)
        try:
            yield first
            arriving = aiter(asked.observation)
            while first.is_observed:
                with self._own_errors():
                    try:
                        notification = await anext(arriving)
                    except StopAsyncIteration:
                        return
                yield self._reply(notification, content_format, connection_of(message).peer)
        finally:
            if not asked.observation.cancelled:
                asked.observation.cancel()

    def _message(self, code: aiocoap.Code, path: str, **options: object) -> aiocoap.Message:
        return aiocoap.Message(code=code, uri=self._origin + path, **options)

    async def _ask(
        self, message: aiocoap.Message, content_format: int
    ) -> tuple[aiocoap.protocol.BlockwiseRequest, Reply]:
        with self._own_errors():
            await self._context.find_remote_and_interface(message)
            connection = connection_of(message)
            peer = self._require_ac(connection)
            asked = self._context.request(message)
            try:
                async with asyncio.timeout(self._answer_timeout):
                    response = await asked.response
            except TimeoutError:
                # An AC that has restarted does not know the association: the next question begins with a
                # handshake.
                connection.close()
                raise
        return asked, self._reply(response, content_format, peer)

    def _require_ac(self, connection: Connection) -> Identity:
        peer = connection.peer
        proved = peer.uri if isinstance(peer, X509Identity) else peer
        if proved != self._identity:
            connection.close()
            raise PeerError(f"the peer proved to be {peer}, not {self._identity}", where=self._origin)
        return peer

    def _reply(self, response: aiocoap.Message, content_format: int, peer: Identity) -> Reply:
        options = response.opt
        if not response.code.is_successful():
            raise ACUnavailable(f"the AC answered {response.code}", where=self._origin)
        if options.content_format != content_format:
            raise ACUnavailable("the AC answered in another content format", where=self._origin)
        until = peer.not_after if isinstance(peer, X509Identity) else datetime.max.replace(tzinfo=UTC)
        return Reply(response.payload, content_format, options.observe is not None, until)

    @contextmanager
    def _own_errors(self) -> Iterator[None]:
        try:
            yield
        except TimeoutError:
            raise ACUnavailable("the AC did not answer in time", where=self._origin) from None
        except (TwowayError, aiocoap.error.Error, OSError) as error:
            cause = error.__cause__ if isinstance(error.__cause__, TwowayError) else error
            what = cause.what if isinstance(cause, TwowayError) else str(cause) or type(cause).__name__
            raise ACUnavailable(f"the AC cannot be asked ({what})", where=self._origin) from None


@asynccontextmanager
async def open_link(
    authority: Authority, credential: DTLSConfig, *, clock: Clock, trace: Trace
) -> AsyncGenerator[ACLink, None]:
    """Open the way to the AC; the association is made when the first question is asked.

    It has a socket of its own, so that nothing which happens at the publisher's port touches it.

    Args:
        authority: the AC.
        credential: what we prove ourselves with there, and whom we believe.
        clock: the time.
        trace: hears what happens on the wire.
    """
    psk = credential.psk
    identity = authority.issuer if psk is None else PSKIdentity(psk.identity)
    async with await Endpoint.open(clock=clock, trace=trace) as endpoint:
        context = await open_context(endpoint, client_config=lambda host, port: credential)
        try:
            yield ACLink(context, token_uri=authority.token_uri, identity=identity)
        finally:
            await context.shutdown()
