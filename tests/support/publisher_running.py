"""The whole publisher on a real socket, and clients that talk to it with real credentials.

async with running_publisher(tmp_path, defaults=["sink"]) as publisher:
    async with client(small_pki().subscriber) as reader:
        answer = await reader.get(publisher.uri + "/power")
"""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import aiocoap
from publisher_world import IssuingAC
from small_pki import Credential, small_pki

from twoway.clock import SystemClock
from twoway.coap import open_context
from twoway.dtls import CertificateCredential, DTLSConfig, PSKCredential
from twoway.net import Connection, Endpoint
from twoway.publisher import load_config, serve
from twoway.tickets import Method, Scope
from twoway.trace import TraceEvent

PLAIN = '[plain]\nlisten = "127.0.0.1:0"\n'
PATIENCE = 20.0
PSK = bytes(range(16, 48))

POWER = (
    '[[resource]]\npath = "/power"\nsource = "p1"\nfiles = ["recorded:p1/sagemcom-t210.txt"]\n'
    "interval = 0.2\n"
)
FLOW = (
    '[[resource]]\npath = "/flow"\nsource = "csv"\nfile = "recorded:water-flow.csv"\n'
    'name = "flow"\nunit = "l/s"\ninterval = 0.05\n'
)


class ShiftedClock(SystemClock):
    """The system's clock with a wall-clock time that a test may push on."""

    def __init__(self) -> None:
        self.shift = timedelta(0)

    def now(self) -> datetime:
        return datetime.now(UTC) + self.shift


@dataclass
class RunningPublisher:
    uri: str
    """Where it listens, ``coaps://127.0.0.1:40000``."""
    name: str
    """Its identity."""
    clock: ShiftedClock
    events: list[TraceEvent]
    task: asyncio.Task[None]
    ac: IssuingAC = field(repr=False)

    def ticket(self, holder: Credential, *paths: str, seconds: int = 600, **changes: object) -> bytes:
        """A ticket of the publisher's AC to GET the paths, issued now."""
        scope = Scope(tuple((path, Method.GET) for path in paths or ("/power",)))
        arguments = {"audience": self.name, "at": self.clock.now(), "seconds": seconds, **changes}
        return self.ac.ticket(holder.identity, scope, **arguments)

    def told(self, name: str) -> list[dict[str, object]]:
        """What the trace said under a name."""
        return [dict(event.data) for event in self.events if event.name == name]


@asynccontextmanager
async def running_publisher(
    folder: Path,
    *,
    credential: Credential | None = None,
    defaults: Sequence[str] = (),
    psk: str | None = None,
    with_certificate: bool = True,
    with_ac: bool = True,
    resources: str = POWER + FLOW,
    ac_known_by: str = 'certificate = "ac.pem"',
    ac_keys: str = "",
    ac_uri: str = "coaps://127.0.0.1:5684/token",
    more: str = "",
) -> AsyncIterator[RunningPublisher]:
    """Write a deployment, serve it, end it; ``ac_keys`` are more lines of [ac], ``more`` further tables."""
    pki, clock, events = small_pki(), ShiftedClock(), list[TraceEvent]()
    credential = credential or pki.publisher_p256
    ac = IssuingAC(uri=pki.ac.uri, key=pki.ac.private_key)
    lines = ['listen = "127.0.0.1:0"', f"default_subscribers = {json.dumps(list(defaults))}"]
    name = credential.uri
    if with_certificate:
        pki.folder(credential, folder / "identity")
        lines.append('identity = "identity"')
    else:
        name = "urn:dev:org:32473-host"
        lines.append(f'name = "{name}"')
    if psk is not None:
        (folder / "psk.hex").write_text(PSK.hex())
        (folder / "psk.hex").chmod(0o600)
        lines.append(f'psk = [{{ identity = "{psk}", key_file = "psk.hex" }}]')
    if with_ac:
        (folder / "ac.pem").write_bytes(pki.ac.cert_pem)
        lines.append(f'[ac]\nuri = "{ac_uri}"\n{ac_known_by}\n{ac_keys}')
    lines.append(more)
    path = folder / "publisher.toml"
    path.write_text("\n".join([*lines, resources]))
    ready: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    task = asyncio.create_task(
        serve(load_config(path), ready=ready.set_result, clock=clock, trace=events.append)
    )
    try:
        async with asyncio.timeout(PATIENCE):
            await asyncio.wait([ready, task], return_when=asyncio.FIRST_COMPLETED)
            if task.done():
                task.result()
            yield RunningPublisher(await ready, name, clock, events, task, ac)
    finally:
        task.cancel()
        await asyncio.wait([task])


@dataclass
class Client:
    context: aiocoap.Context
    endpoint: Endpoint

    @property
    def connection(self) -> Connection:
        """The one connection that this client has."""
        (connection,) = self.endpoint.connections
        return connection

    async def ask(self, code: aiocoap.Code, uri: str, **message: object) -> aiocoap.Message:
        return await self.context.request(aiocoap.Message(code=code, uri=uri, **message)).response

    async def get(self, uri: str, **message: object) -> aiocoap.Message:
        return await self.ask(aiocoap.GET, uri, **message)

    async def upload(self, publisher: RunningPublisher, ticket: bytes, **message: object) -> aiocoap.Message:
        message = {"content_format": 61, **message}
        return await self.ask(aiocoap.POST, publisher.uri + "/authz-info", payload=ticket, **message)

    def observe(self, uri: str, **message: object) -> aiocoap.protocol.Request:
        """Start an observation: ``.response`` is the first answer, ``.observation`` yields the others."""
        return self.context.request(aiocoap.Message(code=aiocoap.GET, uri=uri, observe=0, **message))


@asynccontextmanager
async def client(who: Credential | PSKCredential) -> AsyncIterator[Client]:
    """Somebody with a credential who connects to whatever is asked."""
    if isinstance(who, PSKCredential):
        config = DTLSConfig(psk=who)
    else:
        config = DTLSConfig(certificate=CertificateCredential(who.chain, who.private_key), trust=who.trust)
    async with client_with(config) as opened:
        yield opened


@asynccontextmanager
async def client_with(config: DTLSConfig) -> AsyncIterator[Client]:
    """Somebody who shakes hands as ``config`` says with whatever is asked."""
    async with await Endpoint.open(host="127.0.0.1") as endpoint:
        context = await open_context(endpoint, client_config=lambda host, port: config)
        try:
            async with asyncio.timeout(PATIENCE):
                yield Client(context, endpoint)
        finally:
            await context.shutdown()


async def send_plain(publisher: RunningPublisher, **message: object) -> aiocoap.Message:
    """Say something to the plain port without any library in between, and wait for the answer."""
    (opened,) = publisher.told("plain port open")
    loop = asyncio.get_running_loop()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as plain:
        plain.setblocking(False)
        plain.connect((opened["host"], opened["port"]))
        await loop.sock_sendall(plain, aiocoap.Message(_mtype=aiocoap.CON, _mid=1, **message).encode())
        return aiocoap.Message.decode(await loop.sock_recv(plain, 2000))
