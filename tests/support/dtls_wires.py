"""Wires for a `dtls_pair.Pair`: each takes what was sent and says what arrives, and when.

Pair(wire=lose(3))                    # the fourth datagram is lost, its repetition arrives
Pair(wire=damage(3, lambda data: data[:20]))
"""

from __future__ import annotations

import random
from collections.abc import Callable, Collection, Iterable

from dtls_pair import Datagram, Wire

Arrivals = Iterable[tuple[float, bytes]]


def lose(*numbers: int) -> Wire:
    """Datagrams with these numbers never arrive."""
    return lambda sent: [] if sent.number in numbers else [(0.0, sent.data)]


def duplicate(*numbers: int, delay: float = 0.0) -> Wire:
    """Datagrams with these numbers arrive twice, the second time later by `delay` seconds."""

    def wire(sent: Datagram) -> Arrivals:
        return [(0.0, sent.data), (delay, sent.data)] if sent.number in numbers else [(0.0, sent.data)]

    return wire


def delay(numbers: Collection[int], seconds: float) -> Wire:
    """Datagrams with these numbers arrive late."""
    return lambda sent: [(seconds if sent.number in numbers else 0.0, sent.data)]


def damage(number: int, change: Callable[[bytes], bytes]) -> Wire:
    """The datagram with this number arrives as something else."""
    return lambda sent: [(0.0, change(sent.data) if sent.number == number else sent.data)]


def meanwhile(number: int, act: Callable[[], None]) -> Wire:
    """When the datagram with this number is sent, and before it arrives, somebody acts."""

    def wire(sent: Datagram) -> Arrivals:
        if sent.number == number:
            act()
        return [(0.0, sent.data)]

    return wire


def reverse_flights() -> Wire:
    """What is sent at one moment arrives in the opposite order: each datagram overtakes the one before."""
    last = [0]

    def wire(sent: Datagram) -> Arrivals:
        last[0] += 1
        return [(0.5 - last[0] * 0.001, sent.data)]

    return wire


def lossy(rate: float, seed: int) -> Wire:
    """Each datagram is lost with this probability; the same ones for the same seed."""
    dice = random.Random(seed)
    return lambda sent: [] if dice.random() < rate else [(0.0, sent.data)]


def silence_from(side_is_server: bool) -> Wire:
    """Nothing that this side sends arrives."""
    return lambda sent: [] if sent.to_server is not side_is_server else [(0.0, sent.data)]
