"""Every benchmark in one run, beside its peers, with one table at the end.

    python bench/run.py                  # `make bench`
    python bench/run.py --json FILE      # the samples, too
    python bench/run.py --write          # `make performance`: put the tables into docs/performance.md

Rates are counted by the processor's time of this one thread. Whoever stands in a row takes turns, round by
round, so that a noisy machine disturbs all alike; a rate is the median of the rounds, a ratio the median of
the rounds' ratios. Memory and snapshots are measured in processes of their own.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import partial
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory

import memory
import primitives
import snapshots
from cryptography.hazmat.backends.openssl import backend
from footprint import figures
from handshakes import Papers, configs_of, connect, resumed, round_trip, strangers
from peers import CCM_8, GCM, RSA_GCM, PyOpenSSL, TinyDTLS, Work, installed
from shares import shares_of

from twoway.dtls import DTLSConfig
from twoway.dtls.suites import (
    ECDHE_ECDSA_AES_128_CCM_8,
    ECDHE_ECDSA_AES_128_GCM,
    ECDHE_RSA_AES_128_GCM,
    PSK_AES_128_CCM_8,
    PSK_AES_128_GCM,
)

PAPER = Path(__file__).parents[1] / "docs" / "performance.md"
BEGIN, END = "<!-- measured: begin -->", "<!-- measured: end -->"

OURS, OPENSSL, TINYDTLS, PRIMITIVES = "twoway", "pyOpenSSL", "tinydtls", "primitives"
COLUMNS = (OURS, OPENSSL, TINYDTLS, PRIMITIVES)

CONNECTION_ID_BYTES = 8


@dataclass(frozen=True)
class Effort:
    """How much is done for the figures."""

    rounds: int = 9
    round_seconds: float = 0.4
    sampling_seconds: float = 4.0
    idle: int = memory.IDLE
    idle_of_pyopenssl: int = memory.IDLE_OF_PYOPENSSL
    saved: int = snapshots.ASSOCIATIONS


QUICK = Effort(
    rounds=1,
    round_seconds=0.01,
    sampling_seconds=0.05,
    idle=40,
    idle_of_pyopenssl=20,
    saved=20,
)
"""Shows that everything runs. Its figures are worth nothing."""


@dataclass(frozen=True)
class Aim:
    """What we want to reach: a rate, or a multiple of pyOpenSSL's in the same round."""

    rate: float | None = None
    times_openssl: float | None = None

    def __str__(self) -> str:
        return f"{self.times_openssl:g} x pyOpenSSL" if self.times_openssl else f"{self.rate:,.0f}"


@dataclass
class Row:
    """One kind of work and whoever can do it."""

    name: str
    work: dict[str, Work]
    aim: Aim | None = None
    samples: dict[str, list[float]] = field(default_factory=dict)

    def measure(self, seconds: float) -> None:
        for who, work in self.work.items():
            self.samples.setdefault(who, []).append(rate(work, seconds))

    def median(self, who: str) -> float | None:
        return statistics.median(self.samples[who]) if who in self.samples else None

    @property
    def ratio(self) -> float | None:
        if OPENSSL not in self.samples:
            return None
        return statistics.median(
            ours / theirs for ours, theirs in zip(self.samples[OURS], self.samples[OPENSSL], strict=True)
        )

    @property
    def verdict(self) -> str:
        if self.aim is None:
            return ""
        if self.aim.rate is not None:
            met = (self.median(OURS) or 0) >= self.aim.rate
        elif self.ratio is None or self.aim.times_openssl is None:
            return "not compared"
        else:
            met = self.ratio >= self.aim.times_openssl
        return "met" if met else "**missed**"

    @property
    def cells(self) -> list[str]:
        rates = [self.median(who) for who in COLUMNS]
        return [
            self.name,
            *(f"{value:,.0f}" if value is not None else "" for value in rates),
            f"{self.ratio:.2f}" if self.ratio is not None else "",
            str(self.aim or ""),
            self.verdict,
        ]


def rate(work: Work, seconds: float) -> float:
    """How often a second of the processor's time, tried for so many seconds."""
    count, batch, begin = 0, 1, time.process_time()
    while (spent := time.process_time() - begin) < seconds:
        for _ in range(batch):
            work()
        count += batch
        # Asking for the time costs a system call: ask about a hundred times.
        batch = max(1, int(count / max(spent, 1e-4) * seconds / 100))
    return count / (time.process_time() - begin)


def rows(papers: Papers) -> Iterator[Row]:
    p256 = configs_of(papers.p256, suites=(ECDHE_ECDSA_AES_128_GCM,))
    rsa = configs_of(papers.rsa, suites=(ECDHE_RSA_AES_128_GCM,))
    psk_gcm, psk_ccm = (papers.psk_configs(suites=(suite,)) for suite in (PSK_AES_128_GCM, PSK_AES_128_CCM_8))
    ccm = configs_of(papers.p256, suites=(ECDHE_ECDSA_AES_128_CCM_8,))
    with_ids = configs_of(
        papers.p256, suites=(ECDHE_ECDSA_AES_128_GCM,), connection_id_bytes=CONNECTION_ID_BYTES
    )
    openssl = PyOpenSSL() if installed("pyopenssl") else None
    tinydtls = TinyDTLS(papers.psk) if installed("dtlssocket") else None

    def beside(ours: Work, **others: Callable[[], Work] | Work | None) -> dict[str, Work]:
        named = {"openssl": OPENSSL, "tinydtls": TINYDTLS, "primitives": PRIMITIVES}
        return {OURS: ours} | {named[who]: work for who, work in others.items() if work is not None}

    def ours(configs: tuple[DTLSConfig, DTLSConfig]) -> Work:
        return partial(connect, *configs)

    yield Row(
        "P-256 handshakes, mutual",
        beside(
            ours(p256),
            openssl=openssl and openssl.handshake(papers.p256, GCM),
            primitives=primitives.mutual(papers.p256),
        ),
        Aim(times_openssl=1),
    )
    yield Row(
        "the same, cookies on both sides",
        beside(ours(p256), openssl=openssl and openssl.handshake(papers.p256, GCM, cookie=True)),
    )
    yield Row("the same, of strangers", beside(partial(connect, *p256, strangers())))
    yield Row(
        "RSA-2048 handshakes, mutual",
        beside(
            ours(rsa),
            openssl=openssl and openssl.handshake(papers.rsa, RSA_GCM),
            primitives=primitives.mutual(papers.rsa),
        ),
        Aim(times_openssl=1),
    )
    yield Row("PSK handshakes, GCM", beside(ours(psk_gcm), primitives=primitives.symmetric), Aim(rate=5000))
    yield Row("PSK handshakes, CCM_8", beside(ours(psk_ccm), tinydtls=tinydtls and tinydtls.handshake))
    yield Row(
        "resumed handshakes, P-256, ticket",
        beside(resumed(*p256), openssl=openssl and openssl.resumed(papers.p256, GCM)),
    )
    yield Row("resumed handshakes, PSK, ticket", beside(resumed(*psk_gcm)))
    yield Row(
        "64-byte round trips, GCM",
        beside(
            partial(round_trip, *connect(*p256)),
            openssl=openssl and openssl.round_trip(papers.p256, GCM),
            primitives=primitives.round_trip(),
        ),
        Aim(times_openssl=2),
    )
    yield Row(
        "64-byte round trips, CCM_8",
        beside(
            partial(round_trip, *connect(*ccm)),
            openssl=openssl and openssl.round_trip(papers.p256, CCM_8),
            tinydtls=TinyDTLS(papers.psk).round_trip() if tinydtls else None,
        ),
        Aim(times_openssl=2),
    )
    yield Row("64-byte round trips, with IDs", beside(partial(round_trip, *connect(*with_ids))))


def machine() -> dict[str, str]:
    """What it was measured on."""
    model = next(
        (
            line.partition(":")[2].strip()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if line.startswith("model name")
        ),
        platform.processor(),
    )
    return {
        "measured": f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC",
        "processor": f"{model}, {os.cpu_count()} of them, load {os.getloadavg()[0]:.1f} at the start",
        "system": f"{platform.system()} {platform.machine()}, {' '.join(platform.libc_ver())}",
        "Python": platform.python_version(),
        "twoway": version("twoway"),
        "cryptography": f"{version('cryptography')} ({backend.openssl_version_text()})",
        "pyOpenSSL": installed("pyopenssl") or "not installed",
        "DTLSSocket (tinydtls)": installed("dtlssocket") or "not installed",
    }


def table(heading: list[str], lines: list[list[str]]) -> str:
    """Markdown in even columns."""
    widths = [max(len(line[at]) for line in [heading, *lines]) for at in range(len(heading))]
    rule = ["-" * widths[0], *("-" * (width - 1) + ":" for width in widths[1:])]
    return "\n".join(
        "| "
        + " | ".join(
            cell.rjust(width) if at else cell.ljust(width)
            for at, (cell, width) in enumerate(zip(line, widths, strict=True))
        )
        + " |"
        for line in [heading, rule, *lines]
    )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the samples there")
    parser.add_argument("--write", action="store_true", help=f"put the tables into {PAPER.name}")
    parser.add_argument("--rounds", type=int, help=f"{Effort.rounds} unless told")
    parser.add_argument("--quick", action="store_true", help="only see that it runs")
    options = parser.parse_args()
    if options.quick and options.write:
        parser.error("figures of a quick run are worth nothing and are not written")
    effort = QUICK if options.quick else Effort()
    if options.rounds:
        effort = replace(effort, rounds=options.rounds)
    facts = machine()
    with TemporaryDirectory() as folder:
        papers = Papers.issue(Path(folder))
        measured = list(rows(papers))
        for done in range(effort.rounds):
            for row in measured:
                row.measure(effort.round_seconds)
            print(f"round {done + 1} of {effort.rounds}", file=sys.stderr)
        kinds = {
            "P-256": partial(connect, *configs_of(papers.p256)),
            "RSA-2048": partial(connect, *configs_of(papers.rsa)),
            "PSK": partial(connect, *papers.psk_configs(suites=(PSK_AES_128_GCM,))),
            "round trips": partial(round_trip, *connect(*configs_of(papers.p256))),
        }
        shares = shares_of(kinds, effort.sampling_seconds)
    footprint = list(
        figures(
            idle=effort.idle,
            idle_of_pyopenssl=effort.idle_of_pyopenssl,
            saved=effort.saved,
            rounds=effort.rounds,
        )
    )
    text = "\n\n".join(
        [
            *(["A quick run: it shows that everything runs; the figures are worth nothing."] * options.quick),
            "\n".join(f"- {name}: {value}" for name, value in facts.items()),
            table(["a second", *COLUMNS, "ratio", "aim", ""], [row.cells for row in measured]),
            table(["less is better", OURS, OPENSSL, "aim", ""], [each.cells for each in footprint]),
            "Where our time goes, in percent:",
            table(["module", *kinds], shares),
        ]
    )
    print(text)
    if options.json:
        samples = {row.name: row.samples for row in measured} | {
            each.name: {OURS: each.samples} | ({OPENSSL: each.pyopenssl} if each.pyopenssl else {})
            for each in footprint
        }
        options.json.write_text(json.dumps({"machine": facts, "samples": samples}, indent=2) + "\n")
    if options.write:
        before, _, rest = PAPER.read_text().partition(BEGIN)
        PAPER.write_text(f"{before}{BEGIN}\n\n{text}\n\n{END}{rest.partition(END)[2]}")


if __name__ == "__main__":
    main()
