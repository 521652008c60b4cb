"""Deadlines: the earliest at hand, however many there are."""

import random

from twoway.net.deadlines import SWEEP_THRESHOLD, Deadlines


def test_keys_come_due_in_the_order_of_their_deadlines():
    deadlines = Deadlines[str]()
    for key, at in (("c", 3.0), ("a", 1.0), ("b", 2.0)):
        deadlines.need(key, at)
    assert deadlines.earliest() == 1.0
    assert list(deadlines.due(2.0)) == ["a", "b"]
    assert deadlines.earliest() == 3.0


def test_an_earlier_need_counts_and_a_later_one_waits_for_the_look():
    deadlines = Deadlines[str]()
    deadlines.need("a", 5.0)
    deadlines.need("a", 9.0)
    assert deadlines.earliest() == 5.0
    deadlines.need("a", 2.0)
    assert list(deadlines.due(9.0)) == ["a"]
    assert deadlines.earliest() is None


def test_a_forgotten_key_never_comes_due():
    deadlines = Deadlines[str]()
    deadlines.need("a", 1.0)
    deadlines.forget("a")
    deadlines.forget("a")
    assert deadlines.earliest() is None
    assert list(deadlines.due(10.0)) == []


def test_a_key_that_asks_again_while_it_is_looked_at_waits_for_the_next_time():
    deadlines = Deadlines[str]()
    deadlines.need("a", 1.0)
    looks = 0
    for key in deadlines.due(2.0):
        deadlines.need(key, 1.5)
        looks += 1
    assert looks == 1
    assert deadlines.earliest() == 1.5


def test_stale_entries_do_not_pile_up():
    """Each look at a key that then asks for an earlier time leaves an entry behind; they must not stay."""
    deadlines = Deadlines[int]()
    for at in range(10_000, 0, -1):
        deadlines.need(1, float(at))
    assert len(deadlines._heap) <= 2 + SWEEP_THRESHOLD
    for key in range(1000):
        deadlines.need(key, 1.0)
        deadlines.forget(key)
    assert len(deadlines._heap) <= 2 + SWEEP_THRESHOLD


def test_it_agrees_with_a_plain_dictionary():
    """Whatever is asked for and forgotten, each live key comes due once and at its earliest time."""
    chance = random.Random(7)
    deadlines, plain = Deadlines[int](), {}
    for _ in range(5000):
        key, at = chance.randrange(50), chance.random() * 100
        if chance.random() < 0.3:
            deadlines.forget(key)
            plain.pop(key, None)
        else:
            deadlines.need(key, at)
            plain[key] = min(at, plain.get(key, at))
        if chance.random() < 0.05:
            now = chance.random() * 100
            due = list(deadlines.due(now))
            assert due == sorted((k for k in plain if plain[k] <= now), key=plain.__getitem__)
            for k in due:
                del plain[k]
        assert deadlines.earliest() == min(plain.values(), default=None)
        assert len(deadlines) == len(plain)
