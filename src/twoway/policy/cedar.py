"""The Cedar engine, met here alone: parsing, validating, linking and evaluating by ``cedarpy``.

It answers in plain values. Three traps of the engine are closed here: a policy that fails while it is
evaluated is skipped by Cedar, so its error is always handed on beside the decision; every evaluation has
the schema; and entities are parsed against it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache, lru_cache
from importlib.resources import files
from typing import Any, TypeAlias

import cedarpy

from twoway.policy.documents import NAMESPACE, Documents, reference
from twoway.policy.entities import ACTIONS
from twoway.policy.grants import GRANT_PREFIX, LinkedGrant

Source: TypeAlias = dict[str, Any]
"""One parsed policy in Cedar's JSON form."""
Expression: TypeAlias = Any
"""One expression in Cedar's JSON form."""

_ENTITY_SETS_REMEMBERED = 1024
"""Parsing the entities of a question costs more than answering it, and one ticket takes several answers
about the same parties. Some kilobytes each."""
_GRANT_SETS_REMEMBERED = 1024
"""Linking the grants of a pair costs more than asking them, and who has grants asks again. Some kilobytes
each."""
_GRANT_TEMPLATES = "".join(
    f'@id("{action}") permit(principal == ?principal, action == {NAMESPACE}Action::"{action}", '
    "resource in ?resource);"
    for action in ACTIONS
)
"""What a grant is linked from: a template for each method. A resource is in itself, and in its publisher."""


_ANYBODY_WHEN = "permit(principal, action, resource) when {"
_QUOTED = re.compile(r'("(?:[^"\\]|\\.)*")')
_BARE_NAME = re.compile(r"(?<!\w)\((\w+(?:\.\w+)*)\)")


@dataclass(frozen=True, slots=True)
class ParsedPolicy:
    """One policy of a file."""

    position: int
    """Its place in the file, from 1."""
    policy_id: str
    """The value of its ``@id`` annotation; empty where it has none."""
    source: Source


@dataclass(frozen=True, slots=True)
class Fault:
    """What the engine finds wrong with a policy text."""

    position: int | None
    """The place of the policy in the file, from 1; None where the text cannot be parsed at all."""
    what: str


@dataclass(frozen=True, slots=True)
class Evaluation:
    """What some policies say to one question."""

    permits: frozenset[str] = frozenset()
    """The permits that apply. Not told where a forbid applies."""
    forbids: frozenset[str] = frozenset()
    """The forbids that apply."""
    errors: tuple[str, ...] = ()
    """What could not be evaluated. The engine goes on without it, so the rest alone is worth nothing."""

    def and_also(self, other: Evaluation) -> Evaluation:
        """Return what both say together. An error that both met is told once."""
        return Evaluation(
            self.permits | other.permits,
            self.forbids | other.forbids,
            tuple(dict.fromkeys(self.errors + other.errors)),
        )


def parse(text: str) -> tuple[list[ParsedPolicy], list[Fault]]:
    """Parse and validate the text of a policy file against the schema, strictly.

    Returns:
        The policies in the order of the file, and what is wrong with them.
    """
    faults = [_fault(error) for error in cedarpy.validate_policies(text, schema()).errors]
    if any(fault.position is None for fault in faults):
        return [], faults
    parsed = json.loads(cedarpy.policies_to_json_str(text))
    # A template is a policy with a hole. Those that are linked are ours, for grants by hand.
    faults += [Fault(_position(name), "a template is not a policy") for name in parsed["templates"]]
    policies = [
        ParsedPolicy(_position(name), source.get("annotations", {}).get("id") or "", source)
        for name, source in parsed["staticPolicies"].items()
    ]
    faults.sort(key=lambda fault: (fault.position or 0, fault.what))
    return sorted(policies, key=lambda policy: policy.position), faults


def text_of(expression: Expression) -> str:
    """Write an expression in Cedar's JSON form as people do, on one line."""
    policy = policy_of(expression)
    text = cedarpy.policies_from_json_str(
        json.dumps({"staticPolicies": {"it": policy}, "templates": {}, "templateLinks": []})
    )
    condition = _one_line(text).removeprefix(_ANYBODY_WHEN).removesuffix("};").strip()
    # The engine puts every operand into parentheses: not around names, and never inside of quoted text.
    pieces = _QUOTED.split(condition)
    pieces[::2] = [_BARE_NAME.sub(r"\1", _BARE_NAME.sub(r"\1", piece)) for piece in pieces[::2]]
    return "".join(pieces)


def policy_of(expression: Expression) -> Source:
    """Return a policy that permits anybody anything where ``expression`` holds."""
    anything = {"op": "All"}
    return {
        "effect": "permit",
        "principal": anything,
        "action": anything,
        "resource": anything,
        "conditions": [{"kind": "when", "body": expression}],
    }


class Engine:
    """Compiled policies, named by their ``@id``, and linked grants."""

    def __init__(self, compiled: cedarpy.PolicySet) -> None:
        self.compiled = compiled

    @classmethod
    def of(cls, policies: Mapping[str, Source]) -> Engine:
        """Compile policies; the keys become the names in decisions and errors."""
        document = {"staticPolicies": dict(policies), "templates": {}, "templateLinks": []}
        return cls(cedarpy.PolicySet.from_json_str(json.dumps(document)))

    @classmethod
    def of_grants(cls, grants: Iterable[LinkedGrant]) -> Engine:
        """Link grants. Remembered by their whole content, so that nothing stale can be found."""
        return cls(_linked(tuple(grants)))

    def evaluate(self, asked: Documents) -> Evaluation:
        """Evaluate one question. What cannot be evaluated comes back as an error, it is not raised."""
        try:
            entities = _parsed_entities(asked.entities_text)
            result = cedarpy.is_authorized(asked.request, self.compiled, entities, schema())
        except ValueError as error:  # text that is no Unicode, for one
            return Evaluation(errors=(_one_line(str(error)),))
        names = frozenset(map(_without_method, result.diagnostics.reasons))
        return Evaluation(
            permits=names if result.decision is cedarpy.Decision.Allow else frozenset(),
            forbids=names if result.decision is cedarpy.Decision.Deny else frozenset(),
            errors=tuple(map(_one_line, result.diagnostics.errors)),
        )


def may_apply(policies: Mapping[str, Source], action: str, asked: Documents | None) -> set[str]:
    """Return the policies that some circumstances may make apply; for ``asked`` None, with some parties.

    Cedar's partial evaluation, which its authors call experimental: good for advice, never for a decision.
    What it cannot tell counts as possible.

    Raises:
        ValueError: an identity cannot be written in Cedar.
    """
    request: dict[str, Any] = {"action": _literal({"type": NAMESPACE + "Action", "id": action})}
    entities = "[]"
    if asked is not None:
        request |= {name: _literal(asked.request[name]) for name in ("principal", "resource")}
        entities = asked.entities_text
    compiled = Engine.of(policies).compiled
    result = cedarpy.is_authorized_partial(request, compiled, _parsed_entities(entities), schema())
    rests = {name: rest["conditions"][0]["body"] for name, rest in result.residuals.items()}
    return {name for name in policies if not _is_never_true(rests.get(name, {}))}


def _literal(uid: dict[str, str]) -> str:
    """Write an entity's name in Cedar's syntax."""
    return f"{uid['type']}::{json.dumps(uid['id'], ensure_ascii=False)}"


def _is_never_true(rest: Expression) -> bool:
    match rest:
        case {"Value": False}:
            return True
        case {"&&": {"left": left, "right": right}}:
            return _is_never_true(left) or _is_never_true(right)
        case {"||": {"left": left, "right": right}}:
            return _is_never_true(left) and _is_never_true(right)
    return False


@cache
def schema() -> cedarpy.Schema:
    """Return the shipped schema, parsed once."""
    return cedarpy.Schema.from_str((files("twoway.policy") / "schema.cedarschema").read_text("utf-8"))


@cache
def _grant_templates() -> cedarpy.PolicySet:
    return cedarpy.PolicySet.from_str(_GRANT_TEMPLATES)


@lru_cache(maxsize=_GRANT_SETS_REMEMBERED)
def _linked(grants: tuple[LinkedGrant, ...]) -> cedarpy.PolicySet:
    return _grant_templates().with_linked_batch([link for each in grants for link in _links(each)])


@lru_cache(maxsize=_ENTITY_SETS_REMEMBERED)
def _parsed_entities(document: str) -> cedarpy.Entities:
    """Parse entities. Remembered by their whole text, so that nothing stale can be found."""
    return cedarpy.Entities.from_json_str(document, schema())


def _links(grant: LinkedGrant) -> list[dict[str, Any]]:
    """One link for each method."""
    uid = ("Publisher", grant.publisher) if grant.path is None else ("Resource", grant.publisher + grant.path)
    values = {"?principal": reference(("Subscriber", grant.principal)), "?resource": reference(uid)}
    return [
        {"template_id": method, "new_id": f"{GRANT_PREFIX}{grant.grant_id} {method}", "values": values}
        for method in sorted(grant.methods)
    ]


def _without_method(name: str) -> str:
    """A link's name ends with its method: the grant is what people know."""
    return name.rsplit(" ", 1)[0] if name.startswith(GRANT_PREFIX) else name


def _fault(error: cedarpy.ValidationError) -> Fault:
    what = error.error.removeprefix("Policy parse error: ").removeprefix(f"for policy `{error.policy_id}`, ")
    return Fault(_position(error.policy_id) if error.policy_id else None, _one_line(what))


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _position(engine_id: str) -> int:
    """The engine numbers the policies of a text ``policy0``, ``policy1`` and so on."""
    return int(engine_id.removeprefix("policy")) + 1
