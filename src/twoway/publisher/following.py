"""What a publisher learns from its AC while it runs: which tickets were revoked, and which keys sign them.

It owns the wiring of both watches to one association with the AC, and what each piece of news leads to.
"""

from __future__ import annotations

import asyncio

from twoway.clock import Clock
from twoway.publisher.ac_link import ACLink
from twoway.publisher.authority import Authority
from twoway.publisher.holdings import Holdings
from twoway.publisher.revocation import RevokedTickets
from twoway.publisher.revocation_watch import RevocationWatch
from twoway.publisher.revoked_file import RevokedFile
from twoway.publisher.sessions import Sessions
from twoway.publisher.signing_keys import SigningKeysWatch
from twoway.trace import Trace


class Following:
    """Follows the AC.

    Args:
        link: the way to it.
        authority: takes its keys.
        revoked: takes its list of revoked tickets.
        revoked_file: keeps that list; None where nothing has to outlive us.
        holdings: forgets the tickets that count no more.
        sessions: ends what runs on them.
        learns_keys: whether the AC proves itself by a certificate, so that it can name the keys that sign.
        interval: seconds between two questions, beside the observations.
        clock: the time.
        trace: hears what is learnt, and what fails.
    """

    def __init__(
        self,
        link: ACLink,
        *,
        authority: Authority,
        revoked: RevokedTickets,
        revoked_file: RevokedFile | None,
        holdings: Holdings,
        sessions: Sessions,
        learns_keys: bool,
        interval: float,
        clock: Clock,
        trace: Trace,
    ) -> None:
        self._holdings = holdings
        self._sessions = sessions
        self._clock = clock
        self._revocations = RevocationWatch(
            link, revoked, file=revoked_file, on_revoked=self._expunge, interval=interval, trace=trace
        )
        self._keys = None
        if learns_keys:
            self._keys = SigningKeysWatch(
                link,
                authority,
                on_change=self._expunge_unsigned,
                monotonic=clock.monotonic,
                interval=interval,
                trace=trace,
            )

    async def run(self) -> None:
        """Follow until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._revocations.run())
            if self._keys is not None:
                tasks.create_task(self._keys.run())

    async def learn_keys(self) -> bool:
        """Ask for the AC's keys, unless that was just done; return whether there are others."""
        return self._keys is not None and await self._keys.learn()

    def _expunge(self, hashes: frozenset[bytes]) -> None:
        self._holdings.expunge(hashes)
        self._sessions.end_lost(self._clock.now())

    def _expunge_unsigned(self) -> None:
        self._holdings.expunge_unsigned()
        self._sessions.end_lost(self._clock.now())
