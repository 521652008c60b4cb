"""A box on the path between client and server that treats datagrams badly, by a script and a seed.

    box = MiddleBox(Drop(chance=0.2), Duplicate(chance=0.1), Delay((0.0, 0.3), chance=0.2), seed=7)
    Pair(box=box).connect()                              # in virtual time, between two engines
    with OnUDP(box, server.port) as path:                # between real sockets
        ... a client connects to path.port ...

A script is a row of habits; each takes a packet and says what becomes of it: nothing, itself, later, twice.
What it can do is what Mbed TLS's `udp_proxy` can, for the same reason: such things happen on real paths, or
are within reach of whoever sits on one. The box knows the wire format by itself and asks nothing of the
engine that is tested with it. Like the engine it has no clock: `take`, `release`, `next_at`.
"""

from __future__ import annotations

import contextlib
import heapq
import itertools
import random
import select
import socket
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Any, Final, Self

RECORD_HEADER: Final = 13
CID_RECORD: Final = 25  # RFC 9146 section 4: tls12_cid
CID_OFFSET: Final = 11  # behind type, version, epoch and sequence number
NAMES: Final = {20: "ChangeCipherSpec", 21: "Alert", 23: "ApplicationData", CID_RECORD: "ConnectionID"}
MESSAGES: Final = {
    0: "HelloRequest",
    1: "ClientHello",
    2: "ServerHello",
    3: "HelloVerifyRequest",
    4: "NewSessionTicket",
    11: "Certificate",
    12: "ServerKeyExchange",
    13: "CertificateRequest",
    14: "ServerHelloDone",
    15: "CertificateVerify",
    16: "ClientKeyExchange",
    20: "Finished",
}
ALWAYS: Final = 10**9


@dataclass(frozen=True)
class Packet:
    """A datagram inside of the box."""

    to_server: bool
    data: bytes
    due_at: float
    """When it leaves."""


def records(data: bytes) -> list[bytes]:
    """A datagram's records; the rest that is none counts as one."""
    cut = []
    while data:
        # With a connection ID the length stands behind it, and how long it is only the two sides know.
        is_plain = len(data) >= RECORD_HEADER and data[0] != CID_RECORD
        end = RECORD_HEADER + int.from_bytes(data[11:13], "big") if is_plain else len(data)
        cut.append(data[:end])
        data = data[end:]
    return cut


def names(data: bytes) -> set[str]:
    """What a datagram carries, as far as somebody without keys can tell."""
    return {_name(record) for record in records(data)}


def _name(record: bytes) -> str:
    if record[0] != 22 or len(record) <= RECORD_HEADER:
        return NAMES.get(record[0], "unknown")
    if record[3:5] != b"\x00\x00":
        return "protected handshake"
    return MESSAGES.get(record[RECORD_HEADER], "unknown")


# --- which packets --------------------------------------------------------------------------------------

Which = Callable[[Packet], bool]


def anything(packet: Packet) -> bool:
    return True


def carrying(*wanted: str) -> Which:
    """Packets with a record of one of these names."""
    return lambda packet: bool(names(packet.data) & set(wanted))


def other_than(*spared: str) -> Which:
    """Packets without any record of these names: the others are under protection."""
    return lambda packet: not names(packet.data) & set(spared)


def from_client(packet: Packet) -> bool:
    return packet.to_server


def from_server(packet: Packet) -> bool:
    return not packet.to_server


# --- habits ---------------------------------------------------------------------------------------------


class Habit:
    """What the box does with some of the packets; the others pass.

    Args:
        chance: that a packet is struck.
        which: packets that may be struck at all.
        times: after so many the habit is given up.
    """

    def __init__(self, *, chance: float = 1.0, which: Which = anything, times: int = ALWAYS) -> None:
        self._chance = chance
        self._which = which
        self._times = times
        self.struck = 0
        """How many packets it has changed."""

    def __call__(self, packet: Packet, dice: random.Random) -> list[Packet]:
        if self.struck >= self._times or not self._which(packet) or dice.random() >= self._chance:
            return [packet]
        outcome = list(self.strike(packet, dice))
        self.struck += outcome != [packet]
        return outcome

    def strike(self, packet: Packet, dice: random.Random) -> Iterable[Packet]:
        """Say what leaves the box instead of this packet."""
        raise NotImplementedError


class Drop(Habit):
    """The packet is lost."""

    def strike(self, packet: Packet, dice: random.Random) -> Iterable[Packet]:
        return ()


class Narrow(Habit):
    """Packets larger than this are lost, as on a path whose MTU is smaller than somebody thought."""

    def __init__(self, mtu_bytes: int) -> None:
        super().__init__(which=lambda packet: len(packet.data) > mtu_bytes)

    def strike(self, packet: Packet, dice: random.Random) -> Iterable[Packet]:
        return ()


class Duplicate(Habit):
    """The packet arrives twice, the second time later by up to `seconds`."""

    def __init__(self, seconds: float = 0.0, **whom: Any) -> None:
        super().__init__(**whom)
        self._seconds = seconds

    def strike(self, packet: Packet, dice: random.Random) -> Iterable[Packet]:
        return packet, later(packet, dice.uniform(0.0, self._seconds))


class Delay(Habit):
    """The packet is held back for so long, and overtaken meanwhile; a pair of bounds is drawn from."""

    def __init__(self, seconds: float | tuple[float, float], **whom: Any) -> None:
        super().__init__(**whom)
        self._bounds = seconds if isinstance(seconds, tuple) else (seconds, seconds)

    def strike(self, packet: Packet, dice: random.Random) -> Iterable[Packet]:
        return (later(packet, dice.uniform(*self._bounds)),)


class Corrupt(Habit):
    """One bit of a content is flipped; with `copy_first` in a copy that runs ahead of the real one."""

    def __init__(self, *, copy_first: bool = False, **whom: Any) -> None:
        super().__init__(**whom)
        self._copy_first = copy_first

    def strike(self, packet: Packet, dice: random.Random) -> Iterable[Packet]:
        if len(packet.data) <= RECORD_HEADER:
            return (packet,)
        damaged = flipped(packet, dice.randrange(RECORD_HEADER, len(packet.data)), dice.randrange(8))
        return (damaged, packet) if self._copy_first else (damaged,)


class WrongConnectionID(Habit):
    """A record with a connection ID is preceded by a copy that has another one."""

    def __init__(self, **whom: Any) -> None:
        super().__init__(which=carrying("ConnectionID"), **whom)

    def strike(self, packet: Packet, dice: random.Random) -> Iterable[Packet]:
        return flipped(packet, CID_OFFSET, dice.randrange(8)), packet


class InjectClientHello(Habit):
    """The client's first hello, which has no cookie, is said again behind its first application data."""

    def __init__(self) -> None:
        super().__init__(which=from_client)
        self._hello: bytes | None = None

    def strike(self, packet: Packet, dice: random.Random) -> Iterable[Packet]:
        if self._hello is None and "ClientHello" in names(packet.data):
            self._hello = packet.data
        if self._hello and not self.struck and names(packet.data) & {"ApplicationData", "ConnectionID"}:
            return packet, replace(packet, data=self._hello)
        return (packet,)


class Split(Habit):
    """Each record of a packet travels alone."""

    def strike(self, packet: Packet, dice: random.Random) -> Iterable[Packet]:
        return [replace(packet, data=record) for record in records(packet.data)]


def later(packet: Packet, seconds: float) -> Packet:
    return replace(packet, due_at=packet.due_at + seconds)


def flipped(packet: Packet, byte: int, bit: int) -> Packet:
    data = bytearray(packet.data)
    data[byte] ^= 1 << bit
    return replace(packet, data=bytes(data))


# --- the box --------------------------------------------------------------------------------------------


class MiddleBox:
    """Takes packets, treats them, and lets them go when they are due.

    Args:
        habits: each is given what the ones before it have left.
        seed: of all chance.
        glue_seconds: packets that leave within a slot of so many seconds leave together, as one datagram.
        glue_bytes: the largest such datagram.
    """

    def __init__(
        self, *habits: Habit, seed: int = 1, glue_seconds: float = 0.0, glue_bytes: int = 16_384
    ) -> None:
        self._habits = habits
        self._dice = random.Random(seed)
        self._glue_seconds = glue_seconds
        self._glue_bytes = glue_bytes
        self._ties = itertools.count()
        self._held: list[tuple[float, int, Packet]] = []
        self.glued = 0
        """How many packets were joined to the one before."""

    def take(self, data: bytes, *, to_server: bool, now: float) -> None:
        """A datagram enters."""
        packets = [Packet(to_server, data, now)]
        for habit in self._habits:
            packets = [left for packet in packets for left in habit(packet, self._dice)]
        for packet in packets:
            heapq.heappush(self._held, (self._slot(packet.due_at), next(self._ties), packet))

    def next_at(self) -> float | None:
        """When the next packet is due, in the seconds of `now`; None if none is held."""
        return self._held[0][0] if self._held else None

    def release(self, now: float) -> list[tuple[bool, bytes]]:
        """What leaves by now, in order: whether to the server, and the bytes."""
        leaving: list[tuple[bool, bytes]] = []
        while self._held and self._held[0][0] <= now:
            _, _, packet = heapq.heappop(self._held)
            self._let_go(packet, leaving)
        return leaving

    def _slot(self, due_at: float) -> float:
        return due_at if not self._glue_seconds else (due_at // self._glue_seconds + 1) * self._glue_seconds

    def _let_go(self, packet: Packet, leaving: list[tuple[bool, bytes]]) -> None:
        for place, (to_server, data) in enumerate(leaving if self._glue_seconds else ()):
            if to_server is packet.to_server and len(data) + len(packet.data) <= self._glue_bytes:
                leaving[place] = (to_server, data + packet.data)
                self.glued += 1
                return
        leaving.append((packet.to_server, packet.data))


class OnUDP:
    """A box between real sockets: clients connect to `port`, it speaks with the server.

    It serves one client at a time, whoever spoke last. `rebind()` makes it a NAT that forgot its mapping:
    from then on the server sees the client come from another port.
    """

    def __init__(self, box: MiddleBox, server_port: int) -> None:
        self._box = box
        self._server = ("127.0.0.1", server_port)
        self._client: tuple[str, int] | None = None
        self._facing_client = _bound_socket()
        self._facing_server = _bound_socket()
        self._lock = threading.Lock()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self.port: int = self._facing_client.getsockname()[1]
        """Where clients connect."""

    @property
    def server_sees(self) -> int:
        """The port from which the server gets the client's datagrams."""
        return self._facing_server.getsockname()[1]

    def rebind(self) -> None:
        """Go on from another port."""
        with self._lock:
            self._facing_server.close()
            self._facing_server = _bound_socket()

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        self._thread.join()
        self._facing_client.close()
        self._facing_server.close()

    def _run(self) -> None:
        while not self._stopping.is_set():
            with self._lock:
                for sock in (self._facing_client, self._facing_server):
                    self._read(sock)
                for to_server, data in self._box.release(time.monotonic()):
                    self._pass_on(data, to_server=to_server)
                waiting = [self._facing_client, self._facing_server]
            with contextlib.suppress(OSError, ValueError):  # A socket that was just rebound is no longer one.
                select.select(waiting, [], [], self._patience())

    def _patience(self) -> float:
        due_at = self._box.next_at()
        return 0.02 if due_at is None else min(0.02, max(0.0, due_at - time.monotonic()))

    def _read(self, sock: socket.socket) -> None:
        is_client = sock is self._facing_client
        # Where a peer has gone the kernel reports so here; to a box it is a datagram that never came.
        with contextlib.suppress(BlockingIOError, ConnectionError):
            while True:
                data, address = sock.recvfrom(65_536)
                if is_client:
                    self._client = address
                self._box.take(data, to_server=is_client, now=time.monotonic())

    def _pass_on(self, data: bytes, *, to_server: bool) -> None:
        with contextlib.suppress(ConnectionError):
            if to_server:
                self._facing_server.sendto(data, self._server)
            elif self._client is not None:
                self._facing_client.sendto(data, self._client)


def _bound_socket() -> socket.socket:
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.bind(("127.0.0.1", 0))
    sock.setblocking(False)
    return sock
