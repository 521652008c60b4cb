"""The sink as a running program: opens the database and the socket, and follows each publisher.

It owns the wiring. What may be stored is decided in :mod:`twoway.sink.service`, how one publisher is
followed in :mod:`twoway.sink.follower`.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor

from twoway.clock import Clock, SystemClock
from twoway.coap import open_context
from twoway.configuration import read_key_file
from twoway.dtls import DTLSConfig, PSKCredential
from twoway.errors import CallerError
from twoway.net import Endpoint, credential_of
from twoway.pki import StoredIdentity
from twoway.sink.config import Place, PublisherConfig, SinkConfig
from twoway.sink.follower import Follower
from twoway.sink.service import Row
from twoway.sink.store import ReadingStore
from twoway.trace import Trace, ignore


async def serve(
    config: SinkConfig,
    *,
    ready: Callable[[str], None] = lambda name: None,
    clock: Clock = SystemClock(),  # noqa: B008  # stateless
    trace: Trace = ignore,
    entropy: Callable[[int], bytes] = os.urandom,
) -> None:
    """Follow the configured publishers and store their readings until cancelled.

    Args:
        config: a loaded ``sink.toml``.
        ready: called once with the sink's own identity when the database and the socket are open.
        clock: says when readings arrive, and judges certificates.
        trace: told what happens.
        entropy: random bytes for the handshakes.

    Raises:
        ConfigurationError: an identity folder or key file cannot be used.
        StorageError: the database cannot be opened.
        NetworkError: the system refuses a socket.
    """
    identity = None if config.identity is None else StoredIdentity.load(config.identity)
    if identity is not None:
        identity.require_valid_at(clock.now())
    credentials = {
        entry.place: _credential(entry, identity, timeout=config.answer_timeout) for entry in config.publisher
    }
    with ReadingStore(config.database) as store, ThreadPoolExecutor(1, "sink-store") as writer:
        endpoint = await Endpoint.open(clock=clock, entropy=entropy, trace=trace)
        try:
            context = await open_context(endpoint, client_config=_chooser(credentials))
            try:
                followers = [
                    Follower(
                        entry,
                        context=context,
                        store=_storing(store, writer),
                        clock=clock,
                        trace=trace,
                        answer_timeout=config.answer_timeout,
                        retry=(config.retry_initial_interval, config.retry_max_interval),
                    )
                    for entry in config.publisher
                ]
                async with asyncio.TaskGroup() as following:
                    for follower in followers:
                        following.create_task(follower.run())
                    ready("psk" if identity is None else identity.identity.uri)
            finally:
                await context.shutdown()
        finally:
            await endpoint.close()


def _credential(entry: PublisherConfig, identity: StoredIdentity | None, *, timeout: float) -> DTLSConfig:
    """Build what the sink proves itself with to one publisher: their shared key, or its certificate."""
    if entry.psk is not None:
        key = read_key_file(entry.psk.key_file)
        psk = PSKCredential(identity=entry.psk.identity.encode(), key=key)
        return DTLSConfig(psk=psk, handshake_timeout=timeout)
    if identity is None:
        raise CallerError(f"there is no credential for {entry.uri}", remedy="load the file with load_config")
    return DTLSConfig(
        certificate=credential_of(identity),
        trust=identity.trust,
        handshake_timeout=timeout,
    )


def _chooser(credentials: Mapping[Place, DTLSConfig]) -> Callable[[str, int], DTLSConfig]:
    def choose(host: str, port: int) -> DTLSConfig:
        return credentials[Place(host.lower(), port)]

    return choose


def _storing(store: ReadingStore, writer: ThreadPoolExecutor) -> Callable[[Sequence[Row]], Awaitable[int]]:
    """Store in the writer's one thread: the disk takes its time, the sockets go on."""

    async def add(rows: Sequence[Row]) -> int:
        return await asyncio.get_running_loop().run_in_executor(writer, store.add, rows)

    return add
