"""The words of a subscriber's errors: what a peer said, made harmless, and who can say more.

It owns no decision. Whatever a peer wrote is shown as one line of printable characters, bounded.
"""

from __future__ import annotations

import shlex

from twoway.terminal import printable

_TEXT_CHARACTERS = 200
"""As much of a peer's own words as is worth showing."""


def excerpt(text: str) -> str:
    """Make a peer's text safe to show: one line, printable characters, bounded."""
    shown = printable(text[:_TEXT_CHARACTERS])
    return shown if len(text) <= _TEXT_CHARACTERS else f"{shown}..."


def diagnostic(payload: bytes, content_format: int | None) -> str:
    """Return a diagnostic payload (RFC 7252 section 5.5.2: UTF-8 text without a format) as ``: text``."""
    if not payload or content_format not in (None, 0):
        return ""
    return f": {excerpt(payload.decode('utf-8', errors='replace'))}"


def check_command(subscriber: str, publisher: str, target: str) -> str:
    """Return the command by which the AC's operator sees what decides whether somebody may read something.

    Args:
        subscriber: identity URI.
        publisher: identity URI.
        target: path and query.
    """
    named = {"--subscriber": subscriber, "--publisher": publisher, "--resource": target, "--action": "GET"}
    words = [word for name, value in named.items() for word in (name, value)]
    return shlex.join(["twoway", "ac", "check", "CONFIG", *words])


def ask_the_operator(command: str) -> str:
    """Say what to do about a refusal that the AC can explain."""
    return f"ask the operator of the AC to run: {command}"
