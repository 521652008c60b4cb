"""The list of revoked tickets as it is asked for and answered (RFC 9770).

Owns the query of ``/revoke/trl``, the full and the differential answer, and the error. Each answer goes to
one requester and holds the hashes of its own tickets alone; who that is, and which these are, the AC decides.
The AC supports differences and cursors, so its answers always have a cursor.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Self

from twoway import strict_cbor
from twoway.errors import CallerError, PeerError
from twoway.tickets.ace_map import MAX_MESSAGE_BYTES, ACEMap, MalformedACE, map_untrusted, optional, present
from twoway.tickets.iana import ProblemDetail, TRLErrorID, TRLParameter
from twoway.tickets.token_hash import SHA_256, TOKEN_HASH_BYTES

MAX_INDEX = 2**63 - 1
"""The highest cursor (MAX_INDEX of RFC 9770 section 6.2.1): what a database counts to. It never wraps."""
MAX_TRL_BYTES = 1 << 20
"""Of an answer: about 30,000 revoked tickets of one requester, and what the transport puts together."""

_NUMBER = re.compile("0|[1-9][0-9]{0,254}")
"""As long as a Uri-Query option can be (RFC 7252 section 5.10): a ``diff`` has no highest value."""


class MalformedTRL(PeerError):
    """An answer that is not what RFC 9770 describes."""


class TRLQueryRejected(PeerError):
    """A query that gets 4.00; :meth:`error` is the answer."""

    def __init__(self, error_id: TRLErrorID, detail: str, *, cursor_is_wrong: bool = False) -> None:
        super().__init__(f"the query for revoked tickets is refused: {detail}")
        self.error_id = error_id
        self._cursor_is_wrong = cursor_is_wrong

    def error(self, last_index: int | None) -> TRLError:
        """Return the answer (RFC 9770 section 6.3).

        Args:
            last_index: the requester's present cursor, None before its first change. It is told where the
                cursor of the query has no possible value.
        """
        if self._cursor_is_wrong:
            return TRLError(self.error_id, self.what, tells_cursor=True, cursor=last_index)
        return TRLError(self.error_id, self.what)


@dataclass(frozen=True)
class TRLQuery:
    """What a requester asks (RFC 9770 section 6.3)."""

    diff: int | None = None
    """At most how many changes, 0 for as many as there are; None asks for the full list."""
    cursor: int | None = None
    """The number of the last change that the requester has; only together with ``diff``."""

    @classmethod
    def parse_untrusted(cls, queries: Sequence[str]) -> Self:
        """Read the Uri-Query options; those that are not known are passed over.

        Raises:
            TRLQueryRejected: with the error to answer.
        """
        values = [query.partition("=") for query in queries]
        diffs = [value for name, _, value in values if name == "diff"]
        cursors = [value for name, _, value in values if name == "cursor"]
        if diffs and _single_number(diffs) is None:
            raise TRLQueryRejected(TRLErrorID.INVALID_PARAMETER_VALUE, "diff is not one number from 0")
        if cursors and not diffs:
            raise TRLQueryRejected(TRLErrorID.INVALID_SET_OF_PARAMETERS, "cursor needs diff")
        cursor = _single_number(cursors)
        if cursors and (cursor is None or cursor > MAX_INDEX):
            raise TRLQueryRejected(
                TRLErrorID.INVALID_PARAMETER_VALUE, "cursor is not one number in range", cursor_is_wrong=True
            )
        return cls(_single_number(diffs), cursor)

    def options(self) -> tuple[str, ...]:
        """The Uri-Query options that ask this."""
        named = (("diff", self.diff), ("cursor", self.cursor))
        return tuple(f"{name}={value}" for name, value in named if value is not None)


@dataclass(frozen=True)
class FullSet:
    """All revoked, unexpired tickets of a requester (RFC 9770 section 7)."""

    hashes: frozenset[bytes]
    """Their token hashes."""
    cursor: int | None = None
    """The number of the last change; None before the first."""

    def encode(self) -> bytes:
        """Return the payload of the 2.05 response, content format 262."""
        return strict_cbor.encode(
            {TRLParameter.FULL_SET: sorted(self.hashes), TRLParameter.CURSOR: self.cursor}
        )

    @classmethod
    def parse_untrusted(cls, payload: bytes) -> Self:
        """Read the answer to a full query; a missing cursor is none.

        Raises:
            MalformedTRL: it is something else.
        """
        return cls._of(_answer_untrusted(payload))

    @classmethod
    def _of(cls, message: ACEMap) -> Self:
        return cls(_hashes(message.get(TRLParameter.FULL_SET)), _cursor(message))


@dataclass(frozen=True)
class DiffEntry:
    """What one change of the list was to a requester."""

    removed: frozenset[bytes] = frozenset()
    """Hashes of revoked tickets that have expired since."""
    added: frozenset[bytes] = frozenset()
    """Hashes of tickets that were revoked."""


@dataclass(frozen=True)
class DiffSet:
    """Changes of the list (RFC 9770 sections 8 and 9.2)."""

    entries: tuple[DiffEntry, ...]
    """The newest first."""
    cursor: int | None
    """The number of the newest change in here, to ask on from; None if there is none, or if changes that
    were asked for are no longer known."""
    more: bool
    """Whether there are newer changes than these. Together with no cursor: ask for the full list."""

    def encode(self) -> bytes:
        """Return the payload of the 2.05 response, content format 262."""
        entries = [[sorted(entry.removed), sorted(entry.added)] for entry in self.entries]
        return strict_cbor.encode(
            {TRLParameter.DIFF_SET: entries, TRLParameter.CURSOR: self.cursor, TRLParameter.MORE: self.more}
        )

    @classmethod
    def parse_untrusted(cls, payload: bytes) -> Self:
        """Read the answer to a query for differences.

        Raises:
            MalformedTRL: it is something else.
        """
        return cls._of(_answer_untrusted(payload))

    @classmethod
    def _of(cls, message: ACEMap) -> Self:
        entries = message.get(TRLParameter.DIFF_SET)
        if not isinstance(entries, list):
            raise MalformedTRL("the list of revoked tickets has no differences")
        more = message.get(TRLParameter.MORE, False)
        if not isinstance(more, bool):
            raise MalformedTRL("the list of revoked tickets does not say whether there is more")
        return cls(tuple(map(_entry, entries)), _cursor(message), more)

    def apply_to(self, hashes: Iterable[bytes]) -> frozenset[bytes]:
        """Return the full list that these changes make of ``hashes``."""
        result = frozenset(hashes)
        for entry in reversed(self.entries):
            result = result - entry.removed | entry.added
        return result


def parse_trl_untrusted(payload: bytes) -> FullSet | DiffSet:
    """Read an answer of either form: an AC without differences answers each query with the full list.

    Raises:
        MalformedTRL: it is neither, or both.
    """
    message = _answer_untrusted(payload)
    match TRLParameter.FULL_SET in message, TRLParameter.DIFF_SET in message:
        case True, False:
            return FullSet._of(message)
        case False, True:
            return DiffSet._of(message)
        case _:
            raise MalformedTRL("the answer is not one list of revoked tickets")


@dataclass(frozen=True)
class TRLError:
    """Why a query got no answer (RFC 9770 section 6.1), content format 257."""

    error_id: int
    """A :class:`TRLErrorID`, or a number that was registered later."""
    detail: str | None = None
    """The reason in words, printable."""
    tells_cursor: bool = False
    """Whether the AC says what the requester's cursor is."""
    cursor: int | None = None
    """That cursor; None before the first change."""

    def encode(self) -> bytes:
        """Return the payload of the 4.00 response."""
        if self.cursor is not None and not self.tells_cursor:
            raise CallerError("an error with a cursor has to tell it")
        error: dict[int, object] = {0: int(self.error_id)}
        if self.tells_cursor:
            error[1] = self.cursor
        return strict_cbor.encode(
            present({ProblemDetail.DETAIL: self.detail, ProblemDetail.ACE_TRL_ERROR: error})
        )

    @classmethod
    def parse_untrusted(cls, payload: bytes) -> Self:
        """Read the payload of an error response.

        Raises:
            MalformedTRL: it holds no error of RFC 9770.
        """
        try:
            message = map_untrusted(payload, limit=MAX_MESSAGE_BYTES)
            detail = optional(message, ProblemDetail.DETAIL, str)
        except MalformedACE as fault:
            raise MalformedTRL(fault.what) from None
        match message.get(ProblemDetail.ACE_TRL_ERROR):
            case {0: int() as error_id, **rest} if type(error_id) is int:
                pass
            case _:
                raise MalformedTRL("the error does not say what is wrong")
        return cls(error_id, detail, tells_cursor=1 in rest, cursor=_index(rest.get(1)))


def _single_number(values: Sequence[str]) -> int | None:
    """The number, if it stands there once and as a number."""
    return int(values[0]) if len(values) == 1 and _NUMBER.fullmatch(values[0]) else None


def _answer_untrusted(payload: bytes) -> ACEMap:
    try:
        return map_untrusted(payload, limit=MAX_TRL_BYTES)
    except MalformedACE as fault:
        raise MalformedTRL(fault.what) from None


def _entry(value: object) -> DiffEntry:
    match value:
        case [removed, added]:
            return DiffEntry(_hashes(removed), _hashes(added))
        case _:
            raise MalformedTRL("a difference is not a pair of what was removed and what was added")


def _hashes(value: object) -> frozenset[bytes]:
    if not isinstance(value, list) or not all(map(_is_token_hash, value)):
        raise MalformedTRL("the list of revoked tickets holds something else than token hashes")
    return frozenset(value)


def _is_token_hash(value: object) -> bool:
    return isinstance(value, bytes) and len(value) == TOKEN_HASH_BYTES and value.startswith(SHA_256)


def _cursor(message: ACEMap) -> int | None:
    return _index(message.get(TRLParameter.CURSOR))


def _index(value: object) -> int | None:
    if value is None:
        return None
    if type(value) is not int or not 0 <= value < 1 << 64:
        raise MalformedTRL("the cursor is not a number from 0")
    return value
