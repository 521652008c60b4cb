"""Connection IDs on a hostile path: wrong ones ahead of right ones, and those of somebody else."""

from __future__ import annotations

from dataclasses import replace

import pytest
from dtls_cases import KINDS, configs
from dtls_pair import Pair, everything
from middle_box import CID_OFFSET, MiddleBox, WrongConnectionID, names

from twoway.dtls import PathChanged
from twoway.dtls.epochs import ReadEpoch
from twoway.dtls.record import DTLS_1_2, Record

EVERY_KIND = pytest.mark.parametrize("kind", KINDS)
SIZE = 8


def connected(kind: str, *, seed: int = 1, box: MiddleBox | None = None) -> Pair:
    """Two sides that gave each other IDs of eight bytes."""
    sides = (replace(config, connection_id_bytes=SIZE) for config in configs(kind))
    return Pair(*sides, seed=seed, box=box).connect()


@EVERY_KIND
def test_a_wrong_id_in_front_of_the_right_one_costs_nothing(kind):
    """As with udp_proxy's `bad_cid`: each protected record is preceded by a copy with another ID."""
    wrong = WrongConnectionID()
    pair = connected(kind, box=MiddleBox(wrong))
    assert pair.works()
    assert wrong.struck >= 4, "both Finished and both records of data"
    assert not pair.client.closed
    assert not pair.server.closed
    assert len(pair.client.received) == len(pair.server.received) == 1


@EVERY_KIND
@pytest.mark.parametrize("to_server", [True, False])
def test_every_bit_of_an_id_counts(kind, to_server):
    pair = connected(kind)
    sender, receiver = (pair.client, pair.server) if to_server else (pair.server, pair.client)
    pair.wire = lambda sent: []
    sender.send(b"data")
    pair.drain(sender)
    data = pair.sent[-1].data
    assert names(data) == {"ConnectionID"}
    for byte in range(CID_OFFSET, CID_OFFSET + SIZE):
        for bit in range(8):
            flipped = data[:byte] + bytes([data[byte] ^ 1 << bit]) + data[byte + 1 :]
            pair.deliver(flipped, to_server=to_server)
    assert not receiver.received
    pair.deliver(data, to_server=to_server)
    assert receiver.received == [b"data"]


@EVERY_KIND
def test_records_of_one_association_under_the_id_of_another_are_worth_nothing(kind):
    """Two associations of the same two parties. Records are readdressed from one to the other, and come from
    elsewhere: nothing is delivered and nobody is followed."""
    mine, other = connected(kind), connected(kind, seed=2)
    ids = [pair.server.association.connection_id for pair in (mine, other)]
    assert ids[0] != ids[1]
    other.wire = lambda sent: []
    for number in range(5):
        other.client.send(b"%d" % number)
    other.drain(other.client)
    path = mine.server.association.path
    for sent in other.sent[-5:]:
        readdressed = sent.data.replace(ids[1], ids[0], 1)
        mine.deliver(readdressed, to_server=True, path="elsewhere")
        mine.deliver(sent.data, to_server=True, path="elsewhere")
    mine.run(until=mine.now + 30)
    assert not mine.server.received
    assert mine.server.association.path == path
    assert not [event for event in mine.server.events if isinstance(event, PathChanged)]
    mine.wire = everything
    assert mine.works()


def test_an_unprotected_record_is_never_the_newest_whatever_number_it_bears():
    """Only what is newer than all authentic records may lead us elsewhere, and this one proves nothing."""
    epoch = ReadEpoch(None)
    for number in (0, 1, 2**47):
        _, _, is_newest = epoch.open_untrusted(Record(22, DTLS_1_2, 0, number, b"hello"))
        assert not is_newest
