"""Records as short as the peer wants them: record_size_limit (RFC 8449), max_fragment_length (RFC 6066)."""

from __future__ import annotations

from dataclasses import replace

import pytest
from dtls_cases import KINDS, configs, pair_of, say_protected
from dtls_pair import Pair

from twoway.dtls import AlertDescription, ClosedBy
from twoway.dtls.flights import Flight, FlightItem
from twoway.dtls.messages.handshake import HandshakeMessage
from twoway.dtls.record import DTLS_1_2, MAX_RECORDS_IN_DATAGRAM, ContentType, encode_record
from twoway.errors import CallerError

EVERY_KIND = pytest.mark.parametrize("kind", KINDS)
LIMITED = [{"record_size_limit": 64}, {"record_size_limit": 500}, {"max_fragment_length": 512}]
EVERY_LIMIT = pytest.mark.parametrize("limit", LIMITED, ids=str)


def bytes_of(limit: dict[str, int]) -> int:
    (size,) = limit.values()
    return size


@EVERY_LIMIT
@EVERY_KIND
def test_data_within_the_limit_arrives_and_longer_data_is_refused_with_a_plain_sentence(kind, limit):
    pair = pair_of(kind, **limit).connect()
    size = bytes_of(limit)
    for sender, receiver in ((pair.client, pair.server), (pair.server, pair.client)):
        sender.send(bytes(size))
        pair.run()
        assert receiver.received == [bytes(size)]
        with pytest.raises(CallerError, match=f"a record to this peer holds {size} bytes, not {size + 1}"):
            sender.send(bytes(size + 1))
    assert pair.works()


@EVERY_LIMIT
@EVERY_KIND
def test_handshake_messages_are_cut_to_the_limit_as_soon_as_it_is_known(kind, limit):
    pair = pair_of(kind, **limit).connect()
    handshake = [record for sent in pair.sent[3:] for record in sent.records if record.epoch == 0]
    assert handshake
    assert max(len(record.fragment) for record in handshake) <= bytes_of(limit)


@EVERY_LIMIT
@pytest.mark.parametrize("to_server", [True, False])
@EVERY_KIND
def test_an_authentic_record_beyond_our_own_limit_ends_the_association(kind, to_server, limit):
    """RFC 8449 section 4 and RFC 6066 section 4: record_overflow."""
    pair = pair_of(kind, **limit).connect()
    sender, receiver = (pair.client, pair.server) if to_server else (pair.server, pair.client)
    say_protected(sender, ContentType.APPLICATION_DATA, bytes(bytes_of(limit) + 1))
    pair.run()
    assert receiver.received == []
    assert (receiver.closed.by, receiver.closed.alert) == (ClosedBy.US, AlertDescription.RECORD_OVERFLOW)
    assert str(bytes_of(limit)) in receiver.closed.reason
    assert (sender.closed.by, sender.closed.alert) == (ClosedBy.PEER, AlertDescription.RECORD_OVERFLOW)


@EVERY_KIND
def test_a_long_record_that_anybody_may_have_written_ends_nothing(kind):
    pair = pair_of(kind, record_size_limit=64).connect()
    for epoch in (0, 1):
        forged = encode_record(ContentType.APPLICATION_DATA, DTLS_1_2, epoch, 900, bytes(5000))
        pair.deliver(forged, to_server=True)
        pair.deliver(forged, to_server=False)
    assert pair.works()


@EVERY_KIND
def test_each_side_has_a_limit_of_its_own(kind):
    client, server = configs(kind)
    pair = Pair(replace(client, record_size_limit=100), server).connect()
    pair.client.send(bytes(2**14))
    with pytest.raises(CallerError, match="holds 100 bytes"):
        pair.server.send(bytes(101))
    pair.run()
    assert pair.server.received == [bytes(2**14)]


@EVERY_KIND
def test_without_a_limit_records_are_as_long_as_the_protocol_allows(kind):
    pair = pair_of(kind).connect()
    with pytest.raises(CallerError, match="holds 16384 bytes, not 16385"):
        pair.client.send(bytes(2**14 + 1))


@pytest.mark.parametrize("mtu", [64, 100])
@EVERY_KIND
def test_limits_and_small_datagrams_go_together(kind, mtu):
    assert pair_of(kind, record_size_limit=64, mtu_bytes=mtu).connect().works()


def test_a_datagram_never_holds_more_records_than_a_receiver_looks_at():
    flight = Flight((FlightItem(0, HandshakeMessage(11, 0, bytes(16000))),), awaits_answer=True)
    datagrams = list(flight.pack(2**14, lambda epoch: 0, limit_bytes=64))
    assert max(map(len, datagrams)) == MAX_RECORDS_IN_DATAGRAM
    assert sum(len(piece.plaintext) - 12 for pieces in datagrams for piece in pieces) == 16000
