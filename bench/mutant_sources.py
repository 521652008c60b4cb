"""The mutants that mutmut wrote into a module, as changes of lines."""

from __future__ import annotations

import ast
import difflib
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

ORIGINAL = "__mutmut_orig"


@dataclass(frozen=True)
class Change:
    """What a mutant changes."""

    function: str
    was: str
    becomes: str
    words: str = field(default="", compare=False)
    """What stood in the text that changed, if nothing but a text did."""


def is_wording(change: Change) -> bool:
    """Whether nothing but the text of a string differs, or an error has lost its sentence (bytes are no
    wording)."""
    return bool(change.words)


def functions(tree: ast.AST) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    """All functions, also those of classes."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def named(node: ast.FunctionDef | ast.AsyncFunctionDef) -> list[str]:
    """A function's statements as lines, without its own name."""
    return "\n".join(ast.unparse(statement) for statement in [node.args, *node.body]).splitlines()


def texts(node: ast.AST) -> list[str]:
    """Every string in it, in order."""
    return [
        each.value
        for each in ast.walk(node)
        if isinstance(each, ast.Constant) and isinstance(each.value, str)
    ]


def without_texts(node: ast.FunctionDef | ast.AsyncFunctionDef) -> str:
    """The function as a tree in which every string is empty."""
    copy = ast.parse(ast.unparse(node))
    for each in ast.walk(copy):
        if isinstance(each, ast.Constant) and isinstance(each.value, str):
            each.value = ""
    return "".join(ast.dump(statement) for statement in copy.body[0].body)  # type: ignore[attr-defined]


def without_sentences(node: ast.FunctionDef | ast.AsyncFunctionDef) -> str:
    """The function as a tree in which no error says anything in words."""
    copy = ast.parse(ast.unparse(node))
    for each in ast.walk(copy):
        match each:
            case ast.Raise(exc=ast.Call() as call):
                pass
            case ast.Call(func=ast.Name(name)) as call if name.endswith("Error"):
                pass
            case ast.Call(func=ast.Attribute(ast.Call(func=ast.Name("super")), "__init__")) as call:
                pass
            case _:
                continue
        call.args = [value for value in call.args if not is_sentence(value)]
        call.keywords = [keyword for keyword in call.keywords if not is_sentence(keyword.value)]
    return "".join(ast.dump(statement) for statement in copy.body[0].body)  # type: ignore[attr-defined]


def is_sentence(node: ast.AST) -> bool:
    """Whether this is text, or the None that stands in its place."""
    if isinstance(node, ast.Constant):
        return node.value is None or isinstance(node.value, str)
    return isinstance(node, ast.JoinedStr)


@cache
def changes(path: Path, module: str) -> dict[str, Change]:
    """A module's mutants by mutmut's names for them."""
    found = {node.name: node for node in functions(ast.parse(path.read_text()))}
    made = {}
    for name, node in found.items():
        original, is_mutant, number = name.partition("__mutmut_")
        if not is_mutant or not number.isdigit():
            continue
        before = found[original + ORIGINAL]
        was, becomes = named(before), named(node)
        lines = list(difflib.ndiff(was, becomes))
        words = ""
        if without_texts(before) == without_texts(node):
            pairs = zip(texts(before), texts(node), strict=True)
            words = next((old or "empty" for old, new in pairs if old != new), "")
        elif without_sentences(before) == without_sentences(node):
            words = "the sentence of an error"
        function = original.removeprefix("xǁ").removeprefix("x_").replace("ǁ", ".")
        made[f"{module}.{name}"] = Change(
            function,
            " ".join(line[2:].strip() for line in lines if line.startswith("- ")),
            " ".join(line[2:].strip() for line in lines if line.startswith("+ ")),
            words,
        )
    return made
