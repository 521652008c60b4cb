"""The subscriber: reads and observes, and gets itself a ticket where one is needed.

It owns the workflow, in the order of the protocol (RFC 9200 section 4 and RFC 9202 section 3.2, with
certificates in place of raw keys); what is believed is decided in :mod:`twoway.subscriber.rules`, what
is sent in :mod:`twoway.subscriber.exchange`.

    publisher   handshake, check who answers, GET
                2.05 ── done: no ticket is asked for where none is needed
                4.01, with a hint where to get a ticket
    AC          check the hint, handshake, check who answers
                POST /token ── a ticket for our key and for this publisher's, or a refusal with reasons
    publisher   POST /authz-info on the same connection, GET once more
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, aclosing, asynccontextmanager, nullcontext
from functools import partial
from types import TracebackType
from typing import Self, TypeVar

import aiocoap

from twoway.clock import Clock, SystemClock
from twoway.coap import open_context
from twoway.configuration import parse_coaps_uri
from twoway.dtls import DTLSConfig
from twoway.errors import CallerError, NetworkError, PeerError, RefusedError, TwowayError
from twoway.net import Endpoint, credential_of
from twoway.pki import StoredIdentity
from twoway.subscriber.ac import ACClient
from twoway.subscriber.admission import Admission
from twoway.subscriber.exchange import Answer, ConnectionLost, Exchange, Observation, Session, target_of_uri
from twoway.subscriber.key_entrance import KeyEntrance
from twoway.subscriber.places import Places
from twoway.subscriber.reading import Reading
from twoway.subscriber.reference import ACReference
from twoway.subscriber.revocation import RevocationWatch
from twoway.subscriber.rules import require_keyed_publisher, require_publisher, unsuccessful_untrusted
from twoway.subscriber.steps import Steps, silent
from twoway.subscriber.wording import check_command
from twoway.trace import Trace, ignore

ANSWER_TIMEOUT = 30.0
"""Seconds for a handshake, and for each answer: three retransmissions of CoAP (RFC 7252 section 4.8)."""

T = TypeVar("T")

_NOT_ALLOWED = (aiocoap.UNAUTHORIZED, aiocoap.FORBIDDEN, aiocoap.METHOD_NOT_ALLOWED)
"""What a publisher answers where rights are missing: RFC 9200 section 5.10.2."""


class Subscriber:
    """Reads publishers as one identity.

    ::

        async with Subscriber(identity, ac=ACReference.load(identity.folder)) as subscriber:
            reading = await subscriber.read("coaps://meter.example/power")
            async for reading in subscriber.observe("coaps://meter.example/power", count=3):
                ...

    Connections and tickets are kept while the context lasts, and forgotten with it.

    Args:
        identity: who this subscriber is, and which authority it believes.
        ac: the AC to get tickets from; publishers that want one stay closed without it.
        steps: told of each step after it was taken.
        answer_timeout: seconds for a handshake, and for each answer.
        revocation_interval: seconds after which the AC is asked anew which of our tickets are revoked, while
            anything is observed; it is also asked to tell at once. None: it is asked only when a publisher
            refuses a ticket that should be good.
        clock: what lifetimes and certificates are judged by.
        entropy: random bytes for the handshakes.
        trace: told what happens underneath.
        unsafe_key_log: takes the keys of each association (see :class:`~twoway.dtls.DTLSConfig`).
    """

    def __init__(
        self,
        identity: StoredIdentity,
        *,
        ac: ACReference | None = None,
        steps: Steps = silent,
        answer_timeout: float = ANSWER_TIMEOUT,
        revocation_interval: float | None = None,
        clock: Clock = SystemClock(),  # noqa: B008  # stateless
        entropy: Callable[[int], bytes] = os.urandom,
        trace: Trace = ignore,
        unsafe_key_log: Callable[[str], None] | None = None,
    ) -> None:
        self._identity = identity
        self._ac = ac
        self._steps = steps
        self._answer_timeout = answer_timeout
        self._revocation_interval = revocation_interval
        self._clock = clock
        self._entropy = entropy
        self._trace = trace
        self._unsafe_key_log = unsafe_key_log
        self._closing: AsyncExitStack | None = None
        self._keepers: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        """Open a socket of its own.

        Raises:
            ConfigurationError: the identity's certificate is not in force.
            NetworkError: the system refuses a socket.
        """
        self._identity.require_valid_at(self._clock.now())
        async with AsyncExitStack() as opened:
            endpoint = await Endpoint.open(clock=self._clock, entropy=self._entropy, trace=self._trace)
            opened.push_async_callback(endpoint.close)
            config = DTLSConfig(
                certificate=credential_of(self._identity),
                trust=self._identity.trust,
                handshake_timeout=self._answer_timeout,
                unsafe_key_log=self._unsafe_key_log,
            )
            places = Places(config, () if self._ac is None else self._ac.keyed_publishers)
            context = await open_context(endpoint, client_config=places.config)
            opened.push_async_callback(context.shutdown)
            opened.push_async_callback(self._stop_keepers)
            self._exchange = Exchange(
                context, answer_timeout=self._answer_timeout, clock=self._clock, tell=self._steps
            )
            ac = self._ac_client()
            self._admission = Admission(
                self._exchange, ac=ac, clock=self._clock, tell=self._steps, trace=self._trace
            )
            self._watch = self._revocation_watch(ac)
            self._entrance = self._key_entrance(ac, places)
            self._closing = opened.pop_all()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        closing, self._closing = self._closing, None
        if closing is not None:
            await closing.aclose()

    def _ac_client(self) -> ACClient | None:
        if self._ac is None:
            return None
        own = self._identity.identity
        return ACClient(self._exchange, self._ac, own=own, clock=self._clock, tell=self._steps)

    def _revocation_watch(self, ac: ACClient | None) -> RevocationWatch | None:
        if ac is None or self._revocation_interval is None:
            return None
        return RevocationWatch(
            ac, interval=self._revocation_interval, take=self._admission.expunge, trace=self._trace
        )

    def _key_entrance(self, ac: ACClient | None, places: Places) -> KeyEntrance | None:
        if ac is None:
            return None
        return KeyEntrance(
            self._exchange,
            self._admission,
            ac,
            places,
            answer_timeout=self._answer_timeout,
            clock=self._clock,
            tell=self._steps,
        )

    async def read(self, uri: str, *, publisher: str | None = None) -> Reading:
        """Read a resource once; get and present a ticket if its publisher wants one.

        Args:
            uri: ``coaps://host:port/path``.
            publisher: the identity URI that must answer; without it, whoever has a certificate of our
                authority that names the URI's host.

        Raises:
            ConfigurationError: ``uri`` is not one.
            RefusedError: somebody says no, or is not who it has to be; the sentence says who and why.
            PeerError: somebody's answer breaks the rules.
            NetworkError: somebody does not answer.
        """

        async def get(session: Session) -> Reading:
            tried = self._admission.presented(session)
            answer = await self._exchange.get(session, uri)
            if await self._admission.overcome(session, target_of_uri(uri), answer, tried=tried):
                answer = await self._exchange.get(session, uri)
            return self._reading_untrusted(session, uri, answer)

        return await self._on_connection(uri, publisher, get)

    async def observe(
        self, uri: str, *, count: int | None = None, publisher: str | None = None
    ) -> AsyncGenerator[Reading, None]:
        """Yield the present reading and then each new one, ``count`` in all; without it, without end.

        Readings that come faster than they are taken give way to newer ones. The ticket is renewed ahead of
        its expiry. When the publisher ends the observation, or falls silent, it is asked once more; what it
        repeats then is not yielded again.

        Args:
            uri: ``coaps://host:port/path``.
            count: how many readings to yield.
            publisher: see :meth:`read`.

        Raises:
            ConfigurationError: ``uri`` is not one.
            RefusedError: somebody says no, or is not who it has to be; the sentence says who and why.
            PeerError: somebody's answer breaks the rules, or the resource cannot be observed.
            NetworkError: somebody does not answer.
        """
        if count is not None and count < 1:
            raise CallerError("the count of readings to observe is at least 1")
        yielded = 0
        async with aclosing(self._readings(uri, publisher)) as readings:
            async for reading in readings:
                yield reading
                yielded += 1
                if yielded == count:
                    return

    async def _readings(self, uri: str, publisher: str | None) -> AsyncGenerator[Reading, None]:
        latest: bytes | None = None
        may_register = True
        while True:
            async with self._registered(uri, publisher) as (session, observation):
                if observation.first.payload != latest:
                    yield self._reading_untrusted(session, uri, observation.first)
                latest = observation.first.payload
                if not observation.first.is_observed:
                    raise PeerError(
                        "the publisher does not let this resource be observed",
                        where=uri,
                        remedy="read it once in a while",
                    )
                try:
                    async for answer in observation.notifications():
                        if answer.code == aiocoap.UNAUTHORIZED:
                            # Our rights have ended, and with them goes the connection (RFC 9202 section 5):
                            # rather than to be cut off in the next question, begin a new one.
                            session.connection.close()
                        if not answer.is_success:
                            break
                        latest = answer.payload
                        may_register = True
                        yield self._reading_untrusted(session, uri, answer)
                except NetworkError:
                    if not may_register:
                        raise
            if observation.fell_silent:
                continue
            if not may_register:
                raise RefusedError("the publisher ends every observation at once", where=uri)
            may_register = False

    @asynccontextmanager
    async def _registered(
        self, uri: str, publisher: str | None
    ) -> AsyncIterator[tuple[Session, Observation]]:
        """Register an observation, with a ticket if one is needed, and keep that fresh while it lasts."""

        async def register(session: Session) -> tuple[Session, Observation]:
            tried = self._admission.presented(session)
            observation = await self._exchange.observe(session, uri)
            if await self._admission.overcome(session, target_of_uri(uri), observation.first, tried=tried):
                observation = await self._exchange.observe(session, uri)
            if not observation.first.is_success:
                raise self._refusal(session, uri, observation.first)
            return session, observation

        session, observation = await self._on_connection(uri, publisher, register)
        keeper = asyncio.create_task(self._admission.keep_fresh(session, target_of_uri(uri)))
        self._keepers.add(keeper)
        try:
            with nullcontext() if self._watch is None else self._watch.following():
                yield session, observation
        finally:
            self._keepers.discard(keeper)
            keeper.cancel()
            observation.cancel()

    async def _on_connection(
        self, uri: str, publisher: str | None, ask: Callable[[Session], Awaitable[T]]
    ) -> T:
        """Ask on the connection to a publisher; if that ends under the question, once more on a new one.

        A publisher closes a connection when the rights of its peer end, or it restarts; that it did so
        just now is no reason to fail.
        """
        try:
            return await ask(await self._connect(uri, publisher))
        except ConnectionLost:
            return await ask(await self._connect(uri, publisher))

    async def _connect(self, uri: str, publisher: str | None) -> Session:
        if self._closing is None:
            raise CallerError("this subscriber is not open", remedy="use it inside `async with`")
        parse_coaps_uri(uri)
        keyed = None if self._ac is None else self._ac.keyed_publisher(uri)
        if keyed is not None and self._entrance is not None:
            require_keyed_publisher(keyed, uri=uri, expected=publisher)
            return await self._entrance.session(keyed, target_of_uri(uri))
        return await self._exchange.connect(
            uri, require=partial(require_publisher, uri=uri, expected=publisher)
        )

    def _reading_untrusted(self, session: Session, uri: str, answer: Answer) -> Reading:
        if not answer.is_success:
            raise self._refusal(session, uri, answer)
        return Reading.parse_untrusted(
            answer.payload,
            answer.content_format,
            now=self._clock.now().timestamp(),
            peer=session.peer,
            uri=uri,
        )

    def _refusal(self, session: Session, uri: str, answer: Answer) -> TwowayError:
        own = self._identity.identity.uri
        return unsuccessful_untrusted(
            answer.payload,
            answer.content_format,
            answer.code_text,
            uri=uri,
            forbidden=answer.code in _NOT_ALLOWED,
            check=None if self._ac is None else check_command(own, session.audience.uri, target_of_uri(uri)),
        )

    async def _stop_keepers(self) -> None:
        for keeper in self._keepers:
            keeper.cancel()
