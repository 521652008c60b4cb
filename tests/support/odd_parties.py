"""An AC and a publisher that do what a test tells them, over real sockets and with good certificates.

    async with odd_ac(deployment) as ac, odd_publisher(deployment, gate) as uri:
        ac.revoked.add(token_hash(b"ticket 1")); ac.say()

The AC's tickets are mere texts, ``ticket 1``, ``ticket 2``, ...: whoever holds one must not look into it.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import aiocoap
from aiocoap.protocol import ServerObservation
from aiocoap.resource import ObservableResource, Resource, Site
from deployment import Deployment

from twoway.coap import open_context
from twoway.demo.ground import free_ports
from twoway.dtls import CertificateCredential, DTLSConfig
from twoway.identity import identity_uri
from twoway.net import Endpoint
from twoway.pki import StoredIdentity
from twoway.readings import CONTENT_FORMAT_SENML_CBOR, Pack, Record
from twoway.subscriber import ACReference
from twoway.tickets import (
    CONTENT_FORMAT_ACE,
    CONTENT_FORMAT_TRL,
    CreationHints,
    FullSet,
    KeyName,
    KeyReference,
    SymmetricConfirmation,
    TokenError,
    TokenRequest,
    TokenResponse,
)
from twoway.tickets.confirmation import fresh_kid


def pick(identity: StoredIdentity) -> DTLSConfig:
    """What a party proves itself with, and whom it believes."""
    return DTLSConfig(
        certificate=CertificateCredential(chain=identity.chain, private_key=identity.private_key),
        trust=identity.trust,
    )


@asynccontextmanager
async def served(identity: StoredIdentity, site: Site) -> AsyncIterator[int]:
    """Serve ``site`` and yield the port."""
    async with await Endpoint.open(host="127.0.0.1", accept=pick(identity)) as endpoint:
        context = await open_context(endpoint, site=site)
        try:
            yield endpoint.address[1]
        finally:
            await context.shutdown()


def reading(value: float = 1.0) -> aiocoap.Message:
    """A response with one record."""
    pack = Pack((Record("count", None, 1.7e9, value),), f"{identity_uri('meter')}/")
    return aiocoap.Message(payload=pack.encode_cbor(), content_format=CONTENT_FORMAT_SENML_CBOR)


class OddAC:
    """Grants everything, and does otherwise where a test replaces one of its parts."""

    def __init__(self, deployment: Deployment) -> None:
        self.deployment = deployment
        self.port = 0
        self.requests: list[TokenRequest] = []
        self.lifetime = 600
        self.answer: Callable[[TokenRequest], TokenResponse | TokenError] = self.grant
        self.gather = 1
        """How many requests have to be there before any is answered."""
        self.keys: dict[bytes, SymmetricConfirmation] = {}
        """What the tickets of :meth:`grant_key` are bound to."""
        self.revoked: set[bytes] = set()
        self.list_asked = 0
        self.list_error: aiocoap.Message | None = None
        self.is_observable = True
        self._gathered = asyncio.Event()
        self.trl = _TRL(self)

    @property
    def reference(self) -> ACReference:
        """How a subscriber is configured with it."""
        return ACReference(f"coaps://127.0.0.1:{self.port}/token", identity_uri("ac"))

    def spki(self, audience: str) -> bytes:
        """The key of a publisher of the deployment."""
        return self.deployment.identity(audience.rpartition("-")[2]).identity.spki

    def grant(self, request: TokenRequest) -> TokenResponse:
        """Grant what was asked."""
        return TokenResponse(
            access_token=f"ticket {len(self.requests)}".encode(),
            expires_in=self.lifetime,
            rs_cnf_spki=self.spki(request.audience or ""),
            ace_profile=1,
        )

    def grant_key(self, request: TokenRequest) -> TokenResponse:
        """Grant what was asked, bound to a new symmetric key, or again to the one that is named."""
        token = f"\N{KEY} {len(self.requests)}".encode()
        named = request.req_cnf.kid if isinstance(request.req_cnf, KeyReference) else None
        known = [cnf for cnf in self.keys.values() if cnf.kid == named]
        cnf = known[0] if known else SymmetricConfirmation(fresh_kid(os.urandom), os.urandom(16))
        self.keys[token] = cnf
        return TokenResponse(access_token=token, expires_in=self.lifetime, ace_profile=1, cnf=cnf)

    def say(self) -> None:
        """Notify the observers of the list."""
        self.trl.updated_state()

    async def token(self, request: aiocoap.Message) -> aiocoap.Message:
        """Answer a token request."""
        asked = TokenRequest.parse_untrusted(request.payload)
        self.requests.append(asked)
        response = self.answer(asked)
        if isinstance(response, TokenError):
            return aiocoap.Message(
                code=aiocoap.BAD_REQUEST, payload=response.encode(), content_format=CONTENT_FORMAT_ACE
            )
        if len(self.requests) >= self.gather:
            self._gathered.set()
        await self._gathered.wait()
        return aiocoap.Message(
            code=aiocoap.CREATED, payload=response.encode(), content_format=CONTENT_FORMAT_ACE
        )


class _Token(Resource):
    def __init__(self, ac: OddAC) -> None:
        super().__init__()
        self._ac = ac

    async def render_post(self, request: aiocoap.Message) -> aiocoap.Message:
        return await self._ac.token(request)


class _TRL(ObservableResource):
    def __init__(self, ac: OddAC) -> None:
        super().__init__()
        self._ac = ac

    async def add_observation(self, request: aiocoap.Message, observation: ServerObservation) -> None:
        if self._ac.is_observable:
            await super().add_observation(request, observation)
        else:
            observation.accept(lambda: None)
            observation.deregister("it cannot be observed")

    async def render_get(self, request: aiocoap.Message) -> aiocoap.Message:
        self._ac.list_asked += 1
        if self._ac.list_error is not None:
            return self._ac.list_error.copy()
        listed = FullSet(frozenset(self._ac.revoked))
        return aiocoap.Message(payload=listed.encode(), content_format=CONTENT_FORMAT_TRL)


@asynccontextmanager
async def odd_ac(deployment: Deployment) -> AsyncIterator[OddAC]:
    """Serve an :class:`OddAC` under the deployment's AC's certificate."""
    ac = OddAC(deployment)
    site = Site()
    site.add_resource(["token"], _Token(ac))
    site.add_resource(["revoke", "trl"], ac.trl)
    async with served(deployment.identity("ac"), site) as port:
        ac.port = port
        yield ac


class Gate:
    """What a publisher lets pass: a request counts only after an upload; a test may make it forget."""

    def __init__(self, hints: CreationHints) -> None:
        self.hints = hints
        self.uploads: list[bytes] = []
        self.refused: set[bytes] = set()
        """Tickets that are not accepted."""
        self.is_open = False
        self.forgets = 0
        """How many requests are refused although a ticket was accepted before."""
        self.count = Count(self)

    def refusal(self) -> aiocoap.Message:
        """4.01 with hints."""
        return aiocoap.Message(
            code=aiocoap.UNAUTHORIZED, payload=self.hints.encode(), content_format=CONTENT_FORMAT_ACE
        )

    def upload(self, ticket: bytes) -> aiocoap.Message:
        """Take a ticket."""
        self.uploads.append(ticket)
        self.is_open = ticket not in self.refused
        return aiocoap.Message(code=aiocoap.CREATED if self.is_open else aiocoap.UNAUTHORIZED)


class _AuthzInfo(Resource):
    def __init__(self, gate: Gate) -> None:
        super().__init__()
        self._gate = gate

    async def render_post(self, request: aiocoap.Message) -> aiocoap.Message:
        return self._gate.upload(request.payload)


class Count(ObservableResource):
    """Counts up with every answer."""

    def __init__(self, gate: Gate) -> None:
        super().__init__()
        self._gate = gate
        self.value = 0.0

    async def render_get(self, request: aiocoap.Message) -> aiocoap.Message:
        if self._gate.is_open and self._gate.forgets:
            self._gate.forgets -= 1
            self._gate.is_open = False
        if not self._gate.is_open:
            return self._gate.refusal()
        self.value += 1.0
        return reading(self.value)


@asynccontextmanager
async def odd_publisher(deployment: Deployment, gate: Gate, name: str = "meter") -> AsyncIterator[str]:
    """Serve a gate under a publisher's certificate and yield the URI of what is behind it."""
    site = Site()
    site.add_resource(["count"], gate.count)
    site.add_resource(["authz-info"], _AuthzInfo(gate))
    async with served(deployment.identity(name), site) as port:
        yield f"coaps://127.0.0.1:{port}/count"


class KeyedDoor:
    """A publisher without a certificate: what it was shown in handshakes, and uploaded to it in plain."""

    def __init__(self, ac: OddAC, gate: Gate) -> None:
        self.gate = gate
        self.ac = ac
        self.shown: list[bytes] = []
        self.uploads: list[bytes] = []
        self.stolen: dict[bytes, bytes] = {}
        """Keys of others that it tries as well, by what it is shown."""
        self.upload_uri = ""

    def lookup(self, psk_identity: bytes) -> bytes | None:
        """Find the key of a handshake, by the ticket itself or by the name of an uploaded one's."""
        self.shown.append(psk_identity)
        if psk_identity in self.stolen:
            return self.stolen[psk_identity]
        bound = self.ac.keys.get(psk_identity)
        if bound is None:
            named = {
                KeyName(self.ac.keys[ticket].kid).encode(): self.ac.keys[ticket] for ticket in self.uploads
            }
            bound = named.get(psk_identity)
        if bound is None:
            return None
        self.gate.is_open = True
        return bound.key

    def upload(self, ticket: bytes) -> aiocoap.Message:
        """Take a ticket in plain."""
        self.uploads.append(ticket)
        accepted = ticket not in self.gate.refused
        return aiocoap.Message(code=aiocoap.CREATED if accepted else aiocoap.UNAUTHORIZED)


class _PlainUpload(Resource):
    def __init__(self, door: KeyedDoor) -> None:
        super().__init__()
        self._door = door

    async def render_post(self, request: aiocoap.Message) -> aiocoap.Message:
        return self._door.upload(request.payload)


@asynccontextmanager
async def keyed_publisher(door: KeyedDoor) -> AsyncIterator[str]:
    """Serve a gate behind a handshake by key, and uploads beside it; yield the URI of what is behind it."""
    site = Site()
    site.add_resource(["count"], door.gate.count)
    site.add_resource(["authz-info"], _AuthzInfo(door.gate))
    plain = Site()
    plain.add_resource(["authz-info"], _PlainUpload(door))
    port = free_ports(1)[0]
    listening = await aiocoap.Context.create_server_context(
        plain, bind=("127.0.0.1", port), transports=["simplesocketserver"]
    )
    door.upload_uri = f"coap://127.0.0.1:{port}/authz-info"
    async with await Endpoint.open(host="127.0.0.1", accept=DTLSConfig(psk_lookup=door.lookup)) as endpoint:
        context = await open_context(endpoint, site=site)
        try:
            yield f"coaps://127.0.0.1:{endpoint.address[1]}/count"
        finally:
            await context.shutdown()
            await listening.shutdown()
