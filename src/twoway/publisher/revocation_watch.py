"""The AC's list of revoked tickets, followed (RFC 9770 sections 6 to 9).

It owns the questions: the whole list by observation and whenever there is no cursor, the changes since the
last one otherwise. It must never decide what becomes of a ticket.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable

from twoway.publisher.ac_link import ACLink, Reply
from twoway.publisher.revocation import RevokedTickets
from twoway.publisher.watch import Watch
from twoway.tickets import CONTENT_FORMAT_TRL, DiffSet, FullSet, TRLQuery, parse_trl_untrusted
from twoway.trace import Trace, TraceEvent

TRL_PATH = "/revoke/trl"
"""RFC 9770 section 6."""
MAX_QUESTIONS = 16
"""Questions in a row while the AC says that there are more changes; then the whole list is asked for."""


class RevocationWatch:
    """Follows the list.

    Args:
        link: the way to the AC.
        revoked: takes what is listed.
        on_revoked: is called with the hashes that were new, as soon as they are in ``revoked``.
        interval: seconds between two questions.
        trace: hears of new revocations and of failures.
    """

    def __init__(
        self,
        link: ACLink,
        revoked: RevokedTickets,
        *,
        on_revoked: Callable[[frozenset[bytes]], None],
        interval: float,
        trace: Trace,
    ) -> None:
        self._link = link
        self._revoked = revoked
        self._on_revoked = on_revoked
        self._trace = trace
        self._watch = Watch(
            "revocation list",
            observe=self._observe,
            take=self._take,
            ask=self.ask,
            interval=interval,
            trace=trace,
        )

    async def run(self) -> None:
        """Follow until cancelled."""
        await self._watch.run()

    async def ask(self) -> None:
        """Ask for what has changed, or for the whole list.

        Raises:
            TwowayError: the AC could not be asked, or its answer is unusable.
        """
        for _ in range(MAX_QUESTIONS):
            if self._revoked.cursor is None:
                break
            query = TRLQuery(diff=0, cursor=self._revoked.cursor)
            reply = await self._link.get(TRL_PATH, content_format=CONTENT_FORMAT_TRL, queries=query.options())
            answer = parse_trl_untrusted(reply.payload)
            if isinstance(answer, FullSet):
                self._take_full(answer)
                return
            if answer.cursor is None and answer.more:
                break  # Some of the changes since then are forgotten: RFC 9770 section 9.
            self._take_changes(answer)
            if not answer.more:
                return
        self._take(await self._link.get(TRL_PATH, content_format=CONTENT_FORMAT_TRL))

    def _observe(self) -> AsyncGenerator[Reply, None]:
        return self._link.observe(TRL_PATH, content_format=CONTENT_FORMAT_TRL)

    def _take(self, reply: Reply) -> None:
        self._take_full(FullSet.parse_untrusted(reply.payload))

    def _take_full(self, full: FullSet) -> None:
        self._tell(self._revoked.take_full(full))

    def _take_changes(self, changes: DiffSet) -> None:
        self._tell(self._revoked.take_changes(changes))

    def _tell(self, new: frozenset[bytes]) -> None:
        if new:
            self._trace(TraceEvent("tickets revoked", "publisher", {"tickets": len(new)}))
            self._on_revoked(new)
