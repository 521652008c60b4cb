"""Reassembly: whatever order, overlap or repetition there is, the message comes out once and whole."""

from __future__ import annotations

import itertools

import pytest
from dtls_pair import Pair
from hypothesis import given
from hypothesis import strategies as st

from twoway.dtls.messages.handshake import Fragment, HandshakeMessage, parse_fragments_untrusted
from twoway.dtls.reassembly import (
    MAX_BYTES_HELD,
    MAX_GAPS,
    MAX_MESSAGE_BYTES,
    MAX_MESSAGES_AHEAD,
    Assembly,
    Fate,
    Reassembler,
)
from twoway.dtls.record import DTLS_1_2, encode_record

BODY = bytes(range(200))


def piece(start: int, stop: int, *, body: bytes = BODY, seq: int = 0, kind: int = 11) -> Fragment:
    return Fragment(kind, len(body), seq, start, body[start:stop])


def assembled(*fragments: Fragment, next_seq: int = 0) -> list[HandshakeMessage]:
    reassembler = Reassembler(next_seq)
    messages = []
    for fragment in fragments:
        reassembler.add(fragment)
        while (message := reassembler.next_message()) is not None:
            messages.append(message)
    return messages


WHOLE = [HandshakeMessage(11, 0, BODY)]


@pytest.mark.parametrize(
    "pieces",
    [
        [(0, 200)],
        [(0, 100), (100, 200)],
        [(100, 200), (0, 100)],
        [(0, 120), (80, 200)],
        [(80, 200), (0, 120)],
        [(50, 150), (0, 200)],
        [(0, 200), (50, 150)],
        [(0, 50), (0, 50), (50, 200)],
        [(150, 200), (0, 50), (100, 150), (50, 100)],
        [(0, 0), (0, 1), (1, 1), (1, 200), (200, 200)],
        [(10, 20), (30, 40), (5, 50), (0, 200)],
    ],
    ids=str,
)
def test_overlaps_gaps_order_and_repetition_do_not_matter(pieces):
    assert assembled(*(piece(*bounds) for bounds in pieces)) == WHOLE


@pytest.mark.parametrize(
    "pieces", [[], [(0, 199)], [(1, 200)], [(0, 100), (101, 200)], [(0, 0), (200, 200)]], ids=str
)
def test_a_message_with_a_gap_is_not_delivered(pieces):
    assert assembled(*(piece(*bounds) for bounds in pieces)) == []


def test_what_came_first_stays_when_a_later_piece_disagrees():
    forged = Fragment(11, 200, 0, 50, bytes(100))
    assert assembled(piece(0, 100), forged, piece(100, 200))[0].body == BODY[:100] + bytes(50) + BODY[150:]


@pytest.mark.parametrize("wrong", [piece(0, 50, kind=12), piece(0, 50, body=BODY[:199])])
def test_a_piece_at_odds_about_type_or_length_cannot_mix_with_the_others(wrong):
    assert assembled(wrong, piece(50, 200)) == []
    assert assembled(wrong, piece(50, 200), piece(0, 50)) == WHOLE


def test_an_empty_message_is_whole_at_once():
    assert assembled(Fragment(14, 0, 0, 0, b"")) == [HandshakeMessage(14, 0, b"")]


def test_messages_leave_in_the_order_of_their_numbers():
    fragments = [piece(0, 200, seq=seq) for seq in (3, 1, 0, 2)]
    assert [message.message_seq for message in assembled(*fragments)] == [0, 1, 2, 3]


def test_a_delivered_message_is_known_again_and_not_delivered_again():
    reassembler = Reassembler(0)
    assert reassembler.add(piece(0, 200)) is Fate.KEPT
    assert reassembler.next_message() is not None
    assert reassembler.add(piece(0, 200)) is Fate.REPEATED
    assert reassembler.next_message() is None


def test_what_was_there_already_is_nothing_new():
    """Somebody who repeats a piece for ever must not pass for a peer that goes on."""
    reassembler = Reassembler(0)
    pieces = [piece(0, 100), piece(0, 100), piece(20, 50), piece(99, 101), piece(100, 101), piece(50, 50)]
    fates = [Fate.KEPT, Fate.KNOWN, Fate.KNOWN, Fate.KEPT, Fate.KNOWN, Fate.KNOWN]
    assert [reassembler.add(fragment) for fragment in pieces] == fates


def test_a_piece_contradicts_what_is_there_and_not_what_is_missing():
    assembly = Assembly(11, len(BODY))
    for start, stop in ((10, 20), (30, 40)):
        assembly.fill(start, BODY[start:stop])
    for start, stop in ((0, 200), (10, 40), (12, 15), (20, 30), (20, 20), (15, 35), (25, 45)):
        data = BODY[start:stop]
        assert not assembly.contradicts(start, data)
        for position in range(start, stop):
            changed = bytearray(data)
            changed[position - start] ^= 1
            is_there = 10 <= position < 20 or 30 <= position < 40
            assert assembly.contradicts(start, bytes(changed)) is is_there


def test_forgetting_drops_what_is_unfinished_and_keeps_the_numbers():
    reassembler = Reassembler(0)
    reassembler.add(piece(0, 200))
    reassembler.next_message()
    reassembler.add(piece(0, 100, seq=1))
    reassembler.forget_unfinished()
    reassembler.add(piece(100, 200, seq=1))
    assert reassembler.next_message() is None
    assert reassembler.next_seq == 1


# --- bounds -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("length", [MAX_MESSAGE_BYTES + 1, 2**24 - 1])
def test_a_message_that_claims_to_be_huge_is_dropped_before_anything_is_kept(length):
    reassembler = Reassembler(0)
    assert reassembler.add(Fragment(11, length, 0, 0, b"x")) is Fate.DROPPED
    assert reassembler._assemblies == {}


def test_what_is_beyond_the_bounds_is_counted():
    pair = Pair()
    pair.start()
    header = bytes([11]) + (MAX_MESSAGE_BYTES + 1).to_bytes(3, "big") + bytes(7) + b"\x01"
    for sequence in range(3):
        pair.deliver(encode_record(22, DTLS_1_2, 0, sequence, header + b"x"), to_server=False)
    assert pair.client.counters["dropped: handshake fragment beyond the bounds"] == 3


def test_the_largest_message_that_is_taken_is_delivered():
    body = bytes(MAX_MESSAGE_BYTES)
    pieces = [piece(at, at + 1000, body=body) for at in range(0, len(body), 1000)]
    assert assembled(*pieces) == [HandshakeMessage(11, 0, body)]


def test_messages_too_far_ahead_are_dropped():
    reassembler = Reassembler(5)
    assert reassembler.add(piece(0, 200, seq=5 + MAX_MESSAGES_AHEAD - 1)) is Fate.KEPT
    assert reassembler.add(piece(0, 200, seq=5 + MAX_MESSAGES_AHEAD)) is Fate.DROPPED
    assert reassembler.add(piece(0, 200, seq=2**16 - 1)) is Fate.DROPPED


def test_early_messages_have_a_bound_and_cannot_keep_out_the_next_one():
    reassembler = Reassembler(0)
    fates = [
        reassembler.add(Fragment(11, MAX_MESSAGE_BYTES, seq, 0, b"x")) for seq in range(1, MAX_MESSAGES_AHEAD)
    ]
    assert fates.count(Fate.KEPT) * MAX_MESSAGE_BYTES <= MAX_BYTES_HELD
    assert Fate.DROPPED in fates
    assert reassembler.add(piece(0, 200)) is Fate.KEPT
    assert reassembler.next_message() == WHOLE[0]


def test_early_messages_may_fill_what_there_is_for_them_and_one_begun_anew_leaves_its_room():
    reassembler = Reassembler(0)
    for seq, kind in ((1, 11), (2, 11), (2, 12)):
        assert reassembler.add(Fragment(kind, MAX_BYTES_HELD // 2, seq, 0, b"x")) is Fate.KEPT
    assert reassembler.add(Fragment(11, 1, 3, 0, b"x")) is Fate.DROPPED


def test_a_message_in_crumbs_cannot_make_us_keep_countless_gaps():
    """Each crumb costs as much as there are gaps: without a bound, 200 kB of crumbs cost half a minute."""
    reassembler = Reassembler(0)
    fates = [reassembler.add(Fragment(11, MAX_MESSAGE_BYTES, 0, at, b"x")) for at in range(0, 4000, 2)]
    assert fates == [Fate.KEPT] * MAX_GAPS + [Fate.DROPPED] * (2000 - MAX_GAPS)


def test_the_smallest_datagrams_of_the_largest_chain_come_together_in_any_order():
    body = bytes(MAX_MESSAGE_BYTES)
    pieces = [piece(at, at + 100, body=body) for at in range(0, len(body), 100)]
    assert assembled(*pieces[::2], *pieces[1::2]) == [HandshakeMessage(11, 0, body)]


# --- properties -------------------------------------------------------------------------------------------


@st.composite
def shuffled_messages(draw: st.DrawFn) -> tuple[list[HandshakeMessage], list[Fragment]]:
    """A few messages, cut anywhere, some pieces several times, in any order."""
    bodies = draw(st.lists(st.binary(max_size=40), min_size=1, max_size=4))
    messages = [HandshakeMessage(11 + seq, seq, body) for seq, body in enumerate(bodies)]
    fragments = []
    for message in messages:
        size = len(message.body)
        cuts = sorted({0, size, *draw(st.lists(st.integers(0, size), max_size=5))})
        bounds = [*itertools.pairwise(cuts)] or [(0, 0)]
        bounds += draw(st.lists(st.sampled_from(bounds), max_size=3))
        fragments += [
            Fragment(message.type, size, message.message_seq, start, message.body[start:stop])
            for start, stop in bounds
        ]
    return messages, draw(st.permutations(fragments))


@given(shuffled_messages())
def test_any_order_and_repetition_of_fragments_yields_the_messages_once(case):
    messages, fragments = case
    assert assembled(*fragments) == messages


@given(
    st.lists(
        st.builds(
            lambda kind, seq, data, before, after: Fragment(
                kind, before + len(data) + after, seq, before, data
            ),
            st.integers(0, 3),
            st.integers(0, 12),
            st.binary(max_size=10),
            st.sampled_from([0, 1, 5, 40000]),
            st.sampled_from([0, 1, 5, 2**24]),
        ),
        max_size=40,
    )
)
def test_no_sequence_of_fragments_raises_or_breaks_the_bounds(fragments):
    reassembler = Reassembler(0)
    for fragment in fragments:
        reassembler.add(fragment)
        while (message := reassembler.next_message()) is not None:
            assert len(message.body) <= MAX_MESSAGE_BYTES
        held = sum(assembly.length for assembly in reassembler._assemblies.values())
        assert held <= MAX_BYTES_HELD + MAX_MESSAGE_BYTES


@given(st.binary(max_size=200))
def test_any_bytes_are_cut_into_fragments_that_lie_within_their_message(data):
    for fragment in parse_fragments_untrusted(data):
        assert fragment.offset + len(fragment.data) <= fragment.length
