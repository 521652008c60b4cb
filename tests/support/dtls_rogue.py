"""Rogue handshakes: peers that speak the protocol with the engine's own words and break one rule.

A rogue keeps its transcript and its keys in step with what it really says, so that the other side has
exactly one thing to find: the broken rule. Give one to a `dtls_pair.Pair`:

    Pair(client_handshake=rogue_client(say=missing(HandshakeType.CERTIFICATE_VERIFY)))
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

from twoway.dtls.client import ClientHandshake
from twoway.dtls.flights import FlightItem
from twoway.dtls.messages.handshake import HandshakeType
from twoway.dtls.messages.hello import ClientHello, Extensions, ServerHello
from twoway.dtls.server import ServerHandshake

Saying = tuple[HandshakeType, bytes, int]
"""A message: its type, its body, its epoch."""
Say = Callable[[Saying], Iterable[Saying]]
"""Takes what the protocol would say now, returns what is said."""
Arrange = Callable[[list[FlightItem]], list[FlightItem]]
"""Takes a whole flight, ChangeCipherSpec included, returns what is sent."""


def honest(saying: Saying) -> Iterable[Saying]:
    return [saying]


def _rogue(base: type[Any], say: Say, arrange: Arrange, methods: dict[str, Any]) -> type[Any]:
    class Rogue(base):
        def _say(self, kind: HandshakeType, body: bytes, *, epoch: int = 0) -> None:
            for one_kind, one_body, one_epoch in say((kind, body, epoch)):
                super()._say(one_kind, one_body, epoch=one_epoch)

        def _send_flight(self, *, awaits_answer: bool) -> None:
            self._flight = arrange(self._flight)
            super()._send_flight(awaits_answer=awaits_answer)

    for name, method in methods.items():
        setattr(Rogue, name, method)
    return Rogue


def rogue_client(say: Say = honest, arrange: Arrange = list, **methods: Any) -> type[Any]:
    """A client that says, arranges or does (`methods` replace its own) something else."""
    return _rogue(ClientHandshake, say, arrange, methods)


def rogue_server(say: Say = honest, arrange: Arrange = list, **methods: Any) -> type[Any]:
    """A server that says, arranges or does (`methods` replace its own) something else."""
    return _rogue(ServerHandshake, say, arrange, methods)


# --- what may be said --------------------------------------------------------------------------------


def missing(kind: HandshakeType) -> Say:
    """This message is never said."""
    return lambda saying: [] if saying[0] == kind else [saying]


def repeated(kind: HandshakeType) -> Say:
    """This message is said twice, as two messages."""
    return lambda saying: [saying, saying] if saying[0] == kind else [saying]


def swapped(first: HandshakeType, second: HandshakeType) -> Say:
    """The first message is said only after the second."""
    held: list[Saying] = []

    def say(saying: Saying) -> Iterable[Saying]:
        if saying[0] == first:
            held.append(saying)
            return []
        return [saying, *held] if saying[0] == second else [saying]

    return say


def inserted(before: HandshakeType, kind: int, body: bytes = b"") -> Say:
    """One message more, in front of this one."""
    return lambda saying: [(kind, body, saying[2]), saying] if saying[0] == before else [saying]


def in_epoch(kind: HandshakeType, epoch: int) -> Say:
    """This message travels in another epoch."""
    return lambda saying: [(saying[0], saying[1], epoch)] if saying[0] == kind else [saying]


def changed(kind: HandshakeType, change: Callable[[bytes], bytes]) -> Say:
    """This message has another body."""
    return lambda saying: [(saying[0], change(saying[1]), saying[2])] if saying[0] == kind else [saying]


def client_hello(**changes: Any) -> dict[str, Any]:
    """Methods of a rogue client whose hello has other fields; `extensions` may be a function of them.

    The first hello is changed, so that the cookie fits the second.
    """
    original = ClientHandshake._say_hello

    def say_hello(self: Any) -> None:
        self._hello = _with(self._hello, changes)
        original(self)

    return {"_say_hello": say_hello}


def server_hello(**changes: Any) -> Say:
    """A ServerHello with other fields; `extensions` may be a function of them."""
    return changed(
        HandshakeType.SERVER_HELLO,
        lambda body: _with(ServerHello.parse_untrusted(body), changes).encode(),
    )


def _with(hello: ClientHello | ServerHello, changes: dict[str, Any]) -> Any:
    changes = {
        name: value(getattr(hello, name)) if callable(value) else value for name, value in changes.items()
    }
    return replace(hello, **changes)


def without(kind: int) -> Callable[[Extensions], Extensions]:
    """Extensions without one."""
    return lambda extensions: {key: value for key, value in extensions.items() if key != kind}


def with_extension(kind: int, data: bytes) -> Callable[[Extensions], Extensions]:
    """Extensions with one more, or another value of one."""
    return lambda extensions: {**extensions, kind: data}
