"""Numbers are divided before a copy of an association leaves: twoway.dtls.reservation.

The machine below is the theory of operation turned into a game: processes that hold an association use
numbers, save, lose confirmations, crash and are restored, several at a time, over one store that compares
and swaps.
"""

from __future__ import annotations

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, initialize, precondition, rule

from twoway.dtls.record import MAX_SEQUENCE
from twoway.dtls.reservation import MAX_GENERATION, NO_CUT, Cut, Reservation
from twoway.errors import CallerError


def saved(*, sends_ahead: int = 10, receipts_ahead: int = 4) -> Reservation:
    reservation = Reservation()
    reservation.save(Cut(100, 200), sends_ahead=sends_ahead, receipts_ahead=receipts_ahead)
    return reservation


def test_without_a_snapshot_all_numbers_are_ours():
    assert Reservation().limit == NO_CUT == (MAX_SEQUENCE + 1, MAX_SEQUENCE + 1)


def test_a_cut_lies_as_far_ahead_as_was_asked():
    reservation = Reservation()
    assert reservation.save(Cut(100, 200), sends_ahead=10, receipts_ahead=4) == (1, Cut(110, 204))


def test_a_snapshot_binds_from_the_moment_in_which_it_exists():
    """Its bytes may reach a disk although the caller never says so."""
    assert saved().limit == Cut(110, 204)


def test_the_lower_cut_holds_until_the_higher_one_is_stored():
    reservation = saved()
    reservation.confirm_stored(1)
    reservation.save(Cut(108, 203), sends_ahead=10, receipts_ahead=4)
    assert reservation.limit == Cut(110, 204)
    reservation.confirm_stored(2)
    assert reservation.limit == Cut(118, 207)


def test_of_two_snapshots_of_one_generation_the_lower_cut_holds_after_either_was_stored():
    """Nobody knows which of them is the one on the disk."""
    reservation = saved(sends_ahead=10)
    _, later = reservation.save(Cut(105, 201), sends_ahead=50, receipts_ahead=50)
    assert later == Cut(155, 251)
    reservation.confirm_stored(1)
    assert reservation.limit == Cut(110, 204)


def test_a_snapshot_with_nothing_ahead_ends_all_use():
    assert saved(sends_ahead=0, receipts_ahead=0).limit == Cut(100, 200)


def test_who_was_restored_may_use_nothing_before_its_own_snapshot_is_stored():
    restored = Reservation(generation=3, stored=Cut(110, 204))
    assert restored.limit == Cut(110, 204)
    generation, cut = restored.save(Cut(110, 204), sends_ahead=10, receipts_ahead=4)
    assert (generation, cut) == (4, Cut(120, 208))
    assert restored.limit == Cut(110, 204)
    restored.confirm_stored(4)
    assert restored.limit == Cut(120, 208)


def test_when_the_last_snapshot_is_deleted_all_numbers_are_ours_again():
    restored = Reservation(generation=3, stored=Cut(110, 204))
    restored.confirm_deleted()
    assert (restored.limit, restored.due, restored.generation) == (NO_CUT, NO_CUT, 0)
    assert not restored.awaits_confirmation
    assert restored.save(Cut(300, 300), sends_ahead=10, receipts_ahead=4) == (1, Cut(310, 304))
    assert restored.limit == Cut(310, 304)


def test_saving_is_due_at_half_of_the_block():
    reservation = saved(sends_ahead=10, receipts_ahead=4)
    reservation.confirm_stored(1)
    assert reservation.due == Cut(105, 202)
    assert repr(saved(sends_ahead=11, receipts_ahead=5).due) == repr(Cut(106, 203))


@pytest.mark.parametrize("generation", [0, 1, 3])
def test_only_the_snapshot_that_waits_can_be_confirmed(generation):
    reservation = saved()
    reservation.confirm_stored(1)
    reservation.save(Cut(100, 200), sends_ahead=10, receipts_ahead=4)
    with pytest.raises(CallerError, match="no such snapshot waits to be confirmed"):
        reservation.confirm_stored(generation)


def test_a_snapshot_is_confirmed_once():
    reservation = saved()
    reservation.confirm_stored(1)
    with pytest.raises(CallerError):
        reservation.confirm_stored(2)


@pytest.mark.parametrize("blocks", [(-1, 0), (0, -1)])
def test_a_negative_block_is_refused(blocks):
    with pytest.raises(CallerError, match="a negative number of records cannot be kept"):
        Reservation().save(Cut(1, 1), sends_ahead=blocks[0], receipts_ahead=blocks[1])


@pytest.mark.parametrize("following", [Cut(MAX_SEQUENCE, 0), Cut(0, MAX_SEQUENCE)])
def test_a_block_that_does_not_fit_into_the_epoch_is_refused(following):
    reservation = Reservation()
    with pytest.raises(CallerError, match="numbers are used up; connect again"):
        reservation.save(following, sends_ahead=1, receipts_ahead=1)
    assert reservation.limit == NO_CUT
    assert reservation.save(following, sends_ahead=0, receipts_ahead=0) == (1, following)


def test_generations_do_not_wrap():
    reservation = Reservation(generation=MAX_GENERATION, stored=Cut(1, 1))
    with pytest.raises(CallerError):
        reservation.save(Cut(1, 1), sends_ahead=1, receipts_ahead=1)


class Process:
    """Somebody who holds the association and uses numbers as the engine does."""

    def __init__(self, reservation: Reservation, following: Cut) -> None:
        self.reservation = reservation
        self.send, self.receive = following
        self.made: list[tuple[int, Cut]] = []

    @property
    def following(self) -> Cut:
        return Cut(self.send, self.receive)


class Workers(RuleBasedStateMachine):
    """Whatever happens, no number is used twice: neither by two workers nor before and after a crash."""

    processes = Bundle("processes")

    @initialize(target=processes)
    def connect(self):
        self.store: tuple[int, Cut] | None = None
        self.sent: set[int] = set()
        self.received: set[int] = set()
        return Process(Reservation(), Cut(1, 1))

    @rule(process=processes, times=st.integers(1, 4))
    def send(self, process, times):
        for _ in range(times):
            if process.send < process.reservation.limit.send:
                assert process.send not in self.sent
                self.sent.add(process.send)
                process.send += 1

    @rule(process=processes, jump=st.integers(0, 3))
    def receive(self, process, jump):
        number = process.receive + jump
        if number < process.reservation.limit.receive:
            assert number not in self.received
            self.received.add(number)
            process.receive = number + 1

    @rule(process=processes, sends=st.integers(0, 6), receipts=st.integers(0, 6))
    def save(self, process, sends, receipts):
        process.made.append(
            process.reservation.save(process.following, sends_ahead=sends, receipts_ahead=receipts)
        )

    @rule(process=processes, which=st.integers(0, 5), is_told=st.booleans())
    def store_one(self, process, which, is_told):
        """Any snapshot that a process still has at hand, old ones too; its process may never hear of it."""
        if not process.made:
            return
        generation, cut = process.made[which % len(process.made)]
        if generation != (self.store[0] if self.store else 0) + 1:
            return  # The store holds another one: it refuses.
        self.store = (generation, cut)
        if is_told and generation == process.reservation.generation + 1:
            process.reservation.confirm_stored(generation)

    @precondition(lambda self: self.store is not None)
    @rule(target=processes)
    def restore(self):
        generation, cut = self.store
        return Process(Reservation(generation, cut), cut)

    @precondition(lambda self: self.store is not None)
    @rule(process=consumes(processes))
    def crash(self, process):
        """It does nothing any more, and what it did not store is lost."""


TestWorkers = Workers.TestCase
