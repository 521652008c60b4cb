"""Fragments and records cut, joined, overlapped, poisoned and heaped up by somebody on the path.

Records carry no boundary that means anything (RFC 5246 section 6.2.1) and fragments may overlap (RFC 6347
section 4.2.3), so cutting and joining must change nothing; heaping up must cost no more than the bounds.
"""

from __future__ import annotations

import itertools
import random

import pytest
from dtls_cases import KINDS, assert_safe, datagrams, pair_of, run
from dtls_pair import Datagram, Pair, Wire
from dtls_wires import meanwhile

from twoway.dtls.messages.handshake import (
    HEADER_BYTES,
    Fragment,
    HandshakeMessage,
    parse_fragments_untrusted,
)
from twoway.dtls.reassembly import MAX_BYTES_HELD, MAX_MESSAGE_BYTES
from twoway.dtls.record import DTLS_1_2, ContentType, Record, encode_record

EVERY_KIND = pytest.mark.parametrize("kind", KINDS)
LARGEST_LENGTH = 2**24 - 1
"""What a message may claim to be: 16 MB less one byte."""


def pieces(fragment: Fragment, size: int, overlap: int) -> list[bytes]:
    """A fragment cut anew into smaller ones, each of which repeats the end of the one before."""
    cut = []
    for start in range(0, max(1, len(fragment.data)), size):
        first = max(0, start - overlap)
        data = fragment.data[first : start + size]
        header = (
            bytes([fragment.type])
            + fragment.length.to_bytes(3, "big")
            + fragment.message_seq.to_bytes(2, "big")
            + (fragment.offset + first).to_bytes(3, "big")
            + len(data).to_bytes(3, "big")
        )
        cut.append(header + data)
    return cut


def recutting(size: int, *, overlap: int = 0, dice: random.Random | None = None) -> Wire:
    """A path that cuts unprotected handshake messages into crumbs, behind the cookie exchange."""
    sequence = itertools.count(1000)

    def recut(record: Record) -> list[bytes]:
        if record.type != ContentType.HANDSHAKE or record.epoch:
            return [encode_record(*record)]
        cut = [
            piece
            for fragment in parse_fragments_untrusted(record.fragment)
            for piece in pieces(fragment, size, overlap)
        ]
        return [encode_record(record.type, record.version, 0, next(sequence), piece) for piece in cut]

    def wire(sent: Datagram) -> list[tuple[float, bytes]]:
        if sent.number < 3:  # A hello in fragments would need memory for a stranger; the gate drops it.
            return [(0.0, sent.data)]
        crumbs = [crumb for record in sent.records for crumb in recut(record)]
        if dice is not None:
            dice.shuffle(crumbs)
        return [(0.0, crumb) for crumb in crumbs]

    return wire


@EVERY_KIND
@pytest.mark.parametrize(("size", "overlap"), [(1, 0), (7, 0), (7, 5), (64, 63)])
def test_messages_may_be_cut_into_crumbs_that_overlap(kind, size, overlap):
    pair = run(pair_of(kind, recutting(size, overlap=overlap)))
    assert pair.works()
    assert pair.now < 2, "cutting alone needs no retransmission"


@EVERY_KIND
@pytest.mark.parametrize("seed", range(5))
def test_crumbs_may_arrive_in_any_order(kind, seed):
    assert run(pair_of(kind, recutting(11, overlap=4, dice=random.Random(seed)))).works()


@EVERY_KIND
def test_all_records_of_a_flight_may_come_as_one_datagram_or_as_many(kind):
    def joined(sent: Datagram) -> list[tuple[float, bytes]]:
        return [(0.0, encode_record(*record)) for record in sent.records]

    assert run(pair_of(kind, joined)).works()


def claim(length: int, *, kind: int = 11, seq: int = 0, offset: int = 0, data: bytes = b"x" * 20) -> bytes:
    """A fragment of a message that claims to be so long."""
    header = bytes([kind]) + length.to_bytes(3, "big") + seq.to_bytes(2, "big")
    return header + offset.to_bytes(3, "big") + len(data).to_bytes(3, "big") + data


def held_bytes(pair: Pair) -> int:
    """What both sides keep of unfinished messages."""
    sides = [side.association for side in (pair.client, pair.server) if side.association is not None]
    return sum(
        assembly.length
        for association in sides
        for assembly in association._receiver.messages._assemblies.values()
    )


@EVERY_KIND
@pytest.mark.parametrize("length", [MAX_MESSAGE_BYTES + 1, 2**20, LARGEST_LENGTH])
def test_a_message_that_claims_16_megabytes_costs_nothing_in_any_state(kind, length):
    """Whatever its number: the next one, a later one, one that has been."""
    for at in range(datagrams(kind)):
        pair = pair_of(kind)

        def heap(pair: Pair = pair) -> None:
            before = held_bytes(pair)
            for seq in range(10):
                for offset in (0, length - 20):
                    record = encode_record(22, DTLS_1_2, 0, 2000 + seq, claim(length, seq=seq, offset=offset))
                    pair.deliver(record, to_server=True)
                    pair.deliver(record, to_server=False)
            assert held_bytes(pair) == before

        pair.wire = meanwhile(at, heap)
        assert run(pair).works(), at


@EVERY_KIND
@pytest.mark.parametrize("to_server", [True, False])
def test_ten_thousand_fragments_of_messages_that_never_end_stay_within_the_bounds(kind, to_server):
    """Unbounded reassembly: every fragment begins another message, or one anew with another length."""
    pair = pair_of(kind)
    pair.start()
    pair.run(until=0.035)
    dice = random.Random(1)
    for number in range(10_000):
        length = dice.choice([50, 1000, MAX_MESSAGE_BYTES, LARGEST_LENGTH])
        offset = dice.randrange(length - 30)
        body = claim(length, kind=dice.choice([2, 11, 16]), seq=dice.randrange(2**16), offset=offset)
        pair.deliver(encode_record(22, DTLS_1_2, 0, 3000 + number, body), to_server=to_server)
        # The next message is always let in, so that early ones cannot keep it out.
        assert held_bytes(pair) <= MAX_BYTES_HELD + MAX_MESSAGE_BYTES


@EVERY_KIND
def test_a_poisoned_fragment_ends_the_handshake_at_worst(kind):
    """What came first stays: somebody who is faster than the peer can spoil a message, and no more."""
    spoiled = 0
    for at in range(3, datagrams(kind)):
        pair = pair_of(kind)

        def poison(sent: Datagram, at: int = at) -> list[tuple[float, bytes]]:
            if sent.number != at or sent.records[0].epoch or sent.records[0].type != 22:
                return [(0.0, sent.data)]
            first = next(parse_fragments_untrusted(sent.records[0].fragment))
            middle = bytes(byte ^ 1 for byte in first.data[8:20])
            forged = claim(first.length, kind=first.type, seq=first.message_seq, offset=8, data=middle)
            return [(0.0, encode_record(22, DTLS_1_2, 0, 5000, forged)), (0.0, sent.data)]

        pair.wire = poison
        assert_safe(run(pair), kind)
        spoiled += not (pair.client.connected and pair.server.connected)
    assert spoiled


@pytest.mark.parametrize("kind", ["p-256", "rsa"])
def test_fragments_that_contradict_each_other_do_not_add_up(kind):
    """Two lengths for one message: the later one begins it anew, and the retransmission mends it."""
    pair = pair_of(kind)

    def contradict() -> None:
        forged = HandshakeMessage(11, 2, b"y" * 300).fragment(0, 100)
        assert len(forged) == 100 + HEADER_BYTES
        pair.deliver(encode_record(22, DTLS_1_2, 0, 4000, forged), to_server=False)

    pair.wire = meanwhile(3, contradict)
    assert run(pair).works()
