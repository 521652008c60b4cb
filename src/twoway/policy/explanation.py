"""Why a question was decided as it was, and what would have to be different.

For a denial it says which forbids applied, or which permits came nearest and what each of them misses. Each
part of a policy is put to the engine by itself, so what is said to fail does fail. Its limits: it looks at
policies one by one, so whoever changes what one of them misses may meet the next; a part that is one
expression with "or" in it is told as a whole; and it knows the values of attributes that a part names, not
what one computes from them.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from twoway.policy.cedar import Engine, Source, policy_of
from twoway.policy.conditions import Part, parts_of
from twoway.policy.documents import Documents, documents_of, uid_of
from twoway.policy.entities import Question
from twoway.policy.grants import GRANT_PREFIX, LinkedGrant
from twoway.policy.policy_set import Decision, PolicySet
from twoway.policy.wording import demand, name_of

NEAREST_PERMITS = 3
"""How many of the permits that did not apply are told. More would bury the one that was meant."""


@dataclass(frozen=True)
class Finding:
    """One part of a policy, as it met the question."""

    condition: str
    """The part in Cedar's words."""
    demand: str
    """What would have to be so, in plain words: a part of a permit is met, one of a forbid is not."""
    values: Mapping[tuple[str, ...], str]
    """What the attributes in it are, ``{("principal", "region"): '"north"'}``, or ``unknown``."""

    def __str__(self) -> str:
        values = "; ".join(f"{name_of(path)}: {value}" for path, value in self.values.items())
        return f"{self.demand} (now {values})" if values else self.demand


@dataclass(frozen=True)
class PolicyFindings:
    """One policy, held against the question."""

    policy: str
    """Its ``@id``."""
    description: str
    """Its ``@description``: what it says in plain language. Empty where it has none."""
    advice: str
    """Its ``@advice``: what somebody can do about it. Empty where it has none."""
    findings: tuple[Finding, ...]
    """Of a permit the parts that are not met; of a forbid the parts that are, one of which must not be."""


@dataclass(frozen=True)
class Explanation:
    """A decision and its reasons."""

    decision: Decision
    deciding: tuple[PolicyFindings, ...]
    """The policies that decided. For permits all findings are empty: they applied."""
    nearest: tuple[PolicyFindings, ...]
    """For a denial by no policy: the permits that came nearest, nearest first."""
    permits_left_out: int
    """How many permits beyond these did not apply."""
    grants: tuple[str, ...]
    """For a denial by no policy: why the grants by hand of this pair do not apply, a sentence each."""
    claim_decided: bool
    """The question was denied for the claimed purpose alone: without the claim it would be permitted."""

    def sentences(self) -> Iterator[str]:
        """Say it, a line at a time."""
        said = ", ".join(self.decision.policies)
        yield f"allowed by {said}" if self.decision.allowed else f"denied by {said}"
        for error in self.decision.errors:
            yield f"  not judged: {error}"
        if self.claim_decided:
            yield "  the claimed purpose decided: without it this is permitted"
        for policy in self.deciding:
            yield from _lines(policy, "one of these would have to be so:")
        yield from (f"  {sentence}" for sentence in self.grants)
        for policy in self.nearest:
            yield f"  nearest: {policy.policy}"
            yield from _lines(policy, "it would need all of these:")
        if self.permits_left_out:
            yield f"  and {self.permits_left_out} permits further away"


def explain(policies: PolicySet, question: Question) -> Explanation:
    """Decide a question and say why."""
    decision, view = policies.decide_with_view(question)
    asked = documents_of(view)
    denied_by_none = not decision.allowed and not decision.errors and not _named(policies, decision)
    permits = [name for name, source in policies.sources.items() if source["effect"] == "permit"]
    nearest = _nearest(policies, asked, permits) if denied_by_none else []
    return Explanation(
        decision=decision,
        deciding=tuple(_findings(policies, asked, name, applied=True) for name in _named(policies, decision)),
        nearest=tuple(nearest[:NEAREST_PERMITS]),
        permits_left_out=len(nearest[NEAREST_PERMITS:]),
        grants=tuple(_about_grants(policies, view)) if denied_by_none else (),
        claim_decided=not decision.allowed and not decision.errors and view != question.views()[0],
    )


def _lines(policy: PolicyFindings, heading: str) -> Iterator[str]:
    if policy.description:
        yield f"  {policy.policy} says: {policy.description}"
    if policy.findings:
        yield f"  {heading}"
        yield from (f"    - {finding}" for finding in policy.findings)
        if policy.advice:
            yield f"  what to do: {policy.advice}"


def _named(policies: PolicySet, decision: Decision) -> list[str]:
    return [name for name in decision.policies if name in policies.sources]


def _nearest(policies: PolicySet, asked: Documents, permits: list[str]) -> list[PolicyFindings]:
    """Return what each permit misses: those about the same parties first, of them who misses least."""
    truths = _truths(policies.sources, permits, asked)

    def distance(name: str) -> tuple[int, int, str]:
        missed = [part for part, met in truths[name] if not met]
        return sum(part.clause == 0 for part in missed), len(missed), name

    return [
        _findings(policies, asked, name, applied=False, truths=truths[name])
        for name in sorted(permits, key=distance)
    ]


def _findings(
    policies: PolicySet,
    asked: Documents,
    name: str,
    *,
    applied: bool,
    truths: list[tuple[Part, bool]] | None = None,
) -> PolicyFindings:
    source = policies.sources[name]
    if applied and source["effect"] == "permit":
        told: list[Part] = []
    elif applied:
        told = parts_of(source)
    else:
        told = list(_missed(truths or []))
    annotations = source.get("annotations", {})
    return PolicyFindings(
        policy=name,
        description=annotations.get("description") or "",
        advice=annotations.get("advice") or "",
        findings=tuple(
            Finding(part.text, demand(part.expression, holds=not applied), _values(part, asked))
            for part in told
        ),
    )


def _missed(truths: list[tuple[Part, bool]]) -> Iterator[Part]:
    """Return the parts that are not met. Of a clause the first and those that do not hang on it are told.

    ``principal has tenant && principal.tenant == ...``: without the first the second means nothing.
    """
    guarded: dict[int, set[tuple[str, ...]]] = {}
    for part, met in truths:
        if met:
            continue
        missing = guarded.setdefault(part.clause, set())
        if not any(path[: len(known)] == known for path in part.paths for known in missing):
            yield part
        if set(part.expression) & {"has", "hasTag"}:
            missing.update(part.paths)


def _truths(
    sources: Mapping[str, Source], names: list[str], asked: Documents
) -> dict[str, list[tuple[Part, bool]]]:
    """Put every part of some policies to the engine by itself. One that cannot be evaluated is not met."""
    parts = {name: parts_of(sources[name]) for name in names}
    numbered = {
        f"{name} {number}": policy_of(part.expression)
        for name in names
        for number, part in enumerate(parts[name])
    }
    met = Engine.of(numbered).evaluate(asked).permits
    return {
        name: [(part, f"{name} {number}" in met) for number, part in enumerate(parts[name])] for name in names
    }


def _about_grants(policies: PolicySet, question: Question) -> Iterator[str]:
    for grant in policies.grants_between(question.principal.uri, question.publisher.uri):
        yield f"{GRANT_PREFIX}{grant.grant_id} does not apply: {_why_not(grant, question)}"


def _why_not(grant: LinkedGrant, question: Question) -> str:
    if grant.is_over_at(question.circumstances.now):
        assert grant.until is not None
        return f"it ended at {grant.until.isoformat()}"
    if grant.path not in (None, question.path):
        return f"it is for {grant.path}"
    return f"it is for {', '.join(sorted(grant.methods))}"


def _values(part: Part, asked: Documents) -> dict[tuple[str, ...], str]:
    return {path: _value(path, asked) for path in part.paths}


def _value(path: tuple[str, ...], asked: Documents) -> str:
    """Look up what an attribute is; an entity is looked into where the path goes on."""
    variable, *names = path
    value: Any = asked.request[variable]
    if variable != "context":
        value = {"__entity": value}
    for name in names:
        if isinstance(value, dict) and "__entity" in value:
            entity = asked.entities[uid_of(value["__entity"])]
            tag = json.loads(name[1:-1]) if name.startswith("[") else None
            value = entity["attrs"].get(name) if tag is None else entity.get("tags", {}).get(tag)
        else:
            value = value.get(name) if isinstance(value, dict) else None
        if value is None:
            return "unknown"
    return _written(value)


def _written(value: object) -> str:
    match value:
        case {"__entity": {"id": str(name)}} | {"__extn": {"arg": str(name)}}:
            return name
        case list():
            return "{" + ", ".join(map(_written, value)) + "}"
    return json.dumps(value, ensure_ascii=False)
