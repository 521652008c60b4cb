"""When a flight is sent again: RFC 6347 section 4.2.4, RFC 7925 section 11, RFC 6298.

Theory of operation. DTLS 1.2 has no acknowledgements: whoever waits for a flight repeats its own when the
time is up, and doubles the time. What is known of the link sets the first timeout:

- A flight that was sent once and is answered gives a sample of the round trip, the peer's computing
  included; RFC 6298 makes a timeout of the samples. A flight that was sent again gives none, for nobody
  can say which transmission was answered (Karn's algorithm, RFC 6298 section 3).
- A timeout that had to be doubled is kept for the flights that follow, until one of them comes through (RFC
  6347 section 4.2.4.1). On a path that is slower than the first timeout no flight would ever be sent just
  once otherwise, and nothing would be learnt. An answer soon after the last of several transmissions speaks
  for a path that loses much and not for one that is slow: then one doubling is kept, and not all of them.

Before there are keys anybody can write a peer's fragment, so a sample may be a lie. It can at worst lead to
the shortest timeout that the :class:`Retransmission` allows, and what is sent is bounded by its budgets.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import Enum
from typing import Final

from twoway.errors import ConfigurationError

SMOOTHING: Final = 1 / 8  # alpha of RFC 6298 section 2
VARIATION_SMOOTHING: Final = 1 / 4  # beta
VARIATIONS: Final = 4  # K
SOON: Final = 1 / 2
"""An answer within this share of the first timeout is taken to be one to the last transmission."""
PEERS_TURN: Final = 2
"""How many timeouts we wait once the peer's answer has begun: its timer is as long as ours, and is to go
first."""


@dataclass(frozen=True, kw_only=True)
class Retransmission:
    """How patiently a flight is repeated; durations in seconds.

    :data:`RFC6347`, :data:`RFC7925` and :data:`LINK_MEASURED` are ready-made; ``dataclasses.replace`` changes
    one.
    """

    initial: float = 1.0
    """The first timeout where nothing has been measured."""
    factor: float = 2.0
    """What each retransmission multiplies the timeout by; 1 keeps it as it is."""
    cap: float = 60.0
    """Where the multiplying ends."""
    floor: float | None = None
    """The shortest timeout that measuring may lead to; None: ``initial``, so it can only make us more
    patient."""
    round_trip: float | None = None
    """The link's round trip if the caller knows it already, such as
    :attr:`~twoway.dtls.association.Association.round_trip` of an earlier association."""
    retries: int = 50
    """Retransmissions in a row without any sign of life after which the peer counts as gone. A path that
    loses every second datagram carries a question and its answer once in four times, which fails 50 times in
    a row less than once in a million. A peer that is dead is usually found out by ``handshake_timeout``, long
    before."""
    repeats: int = 6
    """How many times a flight is sent again because the peer repeated its own. Before there are keys anybody
    can forge a repetition, so these have a budget of their own, which nothing gives back: forgeries can
    neither have a flight sent more often than this allows nor use up what our own timer needs."""

    def __post_init__(self) -> None:
        durations = (self.shortest, self.initial, self.cap)
        if not 0 < self.shortest <= self.initial <= self.cap or not all(map(math.isfinite, durations)):
            raise ConfigurationError(
                "a retransmission timer's floor, initial timeout and cap do not ascend",
                remedy="give positive seconds with floor <= initial <= cap",
            )
        if not 1 <= self.factor < math.inf:
            raise ConfigurationError("a retransmission timer's factor is a number from 1 on")
        if self.round_trip is not None and not 0 < self.round_trip < math.inf:
            raise ConfigurationError("a link's round trip is a positive number of seconds")
        if self.retries < 0 or self.repeats < 0:
            raise ConfigurationError("a number of retransmissions is not negative")

    @property
    def shortest(self) -> float:
        """The shortest timeout there can be."""
        return self.initial if self.floor is None else self.floor


RFC6347: Final = Retransmission()
"""Section 4.2.4.1: a second, doubled up to a minute. For networks like the Internet's."""
RFC7925: Final = Retransmission(initial=9.0)
"""Section 11: nine seconds, for networks and peers that are slow. The two retransmissions that it has in mind
take 63 s, so give ``handshake_timeout`` more than that."""
LINK_MEASURED: Final = Retransmission(floor=0.25)
"""As RFC 6347 until a round trip is known, then as short as RFC 6298 says, down to a quarter of a second: a
cookie's round trip has none of the signatures in it that the next flight waits for."""


class RoundTrip:
    """A link's smoothed round trip and its variation (RFC 6298 section 2), in seconds.

    Args:
        known: the round trip if it is known beforehand; counts as the first sample.
    """

    __slots__ = ("_variation", "smoothed")

    def __init__(self, known: float | None) -> None:
        self.smoothed: float | None = None
        self._variation = 0.0
        if known is not None:
            self.measure(known)

    def measure(self, sample: float) -> None:
        """Take in one more sample."""
        if self.smoothed is None:
            self.smoothed, self._variation = sample, sample / 2
            return
        difference = abs(self.smoothed - sample)
        self._variation += VARIATION_SMOOTHING * (difference - self._variation)
        self.smoothed += SMOOTHING * (sample - self.smoothed)

    @property
    def timeout(self) -> float | None:
        """The retransmission timeout that follows; None without a sample."""
        return None if self.smoothed is None else self.smoothed + VARIATIONS * self._variation


class Due(Enum):
    """What is to be sent when the time is up."""

    FLIGHT = "flight"
    """The flight: the peer has shown nothing that answers it since it was last sent."""
    REMINDER = "reminder"
    """Its last message alone: the peer has shown that it has the flight, and has fallen silent within its
    own."""
    NOTHING = "nothing"
    """The budget is spent: the peer is gone."""


class RetransmissionTimer:
    """One association's timer; runs while a flight waits for its answer.

    Args:
        rule: how patiently.
    """

    __slots__ = (
        "_heard",
        "_is_answer_last",
        "_repeats_left",
        "_retries_left",
        "_round_trip",
        "_rule",
        "_sent_at",
        "_sent_once",
        "_timeout",
        "deadline",
        "unanswered",
    )

    def __init__(self, rule: Retransmission) -> None:
        self._rule = rule
        self._round_trip = RoundTrip(rule.round_trip)
        self._timeout = self._first_timeout()
        self._retries_left = rule.retries
        self._repeats_left = rule.repeats
        self._sent_at = 0.0
        self._sent_once = True
        self._heard = False
        self._is_answer_last = False
        self.deadline: float | None = None
        self.unanswered = 0
        """Retransmissions in a row, for whatever reason, that have brought no sign of life."""

    @property
    def round_trip(self) -> float | None:
        """The smoothed round trip in seconds; None if no flight was answered without having been sent
        again."""
        return self._round_trip.smoothed

    def start(self, now: float, *, is_answer_last: bool) -> None:
        """A new flight was sent and waits for its answer; ``is_answer_last``: the peer has no timer for
        that."""
        self._retries_left, self._repeats_left = self._rule.retries, self._rule.repeats
        self._sent_at, self._sent_once, self.unanswered = now, True, 0
        self._heard, self._is_answer_last = False, is_answer_last
        self.deadline = now + self._timeout

    def stop(self) -> None:
        """The answer is there, or none is expected."""
        self.deadline = None

    def hear(self, now: float) -> None:
        """Something new of the answer is there: the peer is alive and its turn lasts."""
        if self.deadline is None:
            return
        if not self._heard:
            self._learn(now - self._sent_at)
        self._heard = True
        self._retries_left = self._rule.retries
        self.unanswered = 0
        self.deadline = now + self._timeout * (1 if self._is_answer_last else PEERS_TURN)

    def expire(self, now: float) -> Due:
        """The time is up: say what to send, and set the next deadline."""
        if self._retries_left == 0:
            self.deadline = None
            return Due.NOTHING
        due = Due.REMINDER if self._heard else Due.FLIGHT
        self._retries_left -= 1
        self.unanswered += 1
        self._heard = False
        self._sent_at, self._sent_once = now, False
        self._timeout = min(self._timeout * self._rule.factor, self._rule.cap)
        self.deadline = now + self._timeout
        return due

    def spend_repeat(self, now: float) -> bool:
        """The peer repeated its flight, so it is alive: tell whether to answer with ours once more.

        Not within a round trip of the last time: the repetition was on its way before that could arrive.
        """
        is_crossing = now - self._sent_at <= (self.round_trip or 0.0)
        if self._heard or is_crossing or self._repeats_left == 0:
            return False
        self._repeats_left -= 1
        self._retries_left = self._rule.retries
        self.unanswered += 1
        self._sent_at, self._sent_once = now, False
        if self.deadline is not None:
            self.deadline = now + self._timeout
        return True

    def _learn(self, elapsed: float) -> None:
        """The answer began so long after the last transmission."""
        if self._sent_once:
            self._round_trip.measure(elapsed)
            self._timeout = self._first_timeout()
        elif elapsed <= SOON * self._first_timeout():
            self._timeout = min(self._timeout, self._first_timeout() * self._rule.factor, self._rule.cap)

    def _first_timeout(self) -> float:
        measured = self._round_trip.timeout
        wanted = self._rule.initial if measured is None else measured
        return min(max(wanted, self._rule.shortest), self._rule.cap)
