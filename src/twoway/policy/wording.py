"""Conditions of policies in plain words: ``!(principal has tenant)`` is "the subscriber's tenant is unknown".

It owns the words. What is explained with them is decided in :mod:`twoway.policy.explanation`. What is not so
is said of the innermost part, so no sentence denies a denial. An expression that has no words here is told
in Cedar's own, with whether it has to hold.
"""

from __future__ import annotations

import json
from collections.abc import Sequence

from twoway.policy.cedar import Expression, text_of
from twoway.policy.conditions import operands, paths_of

_VARIABLES = {"principal": "the subscriber", "action": "the method", "resource": "the resource"}
_CIRCUMSTANCES = {
    "now": "the time",
    "address": "the address",
    "region": "the region of the address",
    "purpose": "the claimed purpose",
}
"""The attributes of the context."""
_PARTS_OF_TIME = {"toTime": "the time of day", "toDate": "the date"}
_NOW: Expression = {".": {"left": {"Var": "context"}, "attr": "now"}}
_ORDERS = {
    ("<", True): "is before",
    ("<", False): "is not before",
    (">", True): "is after",
    (">", False): "is not after",
    (">=", True): "is not before",
    (">=", False): "is before",
    ("<=", True): "is not after",
    ("<=", False): "is after",
}
"""Relations of points in time, as they hold and as they do not."""


def demand(expression: Expression, *, holds: bool = True) -> str:
    """Return in words that ``expression`` holds, or that it does not."""
    return _joined(expression, holds=holds)[0]


def name_of(path: tuple[str, ...]) -> str:
    """Return what an attribute is called in words: ``("principal", "tenant")`` is "the subscriber's tenant".

    A tag stands in the path in brackets and quotes, as :attr:`twoway.policy.conditions.Part.paths` has it.
    """
    match path:
        case ("context", attribute, *more):
            name = _CIRCUMSTANCES[attribute]
        case ("resource", "publisher", *more):
            name = "the publisher"
        case (variable, *more):
            name = _VARIABLES[variable]
    for each in more:
        attribute = json.loads(each[1:-1]) if each.startswith("[") else each
        name = f"the {attribute} of {name}" if "'s " in name else f"{name}'s {attribute}"
    return name


def _joined(expression: Expression, *, holds: bool) -> tuple[str, str]:
    """Return the words; and "and" or "or" where they are several claims, which that joins."""
    ((operator, argument),) = expression.items()
    if operator == "!":
        return _joined(argument["arg"], holds=not holds)
    if operator not in ("&&", "||"):
        return _claim(expression, holds=holds) or _in_cedar(expression, holds=holds), ""
    parts = list(operands(operator, expression))
    if operator == "&&" and holds:
        parts = _without_guards(parts)
    if len(parts) == 1:
        return _joined(parts[0], holds=holds)
    word = "and" if (operator == "&&") == holds else "or"
    return f" {word} ".join(_within(part, word, holds=holds) for part in parts), word


def _within(expression: Expression, outer: str, *, holds: bool) -> str:
    """Return the words of an operand, marked where they are several claims that are joined otherwise."""
    text, word = _joined(expression, holds=holds)
    if word in ("", outer):
        return text
    return f"{'both' if word == 'and' else 'either'} {text}"


def _without_guards(parts: Sequence[Expression]) -> list[Expression]:
    """Leave out ``x has a`` where another part says something of ``x.a``, which cannot be so without it."""
    kept = []
    for part in parts:
        others = [path for other in parts if other is not part for path in paths_of(other)]
        named = [any(path[: len(own)] == own for path in others) for own in paths_of(part)]
        if not (part.keys() & {"has", "hasTag"} and all(named)):
            kept.append(part)
    return kept


def _claim(expression: Expression, *, holds: bool) -> str | None:
    """Return the words of one claim; None where there are none for it."""
    is_so = "is" if holds else "is not"
    ((operator, argument),) = expression.items()
    match operator, argument:
        case (("has" | "hasTag"), _):
            name = _term(expression)
            return None if name is None else f"{name} is {'known' if holds else 'unknown'}"
        case "==", {"left": left, "right": right}:
            return _relation(left, is_so, right)
        case "!=", {"left": left, "right": right}:
            return _relation(left, "is not" if holds else "is", right)
        case "contains", {"left": left, "right": right}:
            return _relation(right, f"{is_so} among", left)
        case "in", {"left": left, "right": right}:
            return _belonging(left, right, holds=holds)
        case (("<" | "<=" | ">" | ">="), {"left": left, "right": right}):
            words = _ORDERS[operator, holds]
            return _relation(left, words, right) if _is_of_time(left) and _is_of_time(right) else None
    return None


def _belonging(left: Expression, right: Expression, *, holds: bool) -> str | None:
    match right:
        case {"Value": {"__entity": {"type": str(kind), "id": str(name)}}}:
            group = f"the {kind.rpartition('::')[2].lower()} {name}"
        case {"Set": several}:
            names = [_term(each) for each in several]
            if None in names:
                return None
            subject = _term(left)
            one = "is one of" if holds else "is none of"
            return None if subject is None else f"{subject} {one} {', '.join(map(str, names))}"
        case _:
            return _relation(left, "belongs to" if holds else "does not belong to", right)
    subject = _term(left)
    return None if subject is None else f"{subject} {'belongs' if holds else 'does not belong'} to {group}"


def _relation(left: Expression, words: str, right: Expression) -> str | None:
    subject, other = _term(left), _term(right)
    return None if subject is None or other is None else f"{subject} {words} {other}"


def _term(expression: Expression) -> str | None:
    """Return what something is called; None where it has no name."""
    ((operator, argument),) = expression.items()
    match operator, argument:
        case "Value", {"__entity": {"id": str(name)}}:
            return name
        case "Value", _:
            return json.dumps(argument, ensure_ascii=False)
        case (("datetime" | "duration" | "ip"), [{"Value": str(text)}]):
            return text
        case (("toTime" | "toDate"), [operand]) if operand == _NOW:
            return _PARTS_OF_TIME[operator]
        case "Var", _:
            return _VARIABLES.get(argument)
        case (("." | "getTag" | "has" | "hasTag"), _):
            paths = paths_of(expression)
            return name_of(paths[0]) if len(paths) == 1 else None
    return None


def _is_of_time(expression: Expression) -> bool:
    return expression == _NOW or bool(expression.keys() & {"datetime", "duration", "toTime", "toDate"})


def _in_cedar(expression: Expression, *, holds: bool) -> str:
    return f"this {'holds' if holds else 'does not hold'}: {text_of(expression)}"
