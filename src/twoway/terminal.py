"""Text from elsewhere, made safe to show: much of what is printed came from a network.

A terminal acts upon control characters, and a log is read by lines.
"""

from __future__ import annotations

REPLACEMENT = "\N{REPLACEMENT CHARACTER}"


def printable(text: str) -> str:
    """Replace every character that is not shown as itself, line feeds and escapes foremost."""
    return "".join(character if character.isprintable() else REPLACEMENT for character in text)
