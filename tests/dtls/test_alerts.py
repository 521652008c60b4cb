"""Alerts: who may end an association, and who may not."""

from __future__ import annotations

import pytest
from dtls_cases import KINDS, pair_of, say_protected

from twoway.dtls import AlertDescription, AlertLevel, ClosedBy, Retransmission, SnapshotKey
from twoway.dtls.messages.handshake import HandshakeMessage, HandshakeType
from twoway.dtls.record import DTLS_1_2, ContentType, encode_record
from twoway.errors import CallerError

FATAL, WARNING = AlertLevel.FATAL, AlertLevel.WARNING
EVERY_KIND = pytest.mark.parametrize("kind", KINDS)


def unprotected(level: int, alert: int, sequence: int = 40) -> bytes:
    return encode_record(ContentType.ALERT, DTLS_1_2, 0, sequence, bytes([level, alert]))


def sides(pair, sender: str):
    return (pair.client, pair.server) if sender == "client" else (pair.server, pair.client)


SENDER = pytest.mark.parametrize("sender", ["client", "server"])


@EVERY_KIND
@SENDER
@pytest.mark.parametrize("alert", list(AlertDescription), ids=lambda alert: alert.label)
def test_an_unprotected_alert_after_the_handshake_is_ignored(kind, sender, alert):
    pair = pair_of(kind).connect()
    for sequence, level in enumerate((WARNING, FATAL, 0, 3)):
        pair.deliver(unprotected(level, alert, 90 + sequence), to_server=sender == "client")
    _, receiver = sides(pair, sender)
    assert receiver.counters["dropped: alert out of place"] == 4
    assert not receiver.closed
    assert pair.works()


@SENDER
@pytest.mark.parametrize(
    "alert", [alert for alert in AlertDescription if alert], ids=lambda alert: alert.label
)
def test_a_fatal_alert_under_the_keys_is_obeyed(sender, alert):
    pair = pair_of("psk").connect()
    speaker, receiver = sides(pair, sender)
    sent = len(pair.sent)
    say_protected(speaker, ContentType.ALERT, bytes([FATAL, alert]))
    pair.run()
    assert (receiver.closed.by, receiver.closed.alert) == (ClosedBy.PEER, alert)
    assert alert.label in receiver.closed.reason
    assert receiver.closed.established
    assert not receiver.association.established
    assert len(pair.sent) == sent + 1, "an alert is not answered by an alert"


@SENDER
def test_a_fatal_alert_that_we_do_not_know_is_obeyed_as_well(sender):
    pair = pair_of("psk").connect()
    speaker, receiver = sides(pair, sender)
    say_protected(speaker, ContentType.ALERT, bytes([FATAL, 200]))
    pair.run()
    assert receiver.closed.by is ClosedBy.PEER
    assert receiver.closed.alert is None
    assert "200" in receiver.closed.reason


@SENDER
@pytest.mark.parametrize("alert", [40, 90, 100, 112, 200])
def test_a_warning_is_counted_and_nothing_else(sender, alert):
    pair = pair_of("psk").connect()
    speaker, receiver = sides(pair, sender)
    say_protected(speaker, ContentType.ALERT, bytes([WARNING, alert]))
    pair.run()
    assert receiver.counters["warnings received"] == 1
    assert pair.works()


@SENDER
@pytest.mark.parametrize("body", [b"", b"\x02", b"\x02\x28\x00", b"\x02\x28" * 2])
def test_a_malformed_alert_is_dropped(sender, body):
    pair = pair_of("psk").connect()
    speaker, receiver = sides(pair, sender)
    say_protected(speaker, ContentType.ALERT, body)
    pair.run()
    assert receiver.counters["dropped: alert out of place"] == 1
    assert pair.works()


@EVERY_KIND
@SENDER
def test_close_notify_is_answered_and_ends_both_sides(kind, sender):
    pair = pair_of(kind).connect()
    speaker, receiver = sides(pair, sender)
    sent = len(pair.sent)
    speaker.association.close()
    pair.run()
    assert len(pair.sent) == sent + 2
    assert (speaker.closed.by, speaker.closed.alert) == (ClosedBy.US, AlertDescription.CLOSE_NOTIFY)
    assert speaker.closed.reason == "closed"
    assert (receiver.closed.by, receiver.closed.alert) == (ClosedBy.PEER, AlertDescription.CLOSE_NOTIFY)
    for side in (speaker, receiver):
        assert side.closed.established
        assert side.events[-1] is side.closed
        assert side.association.is_closed
        assert side.association.next_deadline() is None


@SENDER
def test_both_may_close_at_once(sender):
    pair = pair_of("psk").connect()
    pair.client.association.close()
    pair.server.association.close()
    pair.run()
    assert pair.client.closed.by is pair.server.closed.by is ClosedBy.US


@SENDER
def test_after_close_data_is_neither_taken_nor_sent(sender):
    pair = pair_of("psk").connect()
    speaker, receiver = sides(pair, sender)
    speaker.send(b"before")
    speaker.association._send_alert(WARNING, AlertDescription.CLOSE_NOTIFY)
    speaker.send(b"after")
    pair.run()
    assert receiver.received == [b"before"]
    with pytest.raises(CallerError):
        receiver.send(b"late")


@EVERY_KIND
def test_a_closed_association_keeps_nothing_for_later(kind):
    """A table of many thousands may hold closed ones for a while."""
    pair = pair_of(kind)
    pair.start()
    pair.run(until=0.035)
    half = HandshakeMessage(HandshakeType.CERTIFICATE, 2, bytes(5000)).fragment(0, 100)
    pair.deliver(encode_record(ContentType.HANDSHAKE, DTLS_1_2, 0, 50, half), to_server=True)
    pair.deliver(encode_record(ContentType.HANDSHAKE, DTLS_1_2, 1, 50, bytes(100)), to_server=True)
    association = pair.server.association
    assert association._sender.has_flight
    assert association._receiver._early
    assert association._receiver.messages._assemblies
    association.close()
    assert not association._sender.has_flight
    assert not association._receiver._early
    assert not association._receiver.messages._assemblies


def test_closing_twice_says_so_once():
    pair = pair_of("psk").connect()
    sent = len(pair.sent)
    pair.client.association.close()
    pair.client.association.close()
    pair.drain(pair.client)
    assert len(pair.sent) == sent + 1
    assert pair.client.events.count(pair.client.closed) == 1


def test_a_trace_tells_of_alerts_on_both_sides_and_how_it_ended():
    pair = pair_of("psk").connect()
    for _ in range(2):
        say_protected(pair.client, ContentType.ALERT, bytes([WARNING, AlertDescription.NO_RENEGOTIATION]))
    pair.client.association.close()
    pair.run()
    warning, close = {"alert": "no_renegotiation", "level": 1}, {"alert": "close_notify", "level": 1}
    assert [event.data for event in pair.server.traced("alert received")] == [warning, warning, close]
    assert pair.server.counters["warnings received"] == 2
    assert [event.data for event in pair.client.traced("alert sent")] == [close]
    ends = [[event.data for event in side.traced("closed")] for side in (pair.client, pair.server)]
    assert ends == [
        [{"by": ClosedBy.US.value, "reason": pair.client.closed.reason}],
        [{"by": ClosedBy.PEER.value, "reason": "the peer closed the association"}],
    ]


def test_a_trace_and_a_counter_tell_of_alerts_for_which_no_number_is_left():
    pair = pair_of("psk").connect()
    pair.client.association.save(SnapshotKey(bytes(32)), sends_ahead=0, receipts_ahead=9)
    for _ in range(2):
        hello_request = HandshakeMessage(HandshakeType.HELLO_REQUEST, 0, b"").encode()
        say_protected(pair.server, ContentType.HANDSHAKE, hello_request)
    pair.run()
    refused = {"alert": "no_renegotiation", "level": 1}
    assert [event.data for event in pair.client.traced("alert not sent")] == [refused, refused]
    assert pair.client.counters["alerts not sent"] == 2
    assert len(pair.client.traced("renegotiation refused")) == 2


# --- during the handshake ---------------------------------------------------------------------------------


@EVERY_KIND
def test_a_client_that_gives_up_tells_the_server(kind):
    pair = pair_of(kind)
    pair.start()
    pair.run(until=0.035)
    assert pair.server.association
    pair.client.association.close()
    pair.run()
    assert pair.client.closed.by is ClosedBy.US
    assert (pair.server.closed.by, pair.server.closed.alert) == (ClosedBy.PEER, AlertDescription.CLOSE_NOTIFY)
    assert not pair.server.closed.established
    assert [event.data["alert"] for event in pair.server.traced("alert received")] == [
        "user_canceled",
        "close_notify",
    ]


@EVERY_KIND
def test_closing_before_the_start_says_nothing_then_or_later(kind):
    pair = pair_of(kind)
    pair.client.association.close()
    pair.start()
    pair.run()
    assert pair.sent == []
    assert pair.client.closed.by is ClosedBy.US


@EVERY_KIND
@pytest.mark.parametrize("to_server", [True, False])
def test_a_refusal_before_there_are_keys_is_believed(kind, to_server):
    """Nothing better can come: a client with the wrong CA must hear it, and has no keys yet."""
    pair = pair_of(kind)
    pair.start()
    pair.run(until=0.035)
    pair.deliver(unprotected(FATAL, AlertDescription.UNKNOWN_CA), to_server=to_server)
    receiver = pair.server if to_server else pair.client
    assert (receiver.closed.by, receiver.closed.alert) == (ClosedBy.PEER, AlertDescription.UNKNOWN_CA)
    assert "an authority that is not trusted there" in receiver.closed.reason


@EVERY_KIND
def test_a_warning_before_there_are_keys_ends_nothing(kind):
    pair = pair_of(kind)
    pair.start()
    pair.run(until=0.035)
    pair.deliver(unprotected(WARNING, AlertDescription.NO_RENEGOTIATION), to_server=True)
    pair.deliver(unprotected(WARNING, 200), to_server=False)
    pair.run()
    assert pair.works()


@EVERY_KIND
def test_once_the_peer_has_changed_over_its_unprotected_alerts_count_no_more(kind):
    """The server has read ChangeCipherSpec; the Finished behind it is lost."""
    pair = pair_of(
        kind, lambda sent: [(0.0, without_epoch_1(sent.data))], retransmission=Retransmission(retries=0)
    )
    pair.start()
    pair.run(until=0.2)
    pair.deliver(unprotected(FATAL, AlertDescription.UNKNOWN_CA), to_server=True)
    assert not pair.server.closed
    assert pair.server.counters["dropped: alert out of place"] == 1


def without_epoch_1(data: bytes) -> bytes:
    kept, position = b"", 0
    while position < len(data):
        end = position + 13 + int.from_bytes(data[position + 11 : position + 13], "big")
        kept += b"" if data[position + 4] else data[position:end]
        position = end
    return kept
