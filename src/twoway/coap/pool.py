"""Client connections by host and port: one each, one handshake at a time, the dead ones forgotten."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from twoway.dtls import DTLSConfig
from twoway.errors import CallerError, NetworkError
from twoway.net import Connection, Endpoint

ClientConfig = Callable[[str, int], DTLSConfig]
"""Says with which credentials to connect to a host and port, and whom to trust there; may refuse by
raising a :class:`~twoway.errors.TwowayError`."""

Place = tuple[str, int]


@dataclass(eq=False)
class _Attempt:
    """A handshake that somebody waits for."""

    task: asyncio.Task[Connection]
    waiting: int = 0


class ConnectionPool:
    """Opens connections through one endpoint.

    Args:
        endpoint: opens them.
        client_config: chooses credentials; None: no connection is opened.
    """

    def __init__(self, endpoint: Endpoint, client_config: ClientConfig | None) -> None:
        self._endpoint = endpoint
        self._client_config = client_config
        self._open: dict[Place, Connection] = {}
        self._attempts: dict[Place, _Attempt] = {}
        self._closed = False

    async def connection(self, host: str, port: int) -> Connection:
        """Return the open connection to a host and port, or open one.

        Everybody who asks while a handshake runs gets its outcome. It is given up when the last of them
        is cancelled.

        Raises:
            TwowayError: as :meth:`twoway.net.Endpoint.connect`; CallerError if there are no credentials.
        """
        place = (host.lower(), port)
        if (known := self._open.get(place)) is not None:
            return known
        if self._closed:
            raise _shut_down()
        attempt = self._attempts.get(place)
        if attempt is None:
            attempt = self._attempts[place] = _Attempt(asyncio.create_task(self._attempt(place)))
        attempt.waiting += 1
        try:
            return await asyncio.shield(attempt.task)
        except asyncio.CancelledError:
            ourselves = asyncio.current_task()
            if attempt.task.cancelled() and not (ourselves is not None and ourselves.cancelling()):
                raise _shut_down() from None
            raise
        finally:
            attempt.waiting -= 1
            if not attempt.waiting and not attempt.task.done():
                self._give_up(place, attempt)

    async def close(self) -> None:
        """Give up whatever handshake runs. Open connections are the endpoint's."""
        self._closed = True
        tasks = [attempt.task for attempt in self._attempts.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _give_up(self, place: Place, attempt: _Attempt) -> None:
        # Forgotten at once: whoever asks next must not wait for something that is being cancelled.
        self._attempts.pop(place, None)
        attempt.task.cancel()

    async def _attempt(self, place: Place) -> Connection:
        try:
            connection = await self._connect(*place)
        finally:
            attempt = self._attempts.get(place)
            if attempt is not None and attempt.task is asyncio.current_task():
                del self._attempts[place]
        self._open[place] = connection
        connection.add_closed_listener(lambda _closed: self._forget(place, connection))
        return connection

    async def _connect(self, host: str, port: int) -> Connection:
        if self._client_config is None:
            raise CallerError("this context has no credentials to connect with")
        return await self._endpoint.connect(host, port, self._client_config(host, port))

    def _forget(self, place: Place, connection: Connection) -> None:
        if self._open.get(place) is connection:
            del self._open[place]


def _shut_down() -> NetworkError:
    return NetworkError("the CoAP context was shut down")
