"""An AC that really runs, on a free port of the loopback, and a client that really shakes hands with it."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import aiocoap
from ac_world import METER, ACWorld
from small_pki import Credential

import twoway
from twoway.ac import AuditEntry, Outcome, load_config, read_audit, serve
from twoway.ac.storage import DatabaseAddress
from twoway.clock import Clock
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
    database: DatabaseAddress
    """Its database."""
    config: Path
    """Its ``ac.toml``."""
    events: list[TraceEvent]
    """What it traced."""

    @property
    def token_uri(self) -> str:
        return f"{self.uri}/token"

    def decisions(self, count: int = 100) -> list[AuditEntry]:
        """What it decided on requests, as the audit has it, newest first; what operators did left out."""
        rows = read_audit(self.database, count)
        return [row for row in rows if row.outcome is not Outcome.CHANGED]


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
    world: ACWorld,
    *,
    top: str = "",
    more: str = "",
    path: Path | None = None,
    clock: Clock | None = None,
) -> AsyncIterator[RunningAC]:
    """Serve, by the system's clock or another; cancelled and awaited at the end."""
    path = path or write_config(world, top=top, more=more)
    config = load_config(path)
    events: list[TraceEvent] = []
    ready: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    task = asyncio.create_task(
        serve(
            config,
            ready=ready.set_result,
            reread=lambda: load_config(path),
            clock=clock,
            trace=events.append,
        )
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


@dataclass(frozen=True)
class ServedAC(RunningAC):
    """An AC in a process of its own."""

    process: asyncio.subprocess.Process

    async def kill(self) -> None:
        """End it at once, without any chance to tidy up."""
        self.process.kill()
        await asyncio.wait_for(self.process.wait(), TIMEOUT)


@asynccontextmanager
async def served_ac(path: Path, **environment: str) -> AsyncIterator[ServedAC]:
    """Let ``twoway ac serve`` run with a configuration; it is killed at the end, if it was not before."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "twoway", "ac", "serve", str(path)),
        stdout=asyncio.subprocess.PIPE,
        env=os.environ | {"PYTHONPATH": str(Path(twoway.__file__).parents[1])} | environment,
    )
    try:
        assert process.stdout is not None
        word, _, uri = (await asyncio.wait_for(process.stdout.readline(), TIMEOUT)).decode().partition(" ")
        assert word == "ready"
        yield ServedAC(uri.strip(), load_config(path).database, path, [], process)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


@asynccontextmanager
async def client_of(credential: Credential, *, host: str = "127.0.0.1") -> AsyncIterator[aiocoap.Context]:
    """A CoAP context whose requests to coaps URIs are made with ``credential``, from the address ``host``."""
    config = DTLSConfig(
        certificate=CertificateCredential(credential.chain, credential.private_key), trust=credential.trust
    )
    endpoint = await Endpoint.open(host=host)
    context = await open_context(endpoint, client_config=lambda host, port: config)
    try:
        yield context
    finally:
        await asyncio.wait_for(context.shutdown(), TIMEOUT)
        await asyncio.wait_for(endpoint.close(), TIMEOUT)


async def ask(context: aiocoap.Context, message: aiocoap.Message) -> aiocoap.Message:
    """Send a request and return its answer, whatever it is."""
    return await asyncio.wait_for(context.request(message).response, TIMEOUT)
