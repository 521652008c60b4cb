"""What a ticket permits: the Authorization Information Format for CoAP resources (RFC 9237).

Owns the scope, a list of ``[target, methods]`` pairs, and the one form of a target in which a request and a
scope are compared. The match is exact, path and query; wildcards belong to the AC's policies, which are
expanded before a ticket is issued.

A target is what RFC 7252 section 6.5 composes from the request's Uri-Path and Uri-Query options, with
every reserved character inside a segment percent-encoded, so that two different lists of options never
give the same target: one segment ``a/b`` is ``/a%2Fb``, two segments are ``/a/b``. Must never compare
anything that was joined without encoding.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import IntFlag
from functools import cached_property, lru_cache
from typing import Self
from urllib.parse import quote, unquote_to_bytes

from twoway import strict_cbor
from twoway.errors import CallerError, PeerError

MAX_SCOPE_ENTRIES = 64
"""Resources in one scope: more would not fit into a ticket anyway."""
MAX_TARGET_CHARACTERS = 1024
"""A longer path does not fit into a CoAP request on the links that this is made for."""
_TARGETS_REMEMBERED = 1024
"""Of which the normal form is remembered: the same few come again with each ticket."""

_SEGMENT_SAFE = "!$&'()*+,;=:@"
_QUERY_SAFE = "!$'()*+,;=:@/?"
_PERCENT_OR = "%[0-9A-Fa-f]{2}|[A-Za-z0-9_.~"
_TARGET = re.compile(
    rf"(?P<path>/(?:{_PERCENT_OR}{re.escape(_SEGMENT_SAFE)}/-])*)"
    rf"(?:\?(?P<query>(?:{_PERCENT_OR}{re.escape(_QUERY_SAFE)}&-])*))?"
)


class MalformedScope(PeerError):
    """The bytes are not an AIF scope for CoAP resources."""


class Method(IntFlag):
    """CoAP methods as AIF permissions: bit n stands for method code n + 1 (RFC 9237 section 3)."""

    GET = 1 << 0
    """Also Observe, which has no bit of its own."""
    POST = 1 << 1
    PUT = 1 << 2
    DELETE = 1 << 3
    FETCH = 1 << 4
    PATCH = 1 << 5
    IPATCH = 1 << 6

    @classmethod
    def from_code(cls, code: int) -> Method:
        """The permission that a request with CoAP method ``code`` (1 to 7) needs; none for another code."""
        return _KNOWN & Method(1 << code - 1) if 1 <= code <= _KNOWN.bit_length() else cls(0)

    def __str__(self) -> str:
        return ",".join(method.name or "" for method in self)


_KNOWN = ~Method(0)


def target_from_options(path_segments: Sequence[str], queries: Sequence[str]) -> str:
    """Compose the target of a request from its decoded options (RFC 7252 section 6.5).

    Args:
        path_segments: the Uri-Path options in order.
        queries: the Uri-Query options in order.

    Returns:
        Path and query, ``/power?unit=kW``. Different options give different targets. The one path that has
        no URI form, a single empty segment, gives an empty path, which no scope can hold.
    """
    path = "/" + "/".join(_quoted(segment, _SEGMENT_SAFE) for segment in path_segments)
    if list(path_segments) == [""]:
        path = ""  # else it would be "/", the root, which is the path without any segment
    if not queries:
        return path
    return path + "?" + "&".join(_quoted(query, _QUERY_SAFE) for query in queries)


def _quoted(text: str, safe: str) -> str:
    # surrogatepass: a string that is no UTF-8 still gets a target of its own, and no scope can hold it.
    return quote(text.encode("utf-8", "surrogatepass"), safe=safe)


@lru_cache(maxsize=_TARGETS_REMEMBERED)
def _normal_target(target: str) -> str:
    """Bring a written target into the form of :func:`target_from_options`.

    Raises:
        ValueError: it is not a path with an optional query, or has dot segments.
    """
    match = _TARGET.fullmatch(target)
    if match is None or len(target) > MAX_TARGET_CHARACTERS:
        raise ValueError("not a path")
    path, query = match["path"], match["query"]
    segments = [] if path == "/" else [unquote_to_bytes(part).decode() for part in path[1:].split("/")]
    queries = [] if query is None else [unquote_to_bytes(part).decode() for part in query.split("&")]
    if not {".", ".."}.isdisjoint(segments):
        raise ValueError("dot segments")
    return target_from_options(segments, queries)


@dataclass(frozen=True)
class Scope:
    """Targets and the methods permitted on each; empty permits nothing.

    However it is written, the entries come out in one normal form: targets normalised, duplicates merged,
    unknown permission bits and entries without any method dropped, sorted.

    Raises:
        CallerError: a target is not a path such as ``/power``, optionally with a query.
    """

    entries: tuple[tuple[str, Method], ...] = ()
    """``(target, methods)`` pairs."""

    def __post_init__(self) -> None:
        try:
            normal = _merged(self.entries)
        except ValueError:
            raise CallerError(
                "a scope holds paths such as /power, with an optional query",
                remedy="check the resource paths",
            ) from None
        object.__setattr__(self, "entries", normal)

    def __bool__(self) -> bool:
        return bool(self.entries)

    def __str__(self) -> str:
        return " ".join(f"{methods} {target}" for target, methods in self.entries) or "nothing"

    @cached_property
    def _methods(self) -> dict[str, Method]:
        return dict(self.entries)

    def covers(self, target: str) -> bool:
        """Whether any method is permitted on ``target`` (made by :func:`target_from_options`)."""
        return target in self._methods

    def permits(self, target: str, method: Method) -> bool:
        """Whether ``method``, one or several, is permitted on ``target``. No method is never permitted."""
        granted = self._methods.get(target, Method(0))
        return bool(method) and granted & method == method

    def intersect(self, other: Scope) -> Scope:
        """What both scopes permit."""
        return Scope(
            tuple(
                (target, methods & other._methods.get(target, Method(0))) for target, methods in self.entries
            )
        )

    def encode(self) -> bytes:
        """Return the AIF in deterministic CBOR: ``[[target, bits], ...]``."""
        return strict_cbor.encode([[target, int(methods)] for target, methods in self.entries])

    @classmethod
    def parse_untrusted(cls, data: bytes) -> Self:
        """Read AIF in CBOR (RFC 9237 section 2).

        Raises:
            MalformedScope: not a list of ``[target, bits]`` pairs, too long, or a target is not a path.
        """
        try:
            value = strict_cbor.decode_untrusted(data)
        except strict_cbor.MalformedCBOR:
            raise MalformedScope("the scope is not CBOR") from None
        if not isinstance(value, list) or len(value) > MAX_SCOPE_ENTRIES:
            raise MalformedScope(f"the scope is not a list of up to {MAX_SCOPE_ENTRIES} entries")
        try:
            return cls(tuple(map(_entry_untrusted, value)))
        except CallerError:
            raise MalformedScope("a target in the scope is not a path with an optional query") from None


def _entry_untrusted(entry: object) -> tuple[str, Method]:
    match entry:
        case [str() as target, int() as bits] if type(bits) is int and bits >= 0:
            return target, Method(bits & _KNOWN)
        case _:
            raise MalformedScope("an entry of the scope is not a pair of target and permission bits")


def _merged(entries: Iterable[tuple[str, Method]]) -> tuple[tuple[str, Method], ...]:
    merged: dict[str, Method] = {}
    for target, methods in entries:
        normal = _normal_target(target)
        merged[normal] = merged.get(normal, Method(0)) | (methods & _KNOWN)
    return tuple(sorted((target, methods) for target, methods in merged.items() if methods))
