"""What a decision takes with many policies and many grants by hand.

    python bench/decisions.py

Two sets of 1,000 policies: as a utility would write them, most of them with an organisation, a site or a
subscriber in their heads; and the worst, all of them for anybody and anything. Beside each 10,000 grants. A
decision is cold when its parties are met for the first time, warm when the same is asked again. "Not sliced"
is what the same costs if all policies and all grants are asked at once. Times are of the clock and, behind
it, of the processor, which alone means something on a machine that does other things.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from run import table

from twoway.policy import (
    Circumstances,
    Jurisdiction,
    LinkedGrant,
    PolicySet,
    PublisherEntity,
    Question,
    SubscriberEntity,
)
from twoway.policy.cedar import Engine
from twoway.policy.documents import documents_of

POLICIES = 1_000
GRANTS = 10_000
SUBSCRIBERS = 500
PUBLISHERS = 200
DECISIONS = 2_000
WHOLE_DECISIONS = 50
NOW = Circumstances(datetime(2026, 3, 1, 12, 0, tzinfo=UTC))
HOME = Jurisdiction("A", frozenset({"C"}))

_CONDITION = 'when { principal.purposes.contains("billing") && resource.publisher.region == "r%d" };'
GENERAL = [
    "forbid(principal, action, resource) unless { principal.region == resource.publisher.region };",
    "forbid(principal, action, resource) unless { principal has jurisdiction && resource.publisher has"
    " jurisdiction && principal.jurisdiction == resource.publisher.jurisdiction };",
    "permit(principal, action, resource) when { principal has tenant && resource.publisher has tenant &&"
    " principal.tenant == resource.publisher.tenant };",
]
HEADS = [
    'permit(principal in Twoway::Organisation::"o%d", action == Twoway::Action::"GET", resource)',
    'permit(principal, action == Twoway::Action::"GET", resource in Twoway::Site::"s%d")',
    'permit(principal in Twoway::Organisation::"o%d", action, resource in Twoway::Site::"s0")',
    'permit(principal == Twoway::Subscriber::"urn:s%d", action, resource)',
    'forbid(principal, action == Twoway::Action::"PUT", resource in Twoway::Publisher::"urn:p%d")',
]


def main() -> None:
    """Measure and print."""
    print(f"cedarpy {version('cedarpy')}; {POLICIES:,} policies, {GRANTS:,} grants; microseconds\n")
    grants = [
        LinkedGrant(
            f"g{number}",
            f"urn:s{number % SUBSCRIBERS}",
            f"urn:p{number * 7 // SUBSCRIBERS % PUBLISHERS}",
            None if number % 2 else "/power",
            frozenset({"GET"}),
            None,
        )
        for number in range(GRANTS)
    ]
    rows: list[list[str]] = []
    for name, texts in (("as a utility", _as_a_utility()), ("all for anybody", _for_anybody())):
        policies = _load(texts)
        granted = policies.with_grants(grants)
        questions = [_question(number) for number in range(DECISIONS)]
        pairs = [(_times(granted.decide, each), _times(granted.decide, each)) for each in questions]
        whole = [Engine.of(policies.sources), Engine.of_grants(grants)]
        rows += [
            _row(f"{name}, cold", [cold for cold, _ in pairs]),
            _row(f"{name}, warm", [warm for _, warm in pairs]),
            _row(
                f"{name}, not sliced",
                [_times(_ask_all, whole, _question(number)) for number in range(WHOLE_DECISIONS)],
            ),
        ]
    print(table(["policies", "median", "99 %", "median, processor", "99 %, processor"], rows))


def _as_a_utility() -> Iterator[str]:
    yield from GENERAL
    for number in range(POLICIES - len(GENERAL)):
        yield HEADS[number % len(HEADS)] % (number // len(HEADS)) + _CONDITION % (number % 20)


def _for_anybody() -> Iterator[str]:
    for number in range(POLICIES):
        yield "permit(principal, action, resource)" + _CONDITION % number


def _load(texts: Iterator[str]) -> PolicySet:
    with tempfile.TemporaryDirectory() as folder:
        lines = (f'@id("p{number}") {text}' for number, text in enumerate(texts))
        (Path(folder) / "all.cedar").write_text("\n".join(lines))
        return PolicySet.load(Path(folder))


def _question(number: int) -> Question:
    """A question of a pair that none of the last thousand was about."""
    asker, asked = number % SUBSCRIBERS, number % PUBLISHERS
    return Question(
        SubscriberEntity(
            f"urn:s{asker}",
            f"o{asker % 50}",
            f"r{number // SUBSCRIBERS}",
            purposes=frozenset({"billing"}),
            tenant=f"t{asker}",
            jurisdiction=HOME,
        ),
        "GET",
        PublisherEntity(
            f"urn:p{asked}",
            f"o{asked % 50}",
            "r0",
            site=f"s{asked % 40}",
            tenant=f"t{asked}",
            jurisdiction=HOME,
        ),
        "/power",
        NOW,
    )


def _ask_all(engines: list[Engine], question: Question) -> None:
    asked = documents_of(question)
    for engine in engines:
        engine.evaluate(asked)


def _times(work: Callable[..., object], *arguments: object) -> tuple[float, float]:
    """Return the seconds that it takes by the clock, and of the processor."""
    started, began = time.perf_counter(), time.thread_time()
    work(*arguments)
    return time.perf_counter() - started, time.thread_time() - began


def _row(name: str, times: list[tuple[float, float]]) -> list[str]:
    cells = [name]
    for seconds in map(sorted, zip(*times, strict=True)):
        cells += [f"{seconds[len(seconds) * share // 100] * 1e6:,.0f}" for share in (50, 99)]
    return cells


if __name__ == "__main__":
    main()
