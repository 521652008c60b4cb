"""The loss matrix: handshakes on a path that loses, repeats and reorders, in virtual time and by a seed.

A cell is one credential, one MTU, one rate of loss and one preset of the retransmission timer. In each cell
the same path is met again, seed by seed, so that presets and MTUs are compared on the same misfortunes.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from dtls_cases import configs, peers
from dtls_pair import Pair, Side
from middle_box import Delay, Drop, Duplicate, MiddleBox

from twoway.dtls.timers import LINK_MEASURED, RFC6347, RFC7925

CREDENTIALS: Final = {"rsa": "RSA-2048", "p-256": "P-256", "psk": "PSK"}
MTUS: Final = (100, 1280)
LOSSES: Final = (0.0, 0.1, 0.2, 0.5)
PRESETS: Final = {"RFC 6347": RFC6347, "RFC 7925": RFC7925, "link measured": LINK_MEASURED}
DUPLICATION: Final = 0.1
"""How many datagrams arrive a second time, up to `REPEATED_WITHIN` later."""
REPEATED_WITHIN: Final = 0.5
DISORDER: Final = 0.1
"""How many datagrams are late by up to `LATE_BY`, and are overtaken."""
LATE_BY: Final = 0.2
HANDSHAKE_TIMEOUT: Final = 3600.0
"""An hour: what is measured is how long it takes, not who gives up first."""


class Cell(NamedTuple):
    """One row of the matrix."""

    preset: str
    credential: str
    mtu_bytes: int
    loss: float


class Handshake(NamedTuple):
    """How one handshake went."""

    seed: int
    failure: str | None
    """What each side said, if not both were connected with the right peer."""
    seconds: float
    """Until the later side was connected, in virtual time."""
    sent_bytes: int
    """UDP payloads of both sides until then, repetitions included."""


@dataclass(frozen=True)
class Row:
    """What a cell has come to."""

    cell: Cell
    handshakes: list[Handshake]

    @property
    def failures(self) -> list[Handshake]:
        return [handshake for handshake in self.handshakes if handshake.failure]

    @property
    def success_percent(self) -> float:
        return 100 * (1 - len(self.failures) / len(self.handshakes))

    def quantiles(self, figure: str) -> tuple[float, float]:
        """The median and the 95th percentile of a figure of the handshakes that succeeded."""
        figures = [getattr(handshake, figure) for handshake in self.handshakes if not handshake.failure]
        cuts = statistics.quantiles(figures, n=20, method="inclusive")
        return statistics.median(figures), cuts[-1]


class TimedPair(Pair):
    """Notes when each side was connected, and what had been sent by then."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.connected_at: dict[int, tuple[float, int]] = {}

    def drain(self, side: Side) -> None:
        super().drain(side)
        if id(side) not in self.connected_at and side.connected:
            self.connected_at[id(side)] = self.now, sum(len(datagram.data) for datagram in self.sent)


def cells() -> Iterator[Cell]:
    """All cells, table by table."""
    for preset in PRESETS:
        for credential in CREDENTIALS:
            for mtu_bytes in MTUS:
                for loss in LOSSES:
                    yield Cell(preset, credential, mtu_bytes, loss)


def box_of(cell: Cell, seed: int) -> MiddleBox:
    """The path of a cell."""
    return MiddleBox(
        Drop(chance=cell.loss),
        Duplicate(REPEATED_WITHIN, chance=DUPLICATION),
        Delay((0.0, LATE_BY), chance=DISORDER),
        seed=seed,
    )


def shake_hands(cell: Cell, seed: int) -> Handshake:
    """One handshake of a cell; both sides check each other's chain, or key."""
    limits = {"mtu_bytes": cell.mtu_bytes, "handshake_timeout": HANDSHAKE_TIMEOUT}
    both = configs(cell.credential, retransmission=PRESETS[cell.preset], **limits)
    pair = TimedPair(*both, box=box_of(cell, seed), seed=seed)
    pair.start()
    pair.run(until=2 * HANDSHAKE_TIMEOUT)
    failure = _failure(pair, cell.credential)
    seconds, sent_bytes = max(pair.connected_at.values(), default=(0.0, 0))
    return Handshake(seed, failure, seconds, sent_bytes)


def measure(cell: Cell, *, handshakes: int, seed: int) -> Row:
    """So many handshakes of a cell, with consecutive seeds."""
    return Row(cell, [shake_hands(cell, seed + number) for number in range(handshakes)])


def _failure(pair: Pair, credential: str) -> str | None:
    for side, peer in zip((pair.client, pair.server), peers(credential), strict=True):
        if side.connected is None or side.connected.peer != peer or side.closed:
            return f"client {pair.client.events}, server {pair.server.events}"
    pair.box = None
    return None if pair.works() else "connected, but their keys differ"
