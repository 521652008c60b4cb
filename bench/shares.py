"""Where the time goes, by sampling: a thousand times a second of the processor's, which line is at work?

A call into `cryptography` counts for the module that makes it, as "primitives" in a line of its own. Unlike a
tracing profiler this does not make small functions look expensive.
"""

from __future__ import annotations

import signal
import time
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from types import FrameType

INTERVAL = 0.001
SMALLEST_PERCENT = 2.0
"""Modules that reach less than this anywhere are counted together."""

PRIMITIVE_CALLS = {
    "twoway/dtls/groups.py": ("exchange(", "generate(", "generate_private_key("),
    "twoway/dtls/signatures.py": (".sign(", ".verify("),
    "twoway/dtls/keys.py": ("HMAC(", ".copy()", ".update(", ".finalize(", "Hash("),
    "twoway/dtls/cookie.py": ("HMAC(", ".update(", ".finalize("),
    "twoway/dtls/aead.py": (".encrypt(", ".decrypt(", "make_aead("),
}
"""Lines of these modules that are calls into the library."""


class Sources:
    """The lines of our modules, read once."""

    def __init__(self) -> None:
        self._lines: dict[str, list[str]] = {}

    def place(self, frame: FrameType) -> str:
        """Say whose time it is."""
        file = frame.f_code.co_filename
        if "/cryptography/" in file:
            return "primitives"
        if "/twoway/" not in file:
            return "benchmark" if "/bench/" in file else "standard library"
        module = "twoway/" + file.rpartition("/twoway/")[2]
        if module in PRIMITIVE_CALLS:
            if file not in self._lines:
                self._lines[file] = Path(file).read_text().splitlines()
            line = self._lines[file][frame.f_lineno - 1]
            if any(call in line for call in PRIMITIVE_CALLS[module]):
                return "primitives"
        return module.removeprefix("twoway/")


def sample(work: Callable[[], object], seconds: float) -> Counter[str]:
    """Run ``work`` for so many seconds and count where it was met."""
    places: Counter[str] = Counter()
    sources = Sources()

    def look(number: int, frame: FrameType | None) -> None:
        if frame is not None:
            places[sources.place(frame)] += 1

    before = signal.signal(signal.SIGPROF, look)
    signal.setitimer(signal.ITIMER_PROF, INTERVAL, INTERVAL)
    try:
        end = time.process_time() + seconds
        while time.process_time() < end:
            for _ in range(20):
                work()
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)
    return places


def shares_of(kinds: Mapping[str, Callable[[], object]], seconds: float) -> list[list[str]]:
    """Return a line for each module: its name, and its percentage in each kind of work."""
    percentages: dict[str, dict[str, float]] = {}
    for kind, work in kinds.items():
        places = sample(work, seconds)
        for place, count in places.items():
            percentages.setdefault(place, {})[kind] = 100 * count / places.total()
    large = {place for place, of in percentages.items() if max(of.values()) >= SMALLEST_PERCENT}
    rest = {
        kind: sum(of.get(kind, 0.0) for place, of in percentages.items() if place not in large)
        for kind in kinds
    }
    order = sorted(large, key=lambda place: -sum(percentages[place].values()))
    named = [(place, percentages[place]) for place in order] + [("all others", rest)]
    return [[place, *(f"{of.get(kind, 0.0):.0f}" for kind in kinds)] for place, of in named]
