"""Paths: where an association sends, and what it takes to make it send elsewhere.

RFC 9146 section 6 and RFC 9853. A path is an opaque value of the caller's, for instance the peer's address;
two are the same if they are equal. Nothing here reads a record: it is told what authentic ones came from
where.

Theory of operation. A connection ID lets a record count wherever it comes from, so a record also tells
where the peer is now. Anybody who can see a record can send it on from an address of their own choosing,
faster than the network; the record is authentic, its address is not. Two things could be won by that: to
have us flood somebody else with answers, and to be put between the two peers. Therefore

- only a record that is newer than all before it can point to another path. A replayed, late or forged one
  cannot;
- as long as the new path is not validated it gets at most three times the bytes that came from it (the
  anti-amplification limit of RFC 9853 section 2, after RFC 9000 section 8). What goes beyond is sent to the
  path that was validated last;
- with the return routability check agreed upon, the path stays what it is until the peer has returned an
  unpredictable cookie, by the enhanced procedure of section 5.2: first the old path is asked. An answer
  from there means that the peer still is where it was and somebody else sent its record on: nothing
  changes. If the peer says that it has left, or nobody answers, the new path is asked (section 5.1), and
  its answer moves the association. In the meantime data goes to the old path and, within the limit, to
  the new one as well: whichever leads to the peer, it gets the data once, for the second copy is a replay;
- without the check the association moves at once, and the limit is all that protects others. It is lifted
  when the peer is back on the path that was validated.

One path is looked at a time (section 5, the note on nested rebindings): a third one waits until new data
comes from it. The peer's next record from the old path ends the check, since that path plainly works.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Final, Protocol

from cryptography.hazmat.primitives import constant_time

from twoway.dtls.return_routability import COOKIE_BYTES, PathMessage, PathMessageType

Path = Hashable

AMPLIFICATION_LIMIT: Final = 3
"""How many bytes a path that is not validated gets for each byte that came from it (RFC 9853 section 2)."""
CHALLENGES: Final = 3
"""How often a path is asked before it counts as dead, evenly within the time that RFC 9853 section 5.5
gives it. If that is three round trips, it is asked once in each, as section 5.3 has it."""
ROUND_TRIPS: Final = 3
"""How many a path has to answer where the round trip is known (RFC 9853 section 5.5)."""


class PathLink(Protocol):
    """What the paths ask of the association around them."""

    @property
    def challenge_bytes(self) -> int:
        """How long a datagram with a challenge is."""

    @property
    def path_timeout(self) -> float:
        """Seconds that a path has to answer (RFC 9853 section 5.5)."""

    def send_path_message(self, message: PathMessage, path: Path) -> None:
        """Send a message by a path."""

    def path_changed(self, path: Path) -> None:
        """The peer is spoken to by another path from here on."""

    def path_noted(self, what: str, path: Path) -> None:
        """Something happened that should be counted."""


class _Probation:
    """A path that the peer appeared on and that may be somebody else's."""

    __slots__ = (
        "challenge_at",
        "challenges_left",
        "is_asked",
        "new_cookies",
        "old_cookies",
        "path",
        "received_bytes",
        "sent_bytes",
    )

    def __init__(self, path: Path, received_bytes: int) -> None:
        self.path = path
        self.received_bytes = received_bytes
        self.sent_bytes = 0
        self.is_asked = False  # The old path is asked first.
        self.old_cookies: list[bytes] = []
        self.new_cookies: list[bytes] = []
        self.challenges_left = 0
        self.challenge_at: float | None = None

    def has_room_for(self, size: int) -> bool:
        """Whether the anti-amplification limit allows that many more bytes."""
        return self.sent_bytes + size <= AMPLIFICATION_LIMIT * self.received_bytes


class Paths:
    """The path in use, and the one that is looked at.

    Args:
        link: who sends and counts for us.
        entropy: returns that many random bytes.
        path: where the handshake takes place; it is validated by it.
    """

    __slots__ = ("_entropy", "_link", "_probation", "_validated", "_was_left", "is_checked", "path")

    def __init__(self, link: PathLink, entropy: Callable[[int], bytes], path: Path) -> None:
        self._link = link
        self._entropy = entropy
        self._validated = path
        self._was_left: frozenset[Path] = frozenset()
        self._probation: _Probation | None = None
        self.path = path
        """Where data goes."""
        self.is_checked = False
        """Whether both sides speak the return routability check."""

    # --- what is asked of it --------------------------------------------------------------------

    @property
    def deadline(self) -> float | None:
        """When :meth:`expire` is due, in monotonic seconds."""
        return self._probation.challenge_at if self._probation else None

    def route(self, size: int) -> tuple[Path, ...]:
        """Return the paths that a datagram of that many bytes is to be sent by, and count it as sent."""
        probation = self._probation
        if probation is None:
            return (self._validated,)
        # Data must not use up what the first challenge needs, or the path could never be validated.
        is_challenge_due = self.is_checked and not probation.new_cookies
        reserve = self._link.challenge_bytes if is_challenge_due else 0
        if not probation.has_room_for(size + reserve):
            return (self._validated,)
        probation.sent_bytes += size
        if self.is_checked and not probation.is_asked:
            return (self._validated, probation.path)
        return (probation.path,)

    # --- what it is told ------------------------------------------------------------------------

    def hear(self, path: Path, size: int, now: float, *, may_move: bool) -> None:
        """An authentic record with a connection ID came.

        Args:
            path: where from.
            size: its bytes with its header.
            now: monotonic seconds.
            may_move: it is newer than every record before it, and not part of a check.
        """
        probation = self._probation
        if probation is not None and path == probation.path:
            probation.received_bytes += size
        elif not may_move or path in self._was_left:
            return
        elif path != self._validated:
            if probation is None or not self.is_checked:
                self._begin(_Probation(path, size), now)
        elif probation is not None:
            self._stay("paths kept: the peer spoke by the old one")

    def answer(self, message: PathMessage, path: Path, size: int, now: float) -> None:
        """A message of the check came.

        Args:
            message: what it says.
            path: where from; the answer to a challenge goes there (section 5.4).
            size: the bytes of its record with its header.
            now: monotonic seconds.
        """
        if message.type is PathMessageType.PATH_CHALLENGE:
            self._answer_challenge(message.cookie, path, size)
            return
        is_response = message.type is PathMessageType.PATH_RESPONSE
        probation = self._probation
        if probation is not None and _is_among(message.cookie, probation.old_cookies):
            if is_response:
                self._stay("paths kept: the peer answered on the old one")
                return
            if not probation.is_asked:
                self._ask_new(probation, now)
                return
        elif probation is not None and is_response and _is_among(message.cookie, probation.new_cookies):
            self._validate(probation)
            return
        # Section 7.1: more answers than questions may be the trace of somebody who sends records on.
        self._link.path_noted("path answers that nobody asked for", path)

    def expire(self, now: float) -> None:
        """Do what is due at ``now``: ask again, ask the other path, or give up."""
        probation = self._probation
        if probation is None or probation.challenge_at is None or now < probation.challenge_at:
            return
        if probation.challenges_left:
            self._challenge(probation, now)
        elif not probation.is_asked:
            self._ask_new(probation, now)
        else:
            self._stay("paths not validated in time")

    def use(self, path: Path) -> None:
        """We have moved by ourselves; what comes by the path that was left is no sign of the peer's moving,
        and challenges on it are answered with path_drop (section 5.2)."""
        if path == self._validated:
            return
        self._was_left = (self._was_left | {self._validated}) - {path}
        self._probation = None
        self._validated = self.path = path

    # --- one check ------------------------------------------------------------------------------

    def _begin(self, probation: _Probation, now: float) -> None:
        self._probation = probation
        self._link.path_noted("paths seen", probation.path)
        if self.is_checked:
            probation.challenges_left = CHALLENGES
            self._challenge(probation, now)
        else:
            self._change(probation.path)

    def _ask_new(self, probation: _Probation, now: float) -> None:
        probation.is_asked = True
        probation.challenges_left = CHALLENGES
        self._challenge(probation, now)

    def _challenge(self, probation: _Probation, now: float) -> None:
        """Ask the path that is to be asked. Each challenge has a cookie of its own (section 5.3)."""
        probation.challenges_left -= 1
        probation.challenge_at = now + self._link.path_timeout / CHALLENGES
        path, cookies = self._validated, probation.old_cookies
        if probation.is_asked:
            path, cookies = probation.path, probation.new_cookies
            if not probation.has_room_for(self._link.challenge_bytes):
                return
            probation.sent_bytes += self._link.challenge_bytes
        cookies.append(self._entropy(COOKIE_BYTES))
        self._link.send_path_message(PathMessage(PathMessageType.PATH_CHALLENGE, cookies[-1]), path)

    def _answer_challenge(self, cookie: bytes, path: Path, size: int) -> None:
        """Section 5.4: at once, once, and to where the challenge came from."""
        if path != self._validated and self._link.challenge_bytes > AMPLIFICATION_LIMIT * size:
            self._link.path_noted("path challenges too short to be answered", path)
            return
        if self._probation is not None and path == self._probation.path:
            self._probation.sent_bytes += self._link.challenge_bytes
        kind = PathMessageType.PATH_DROP if path in self._was_left else PathMessageType.PATH_RESPONSE
        self._link.send_path_message(PathMessage(kind, cookie), path)

    def _validate(self, probation: _Probation) -> None:
        self._probation = None
        self._validated = probation.path
        self._link.path_noted("paths validated", probation.path)
        self._change(probation.path)

    def _stay(self, why: str) -> None:
        assert self._probation is not None
        self._link.path_noted(why, self._probation.path)
        self._probation = None
        self._change(self._validated)

    def _change(self, path: Path) -> None:
        if path != self.path:
            self.path = path
            self._link.path_changed(path)


def _is_among(cookie: bytes, cookies: list[bytes]) -> bool:
    return any(constant_time.bytes_eq(cookie, known) for known in cookies)
