"""CoAP over real endpoints on loopback: a small site, contexts for both sides, and a client without aiocoap.

async with coap_server(site) as server, coap_client() as client:
    response = await client.request(GET, server.uri("hello"))
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import aiocoap
from aiocoap import Message
from aiocoap.resource import ObservableResource, Resource, Site
from live_endpoints import PATIENCE, Inbox, dtls_config
from small_pki import Credential, small_pki

from twoway.coap import open_context, peer_of
from twoway.net import Connection, Endpoint


class Note(ObservableResource):
    """Holds what was put into it and tells its observers."""

    def __init__(self, content: bytes = b"nothing yet") -> None:
        super().__init__()
        self.content = content
        self.requests: list[Message] = []

    @property
    def observers(self) -> int:
        return len(self._observations)

    def change(self, content: bytes) -> None:
        self.content = content
        self.updated_state()

    async def render_get(self, request: Message) -> Message:
        self.requests.append(request)
        return Message(payload=self.content)

    async def render_put(self, request: Message) -> Message:
        self.requests.append(request)
        self.change(request.payload)
        return Message(code=aiocoap.CHANGED)


class WhoAmI(Resource):
    """Tells a peer who it proved to be."""

    async def render_get(self, request: Message) -> Message:
        return Message(payload=peer_of(request).uri.encode())


class Slow(Resource):
    """Answers when it is told to."""

    def __init__(self) -> None:
        super().__init__()
        self.asked = asyncio.Event()
        self.release = asyncio.Event()
        self.cancelled = False

    async def render_get(self, request: Message) -> Message:
        self.asked.set()
        try:
            await self.release.wait()
        except asyncio.CancelledError:
            self.cancelled = True
            raise
        return Message(payload=b"at last")


def site_of(**resources: Resource) -> Site:
    """A site with each resource under its name."""
    site = Site()
    for name, resource in resources.items():
        site.add_resource([name], resource)
    return site


@dataclass
class Party:
    """An endpoint with a context on it."""

    endpoint: Endpoint
    context: aiocoap.Context

    def uri(self, path: str, host: str = "127.0.0.1") -> str:
        return f"coaps://{host}:{self.endpoint.address[1]}/{path}"

    async def request(self, code: aiocoap.Code, uri: str, payload: bytes = b"", **options: object) -> Message:
        async with asyncio.timeout(PATIENCE):
            message = Message(code=code, uri=uri, payload=payload, **options)
            return await self.context.request(message).response

    async def get(self, uri: str, **options: object) -> Message:
        return await self.request(aiocoap.GET, uri, **options)

    async def put(self, uri: str, payload: bytes, **options: object) -> Message:
        return await self.request(aiocoap.PUT, uri, payload, **options)

    async def close(self) -> None:
        await self.context.shutdown()
        await self.endpoint.close()


@asynccontextmanager
async def coap_server(
    site: Site | None, *, endpoint: dict[str, object] | None = None, **options: object
) -> AsyncIterator[Party]:
    """A server with the publisher's certificate; ``options`` are those of open_context."""
    defaults = {"host": "127.0.0.1", "accept": dtls_config(small_pki().publisher_p256)}
    opened = await Endpoint.open(**{**defaults, **(endpoint or {})})
    party = Party(opened, await open_context(opened, site=site, **options))
    try:
        yield party
    finally:
        await party.close()


@asynccontextmanager
async def coap_client(
    credential: Credential | None = None, *, site: Site | None = None, **changes: object
) -> AsyncIterator[Party]:
    """A client, the subscriber unless told otherwise; ``changes`` are those of its DTLS configuration."""
    config = dtls_config(credential or small_pki().subscriber, **changes)
    opened = await Endpoint.open()
    party = Party(opened, await open_context(opened, site=site, client_config=lambda _host, _port: config))
    try:
        yield party
    finally:
        await party.close()


@dataclass
class PlainSpeaker:
    """Says arbitrary bytes on an authenticated connection: a peer with a certificate and bad manners."""

    endpoint: Endpoint
    connection: Connection
    inbox: Inbox

    @classmethod
    async def towards(cls, server: Party, credential: Credential | None = None) -> PlainSpeaker:
        endpoint = await Endpoint.open()
        config = dtls_config(credential or small_pki().subscriber)
        connection = await endpoint.connect("127.0.0.1", server.endpoint.address[1], config)
        return cls(endpoint, connection, Inbox.of(connection))

    async def __aenter__(self) -> PlainSpeaker:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.endpoint.close()

    def say(self, data: bytes) -> None:
        self.connection.send(data)

    async def answer_to(self, data: bytes) -> bytes:
        """Say something and return the next thing that comes."""
        before = len(self.inbox.received)
        self.say(data)
        async with asyncio.timeout(PATIENCE):
            while len(self.inbox.received) == before:
                await asyncio.sleep(0.002)
        return self.inbox.received[before]


def get_bytes(path: str = "note", *, mid: int = 1, token: bytes = b"\x01", options: bytes = b"") -> bytes:
    """A confirmable GET with one path segment, by hand; ``options`` follow, with deltas from Uri-Path."""
    segment = path.encode()
    header = bytes([0x40 | len(token), 0x01]) + mid.to_bytes(2) + token
    return header + bytes([0xB0 | len(segment)]) + segment + options
