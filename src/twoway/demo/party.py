"""Somebody who speaks CoAP over DTLS as an identity, with nothing of the subscriber's own manners.

The demonstration needs it to do what a subscriber would not: to ask without a ticket, to bring a ticket
that is another's.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack
from types import TracebackType
from typing import Final, Self
from urllib.parse import urlsplit

from aiocoap import GET, POST, Code, Context, Message

from twoway.coap import connection_of, open_context
from twoway.demo.narrator import Narrator
from twoway.dtls import DTLSConfig
from twoway.net import Connection, Endpoint, credential_of
from twoway.pki import StoredIdentity
from twoway.subscriber.exchange import own_errors
from twoway.tickets import CONTENT_FORMAT_ACE, Confirmation, Method, Scope, TokenRequest
from twoway.trace import TraceEvent

HANDSHAKE_TIMEOUT: Final = 20.0


class Party:
    """Opens a socket as one identity and tells what travels.

    Args:
        identity: who.
        narrator: told of each handshake, request and response.
    """

    def __init__(self, identity: StoredIdentity, narrator: Narrator) -> None:
        self._identity = identity
        self._narrator = narrator
        self._config = DTLSConfig(
            certificate=credential_of(identity),
            trust=identity.trust,
            handshake_timeout=HANDSHAKE_TIMEOUT,
        )
        self._counted: dict[int, int] = {}
        self.events: list[TraceEvent] = []

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as opened:
            self._endpoint = await Endpoint.open(trace=self.events.append)
            opened.push_async_callback(self._endpoint.close)
            self._context: Context = await open_context(
                self._endpoint, client_config=lambda _host, _port: self._config
            )
            opened.push_async_callback(self._context.shutdown)
            self._opened = opened.pop_all()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._opened.aclose()

    async def connect(self, uri: str) -> Connection:
        """Shake hands with whoever listens at a URI's host and port, and nothing more."""
        parts = urlsplit(uri)
        assert parts.hostname is not None
        assert parts.port is not None
        return await self._endpoint.connect(parts.hostname, parts.port, self._config)

    async def request(
        self, code: Code, uri: str, payload: bytes = b"", content_format: int | None = None
    ) -> Message:
        """Send one request and return its response, whatever it says.

        Raises:
            NetworkError: nobody answered, or the connection was lost.
        """
        message = Message(code=code, uri=uri, payload=payload)
        if content_format is not None:
            message.opt.content_format = content_format
        with own_errors(uri):
            response = await self._context.request(message).response
        self._tell(code, uri, response)
        return response

    async def post(self, uri: str, payload: bytes, content_format: int) -> Message:
        """Send one POST and return its response."""
        return await self.request(POST, uri, payload, content_format)

    async def ask_for_ticket(self, token_uri: str, audience: str, path: str) -> Message:
        """Ask an AC for a ticket to read one resource, as RFC 9200 section 5.8 says; return its response.

        Args:
            token_uri: the AC's token endpoint.
            audience: the publisher's identity.
            path: the resource.
        """
        request = TokenRequest(
            audience=audience,
            scope=Scope(((path, Method.GET),)).encode(),
            req_cnf=Confirmation.of_key(self._identity.identity.spki),
        )
        return await self.post(token_uri, request.encode(), CONTENT_FORMAT_ACE)

    async def observe(self, uri: str) -> AsyncGenerator[Message, None]:
        """Observe a resource: yield the response and each notification; an unsuccessful one is the last.

        Raises:
            NetworkError: the connection is lost.
        """
        asked = self._context.request(Message(code=GET, uri=uri, observe=0))
        with own_errors(uri):
            response = await asked.response
        self._tell(GET, uri, response)
        yield response
        notifications = aiter(asked.observation)
        while response.code.is_successful():
            with own_errors(uri):
                response = await anext(notifications)
            self._narrator.say(f"← notification {response.code} of {urlsplit(uri).path}")
            yield response

    def _tell(self, code: Code, uri: str, response: Message) -> None:
        connection = connection_of(response)
        traffic = connection.traffic
        if connection.number not in self._counted:
            handshake = connection.handshake_traffic
            self._counted[connection.number] = handshake.bytes_sent + handshake.bytes_received
            self._narrator.say(
                f"handshake ({connection.kind.value}) of {self._identity.identity} with {connection.peer}: "
                f"{connection.suite} with {connection.group}, "
                f"{handshake.datagrams_sent + handshake.datagrams_received} datagrams, "
                f"{self._counted[connection.number]} bytes"
            )
        total = traffic.bytes_sent + traffic.bytes_received
        self._narrator.say(
            f"→ {code.name} {urlsplit(uri).path}  ← {response.code}, "
            f"{total - self._counted[connection.number]} bytes on the wire"
        )
        self._counted[connection.number] = total
