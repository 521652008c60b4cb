"""The two calls that a program begins with: open a connection, serve connections.

    async with await twoway.connect("meter.example", 5684, config) as connection:
        connection.send(b"hello")
        print(await connection.receive())

    async def echo(connection):
        async for data in connection:
            connection.send(data)

    async with twoway.serve(echo, config, port=5684) as server:
        await server.serve_forever()

Both stand on :class:`~twoway.net.Endpoint`, which does more: many connections on one port, in both
directions.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Self

from twoway.clock import Clock
from twoway.dtls import DTLSConfig
from twoway.errors import CallerError
from twoway.net.connection import Connection
from twoway.net.endpoint import Endpoint
from twoway.net.expectation import require_peer
from twoway.net.limits import Limits
from twoway.trace import Fault, Trace, ignore

Handler = Callable[[Connection], Awaitable[None]]
"""Takes a connection that a peer opened, and is done with it when it returns."""


async def connect(
    host: str,
    port: int,
    config: DTLSConfig,
    *,
    peer: str | None = None,
    clock: Clock | None = None,
    trace: Trace = ignore,
) -> Connection:
    """Open a connection from a UDP port of its own, which is released when the connection is over.

    Args:
        host: name or address of the peer.
        port: its UDP port.
        config: what to prove, whom to believe.
        peer: the identity URI that the peer's certificate must have, or :data:`~twoway.net.ANYBODY`; without
            it the certificate must name ``host``. A pre-shared or pinned key leaves nothing to compare.
        clock: where time comes from.
        trace: takes what happens.

    Raises:
        PeerError: the peer is not the one that was meant.
        NetworkError, RefusedError, PeerError: as for :meth:`Endpoint.connect`.
    """
    endpoint = await Endpoint.open(clock=clock, trace=trace)
    try:
        connection = await endpoint.connect(host, port, config)
        require_peer(connection.peer, host=host, expected=peer)
    except BaseException:
        await endpoint.close()
        raise
    connection.release_with(endpoint.close)
    return connection


def serve(
    handler: Handler,
    config: DTLSConfig,
    *,
    host: str = "",
    port: int = 0,
    limits: Limits | None = None,
    clock: Clock | None = None,
    trace: Trace = ignore,
) -> Server:
    """Serve connections on a UDP port: an async context manager, listening inside its block.

    Args:
        handler: called for each connection in a task of its own. The connection is closed when it returns.
            If it raises, that connection is closed and the others do not notice.
        config: what to prove, whom to believe.
        host: name or address to bind to; empty for every address.
        port: UDP port, 0 for a free one (see :attr:`Server.address`).
        limits: bounds on what the network may take.
        clock: where time comes from.
        trace: takes what happens.
    """
    return Server(handler, config, host=host, port=port, limits=limits, clock=clock, trace=trace)


class Server:
    """What :func:`serve` returns."""

    def __init__(
        self,
        handler: Handler,
        config: DTLSConfig,
        *,
        host: str,
        port: int,
        limits: Limits | None,
        clock: Clock | None,
        trace: Trace,
    ) -> None:
        self._handler = handler
        self._config = config
        self._host = host
        self._port = port
        self._limits = limits
        self._clock = clock
        self._trace = trace
        self._tasks: set[asyncio.Task[None]] = set()
        self._endpoint: Endpoint | None = None

    async def __aenter__(self) -> Self:
        if self._endpoint is not None:
            raise CallerError("a server is entered once")
        self._endpoint = await Endpoint.open(
            host=self._host,
            port=self._port,
            accept=self._config,
            on_connection=self._welcome,
            limits=self._limits,
            clock=self._clock,
            trace=self._trace,
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self.endpoint.close()

    @property
    def endpoint(self) -> Endpoint:
        """The endpoint below: counters, open connections.

        Raises:
            CallerError: outside of the ``async with`` block.
        """
        if self._endpoint is None:
            raise CallerError("the server is not listening", remedy="use it in `async with`")
        return self._endpoint

    @property
    def address(self) -> tuple[str, int]:
        """The host and port that are bound; the host is a wildcard if every address is."""
        return self.endpoint.address

    async def serve_forever(self) -> None:
        """Wait until cancelled; what is served is served meanwhile and otherwise, too."""
        await asyncio.Event().wait()

    def _welcome(self, connection: Connection) -> None:
        task = asyncio.get_running_loop().create_task(self._handle(connection))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _handle(self, connection: Connection) -> None:
        try:
            await self._handler(connection)
        except Exception as fault:  # noqa: BLE001 a handler's fault costs its connection and no other
            self.endpoint.counters["handlers failed"] += 1
            data = {"fault": f"{type(fault).__name__}: {fault}"}
            self._trace(Fault("handler failed", repr(connection), data))
        finally:
            connection.close()
