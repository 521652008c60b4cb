"""What an association takes when nothing happens, and when it leaves: memory, and saving and restoring.

Each figure comes from a process of its own (`memory.py`, `snapshots.py`), one after the other.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from statistics import median

import memory
import snapshots
from peers import installed


@dataclass(frozen=True)
class Figure:
    """Something of which less is better."""

    name: str
    samples: list[float]
    decimals: int = 0
    aim: float | None = None
    """At most so much."""
    pyopenssl: list[float] = field(default_factory=list)

    @property
    def verdict(self) -> str:
        if self.aim is None:
            return ""
        return "met" if median(self.samples) <= self.aim else "**missed**"

    @property
    def cells(self) -> list[str]:
        values = [median(self.samples), median(self.pyopenssl) if self.pyopenssl else None, self.aim]
        return [
            self.name,
            *("" if value is None else f"{value:,.{self.decimals}f}" for value in values),
            self.verdict,
        ]


def figures(*, idle: int, idle_of_pyopenssl: int, saved: int, rounds: int) -> Iterator[Figure]:
    """Measure with so many associations of each kind.

    Args:
        idle: associations that idle, both sides of half as many pairs.
        idle_of_pyopenssl: as many of pyOpenSSL.
        saved: associations that are saved and restored.
        rounds: how often.
    """
    peers = [memory.measured(memory.PYOPENSSL, idle_of_pyopenssl)] if installed("pyopenssl") else []
    for case, name in memory.NAMES.items():
        yield Figure(
            f"bytes each of {idle:,} idle, {name}",
            [memory.measured(case, idle)],
            aim=memory.AIM_BYTES,
            pyopenssl=peers if case == "p256" else [],
        )
    for case, name in memory.NAMES.items():
        of_case = snapshots.measured(case, saved, rounds)
        together = [each.together for each in of_case]
        yield Figure(f"seconds to save and restore {saved:,}, {name}", together, 3, snapshots.AIM_SECONDS)
        sizes = [each.snapshot_bytes for each in of_case]
        yield Figure(f"bytes of a snapshot, {name}", sizes, aim=snapshots.AIM_BYTES)
