"""The list of RFC 9770: who sees what, full and by differences; requesters that must not see a hash first."""

from __future__ import annotations

import hashlib
from collections import Counter
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from twoway.ac.revocation import EVERYBODY, MAX_DIFF_BATCH, MAX_N, RevocationChange, RevocationList
from twoway.tickets import DiffSet, FullSet, TRLErrorID, TRLQuery, TRLQueryRejected

METER, BOILER = "urn:meter", "urn:boiler"
TENANT, RIVAL = "urn:tenant", "urn:rival"
ADMIN = "urn:admin"
EMPTY = DiffSet((), cursor=None, more=False)
LOST = DiffSet((), cursor=None, more=True)


@dataclass(frozen=True)
class OnTheList:
    """What the list needs to know of a ticket."""

    token_hash: bytes
    audience: str
    requester: str


def ticket(name: str, audience: str = METER, holder: str = TENANT) -> OnTheList:
    return OnTheList(b"\x01" + hashlib.sha256(name.encode()).digest(), audience, holder)


class History:
    """Counts changes as the database does."""

    def __init__(self) -> None:
        self.changes: list[RevocationChange] = []
        self._counts: Counter[str] = Counter()

    def add(self, of: OnTheList, *, added: bool = True) -> RevocationChange:
        parties = {EVERYBODY, of.requester, of.audience}
        change = RevocationChange(
            number=self._counts[EVERYBODY],
            added=added,
            token_hash=of.token_hash,
            requester=of.requester,
            audience=of.audience,
            requester_number=self._counts[of.requester],
            audience_number=self._counts[of.audience],
        )
        self._counts.update(parties)
        self.changes.append(change)
        return change


@pytest.fixture
def history() -> History:
    return History()


def listing(history: History) -> RevocationList:
    """A list that went through the history."""
    found = RevocationList(administrators=frozenset({ADMIN}))
    found.apply(history.changes)
    return found


def full(found: RevocationList, requester: str) -> frozenset[bytes]:
    answer = found.answer(requester, TRLQuery())
    assert isinstance(answer, FullSet)
    return answer.hashes


def diff(found: RevocationList, requester: str, count: int = 0, cursor: int | None = None) -> DiffSet:
    answer = found.answer(requester, TRLQuery(count, cursor))
    assert isinstance(answer, DiffSet)
    return answer


class TestWhoSeesWhat:
    """T24."""

    def test_a_requester_sees_no_hash_that_does_not_pertain_to_it(self, history: History):
        ours, theirs, elsewhere = ticket("a"), ticket("b", holder=RIVAL), ticket("c", audience=BOILER)
        for each in (ours, theirs, elsewhere):
            history.add(each)
        found = listing(history)
        assert full(found, METER) == {ours.token_hash, theirs.token_hash}
        assert full(found, BOILER) == {elsewhere.token_hash}
        assert full(found, TENANT) == {ours.token_hash, elsewhere.token_hash}
        assert full(found, RIVAL) == {theirs.token_hash}
        assert full(found, "urn:nobody") == frozenset()

    def test_an_administrator_sees_all(self, history: History):
        for name, holder in (("a", TENANT), ("b", RIVAL)):
            history.add(ticket(name, holder=holder))
        assert len(full(listing(history), ADMIN)) == 2

    def test_nobody_becomes_an_administrator_by_a_name(self, history: History):
        history.add(ticket("a"))
        found = listing(history)
        assert full(found, EVERYBODY.upper() + " ") == frozenset()
        assert found.party_of(TENANT) == TENANT

    def test_differences_are_filtered_as_well(self, history: History):
        history.add(ticket("a"))
        history.add(ticket("b", holder=RIVAL))
        (entry,) = diff(listing(history), RIVAL).entries
        assert entry.added == {ticket("b").token_hash}


class TestFullQuery:
    """RFC 9770 sections 7 and 9.1."""

    def test_an_empty_list_has_no_hashes_and_no_cursor(self, history: History):
        assert listing(history).answer(METER, TRLQuery()) == FullSet(frozenset(), cursor=None)

    def test_an_expired_ticket_leaves_and_the_cursor_goes_on(self, history: History):
        history.add(ticket("a"))
        history.add(ticket("a"), added=False)
        assert listing(history).answer(METER, TRLQuery()) == FullSet(frozenset(), cursor=1)

    def test_the_cursor_counts_the_requesters_own_changes(self, history: History):
        history.add(ticket("a", holder=RIVAL))
        history.add(ticket("b"))
        found = listing(history)
        assert found.last_index(TENANT) == 0
        assert found.last_index(METER) == 1
        assert found.last_index("urn:nobody") is None


class TestDiffQuery:
    """RFC 9770 sections 8 and 9.2."""

    def test_without_changes_there_are_no_entries_whatever_the_cursor(self, history: History):
        for cursor in (None, 0, 7):
            assert diff(listing(history), METER, 0, cursor) == EMPTY

    def test_a_cursor_beyond_the_last_change_is_out_of_bounds(self, history: History):
        history.add(ticket("a"))
        with pytest.raises(TRLQueryRejected) as caught:
            diff(listing(history), METER, 0, 1)
        assert caught.value.error_id is TRLErrorID.OUT_OF_BOUND_CURSOR

    def test_the_newest_entry_stands_first(self, history: History):
        history.add(ticket("a"))
        history.add(ticket("a"), added=False)
        answer = diff(listing(history), METER)
        assert [(len(entry.removed), len(entry.added)) for entry in answer.entries] == [(1, 0), (0, 1)]
        assert (answer.cursor, answer.more) == (1, False)

    def test_fewer_may_be_asked_for_and_are_the_latest(self, history: History):
        for number in range(5):
            history.add(ticket(str(number)))
        answer = diff(listing(history), METER, 2)
        assert [entry.added for entry in answer.entries] == [{ticket(n).token_hash} for n in "43"]

    def test_the_last_cursor_gives_nothing_new(self, history: History):
        history.add(ticket("a"))
        assert diff(listing(history), METER, 0, 0) == DiffSet((), cursor=0, more=False)

    def test_what_follows_the_cursor_is_given(self, history: History):
        for number in range(5):
            history.add(ticket(str(number)))
        answer = diff(listing(history), METER, 0, 2)
        assert [entry.added for entry in answer.entries] == [{ticket(n).token_hash} for n in "43"]
        assert (answer.cursor, answer.more) == (4, False)

    def test_a_long_history_comes_in_batches_eldest_first(self, history: History):
        for number in range(MAX_DIFF_BATCH + 3):
            history.add(ticket(str(number)))
        first = diff(listing(history), METER)
        assert len(first.entries) == MAX_DIFF_BATCH
        assert (first.cursor, first.more) == (MAX_DIFF_BATCH - 1, True)
        assert first.entries[-1].added == {ticket("0").token_hash}
        rest = diff(listing(history), METER, 0, first.cursor)
        assert len(rest.entries) == 3
        assert (rest.cursor, rest.more) == (MAX_DIFF_BATCH + 2, False)

    def test_a_cursor_whose_next_entry_is_lost_sends_to_the_full_list(self, history: History):
        for number in range(MAX_N + 2):
            history.add(ticket(str(number)))
        found = listing(history)
        assert diff(found, METER, 0, 0) == LOST
        assert diff(found, METER, 0, 1).entries  # entry 1 is lost, but entry 2, the next one, is not


class TestManyProcesses:
    def test_a_later_process_gives_the_same_indexes(self, history: History):
        for number in range(10):
            history.add(ticket(str(number)))
        history.add(ticket("0"), added=False)
        before = listing(history)
        after = RevocationList(administrators=frozenset({ADMIN}))
        after.load([ticket(str(number)) for number in range(1, 10)], history.changes[-4:])
        for requester in (METER, TENANT, ADMIN):
            assert after.answer(requester, TRLQuery()) == before.answer(requester, TRLQuery())
            assert diff(after, requester, 0, 6) == diff(before, requester, 0, 6)
            assert diff(after, requester, 0, 2) == LOST

    def test_a_change_that_is_told_twice_counts_once(self, history: History):
        history.add(ticket("a"))
        found = listing(history)
        found.apply(history.changes)
        assert found.answer(METER, TRLQuery()) == FullSet(frozenset({ticket("a").token_hash}), cursor=0)

    def test_after_a_gap_nobody_goes_on_from_before_it(self, history: History):
        for number in range(4):
            history.add(ticket(str(number)))
        found = RevocationList()
        found.apply([history.changes[0], history.changes[3]])
        for cursor in (0, 1):
            assert diff(found, METER, 0, cursor) == LOST
        assert diff(found, METER, 0, 2).entries
        assert found.last_index(METER) == 3


def test_whoever_holds_a_ticket_for_itself_is_one_party(history: History):
    found = RevocationList()
    assert found.apply([history.add(ticket("a", METER, METER))]) == {METER, EVERYBODY}
    assert diff(found, METER) == DiffSet(diff(found, METER).entries[:1], cursor=0, more=False)


def test_only_those_whom_a_change_concerns_are_named(history: History):
    found = RevocationList()
    assert found.apply([history.add(ticket("a"))]) == {METER, TENANT, EVERYBODY}
    assert found.apply([history.add(ticket("b", BOILER, RIVAL))]) == {BOILER, RIVAL, EVERYBODY}
    assert found.apply([]) == frozenset()


@given(
    st.lists(st.tuples(st.integers(0, 30), st.sampled_from([TENANT, RIVAL]), st.booleans()), max_size=150),
    st.integers(0, 149),
    st.integers(0, 90),
)
def test_a_full_list_and_the_differences_since_make_the_list_of_now(steps, cut, count):
    """Whoever follows the cursor from some time on has the list of now, or is told to ask anew."""
    history, on_it = History(), set()
    earlier = RevocationList()
    for number, (name, holder, added) in enumerate(steps):
        of = ticket(f"{name}{holder}", holder=holder)
        if added == (of in on_it):
            continue
        (on_it.add if added else on_it.discard)(of)
        change = history.add(of, added=added)
        if number <= cut:
            earlier.apply([change])
    now = listing(history)
    for requester in (METER, TENANT, RIVAL, ADMIN):
        start = earlier.answer(requester, TRLQuery())
        hashes, cursor = start.hashes, start.cursor
        if cursor is None:
            continue
        while True:
            answer = diff(now, requester, 0, cursor)
            if answer == LOST:
                break
            hashes, cursor = answer.apply_to(hashes), answer.cursor
            if not answer.more:
                assert hashes == full(now, requester)
                break
