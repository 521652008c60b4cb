"""Which tickets were revoked: what was listed once counts no more, whatever comes later (T7)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from publisher_world import NOW, IssuingAC, access_control, peer

from twoway.clock import ManualClock
from twoway.publisher.refusal import AccessReason, AccessRefused
from twoway.publisher.revocation import RevokedTickets, TooManyRevoked
from twoway.publisher.target import Target
from twoway.tickets import DiffEntry, DiffSet, FullSet, Method, TicketReason, TicketRejected, token_hash


def hash_of(number: int) -> bytes:
    return b"\x01" + bytes([number]) * 32


def full(*numbers: int, cursor: int | None = None) -> FullSet:
    return FullSet(frozenset(map(hash_of, numbers)), cursor)


def change(added=(), removed=()) -> DiffEntry:
    return DiffEntry(added=frozenset(map(hash_of, added)), removed=frozenset(map(hash_of, removed)))


def fresh_list(**arguments) -> RevokedTickets:
    return RevokedTickets(monotonic=lambda: 0.0, **arguments)


class TestTheList:
    def test_what_is_listed_is_revoked_and_what_is_new_is_told(self):
        revoked = fresh_list()
        assert revoked.take_full(full(1, 2, cursor=5)) == {hash_of(1), hash_of(2)}
        assert revoked.take_full(full(2, 3)) == {hash_of(3)}
        assert hash_of(4) not in revoked

    def test_what_is_no_longer_listed_stays_revoked(self):
        """The AC takes a hash off when the ticket expires by its clock; ours may be behind."""
        revoked = fresh_list()
        revoked.take_full(full(1))
        revoked.take_full(full())
        assert hash_of(1) in revoked
        revoked.take_changes(DiffSet((change(added=[2]),), 1, more=False))
        revoked.take_changes(DiffSet((change(removed=[2]),), 2, more=False))
        assert hash_of(2) in revoked

    def test_changes_count_in_their_order_and_move_the_cursor(self):
        revoked = fresh_list(capacity=2)
        changes = DiffSet((change(added=[3]), change(removed=[1]), change(added=[1, 2])), 7, more=False)
        assert revoked.take_changes(changes) == {hash_of(2), hash_of(3)}
        assert revoked.cursor == 7
        revoked.take_changes(DiffSet((), None, more=False))
        assert revoked.cursor == 7

    def test_for_room_the_longest_known_that_is_listed_no_more_goes_first(self):
        revoked = fresh_list(capacity=3)
        revoked.take_full(full(1))
        revoked.take_full(full(2))
        revoked.take_full(full(2, 3, 4))
        assert [number for number in range(5) if hash_of(number) in revoked] == [2, 3, 4]

    def test_changes_that_take_hashes_off_the_list_make_room_for_those_that_come_onto_it(self):
        revoked = fresh_list(capacity=2)
        revoked.take_full(full(1, 2))
        assert revoked.take_changes(DiffSet((change(added=[3], removed=[1]),), 1, more=False)) == {hash_of(3)}
        assert [number for number in range(5) if hash_of(number) in revoked] == [2, 3]

    def test_before_the_first_news_there_is_no_cursor_to_go_on_from(self):
        assert fresh_list().cursor is None

    def test_a_list_that_there_is_no_room_for_is_refused_whole_and_is_no_news(self):
        clock = ManualClock()
        revoked = RevokedTickets(monotonic=clock.monotonic, fresh_for=10, capacity=2)
        revoked.take_full(full(1))
        clock.advance(9)
        for take in (
            lambda: revoked.take_full(full(1, 2, 3)),
            lambda: revoked.take_changes(DiffSet((change(added=[2, 3]),), 1, more=False)),
        ):
            with pytest.raises(TooManyRevoked):
                take()
        assert hash_of(1) in revoked
        assert hash_of(3) not in revoked
        clock.advance(1)
        assert not revoked.is_fresh

    @given(st.lists(st.sets(st.integers(0, 30)), max_size=8))
    def test_within_its_room_it_never_forgets(self, lists):
        revoked, ever = fresh_list(), set()
        for numbers in lists:
            revoked.take_full(full(*numbers))
            ever |= numbers
            assert all(hash_of(number) in revoked for number in ever)

    @given(st.lists(st.tuples(st.sets(st.integers(0, 9)), st.sets(st.integers(0, 9))), max_size=8))
    def test_it_holds_what_is_listed_however_little_room_there_is(self, changes):
        revoked, listed = fresh_list(capacity=10), set()
        for index, (removed, added) in enumerate(changes):
            revoked.take_changes(DiffSet((change(added, removed),), index, more=False))
            listed = (listed - removed) | added
            assert all(hash_of(number) in revoked for number in listed)
            assert len(revoked) <= 10


class TestFreshness:
    def test_without_a_bound_nothing_is_ever_stale(self):
        assert fresh_list().is_fresh

    def test_it_is_stale_until_the_first_news_and_again_when_there_were_none_for_too_long(self):
        clock = ManualClock()
        revoked = RevokedTickets(monotonic=clock.monotonic, fresh_for=10)
        assert not revoked.is_fresh
        revoked.take_full(full())
        clock.advance(9.9)
        assert revoked.is_fresh
        clock.advance(0.1)
        assert not revoked.is_fresh
        revoked.take_changes(DiffSet((), None, more=False))
        assert revoked.is_fresh


class TestTickets:
    def allowed(self, access, who, at=NOW) -> bool:
        try:
            access.require_access(who, Target(("power",)), Method.GET, now=at)
        except AccessRefused as refusal:
            self.refusal = refusal
            return False
        return True

    def test_a_revoked_ticket_opens_nothing_any_more_and_is_not_taken_again(self):
        """T7."""
        ac, reader, revoked = IssuingAC(), peer("reader"), fresh_list()
        access = access_control(ac, revoked=revoked)
        ticket = ac.ticket(reader)
        access.upload_untrusted(ticket, reader, now=NOW)
        assert self.allowed(access, reader)
        access.holdings.expunge(revoked.take_full(FullSet(frozenset({token_hash(ticket)}))))
        assert not self.allowed(access, reader)
        with pytest.raises(TicketRejected) as rejected:
            access.upload_untrusted(ticket, reader, now=NOW)
        assert rejected.value.reason is TicketReason.REVOKED
        assert rejected.value.reason.response_code == (4, 1)
        newer = ac.ticket(reader)
        access.upload_untrusted(newer, reader, now=NOW)
        assert self.allowed(access, reader)

    def test_a_ticket_that_was_revoked_before_it_came_is_not_taken(self):
        ac, reader, revoked = IssuingAC(), peer("reader"), fresh_list()
        access, ticket = access_control(ac, revoked=revoked), ac.ticket(reader)
        revoked.take_full(FullSet(frozenset({token_hash(ticket)})))
        with pytest.raises(TicketRejected, match="revoked"):
            access.upload_untrusted(ticket, reader, now=NOW)
        assert not self.allowed(access, reader)

    def test_another_encoding_of_a_revoked_ticket_is_not_taken_either(self):
        """T7: two byte strings, one ticket; the second has another hash."""
        order = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
        ac, reader, revoked = IssuingAC(), peer("reader"), fresh_list()
        access, ticket = access_control(ac, revoked=revoked), ac.ticket(reader)
        revoked.take_full(FullSet(frozenset({token_hash(ticket)})))
        twin = ticket[:-32] + (order - int.from_bytes(ticket[-32:])).to_bytes(32)
        with pytest.raises(TicketRejected):
            access.upload_untrusted(twin, reader, now=NOW)
        assert not self.allowed(access, reader)

    def test_a_stale_list_means_no_access_by_ticket_and_leaves_default_subscribers_alone(self):
        clock = ManualClock()
        revoked = RevokedTickets(monotonic=clock.monotonic, fresh_for=60)
        ac, reader, sink = IssuingAC(), peer("reader"), peer("sink")
        access = access_control(ac, sink.uri, revoked=revoked)
        access.upload_untrusted(ac.ticket(reader), reader, now=NOW)
        assert not self.allowed(access, reader)
        assert self.refusal.reason is AccessReason.REVOCATIONS_UNKNOWN
        assert self.refusal.reason.response_code == (4, 1)
        assert self.refusal.hints is None
        revoked.take_full(FullSet(frozenset()))
        assert self.allowed(access, reader)
        clock.advance(60)
        assert not self.allowed(access, reader)
        assert self.allowed(access, sink)

    def test_setting_the_clock_back_brings_no_revoked_ticket_to_life(self):
        ac, reader, revoked = IssuingAC(), peer("reader"), fresh_list()
        access, ticket = access_control(ac, revoked=revoked), ac.ticket(reader, seconds=60)
        access.upload_untrusted(ticket, reader, now=NOW)
        access.holdings.expunge(revoked.take_full(FullSet(frozenset({token_hash(ticket)}))))
        revoked.take_full(FullSet(frozenset()))  # it has expired at the AC
        for at in (NOW.replace(year=2027), NOW):
            with pytest.raises(TicketRejected):
                access.upload_untrusted(ticket, reader, now=at)
            assert not self.allowed(access, reader, at)
