"""The AC's list of revoked tickets, followed (RFC 9770 sections 6 to 9).

It owns the questions: the whole list by observation, whenever there is doubt and now and then, the changes
since the last one otherwise. What it learns has its effect at once and is then brought onto the disk. It must
never decide what becomes of a ticket.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable

from twoway.errors import StorageError
from twoway.publisher.ac_link import ACLink, Reply
from twoway.publisher.revocation import RevokedTickets
from twoway.publisher.revoked_file import RevokedFile
from twoway.publisher.watch import Watch
from twoway.tickets import CONTENT_FORMAT_TRL, FullSet, TRLQuery, parse_trl_untrusted
from twoway.trace import Fault, Trace, TraceEvent

TRL_PATH = "/revoke/trl"
"""RFC 9770 section 6."""
MAX_QUESTIONS = 16
"""Questions in a row while the AC says that there are more changes; then the whole list is asked for."""
DIFFERENCES_IN_A_ROW = 9
"""Questions for changes until the whole list is asked for: RFC 9770 section 11 does not want changes alone to
be relied on. So with the default interval a change that was missed, for whatever reason, is made up for in
ten minutes, which is as long as a ticket lives by default; and nine of ten answers are short."""


class RevocationWatch:
    """Follows the list.

    Args:
        link: the way to the AC.
        revoked: takes what is listed.
        file: keeps what is listed; None where nothing has to outlive us.
        on_revoked: is called with the hashes that were new, as soon as they are in ``revoked``.
        interval: seconds between two questions.
        trace: hears of new revocations, of those that are on the disk, and of failures.
    """

    def __init__(
        self,
        link: ACLink,
        revoked: RevokedTickets,
        *,
        file: RevokedFile | None,
        on_revoked: Callable[[frozenset[bytes]], None],
        interval: float,
        trace: Trace,
    ) -> None:
        self._link = link
        self._revoked = revoked
        self._file = file
        self._on_revoked = on_revoked
        self._trace = trace
        self._differences_left = 0
        self._watch = Watch(
            "revocation list",
            observe=self._observe,
            take=self._take,
            ask=self.ask,
            interval=interval,
            first_question=interval,
            trace=trace,
        )

    async def run(self) -> None:
        """Follow until cancelled."""
        await self._watch.run()

    async def ask(self) -> None:
        """Ask for what has changed, or for the whole list.

        Raises:
            TwowayError: the AC could not be asked, or its answer is unusable. The next question is for the
                whole list then: it may be another AC that answers, which knows our cursor for another one.
        """
        left, self._differences_left = self._differences_left, 0
        if left > 0 and await self._learn_changes():
            self._differences_left = max(self._differences_left, left - 1)
            return
        await self._take(await self._link.get(TRL_PATH, content_format=CONTENT_FORMAT_TRL))

    async def _learn_changes(self) -> bool:
        """Ask for changes until there are no more; return whether that was enough."""
        for _ in range(MAX_QUESTIONS):
            if self._revoked.cursor is None:
                return False
            query = TRLQuery(diff=0, cursor=self._revoked.cursor)
            reply = await self._link.get(TRL_PATH, content_format=CONTENT_FORMAT_TRL, queries=query.options())
            answer = parse_trl_untrusted(reply.payload)
            if isinstance(answer, FullSet):
                await self._take_full(answer)
                return True
            if answer.cursor is None and answer.more:
                return False  # Some of the changes since then are forgotten: RFC 9770 section 9.
            await self._note(self._revoked.take_changes(answer))
            if not answer.more:
                return True
        return False

    def _observe(self) -> AsyncGenerator[Reply, None]:
        return self._link.observe(TRL_PATH, content_format=CONTENT_FORMAT_TRL)

    async def _take(self, reply: Reply) -> None:
        await self._take_full(FullSet.parse_untrusted(reply.payload))

    async def _take_full(self, full: FullSet) -> None:
        new = self._revoked.take_full(full)
        self._differences_left = DIFFERENCES_IN_A_ROW
        await self._note(new)

    async def _note(self, new: frozenset[bytes]) -> None:
        """Tell of what is new, then bring the list onto the disk.

        Not the other way round: while the disk is waited for, who was revoked would go on, or begin anew.
        """
        if new:
            self._tell("tickets revoked", tickets=len(new))
            self._on_revoked(new)
        if self._file is None:
            return
        try:
            await self._file.record(self._revoked)
        except StorageError as error:
            self._trace(Fault("revoked tickets not recorded", "publisher", {"because": str(error)}))
        else:
            if new:
                self._tell("revoked tickets recorded", tickets=len(new))

    def _tell(self, what: str, **data: object) -> None:
        self._trace(TraceEvent(what, "publisher", data))
