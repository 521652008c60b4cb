"""ChangeCipherSpec and Finished: the keys change once, at their time, and only the right Finished opens."""

from __future__ import annotations

import functools

import pytest
from dtls_cases import assert_never_connected, assert_refused, configs, pair_of, run, say_protected
from dtls_pair import Pair
from dtls_rogue import changed, rogue_client, rogue_server
from dtls_wires import meanwhile

from twoway.dtls import AlertDescription
from twoway.dtls.flights import FlightItem
from twoway.dtls.messages.handshake import HandshakeMessage, HandshakeType
from twoway.dtls.protection import RecordRejected
from twoway.dtls.receiving import MAX_EARLY_RECORDS, Receiver
from twoway.dtls.record import DTLS_1_2, ContentType, Record, encode_record

KINDS = pytest.mark.parametrize("kind", ["p-256", "psk"])


def from_client(kind: str, **rogue) -> Pair:
    return run(Pair(*configs(kind), client_handshake=rogue_client(**rogue)))


def from_server(kind: str, **rogue) -> Pair:
    return run(Pair(*configs(kind), server_handshake=rogue_server(**rogue)))


def without_change(items: list[FlightItem]) -> list[FlightItem]:
    return [item for item in items if item.message is not None]


def twice_changed(items: list[FlightItem]) -> list[FlightItem]:
    return [copy for item in items for copy in ([item, item] if item.message is None else [item])]


def finished_first(items: list[FlightItem]) -> list[FlightItem]:
    """Finished in the old epoch, then ChangeCipherSpec."""
    change = [item for item in items if item.message is None]
    return [FlightItem(0, item.message) for item in items if item.message is not None] + change


def change_record(sequence: int, body: bytes = b"\x01", epoch: int = 0) -> bytes:
    return encode_record(ContentType.CHANGE_CIPHER_SPEC, DTLS_1_2, epoch, sequence, body)


@KINDS
def test_finished_before_change_cipher_spec_is_refused_by_both_roles(kind):
    unexpected = AlertDescription.UNEXPECTED_MESSAGE
    pair = from_client(kind, arrange=finished_first)
    assert_refused(pair, by="server", alert=unexpected, why="sent Finished while ChangeCipherSpec was due")

    def only_flight_6(items):
        return finished_first(items) if any(item.message is None for item in items) else items

    pair = from_server(kind, arrange=only_flight_6)
    assert not pair.client.connected
    assert (pair.client.closed.alert, pair.client.closed.established) == (unexpected, False)


@KINDS
def test_without_change_cipher_spec_the_keys_never_change(kind):
    assert_never_connected(from_client(kind, arrange=without_change))
    assert not from_server(kind, arrange=without_change).client.connected


@KINDS
def test_a_second_change_cipher_spec_changes_nothing(kind):
    pair = from_client(kind, arrange=twice_changed)
    assert pair.works()
    assert pair.server.counters["dropped: ChangeCipherSpec out of place"] == 1
    pair = from_server(kind, arrange=twice_changed)
    assert pair.works()


@KINDS
@pytest.mark.parametrize("to_server", [True, False])
def test_one_that_comes_before_there_are_keys_changes_nothing(kind, to_server):
    """CVE-2014-0224: OpenSSL took keys of an empty master secret at such a moment. Here it waits for its
    turn, and neither side is any the wiser."""
    for at in range(4):
        pair = pair_of(kind)
        pair.wire = meanwhile(at, functools.partial(pair.deliver, change_record(50), to_server=to_server))
        pair.start()
        pair.run(until=0.9)
        assert pair.client.connected, at
        assert pair.server.connected, at
        assert pair.works()


@KINDS
def test_an_early_one_does_not_let_finished_in_before_its_time(kind):
    """The server has seen ChangeCipherSpec; what is protected still waits for the client's proof."""
    pair = pair_of(kind)
    pair.start()
    pair.run(until=0.045)  # flight 4 is out
    pair.deliver(change_record(50), to_server=True)
    assert pair.server.association._receiver.epoch == 0
    pair.run(until=0.9)
    assert pair.works()


@KINDS
@pytest.mark.parametrize("body", [b"", b"\x00", b"\x02", b"\x01\x01"])
def test_a_malformed_one_is_dropped(kind, body):
    pair = pair_of(kind)
    dropped = []

    def forge():
        pair.deliver(change_record(50, body), to_server=False)
        dropped.append(pair.client.counters["dropped: ChangeCipherSpec out of place"])

    pair.wire = meanwhile(3, forge)
    pair.connect()
    assert dropped == [1]
    assert pair.works()


@KINDS
def test_after_the_handshake_it_is_dropped_protected_or_not(kind):
    pair = pair_of(kind).connect()
    pair.deliver(change_record(60), to_server=True)
    pair.deliver(change_record(60), to_server=False)
    say_protected(pair.client, ContentType.CHANGE_CIPHER_SPEC, b"\x01")
    say_protected(pair.server, ContentType.CHANGE_CIPHER_SPEC, b"\x01")
    pair.run()
    for side in (pair.client, pair.server):
        assert side.counters["dropped: ChangeCipherSpec out of place"] == 2
    assert pair.works()


# --- Finished ---------------------------------------------------------------------------------------------

WRONG = {
    "one bit": lambda body: body[:-1] + bytes([body[-1] ^ 1]),
    "first bit": lambda body: bytes([body[0] ^ 0x80]) + body[1:],
    "empty": lambda body: b"",
    "shorter": lambda body: body[:-1],
    "longer": lambda body: body + b"\x00",
    "zero": lambda body: bytes(12),
}


@KINDS
@pytest.mark.parametrize("wrong", list(WRONG))
def test_a_wrong_finished_is_refused_by_both_roles(kind, wrong):
    say = changed(HandshakeType.FINISHED, WRONG[wrong])
    pair = from_client(kind, say=say)
    alert = AlertDescription.DECRYPT_ERROR
    assert_refused(pair, by="server", alert=alert, why="Finished does not match")
    pair = from_server(kind, say=say)
    assert not pair.client.connected
    assert pair.client.closed.alert is alert
    assert pair.server.closed.alert is alert


@KINDS
def test_a_finished_of_the_other_side_is_not_taken_back(kind):
    """Reflection: the server answers with the client's own verify_data."""
    pair = Pair(*configs(kind), server_handshake=rogue_server(_verify_data=_reflecting()))
    run(pair)
    assert not pair.client.connected
    assert pair.client.closed.alert is AlertDescription.DECRYPT_ERROR


def _reflecting():
    from twoway.dtls.server import ServerHandshake

    original, kept = ServerHandshake._verify_data, []

    def _verify_data(self, *, of_client):
        if of_client:
            kept.append(original(self, of_client=True))
        return kept[0]

    return _verify_data


@KINDS
def test_a_finished_of_another_transcript_is_refused(kind):
    """Somebody on the wire changed what one side heard: the cipher suites of the hello, say. Here the rogue
    client itself hashes another hello than the one that it sent."""

    def _note(self, message):
        body = message.body
        if message.type == HandshakeType.CLIENT_HELLO:
            body = body[:-1] + bytes([body[-1] ^ 1])
        self._transcript += message._replace(body=body).encode()

    unbound = {"unsafe_allow_missing_extended_master_secret": True}
    pair = Pair(*configs(kind, **unbound), client_handshake=rogue_client(_note=_note))
    run(pair)
    assert not pair.client.connected
    assert not pair.server.connected
    assert pair.server.closed.alert is AlertDescription.DECRYPT_ERROR


FINISHED_SEQ = {("p-256", True): 5, ("p-256", False): 6, ("psk", True): 3, ("psk", False): 4}


@KINDS
@pytest.mark.parametrize("to_server", [True, False])
def test_half_a_finished_from_the_old_epoch_does_not_become_part_of_the_new_one(kind, to_server):
    """What was not whole when the keys changed was never protected: it is forgotten."""
    half = HandshakeMessage(HandshakeType.FINISHED, FINISHED_SEQ[kind, to_server], bytes(12)).fragment(0, 6)
    forged = encode_record(ContentType.HANDSHAKE, DTLS_1_2, 0, 50, half)
    pair = pair_of(kind)
    pair.wire = meanwhile(3, lambda: pair.deliver(forged, to_server=to_server))
    pair.connect()
    receiver = pair.server if to_server else pair.client
    assert receiver.association._receiver.messages.next_seq == FINISHED_SEQ[kind, to_server] + 1
    assert pair.works()


def test_so_many_records_of_the_next_epoch_are_held_until_it_begins_and_no_more():
    receiver = Receiver(next_seq=0)
    early = [Record(ContentType.HANDSHAKE, DTLS_1_2, 1, number, b"") for number in range(MAX_EARLY_RECORDS)]
    assert [receiver.open_untrusted(record) for record in early] == [None] * MAX_EARLY_RECORDS
    with pytest.raises(RecordRejected, match="too early"):
        receiver.open_untrusted(early[0])
    assert receiver.change_epoch() == early
