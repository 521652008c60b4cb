"""What a request asks for, as the options that it came in, and the scope that would allow it.

It owns the comparison of paths segment by segment. It must never compare what was printed.
"""

from __future__ import annotations

from dataclasses import dataclass

from twoway.errors import CallerError
from twoway.tickets import Method, Scope, target_from_options

AUTHZ_INFO = ("authz-info",)
"""Where tickets are uploaded (RFC 9200 section 5.10.1), as path segments."""
WELL_KNOWN_CORE = (".well-known", "core")
"""Where resources are discovered (RFC 6690 section 4), as path segments."""

_HINTED_TARGET_CHARACTERS = 255
"""A target longer than this is none of ours; repeating it in a hint would only make a big answer."""


@dataclass(frozen=True, slots=True)
class Target:
    """What a request asks for: its Uri-Path and Uri-Query options, each value whole.

    Segments are compared as they are. ``("a/b",)`` is not ``("a", "b")``, and ``("power", "")`` is not
    ``("power",)``, however alike they look once printed.
    """

    path: tuple[str, ...]
    queries: tuple[str, ...] = ()

    def __str__(self) -> str:
        return target_from_options(self.path, self.queries)


def wanted_scope(target: Target, method: Method) -> bytes | None:
    """Return the AIF scope, encoded, that would allow ``method`` on ``target``; None where none could."""
    text = str(target)
    if not method or len(text) > _HINTED_TARGET_CHARACTERS:
        return None
    try:
        return Scope(((text, method),)).encode()
    except CallerError:  # a target that no scope can name, such as one with dot segments
        return None
