"""The keys with which the AC signs tickets, learnt from the AC itself.

It owns the questions for them: at the start, by observation, now and then, and when a ticket names a key that
is not known. It must never take a key from anybody but the AC that proved its identity, and never ask more
often than its rate allows, for anybody can upload a ticket that names a key.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable

from twoway.errors import TwowayError
from twoway.publisher.ac_link import ACLink, Reply
from twoway.publisher.authority import Authority
from twoway.publisher.watch import Watch
from twoway.tickets import CONTENT_FORMAT_COSE_KEY_SET, parse_key_set_untrusted
from twoway.trace import Fault, Trace, TraceEvent

KEYS_PATH = "/keys"
SHORTEST_PAUSE = 10.0
"""Seconds between two questions that uploads give rise to."""


class SigningKeysWatch:
    """Follows the AC's key set.

    Args:
        link: the way to the AC.
        authority: takes the keys.
        on_change: is called when the keys have changed.
        monotonic: monotonic seconds.
        interval: seconds between two questions. They come half an interval after those for revoked tickets,
            so that an AC which has restarted, and does not know our association, is noticed twice as soon.
        trace: hears of changes and of failures.
    """

    def __init__(
        self,
        link: ACLink,
        authority: Authority,
        *,
        on_change: Callable[[], None],
        monotonic: Callable[[], float],
        interval: float,
        trace: Trace,
    ) -> None:
        self._link = link
        self._authority = authority
        self._on_change = on_change
        self._monotonic = monotonic
        self._trace = trace
        self._asked_at: float | None = None
        self._watch = Watch(
            "signing keys",
            observe=self._observe,
            take=self._take,
            ask=self._ask,
            interval=interval,
            first_question=interval / 2,
            trace=trace,
        )

    async def run(self) -> None:
        """Follow until cancelled."""
        await self._watch.run()

    async def learn(self) -> bool:
        """Ask because of a key that is not known; return whether there is anything new."""
        now = self._monotonic()
        if self._asked_at is not None and now - self._asked_at < SHORTEST_PAUSE:
            return False
        self._asked_at = now
        before = self._authority.key_ids
        try:
            await self._ask()
        except TwowayError as error:
            self._trace(Fault("signing keys question failed", "publisher", {"because": str(error)}))
        return self._authority.key_ids != before

    async def _ask(self) -> None:
        await self._take(await self._link.get(KEYS_PATH, content_format=CONTENT_FORMAT_COSE_KEY_SET))

    def _observe(self) -> AsyncGenerator[Reply, None]:
        return self._link.observe(KEYS_PATH, content_format=CONTENT_FORMAT_COSE_KEY_SET)

    async def _take(self, reply: Reply) -> None:
        keys = parse_key_set_untrusted(reply.payload)
        if self._authority.learn(keys, certified_until=reply.certified_until):
            named = sorted(key_id.hex() for key_id in self._authority.key_ids)
            self._trace(TraceEvent("signing keys learnt", "publisher", {"keys": named}))
            self._on_change()
