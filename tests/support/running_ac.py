"""An AC that really runs, on a free port of the loopback, and a client that really shakes hands with it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import aiocoap
from ac_world import METER, ACWorld
from small_pki import Credential

from twoway.ac import load_config, serve
from twoway.coap import open_context
from twoway.dtls import CertificateCredential, DTLSConfig
from twoway.net import Endpoint
from twoway.trace import TraceEvent

TIMEOUT = 20.0
"""Seconds for anything; a machine under load included."""


@dataclass(frozen=True)
class RunningAC:
    """What a client needs to know, and what a test may look into."""

    uri: str
    """``coaps://127.0.0.1:PORT``."""
    database: Path
    """Its SQLite file."""
    config: Path
    """Its ``ac.toml``."""
    events: list[TraceEvent]
    """What it traced."""

    @property
    def token_uri(self) -> str:
        return f"{self.uri}/token"


def write_config(
    world: ACWorld,
    *,
    identity: Credential | None = None,
    listen: str = "127.0.0.1:0",
    top: str = "",
    more: str = "",
) -> Path:
    """Write an ``ac.toml`` beside the world's files, with more keys at the top and more tables at the end."""
    folder = world.folder / "identity"
    if not folder.exists():
        world.pki.folder(identity or world.ac, folder)
    path = world.folder / "ac.toml"
    path.write_text(
        f"""
identity = "identity"
listen = "{listen}"
database = "ac.sqlite"
policies = "policies"
ticket_lifetime = 300
ledgers = ["issued.jsonl"]
{top}

[[publisher]]
identity = "{METER}"
resources = [{{ path = "/power" }}, {{ path = "/history", methods = ["GET", "FETCH"] }}]
{more}
"""
    )
    return path


@asynccontextmanager
async def running_ac(
    world: ACWorld, *, top: str = "", more: str = "", path: Path | None = None
) -> AsyncIterator[RunningAC]:
    """Serve; cancelled and awaited at the end."""
    path = path or write_config(world, top=top, more=more)
    config = load_config(path)
    events: list[TraceEvent] = []
    ready: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    task = asyncio.create_task(
        serve(config, ready=ready.set_result, reread=lambda: load_config(path), trace=events.append)
    )
    try:
        await asyncio.wait({ready, task}, timeout=TIMEOUT, return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            await task
        yield RunningAC(ready.result(), config.database, path, events)
    finally:
        task.cancel()
        await asyncio.wait({task}, timeout=TIMEOUT)
        assert task.cancelled(), "the AC did not end cleanly when it was cancelled"


@asynccontextmanager
async def client_of(credential: Credential) -> AsyncIterator[aiocoap.Context]:
    """A CoAP context whose requests to coaps URIs are made with ``credential``."""
    config = DTLSConfig(
        certificate=CertificateCredential(credential.chain, credential.private_key), trust=credential.trust
    )
    endpoint = await Endpoint.open(host="127.0.0.1")
    context = await open_context(endpoint, client_config=lambda host, port: config)
    try:
        yield context
    finally:
        await asyncio.wait_for(context.shutdown(), TIMEOUT)
        await asyncio.wait_for(endpoint.close(), TIMEOUT)


async def ask(context: aiocoap.Context, message: aiocoap.Message) -> aiocoap.Message:
    """Send a request and return its answer, whatever it is."""
    return await asyncio.wait_for(context.request(message).response, TIMEOUT)
