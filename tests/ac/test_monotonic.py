"""Expiry and revocation go one way, whatever is done in which order and however the clock is set.

Whatever issues, revocations, prunings and settings of the clock come: a ticket that was revoked is never
live again, one that was removed never comes back, numbers rise, the list is what its history says, and the
audit is whole.
"""

from __future__ import annotations

import asyncio
import tempfile
from collections import defaultdict
from datetime import timedelta
from itertools import pairwise
from pathlib import Path

from hypothesis import Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, invariant, rule
from issuing import NOON, issue_one

from twoway.ac import AuditLog, Database, TicketRecord
from twoway.ac.audit import verify_audit
from twoway.ac.revocation_changes import read_changes
from twoway.ac.tickets import TicketRecords, read_live, read_revoked

REPLICAS = st.integers(0, 1)
NAMES = st.sampled_from(["a", "b", "c"])


class Tickets(RuleBasedStateMachine):
    """Two replicas on one database, and a model of what must have come of it."""

    issued = Bundle("issued")

    def __init__(self) -> None:
        super().__init__()
        self._folder = tempfile.TemporaryDirectory()
        self._databases = [Database(Path(self._folder.name) / "ac.sqlite") for _ in range(2)]
        self._replicas = [TicketRecords(database, AuditLog(database)) for database in self._databases]
        self._now = NOON
        self._ids: list[bytes] = []
        self._revoked: set[bytes] = set()
        self._removed: set[bytes] = set()

    @rule(target=issued, replica=REPLICAS, requester=NAMES, audience=NAMES, minutes=st.integers(1, 30))
    def issue(self, replica: int, requester: str, audience: str, minutes: int) -> TicketRecord:
        record = asyncio.run(
            issue_one(
                self._replicas[replica],
                now=self._now,
                requester=requester,
                audience=audience,
                expires_at=self._now + timedelta(minutes=minutes),
            )
        )
        self._ids.append(record.ticket_id)
        self._see_what_was_removed()  # each replica prunes before its first ticket
        return record

    @rule(replica=REPLICAS, record=issued)
    def revoke(self, replica: int, record: TicketRecord) -> None:
        call = self._replicas[replica].revoke(record.ticket_id, reason="lost", now=self._now)
        self._note(asyncio.run(call))

    @rule(replica=REPLICAS, requester=NAMES, audience=st.none() | NAMES)
    def revoke_holder(self, replica: int, requester: str, audience: str | None) -> None:
        call = self._replicas[replica].revoke_by_holder(
            requester, audience=audience, reason="moved out", now=self._now
        )
        self._note(asyncio.run(call))

    def _note(self, records: list[TicketRecord]) -> None:
        newly = {record.ticket_id for record in records}
        assert not newly & self._revoked, "revoked a second time"
        self._revoked |= newly

    @rule(replica=REPLICAS)
    def prune(self, replica: int) -> None:
        asyncio.run(self._replicas[replica].prune(self._now))
        self._see_what_was_removed()

    def _see_what_was_removed(self) -> None:
        self._removed |= set(self._ids) - self._stored()

    @rule(minutes=st.integers(-60, 60))
    def set_clock(self, minutes: int) -> None:
        self._now += timedelta(minutes=minutes)

    def _stored(self) -> set[bytes]:
        def look(connection):
            everything = read_live(connection, NOON - timedelta(days=99)) + read_revoked(connection)
            return {record.ticket_id for record in everything}

        return self._databases[0].read(look)

    @invariant()
    def numbers_rise(self) -> None:
        assert all(before < after for before, after in pairwise(self._ids))

    @invariant()
    def the_revoked_are_not_live_and_the_removed_do_not_come_back(self) -> None:
        stored = self._stored()
        assert stored == set(self._ids) - self._removed
        on_the_list = {record.ticket_id for record in self._databases[1].read(read_revoked)}
        assert on_the_list == self._revoked - self._removed

    @invariant()
    def the_list_is_what_its_history_says(self) -> None:
        listed: set[bytes] = set()
        numbers: dict[str, list[int]] = defaultdict(list)
        changes = self._databases[1].read(read_changes)
        for change in changes:
            (listed.add if change.added else listed.remove)(change.token_hash)
            numbers[change.requester].append(change.requester_number)
            if change.audience != change.requester:
                numbers[change.audience].append(change.audience_number)
        assert listed == {record.token_hash for record in self._databases[0].read(read_revoked)}
        assert [change.number for change in changes] == list(range(len(changes)))
        assert all(counted == list(range(len(counted))) for counted in numbers.values())

    @invariant()
    def the_audit_is_whole(self) -> None:
        assert self._databases[0].read(verify_audit).rows == len(self._ids) + len(self._revoked)

    def teardown(self) -> None:
        for database in self._databases:
            database.close()
        self._folder.cleanup()


TestTickets = Tickets.TestCase
TestTickets.settings = settings(
    max_examples=12,
    stateful_step_count=20,
    phases=(Phase.explicit, Phase.generate),  # on a disk, shrinking takes minutes
)
