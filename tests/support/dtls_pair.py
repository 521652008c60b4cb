"""Two engines and the wire between them, in virtual time.

    pair = Pair(client=client_config(), server=server_config())
    pair.connect()                      # everything arrives
    pair.client.send(b"x"); pair.run()
    pair.server.received == [b"x"]

The wire is a function that a test scripts: it sees every datagram with its direction and number, and
returns what arrives instead: nothing, the same, several, damaged ones, or one that comes later.

The client sits at "home". `pair.rebind("cafe")` has the network show it elsewhere without its knowing; what
is sent to "home" is lost from then on. `pair.interfaces` says where else it can be reached.
"""

from __future__ import annotations

import heapq
import itertools
import random
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from datetime import datetime

from middle_box import MiddleBox
from small_pki import NOW, Credential, small_pki

from twoway.dtls import (
    AcceptedHello,
    Association,
    CertificateCredential,
    Closed,
    Connected,
    DataReceived,
    DecryptionRequest,
    DTLSConfig,
    Event,
    HelloGate,
    HelloVerify,
    PSKCredential,
    SignatureRequest,
)
from twoway.dtls.handshake import Handshake, Surroundings
from twoway.dtls.record import Record, split_datagram_untrusted
from twoway.dtls.session import HeldSession
from twoway.trace import TraceEvent

PSK = bytes(range(16))
PSK_NAME = b"sensor-7"
HOME = "home"
LATENCY = 0.01
"""Seconds that a datagram travels."""


def certificate_of(credential: Credential) -> CertificateCredential:
    return CertificateCredential(credential.chain, credential.private_key)  # type: ignore[arg-type]


def client_config(credential: Credential | None = None, **changes: object) -> DTLSConfig:
    """A client with a certificate."""
    credential = credential or small_pki().subscriber
    config = DTLSConfig(certificate=certificate_of(credential), trust=small_pki().trust)
    return replace(config, **changes)  # type: ignore[arg-type]


def server_config(credential: Credential | None = None, **changes: object) -> DTLSConfig:
    """A server with a certificate."""
    return client_config(credential or small_pki().publisher_p256, **changes)


def psk_client_config(key: bytes = PSK, name: bytes = PSK_NAME, **changes: object) -> DTLSConfig:
    return replace(DTLSConfig(psk=PSKCredential(name, key)), **changes)  # type: ignore[arg-type]


def psk_server_config(**changes: object) -> DTLSConfig:
    return replace(DTLSConfig(psk_lookup={PSK_NAME: PSK}.get), **changes)  # type: ignore[arg-type]


@dataclass
class Datagram:
    """One datagram on the wire."""

    to_server: bool
    number: int
    """Counted from 0 over both directions, in the order of sending."""
    data: bytes
    path: object = HOME
    """Where the client is, as the server sees it."""
    connection_id_bytes: int = 0
    """How long the receiver's connection IDs are."""

    @property
    def records(self) -> list[Record]:
        return split_datagram_untrusted(self.data, self.connection_id_bytes)[0]


Wire = Callable[[Datagram], Iterable[tuple[float, bytes]]]
"""Takes what was sent, returns what arrives: pairs of (extra delay in seconds, bytes)."""


def everything(datagram: Datagram) -> Iterable[tuple[float, bytes]]:
    return [(0.0, datagram.data)]


@dataclass
class Side:
    """One engine and what it has said so far."""

    association: Association | None = None
    handshake: Handshake | None = None
    """The association's; it lets go of it once it is connected."""
    events: list[Event] = field(default_factory=list)
    trace: list[TraceEvent] = field(default_factory=list)

    @property
    def connected(self) -> Connected | None:
        return next((event for event in self.events if isinstance(event, Connected)), None)

    @property
    def closed(self) -> Closed | None:
        return next((event for event in self.events if isinstance(event, Closed)), None)

    @property
    def received(self) -> list[bytes]:
        return [event.data for event in self.events if isinstance(event, DataReceived)]

    @property
    def counters(self) -> Counter[str]:
        return self.association.counters if self.association else Counter()

    def send(self, data: bytes) -> None:
        assert self.association is not None
        self.association.send(data)

    def traced(self, name: str) -> list[TraceEvent]:
        return [event for event in self.trace if event.name == name]


class Pair:
    """A client, a gate, a server, and a wire; time is virtual.

    Args:
        client: the client's configuration; with a certificate by default.
        server: the server's configuration; with a certificate by default.
        wire: what becomes of each datagram.
        box: a box on the path that takes the place of the wire; behind it the client stays at home.
        seed: of all randomness that the engines ask for.
        client_handshake: a handshake that plays the client instead of the engine's own.
        server_handshake: a handshake that plays the server instead of the engine's own.
        session: what the client offers to resume.
        wall_clock: by which both judge certificates and sessions.

    `signer(request)` stands in for a key elsewhere where a config has no private key; it signs or decrypts.
    """

    def __init__(
        self,
        client: DTLSConfig | None = None,
        server: DTLSConfig | None = None,
        *,
        wire: Wire = everything,
        box: MiddleBox | None = None,
        seed: int = 1,
        client_handshake: Callable[..., Handshake] | None = None,
        server_handshake: Callable[..., Handshake] | None = None,
        session: HeldSession | None = None,
        wall_clock: Callable[[], datetime] = lambda: NOW,
    ) -> None:
        self.wire = wire
        self.box = box
        self.now = 0.0
        self.random = random.Random(seed)
        self.entropy = self.random.randbytes
        self.sent: list[Datagram] = []
        self.interfaces: set[object] = {HOME}
        self._shown_as: dict[object, object] = {}
        self._travelling: list[tuple[float, int, bool, bytes, object]] = []
        self._ties = itertools.count()
        self._server_config = server or server_config()
        self._server_handshake = server_handshake
        self.gate = HelloGate(entropy=self.entropy)
        self.client = Side()
        self.server = Side()
        self._session = session
        self._wall_clock = wall_clock
        client = client or client_config()
        self.client.association = Association.client(
            client,
            entropy=self.entropy,
            wall_clock=wall_clock,
            path=HOME,
            trace=self.client.trace.append,
            session=session,
        )
        if client_handshake is not None:
            rogue = client_handshake(self._surroundings(client), self.client.association._handshaking)
            self.client.association._handshaking.handshake = rogue
        self.client.handshake = self.client.association._handshaking.handshake
        self.signer: Callable[[SignatureRequest | DecryptionRequest], bytes | None] | None = None

    def start(self) -> None:
        self.client.association.start(self.now)
        self.drain(self.client)

    def connect(self) -> Pair:
        """Run until both sides are connected; fail loudly if they are not."""
        self.start()
        self.run()
        assert self.client.connected, self.client.events
        assert self.server.connected, self.server.events
        return self

    def run(self, until: float = 600.0) -> None:
        """Deliver and fire timers until nothing is left to happen, or `until` seconds are over."""
        self.drain(self.client)
        self.drain(self.server)
        while (at := self._next_at()) is not None and at <= until:
            self.now = max(self.now, at)
            for to_server, data in self.box.release(self.now) if self.box else ():
                self._travel(data, to_server=to_server, path=HOME)
            if self._travelling and self._travelling[0][0] <= self.now:
                _, _, to_server, data, path = heapq.heappop(self._travelling)
                self.deliver(data, to_server=to_server, path=path)
            for side in (self.client, self.server):
                deadline = side.association.next_deadline() if side.association else None
                if deadline is not None and deadline <= self.now:
                    side.association.handle_timer(self.now)
                    self.drain(side)

    def works(self) -> bool:
        """Whether both are connected and data arrives in both directions."""
        if not (self.client.connected and self.server.connected):
            return False
        if self.client.closed or self.server.closed:
            return False
        self.client.send(b"ping")
        self.server.send(b"pong")
        self.run(until=self.now + 1)
        return self.server.received[-1:] == [b"ping"] and self.client.received[-1:] == [b"pong"]

    def rebind(self, place: object, interface: object = HOME) -> None:
        """Have the network show an interface of the client's elsewhere."""
        self._shown_as[interface] = place

    def deliver(self, data: bytes, *, to_server: bool, path: object = HOME) -> None:
        """Let bytes arrive right now, from or at a place; where the client is not, nobody hears them."""
        if not to_server:
            for interface in self.interfaces:
                if self._shown_as.get(interface, interface) == path:
                    self.client.association.receive_datagram(data, self.now, interface)
            self.drain(self.client)
        elif self.server.association is None:
            self._knock(data, path)
        else:
            self.server.association.receive_datagram(data, self.now, path)
            self.drain(self.server)

    def drain(self, side: Side) -> None:
        """Take all outputs of a side: datagrams onto the wire, events into its list."""
        if side.association is None:
            return
        while True:
            for data, path in side.association.routed_datagrams_to_send():
                self._put(data, to_server=side is self.client, path=path)
            event = side.association.next_event()
            if event is None:
                return
            side.events.append(event)
            if isinstance(event, SignatureRequest | DecryptionRequest) and self.signer:
                side.association.answer(event, self.signer(event), self.now)

    def _knock(self, data: bytes, path: object) -> None:
        verdict = self.gate.receive_untrusted(data, b"client", self.now)
        if isinstance(verdict, HelloVerify):
            self._put(verdict.datagram, to_server=False, path=path)
        elif isinstance(verdict, AcceptedHello):
            self.server.association = Association.server(
                self._server_config,
                verdict,
                entropy=self.entropy,
                wall_clock=self._wall_clock,
                path=path,
                trace=self.server.trace.append,
            )
            if self._server_handshake is not None:
                surroundings = self._surroundings(self._server_config)
                rogue = self._server_handshake(surroundings, self.server.association._handshaking, verdict)
                self.server.association._handshaking.handshake = rogue
            self.server.handshake = self.server.association._handshaking.handshake
            self.server.association.start(self.now)
            self.drain(self.server)

    def _put(self, data: bytes, *, to_server: bool, path: object) -> None:
        if to_server:
            path = self._shown_as.get(path, path)
        receiver = (self.server if to_server else self.client).association
        size = len(receiver.connection_id) if receiver else 0
        datagram = Datagram(to_server, len(self.sent), data, path, size)
        self.sent.append(datagram)
        if self.box is not None:
            self.box.take(data, to_server=to_server, now=self.now)
            return
        for delay, arriving in self.wire(datagram):
            self._travel(arriving, to_server=to_server, path=path, delay=delay)

    def _travel(self, data: bytes, *, to_server: bool, path: object, delay: float = 0.0) -> None:
        heapq.heappush(
            self._travelling, (self.now + LATENCY + delay, next(self._ties), to_server, data, path)
        )

    def _surroundings(self, config: DTLSConfig) -> Surroundings:
        size = config.connection_id_bytes
        connection_id = None if size is None else self.entropy(size)
        return Surroundings(config, self.entropy, self._wall_clock, connection_id, self._session)

    def _next_at(self) -> float | None:
        times = [self._travelling[0][0]] if self._travelling else []
        if self.box is not None and (due_at := self.box.next_at()) is not None:
            times.append(due_at)
        for side in (self.client, self.server):
            if side.association and (deadline := side.association.next_deadline()) is not None:
                times.append(deadline)
        return min(times, default=None)
