"""The engine on a real UDP socket, driven by a plain blocking loop: what foreign programs talk to.

with LoopbackServer(server_config()) as server:         # echoes what it receives, one peer at a time
    ... start a foreign client against server.port ...
    server.wait_for(Connected)

with LoopbackClient(client_config(), port) as client:   # connects to a foreign server
    client.wait_for(Connected); client.send(b"hello")
"""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Self, TypeVar

from twoway.dtls import (
    AcceptedHello,
    Association,
    Closed,
    DataReceived,
    DTLSConfig,
    Event,
    HeldSession,
    HelloGate,
    HelloVerify,
)

E = TypeVar("E")
PATIENCE = 15.0


class Loop(threading.Thread):
    """One socket, one association at a time."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.association: Association | None = None
        self.peer: tuple[str, int] | None = None
        self.events: list[Event] = []
        self.sent: list[bytes] = []
        self.heard: list[bytes] = []
        self._news = threading.Condition()
        self._lock = threading.Lock()
        self._stopping = False

    def run(self) -> None:
        while not self._stopping:
            with self._lock:
                deadline = self.association.next_deadline() if self.association else None
            wait = 0.05 if deadline is None else min(0.05, max(0.0, deadline - time.monotonic()))
            self.socket.settimeout(wait or 0.001)
            try:
                data, address = self.socket.recvfrom(65536)
            except TimeoutError:
                with self._lock:
                    if self.association:
                        self.association.handle_timer(time.monotonic())
                        self.drain()
                continue
            except OSError:
                return
            with self._lock:
                self.heard.append(data)
                self.take(data, address)

    def take(self, data: bytes, address: tuple[str, int]) -> None:
        assert self.association
        self.association.receive_datagram(data, time.monotonic())
        self.drain()

    def drain(self) -> None:
        assert self.association
        while True:
            for datagram in self.association.datagrams_to_send():
                self.transmit(datagram, self.peer)
            event = self.association.next_event()
            if event is None:
                return
            with self._news:
                self.events.append(event)
                self._news.notify_all()
            self.on_event(event)

    def transmit(self, datagram: bytes, address: tuple[str, int]) -> None:
        self.sent.append(datagram)
        self.socket.sendto(datagram, address)

    def on_event(self, event: Event) -> None:
        """A side may answer."""

    def send(self, data: bytes) -> None:
        with self._lock:
            self.association.send(data)
            self.drain()

    def wait_for(self, kind: type[E], patience: float = PATIENCE) -> E:
        """Return the first event of a kind; fail after a while."""
        with self._news:
            came = self._news.wait_for(
                lambda: any(isinstance(event, kind) for event in self.events), patience
            )
            assert came, f"no {kind.__name__}: {self.events}"
            return next(event for event in self.events if isinstance(event, kind))

    def has(self, kind: type[E]) -> bool:
        return any(isinstance(event, kind) for event in self.events)

    def received(self) -> bytes:
        return b"".join(event.data for event in self.events if isinstance(event, DataReceived))

    def wait_for_data(self, wanted: bytes, patience: float = PATIENCE) -> None:
        with self._news:
            assert self._news.wait_for(lambda: wanted in self.received(), patience), self.events

    def __exit__(self, *_: object) -> None:
        with self._lock:
            if self.association:
                self.association.close()
                self.drain()
        self._stopping = True
        self.join()
        self.socket.close()


def echo(data: bytes) -> bytes | None:
    """What the server answers unless it is told otherwise."""
    return b"echo: " + data


class LoopbackServer(Loop):
    """Answers what it receives; takes the next peer when one is done."""

    def __init__(self, config: DTLSConfig, answer: Callable[[bytes], bytes | None] = echo) -> None:
        super().__init__()
        self._config = config
        self._answer = answer
        self._gate = HelloGate(entropy=os.urandom)
        self.socket.bind(("127.0.0.1", 0))
        self.port: int = self.socket.getsockname()[1]

    def take(self, data: bytes, address: tuple[str, int]) -> None:
        if address == self.peer and self.association:
            super().take(data, address)
            return
        verdict = self._gate.receive_untrusted(data, repr(address).encode(), time.monotonic())
        if isinstance(verdict, HelloVerify):
            self.transmit(verdict.datagram, address)
        elif isinstance(verdict, AcceptedHello):
            self.peer = address
            self.association = Association.server(
                self._config, verdict, entropy=os.urandom, wall_clock=lambda: datetime.now(UTC)
            )
            self.association.start(time.monotonic())
            self.drain()

    def on_event(self, event: Event) -> None:
        if isinstance(event, DataReceived):
            answer = self._answer(event.data)
            if answer is not None:
                self.association.send(answer)
        elif isinstance(event, Closed):
            self.peer = None

    def __enter__(self) -> Self:
        self.start()
        return self


class LoopbackClient(Loop):
    """Connects at once; with a session, and from a port of its own choice, if told so."""

    def __init__(
        self, config: DTLSConfig, port: int, session: HeldSession | None = None, own_port: int = 0
    ) -> None:
        super().__init__()
        self._own_port = own_port
        self.peer = ("127.0.0.1", port)
        self.association = Association.client(
            config, entropy=os.urandom, wall_clock=lambda: datetime.now(UTC), session=session
        )

    def __enter__(self) -> Self:
        self.socket.bind(("127.0.0.1", self._own_port))
        self.association.start(time.monotonic())
        self.drain()
        self.start()
        return self
