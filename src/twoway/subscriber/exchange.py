"""CoAP as the subscriber needs it: connect, ask, be notified; every failure as one of our own errors.

It owns the contact with the CoAP context: requests, observations, timeouts, and telling the steps that
were really taken. It decides nothing about what an answer means.

A :class:`Session` is one connection to one peer. Whatever is sent through it goes to the peer that
proved its identity in that connection's handshake, or nowhere. The proof does not last for ever: before a
request is sent and before an answer is used, the session has to be valid still (RFC 9202 section 3.4, RFC
9200 section 5.10.2), else the connection is closed.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from weakref import WeakKeyDictionary

import aiocoap
import aiocoap.error

from twoway.clock import Clock
from twoway.coap import SecureRemote, connection_of
from twoway.errors import ConfigurationError, NetworkError, PeerError, TwowayError
from twoway.identity import Identity, PSKIdentity, X509Identity
from twoway.net import Connection
from twoway.subscriber.audience import Audience
from twoway.subscriber.instant import Instant
from twoway.subscriber.steps import Handshake, Request, Response, Steps
from twoway.tickets import target_from_options

DEFAULT_MAX_AGE = 60.0
"""Seconds that a response stays fresh where it states no Max-Age: RFC 7252 section 5.10.5."""

SILENCE_FACTOR = 3.0
"""How many Max-Ages may pass without a notification before the publisher is asked again."""

SHORTEST_SILENCE = 2.0
"""Seconds; a Max-Age of 0 does not make us ask in a busy loop."""


class ConnectionLost(NetworkError):
    """The connection ended while an answer was awaited; on a new one the peer may well answer."""


@dataclass(frozen=True, slots=True)
class Answer:
    """A response, or a notification, without CoAP's machinery."""

    code: aiocoap.Code
    payload: bytes = field(repr=False)
    content_format: int | None
    max_age: float
    """Seconds for which it is fresh."""
    is_observed: bool
    """Whether notifications follow."""

    @property
    def is_success(self) -> bool:
        """Whether its code is 2.xx."""
        return bool(self.code.is_successful())

    @property
    def code_text(self) -> str:
        """The code as people write it: ``4.01 Unauthorized``."""
        return str(self.code)


@dataclass(frozen=True)
class Session:
    """A connection to a peer that proved who it is."""

    remote: SecureRemote = field(repr=False)
    """The connection as CoAP addresses it."""
    peer: X509Identity | PSKIdentity
    """What the peer proved to be."""
    connection: Connection = field(repr=False)
    audience: Audience
    """Who that is: the name in its certificate, or for whom the AC made the key that it proved."""
    lasts: Callable[[Instant], bool] = field(repr=False)
    """Says whether what the peer proved counts still."""


class Exchange:
    """Requests over one CoAP context.

    Args:
        context: the context; its connections prove this subscriber's identity.
        answer_timeout: seconds that an answer may take; a handshake has its own limit.
        clock: what the validity of a session is judged by.
        tell: takes the steps.
    """

    def __init__(self, context: aiocoap.Context, *, answer_timeout: float, clock: Clock, tell: Steps) -> None:
        self._context = context
        self._answer_timeout = answer_timeout
        self._clock = clock
        self._tell = tell
        self._counted: WeakKeyDictionary[Connection, int] = WeakKeyDictionary()

    async def connect(self, uri: str, *, require: Callable[[Identity], X509Identity]) -> Session:
        """Return a connection to the host of ``uri``, to a peer that ``require`` accepts.

        There is a handshake where there is no connection yet. Nothing is sent on it before ``require``
        has looked at the peer, and a peer that it refuses loses the connection.

        Raises:
            ConfigurationError: ``uri`` is not one.
            NetworkError: nobody answered.
            PeerError: the handshake failed.
            RefusedError: the peer refused us, or ``require`` the peer.
        """
        message = await self._opened(uri)
        connection = connection_of(message)
        try:
            peer = require(connection.peer)
        except TwowayError:
            connection.close()
            raise
        return self._session(
            Session(
                message.remote,
                peer,
                connection,
                Audience.proved(peer),
                lambda now: now.wall < peer.not_after,
            )
        )

    async def connect_by_key(
        self,
        uri: str,
        *,
        audience: Audience,
        psk_identity: bytes,
        lasts: Callable[[Connection, Instant], bool],
    ) -> Session:
        """Return a connection to the host of ``uri``, to the peer that knows the key configured for it.

        The session's peer is called by its audience, not by ``psk_identity``: that may be a whole ticket.

        Args:
            uri: the host's URI.
            audience: for whom the AC made that key.
            psk_identity: the name that the key goes by in the handshake.
            lasts: whether the key of a connection may be used still.

        Raises:
            ConfigurationError: ``uri`` is not one.
            NetworkError: nobody answered.
            PeerError: the handshake failed, or something else than this key was proved.
            RefusedError: the peer refused us.
        """
        message = await self._opened(uri)
        connection = connection_of(message)
        if connection.peer != PSKIdentity(psk_identity):
            connection.close()
            raise PeerError("the peer did not prove the key of our ticket", where=uri)
        peer = PSKIdentity(audience.uri.encode())
        return self._session(
            Session(message.remote, peer, connection, audience, lambda now: lasts(connection, now))
        )

    async def _opened(self, uri: str) -> aiocoap.Message:
        """Return a message that has the connection to the host of ``uri`` as its remote."""
        try:
            message = aiocoap.Message(code=aiocoap.GET, uri=uri)
        except ValueError:
            raise ConfigurationError(
                f"{uri!r} is not a coaps URI", remedy="write other characters than ASCII as %-encoded UTF-8"
            ) from None
        with own_errors(uri):
            await self._context.find_remote_and_interface(message)
        return message

    def _session(self, session: Session) -> Session:
        if session.connection not in self._counted:
            self._tell_handshake(session)
        return session

    def _tell_handshake(self, session: Session) -> None:
        connection = session.connection
        traffic = connection.handshake_traffic
        total = traffic.bytes_sent + traffic.bytes_received
        self._counted[connection] = total
        self._tell(
            Handshake(
                peer=session.peer,
                remote=connection.remote,
                kind=connection.kind.value,
                suite=connection.suite,
                group=connection.group,
                datagrams=traffic.datagrams_sent + traffic.datagrams_received,
                bytes=total,
            )
        )

    async def get(self, session: Session, uri: str) -> Answer:
        """Read ``uri`` from the peer of ``session``.

        Raises:
            ConnectionLost: the connection ended.
            NetworkError: no answer came.
        """
        message = aiocoap.Message(code=aiocoap.GET, uri=uri)
        _, response = await self._ask(session, message, uri)
        return self._answer(session, message, response, notification=False)

    async def post(self, session: Session, uri: str, payload: bytes, *, content_format: int) -> Answer:
        """Post ``payload`` to ``uri`` at the peer of ``session``.

        Raises:
            ConnectionLost: the connection ended.
            NetworkError: no answer came.
        """
        message = aiocoap.Message(code=aiocoap.POST, uri=uri, payload=payload, content_format=content_format)
        _, response = await self._ask(session, message, uri)
        return self._answer(session, message, response, notification=False)

    async def observe(self, session: Session, uri: str) -> Observation:
        """Register to be notified of changes of ``uri``; see :attr:`Answer.is_observed` of the first answer.

        Raises:
            ConnectionLost: the connection ended.
            NetworkError: no answer came.
        """
        message = aiocoap.Message(code=aiocoap.GET, uri=uri, observe=0)
        asked, response = await self._ask(session, message, uri)
        first = self._answer(session, message, response, notification=False)

        def told(notification: aiocoap.Message) -> Answer:
            self._require_valid(session, uri)
            return self._answer(session, message, notification, notification=True)

        return Observation(first, asked, told, uri)

    async def _ask(
        self, session: Session, message: aiocoap.Message, uri: str
    ) -> tuple[aiocoap.protocol.BlockwiseRequest, aiocoap.Message]:
        self._require_valid(session, uri)
        message.remote = session.remote
        self._tell_request(session, message)
        asked = self._context.request(message)
        try:
            with own_errors(uri):
                async with asyncio.timeout(self._answer_timeout):
                    response = await asked.response
        except NetworkError as error:
            if session.connection.closed is not None:
                raise ConnectionLost(error.what, where=uri, remedy=error.remedy) from None
            # Whoever does not answer may have restarted and forgotten the association: the next attempt
            # begins with a handshake.
            session.connection.close()
            raise
        self._require_valid(session, uri)
        return asked, response

    def _require_valid(self, session: Session, uri: str) -> None:
        """Close a connection whose peer's proof has ended with its certificate or with our ticket.

        Raises:
            ConnectionLost: it has ended.
        """
        if not session.lasts(Instant.now(self._clock)):
            session.connection.close()
            raise ConnectionLost("what the peer proved in the handshake is no longer valid", where=uri)

    def _answer(
        self, session: Session, request: aiocoap.Message, response: aiocoap.Message, *, notification: bool
    ) -> Answer:
        options = response.opt
        self._tell(
            Response(
                peer=session.peer,
                target=target_of(request),
                code=str(response.code),
                notification=notification,
                payload_bytes=len(response.payload),
                wire_bytes=self._newly_counted(session.connection),
            )
        )
        return Answer(
            code=response.code,
            payload=response.payload,
            content_format=None if options.content_format is None else int(options.content_format),
            max_age=DEFAULT_MAX_AGE if options.max_age is None else float(options.max_age),
            is_observed=options.observe is not None,
        )

    def _tell_request(self, session: Session, message: aiocoap.Message) -> None:
        self._tell(
            Request(
                peer=session.peer,
                method=str(message.code),
                target=target_of(message),
                observe=message.opt.observe == 0,
                payload_bytes=len(message.payload),
            )
        )

    def _newly_counted(self, connection: Connection) -> int:
        traffic = connection.traffic
        total = traffic.bytes_sent + traffic.bytes_received
        before = self._counted.get(connection, 0)
        self._counted[connection] = total
        return total - before


class Observation:
    """A running observation.

    Args:
        first: the answer to the registration.
        asked: the request that observes; it must stay alive as long as this.
        told: turns a notification into an answer.
        uri: what is observed.
    """

    def __init__(
        self,
        first: Answer,
        asked: aiocoap.protocol.BlockwiseRequest,
        told: Callable[[aiocoap.Message], Answer],
        uri: str,
    ) -> None:
        self.first = first
        self._asked = asked
        self._told = told
        self._uri = uri
        self.fell_silent = False
        """Whether the notifications ended because none came for too long."""

    async def notifications(self) -> AsyncIterator[Answer]:
        """Yield each notification; an unsuccessful one is the last.

        Should they come faster than they are taken, only the newest is kept: an observation is about the
        present state (RFC 7641 section 1.3). It returns when the publisher ends the observation, and when
        nothing came for so long that the publisher may have forgotten it.

        Raises:
            NetworkError: the connection is lost.
        """
        arriving = aiter(self._asked.observation)
        latest = self.first
        while latest.is_success:
            with own_errors(self._uri):
                try:
                    async with asyncio.timeout(
                        max(SILENCE_FACTOR * latest.max_age, SHORTEST_SILENCE)
                    ) as silence:
                        notification = await anext(arriving)
                except StopAsyncIteration:
                    return
                except TimeoutError:
                    self.fell_silent = silence.expired()
                    if self.fell_silent:
                        return
                    raise
            latest = self._told(notification)
            yield latest

    def cancel(self) -> None:
        """Stop taking notifications; the next one is answered with a reset (RFC 7641 section 3.6)."""
        if not self._asked.observation.cancelled:
            self._asked.observation.cancel()


def target_of(message: aiocoap.Message) -> str:
    """Return path and query of a request in the form that scopes are written in."""
    return target_from_options(message.opt.uri_path, message.opt.uri_query)


def target_of_uri(uri: str) -> str:
    """Return path and query that a request for ``uri`` will carry, in the form of scopes."""
    return target_of(aiocoap.Message(code=aiocoap.GET, uri=uri))


@contextmanager
def own_errors(uri: str) -> Iterator[None]:
    """Turn whatever CoAP and asyncio raise into an error of the package that names ``uri``.

    Raises:
        NetworkError: nobody answered, or the connection was lost.
    """
    try:
        yield
    except TimeoutError:
        raise NetworkError("nobody answered in time", where=uri, remedy="check that it is running") from None
    except (aiocoap.error.Error, OSError) as error:
        if isinstance(error.__cause__, TwowayError):
            raise error.__cause__ from None
        raise NetworkError(str(error) or type(error).__name__, where=uri) from None
