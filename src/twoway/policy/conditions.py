"""What a policy demands, taken apart: each part of its head and each condition by itself, in Cedar's words.

Nothing is evaluated here. A part is an expression in Cedar's JSON form that holds where the policy is
satisfied in this respect; a policy applies where all of its parts hold. ``when { a && b }`` has two parts,
and so has ``unless { a || b }``: not a, and not b.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass

from twoway.policy.cedar import Expression, Source, text_of


@dataclass(frozen=True)
class Part:
    """One demand of a policy."""

    expression: Expression
    """Holds where the demand is met, in Cedar's JSON form."""
    clause: int
    """Its clause of the policy; 0 is the head. In a clause, earlier parts guard later ones."""

    @property
    def text(self) -> str:
        """The expression as one writes it: ``principal.region == resource.publisher.region``."""
        return text_of(self.expression)

    @property
    def paths(self) -> list[tuple[str, ...]]:
        """What it looks at, without repetitions: ``("resource", "publisher", "region")``."""
        return paths_of(self.expression)


def parts_of(policy: Source) -> list[Part]:
    """Take a policy apart."""
    parts = [
        Part(expression, 0)
        for variable in ("principal", "action", "resource")
        for expression in _of_head(variable, policy[variable])
    ]
    for clause, condition in enumerate(policy["conditions"], 1):
        if condition["kind"] == "when":
            parts += [Part(each, clause) for each in operands("&&", condition["body"])]
        else:
            parts += [Part({"!": {"arg": each}}, clause) for each in operands("||", condition["body"])]
    return parts


def _of_head(variable: str, constraint: Source) -> list[Expression]:
    """Return the expression that a part of the head stands for; none for "any"."""
    left = {"Var": variable}
    match constraint:
        case {"op": ("==" | "in") as operator, "entity": entity}:
            return [{operator: {"left": left, "right": _constant(entity)}}]
        case {"op": "in", "entities": entities}:
            return [{"in": {"left": left, "right": {"Set": [_constant(each) for each in entities]}}}]
        case {"op": "is", "in": {"entity": entity}}:
            return [{"in": {"left": left, "right": _constant(entity)}}]
    # "is" alone says nothing: the schema has one type of principals and one of resources.
    return []


def _constant(entity: Source) -> Expression:
    return {"Value": {"__entity": entity}}


def paths_of(expression: Expression) -> list[tuple[str, ...]]:
    """Return the attributes that an expression looks at, without repetitions."""
    return list(dict.fromkeys(_paths(expression)))


def spelt(path: tuple[str, ...]) -> str:
    """Write an attribute as Cedar does, ``resource.publisher.region``; a tag stands in brackets."""
    return ".".join(path).replace(".[", "[")


def operands(operator: str, expression: Expression) -> Iterator[Expression]:
    """Return a, b and c of ``a && b && c``."""
    if set(expression) == {operator}:
        yield from operands(operator, expression[operator]["left"])
        yield from operands(operator, expression[operator]["right"])
    else:
        yield expression


def _paths(expression: Expression) -> Iterator[tuple[str, ...]]:
    path = _path(expression)
    if len(path) > 1:
        yield path
    elif isinstance(expression, dict):
        for each in expression.values():
            yield from _paths(each)
    elif isinstance(expression, list):
        for each in expression:
            yield from _paths(each)


def _path(expression: Expression) -> tuple[str, ...]:
    """Return the attributes from a variable on, a tag as its name in brackets; empty if it is none."""
    match expression:
        case {"Var": str(variable)}:
            return (variable,)
        case {".": {"left": left, "attr": str(attribute)}} | {"has": {"left": left, "attr": str(attribute)}}:
            inner = _path(left)
            return (*inner, attribute) if inner else ()
        case {"getTag": {"left": left, "right": {"Value": str(tag)}}} | {
            "hasTag": {"left": left, "right": {"Value": str(tag)}}
        }:
            inner = _path(left)
            return (*inner, f"[{json.dumps(tag, ensure_ascii=False)}]") if inner else ()
    return ()
