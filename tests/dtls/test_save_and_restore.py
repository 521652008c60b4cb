"""An established association leaves as bytes and comes back: Association.save and Association.restore."""

from __future__ import annotations

import dataclasses
import re
from datetime import timedelta

import pytest
from dtls_cases import say_protected
from dtls_pair import (
    PSK,
    PSK_NAME,
    Pair,
    Side,
    client_config,
    psk_client_config,
    psk_server_config,
    server_config,
)
from small_pki import NOT_AFTER, NOW, p256_key

from twoway.dtls import (
    Association,
    ClosedBy,
    DataReceived,
    DTLSConfig,
    HandshakeKind,
    NumbersUsedUp,
    RawKeyCredential,
    SaveDue,
    Snapshot,
    SnapshotKey,
    SnapshotRejected,
)
from twoway.dtls.messages.handshake import HandshakeMessage, HandshakeType
from twoway.dtls.record import ContentType, split_datagram_untrusted
from twoway.dtls.snapshot import SavedAssociation
from twoway.dtls.suites import ECDHE_PSK_AES_128_CBC_SHA256, PSK_AES_128_CCM_8, PSK_AES_128_GCM
from twoway.errors import CallerError
from twoway.identity import X509Identity

KEY = SnapshotKey(bytes(range(32)))
CONFIGS = {
    "certificates": (client_config, server_config),
    "shared key": (psk_client_config, psk_server_config),
}
SIDES = ("client", "server")
SUBSCRIBER = "urn:dev:org:32473-subscriber"


def connected(kind: str = "certificates") -> Pair:
    client, server = CONFIGS[kind]
    return Pair(client(), server()).connect()


def config_of(pair: Pair, side: str) -> DTLSConfig:
    return getattr(pair, side).association._config


def restore(pair: Pair, side: str, snapshot: Snapshot, *, now=NOW, **changes: object) -> Association:
    """Let a new process take the place of a side."""
    association = Association.restore(
        snapshot.data,
        KEY,
        dataclasses.replace(config_of(pair, side), **changes),
        entropy=pair.entropy,
        wall_clock=lambda: now,
        path=getattr(pair, side).association.path,
    )
    getattr(pair, side).association = association
    return association


def move(pair: Pair, side: str) -> Association:
    """Hand a side over to a new process, as a graceful restart does."""
    snapshot = getattr(pair, side).association.save(KEY, sends_ahead=0, receipts_ahead=0)
    association = restore(pair, side, snapshot)
    association.confirm_deleted()
    return association


def numbers(datagrams: list[bytes]) -> list[int]:
    return [record.sequence for datagram in datagrams for record in split_datagram_untrusted(datagram)[0]]


def events_of(association: Association) -> list[object]:
    events = []
    while (event := association.next_event()) is not None:
        events.append(event)
    return events


# --- it lives on ------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", CONFIGS)
@pytest.mark.parametrize("side", SIDES)
def test_after_a_move_data_goes_both_ways_without_a_handshake(kind, side):
    pair = connected(kind)
    assert pair.works()
    sent = len(pair.sent)
    move(pair, side)
    assert pair.works()
    assert len(pair.sent) == sent + 2


@pytest.mark.parametrize("side", SIDES)
def test_what_was_restored_is_saved_as_it_was(side):
    """Its role, what both sides take in a record, its keys and IDs; it has no state of a handshake."""
    client = client_config(record_size_limit=200, connection_id_bytes=3)
    server = server_config(record_size_limit=100, connection_id_bytes=5)
    pair = Pair(client, server).connect()
    association = getattr(pair, side).association
    first = association.save(KEY, sends_ahead=0, receipts_ahead=0)
    restored = restore(pair, side, first)
    assert restored.state is None
    second = restored.save(KEY, sends_ahead=0, receipts_ahead=0)
    suites = config_of(pair, side).suites
    was, becomes = (SavedAssociation.open_untrusted(one.data, KEY, suites) for one in (first, second))
    assert (was.sent_limit, was.received_limit) == ((100, 200) if side == "client" else (200, 100))
    assert becomes == was._replace(generation=was.generation + 1)


@pytest.mark.parametrize("side", SIDES)
def test_connection_ids_go_on(side):
    pair = Pair(client_config(connection_id_bytes=3), server_config(connection_id_bytes=5)).connect()
    move(pair, side)
    assert pair.works()
    assert [record.connection_id for record in pair.sent[-2].records] == [
        pair.server.association.connection_id
    ]


@pytest.mark.parametrize("side", SIDES)
def test_a_suite_that_draws_random_bytes_for_each_record_goes_on(side):
    suites = (ECDHE_PSK_AES_128_CBC_SHA256,)
    pair = Pair(psk_client_config(suites=suites), psk_server_config(suites=suites)).connect()
    move(pair, side)
    assert pair.works()


def test_a_server_that_was_restored_still_refuses_to_renegotiate():
    pair = connected()
    move(pair, "server")
    hello = HandshakeMessage(HandshakeType.CLIENT_HELLO, 0, bytes(60)).encode()
    say_protected(pair.client, ContentType.HANDSHAKE, hello)
    pair.run()
    assert pair.client.counters["warnings received"] == 1
    assert pair.works()


@pytest.mark.parametrize("side", SIDES)
def test_it_can_be_moved_again_and_again(side):
    pair = connected()
    for _ in range(5):
        move(pair, side)
        assert pair.works()


@pytest.mark.parametrize("kind", CONFIGS)
@pytest.mark.parametrize("side", SIDES)
def test_what_the_handshake_came_to_comes_back(kind, side):
    pair = connected(kind)
    before = getattr(pair, side).association.connected
    if isinstance(before.peer, X509Identity):
        before = dataclasses.replace(before, peer=dataclasses.replace(before.peer, chain=()))
    after = move(pair, side)
    assert after.established
    assert after.connected == before
    assert (after.peer, after.suite) == (before.peer, before.suite)


@pytest.mark.parametrize("side", SIDES)
def test_a_moved_side_says_goodbye(side):
    pair = connected()
    move(pair, side).close()
    pair.run()
    assert pair.client.closed if side == "server" else pair.server.closed


@pytest.mark.parametrize("side", SIDES)
def test_a_moved_side_hears_goodbye(side):
    pair = connected()
    move(pair, side)
    other = pair.server if side == "client" else pair.client
    other.association.close()
    pair.run()
    assert getattr(pair, side).closed.by is ClosedBy.PEER


@pytest.mark.parametrize("sizes", [(0, 0), (8, 8), (20, 1), (0, 5), (5, 0)])
def test_connection_ids_come_back(sizes):
    client, server = sizes
    pair = Pair(
        client_config(connection_id_bytes=client), server_config(connection_id_bytes=server)
    ).connect()
    for side in SIDES:
        before = getattr(pair, side).association
        after = move(pair, side)
        assert after.connection_id == before.connection_id
        assert after._agreement.checks_paths == before._agreement.checks_paths
    assert pair.works()


def test_a_peer_that_moves_after_a_move_of_ours_is_followed():
    """The check of new paths goes on where it was agreed upon, and so does the window that feeds it."""
    pair = Pair(client_config(connection_id_bytes=4), server_config(connection_id_bytes=4)).connect()
    assert pair.works()
    restored = move(pair, "server")
    pair.client.send(b"from elsewhere")
    (data,) = pair.client.association.datagrams_to_send()
    pair.deliver(data, to_server=True, path="elsewhere")
    assert pair.server.received[-1] == b"from elsewhere"
    assert restored.next_deadline() is not None, "the check has begun"


def test_a_challenge_is_not_answered_before_the_own_snapshot_is_stored():
    pair = Pair(client_config(connection_id_bytes=4), server_config(connection_id_bytes=4)).connect()
    association = pair.server.association
    association.save(KEY, sends_ahead=0, receipts_ahead=50)
    pair.client.send(b"from elsewhere")
    (data,) = pair.client.association.datagrams_to_send()
    pair.deliver(data, to_server=True, path="elsewhere")
    assert pair.server.received == [b"from elsewhere"]
    assert association.routed_datagrams_to_send() == []
    assert not any(name.startswith("path messages sent") for name in association.counters)


def test_the_bounds_of_records_that_were_agreed_upon_hold_after_a_move():
    pair = Pair(client_config(record_size_limit=100), server_config(record_size_limit=200)).connect()
    move(pair, "client")
    move(pair, "server")
    for side, most in ((pair.client, 200), (pair.server, 100)):
        side.send(bytes(most))
        with pytest.raises(CallerError, match=str(most)):
            side.send(bytes(most + 1))
    pair.run()
    assert ([len(data) for data in pair.server.received], [len(data) for data in pair.client.received]) == (
        [200],
        [100],
    )
    pair.server.association._sender.limit_plaintext(None)
    pair.server.send(bytes(101))
    pair.run()
    assert "100" in pair.client.closed.reason


def test_a_restored_association_waits_for_no_timer():
    assert move(connected(), "client").next_deadline() is None


def test_a_restored_association_does_not_start():
    with pytest.raises(CallerError, match="starts once"):
        move(connected(), "client").start(0.0)


@pytest.mark.parametrize("side", SIDES)
def test_a_repeated_finished_after_a_move_harms_nothing(side):
    """The last flight is not saved: a peer that did not get it begins anew."""
    pair = connected()
    finished = [sent for sent in pair.sent if any(record.epoch == 1 for record in sent.records)]
    move(pair, side)
    for sent in finished:
        pair.deliver(sent.data, to_server=sent.to_server)
    assert pair.works()


# --- no number twice --------------------------------------------------------------------------------


def test_after_a_snapshot_with_nothing_ahead_nothing_is_sent():
    pair = connected()
    pair.client.association.save(KEY, sends_ahead=0, receipts_ahead=0)
    with pytest.raises(NumbersUsedUp, match="no sequence number left; save it and confirm that"):
        pair.client.send(b"too late")
    pair.client.association.close()
    assert pair.client.association.datagrams_to_send() == []
    assert pair.client.counters["alerts not sent"] == 1


def test_after_a_snapshot_with_nothing_ahead_nothing_is_received():
    pair = connected()
    pair.client.association.save(KEY, sends_ahead=0, receipts_ahead=0)
    pair.server.send(b"too late")
    pair.run()
    assert pair.client.received == []
    assert pair.client.counters["dropped: beyond the reserved numbers"] == 1


def test_what_is_left_of_the_block_may_be_used_and_no_more():
    pair = connected()
    pair.client.association.save(KEY, sends_ahead=3, receipts_ahead=2)
    for _ in range(3):
        pair.client.send(b"x")
    with pytest.raises(NumbersUsedUp):
        pair.client.send(b"x")
    for number in range(3):
        pair.server.send(b"%d" % number)
    pair.run()
    assert pair.client.received == [b"0", b"1"]


def test_the_last_flight_is_not_repeated_beyond_the_block():
    pair = connected()
    finished = [sent for sent in pair.sent if sent.to_server and sent.records[-1].epoch == 1][-1]
    pair.server.association.save(KEY, sends_ahead=0, receipts_ahead=0)
    window = pair.server.association._receiver._epochs[1]._window
    window._seen = 0  # So that the repetition is not dropped as one.
    pair.server.association.receive_datagram(finished.data, pair.now)
    assert pair.server.association.datagrams_to_send() == []
    assert pair.server.counters["dropped: flight without a number to resend it under"] == 1


@pytest.mark.parametrize("side", SIDES)
def test_a_restored_association_sends_nothing_before_its_own_snapshot_is_stored(side):
    pair = connected()
    snapshot = getattr(pair, side).association.save(KEY, sends_ahead=10, receipts_ahead=0)
    restored = restore(pair, side, snapshot)
    with pytest.raises(NumbersUsedUp):
        restored.send(b"early")
    own = restored.save(KEY)
    with pytest.raises(NumbersUsedUp):
        restored.send(b"still early")
    restored.confirm_stored(own)
    assert pair.works()


@pytest.mark.parametrize("side", SIDES)
def test_a_restored_association_receives_nothing_before_its_own_snapshot_is_stored(side):
    pair = connected()
    snapshot = getattr(pair, side).association.save(KEY, sends_ahead=10, receipts_ahead=0)
    restored = restore(pair, side, snapshot)
    other = pair.client if side == "server" else pair.server
    other.send(b"early")
    pair.run()
    own = restored.save(KEY)
    other.send(b"still early")
    pair.run()
    restored.confirm_stored(own)
    other.send(b"in time")
    pair.run()
    assert getattr(pair, side).received == [b"in time"]


def test_a_restored_association_does_not_even_say_goodbye_before_its_own_snapshot_is_stored():
    pair = connected()
    restored = restore(pair, "client", pair.client.association.save(KEY))
    restored.close()
    assert restored.datagrams_to_send() == []


def test_who_is_restored_begins_above_whatever_the_crashed_one_may_have_sent():
    pair = connected()
    association = pair.client.association
    snapshot = association.save(KEY, sends_ahead=100, receipts_ahead=0)
    association.confirm_stored(snapshot)
    for _ in range(100):
        association.send(b"x")
    used = numbers(association.datagrams_to_send())
    restored = restore(pair, "client", snapshot)
    restored.confirm_stored(restored.save(KEY, sends_ahead=1))
    restored.send(b"y")
    assert numbers(restored.datagrams_to_send()) == [max(used) + 1]


def test_one_restored_twice_from_the_same_bytes_begins_above_what_the_first_one_sent():
    pair = connected()
    first_snapshot = pair.client.association.save(KEY, sends_ahead=5, receipts_ahead=0)
    first = restore(pair, "client", first_snapshot)
    second_snapshot = first.save(KEY, sends_ahead=5)
    first.confirm_stored(second_snapshot)
    first.send(b"x")
    used = numbers(first.datagrams_to_send())
    second = restore(pair, "client", second_snapshot)
    second.confirm_stored(second.save(KEY, sends_ahead=5))
    second.send(b"y")
    assert set(used).isdisjoint(numbers(second.datagrams_to_send()))


def test_a_recorded_record_is_not_delivered_again_after_a_crash():
    """What the crashed process had received after it was saved, the restored one refuses."""
    pair = connected()
    snapshot = pair.server.association.save(KEY, sends_ahead=10, receipts_ahead=10)
    pair.server.association.confirm_stored(snapshot)
    for number in range(10):
        pair.client.send(b"%d" % number)
    pair.run()
    assert len(pair.server.received) == 10
    recorded = [sent.data for sent in pair.sent if sent.to_server][-10:]
    restored = restore(pair, "server", snapshot)
    restored.confirm_stored(restored.save(KEY))
    for data in recorded:
        pair.deliver(data, to_server=True)
    assert len(pair.server.received) == 10
    pair.client.send(b"new")
    pair.run()
    assert pair.server.received[-1] == b"new"


def test_what_came_late_from_before_the_snapshot_is_refused_afterwards():
    """Nobody knows whether it was delivered: the window is not saved."""
    pair = connected()
    pair.wire = lambda sent: [(5.0, sent.data)]
    pair.client.send(b"late")
    pair.drain(pair.client)
    pair.wire = lambda sent: [(0.0, sent.data)]
    pair.client.send(b"in time")
    pair.run(until=pair.now + 1)
    restored = move(pair, "server")
    pair.run()
    assert pair.server.received == [b"in time"]
    assert restored.counters["dropped: replayed"] == 1


# --- when to save -----------------------------------------------------------------------------------


def test_half_of_the_block_makes_saving_due_once():
    pair = connected()
    association = pair.client.association
    association.confirm_stored(association.save(KEY, sends_ahead=10, receipts_ahead=0x100))
    events_of(association)
    for number in range(10):
        association.send(b"x")
        due = [event for event in events_of(association) if isinstance(event, SaveDue)]
        assert len(due) == (number == 4)


def test_half_of_what_may_be_received_makes_saving_due_once():
    pair = connected()
    association = pair.server.association
    association.confirm_stored(association.save(KEY, sends_ahead=100, receipts_ahead=10))
    for number in range(1, 11):
        pair.client.send(b"x")
        pair.run()
        due = [event for event in pair.server.events if isinstance(event, SaveDue)]
        assert len(due) == (number >= 5)


def test_saving_again_in_time_lets_everything_go_on():
    pair = connected()
    association = pair.server.association
    association.confirm_stored(association.save(KEY, sends_ahead=4, receipts_ahead=4))
    for number in range(50):
        pair.client.send(b"%d" % number)
        association.send(b"%d" % number)
        pair.run()
        if any(isinstance(event, SaveDue) for event in pair.server.events):
            pair.server.events[:] = [event for event in pair.server.events if isinstance(event, DataReceived)]
            association.confirm_stored(association.save(KEY, sends_ahead=4, receipts_ahead=4))
    assert len(pair.server.received) == len(pair.client.received) == 50


def test_a_peer_whose_numbers_jump_far_ahead_is_followed_by_saving():
    """It was restored itself: its numbers begin 2^16 higher."""
    pair = connected()
    association = pair.server.association
    association.confirm_stored(association.save(KEY, receipts_ahead=8))
    client = pair.client.association
    restored = restore(pair, "client", client.save(KEY))
    restored.confirm_deleted()
    pair.client.send(b"lost")
    pair.run()
    assert pair.server.received == []
    assert any(isinstance(event, SaveDue) for event in pair.server.events)
    association.confirm_stored(association.save(KEY, receipts_ahead=8))
    pair.client.send(b"heard")
    pair.run()
    assert pair.server.received == [b"heard"]


def test_a_restored_association_says_at_once_that_it_has_to_be_saved():
    pair = connected()
    restored = restore(pair, "client", pair.client.association.save(KEY))
    assert events_of(restored) == [SaveDue()]


def test_who_has_saved_is_not_reminded_before_that_is_confirmed():
    pair = connected()
    association = pair.client.association
    association.save(KEY, sends_ahead=10, receipts_ahead=0x100)
    for _ in range(10):
        association.send(b"x")
    assert not any(isinstance(event, SaveDue) for event in events_of(association))


def test_saving_takes_back_the_reminder_and_nothing_else():
    pair = connected()
    association = pair.server.association
    events_of(association)
    association.confirm_stored(association.save(KEY, sends_ahead=2, receipts_ahead=0x100))
    pair.client.send(b"x")
    association.receive_datagram(pair.client.association.datagrams_to_send()[0], pair.now)
    association.send(b"y")
    association.save(KEY)
    assert events_of(association) == [DataReceived(b"x")]
    assert len(pair.server.traced("save due")) == 1


def test_an_association_that_was_never_saved_is_never_due():
    pair = connected()
    for _ in range(200):
        pair.client.send(b"x")
    pair.run()
    assert not any(isinstance(event, SaveDue) for event in pair.client.events + pair.server.events)


# --- what cannot be saved ---------------------------------------------------------------------------


def test_an_unfinished_handshake_cannot_be_saved():
    pair = Pair()
    pair.start()
    with pytest.raises(CallerError, match="connected"):
        pair.client.association.save(KEY)


def test_a_closed_association_cannot_be_saved():
    pair = connected()
    pair.client.association.close()
    with pytest.raises(CallerError, match="connected"):
        pair.client.association.save(KEY)


def test_what_was_not_saved_cannot_be_confirmed():
    with pytest.raises(CallerError, match="was not saved"):
        connected().client.association.confirm_stored(Snapshot(b"", 1))


def test_a_snapshot_says_its_generation():
    pair = connected()
    association = pair.client.association
    snapshots = []
    for _ in range(3):
        snapshots.append(association.save(KEY))
        association.confirm_stored(snapshots[-1])
    assert [snapshot.generation for snapshot in snapshots] == [1, 2, 3]
    restored = restore(pair, "client", snapshots[-1])
    assert restored.save(KEY).generation == 4


# --- what does not come back ------------------------------------------------------------------------


def rejected(kind: str = "certificates", side: str = "server", **arguments: object) -> str:
    pair = connected(kind)
    snapshot = getattr(pair, side).association.save(KEY)
    with pytest.raises(SnapshotRejected) as caught:
        restore(pair, side, snapshot, **arguments)
    return str(caught.value)


def test_a_peer_whose_certificate_has_expired_does_not_come_back():
    assert rejected(now=NOT_AFTER) == f"{SUBSCRIBER}: the peer's certificate has expired"
    pair = connected()
    snapshot = pair.server.association.save(KEY)
    assert restore(pair, "server", snapshot, now=NOT_AFTER - timedelta(seconds=1)).established


def test_a_peer_who_was_revoked_does_not_come_back():
    asked = []
    refusal = rejected(is_revoked=lambda peer: asked.append(peer.uri) or True)
    assert refusal == f"{SUBSCRIBER}: the peer was revoked"
    assert asked == [SUBSCRIBER]
    assert "revoked" in rejected("shared key", is_revoked=lambda peer: True)


def test_a_peer_of_whom_nobody_can_say_whether_it_was_revoked_does_not_come_back():
    def is_revoked(peer):
        raise OSError("the list cannot be read")

    assert "revoked" in rejected(is_revoked=is_revoked)


def test_a_peer_who_was_not_revoked_comes_back():
    pair = connected()
    snapshot = pair.server.association.save(KEY)
    assert restore(pair, "server", snapshot, is_revoked=lambda peer: False).established


def test_a_raw_key_that_is_not_pinned_any_more_does_not_come_back():
    ours, theirs = (RawKeyCredential.of(p256_key(name)) for name in ("ours", "theirs"))
    client = DTLSConfig(raw_key=theirs, raw_key_pins=frozenset({ours.pin}))
    server = DTLSConfig(raw_key=ours, raw_key_pins=frozenset({theirs.pin}))
    pair = Pair(client, server).connect()
    snapshot = pair.server.association.save(KEY)
    assert restore(pair, "server", snapshot).established
    peer = pair.server.connected.peer.uri
    with pytest.raises(SnapshotRejected, match=f"^{re.escape(peer)}: the peer's key is not pinned any more"):
        restore(pair, "server", snapshot, raw_key_pins=frozenset({ours.pin}))


def test_a_raw_key_that_the_lookup_does_not_know_any_more_does_not_come_back():
    ours, theirs = (RawKeyCredential.of(p256_key(name)) for name in ("ours", "theirs"))
    client = DTLSConfig(raw_key=theirs, raw_key_pins=frozenset({ours.pin}))
    server = DTLSConfig(raw_key=ours, raw_key_lookup=lambda peer: True)
    pair = Pair(client, server).connect()
    snapshot = pair.server.association.save(KEY)
    assert restore(pair, "server", snapshot).established
    with pytest.raises(SnapshotRejected, match="not pinned"):
        restore(pair, "server", snapshot, raw_key_lookup=lambda peer: False)


def test_a_kind_of_handshake_that_is_not_admitted_any_more_does_not_come_back():
    message = rejected(admit=frozenset({HandshakeKind.SERVER_AUTHENTICATED}))
    assert "not admitted" in message


def test_a_suite_that_is_not_spoken_any_more_does_not_come_back():
    pair = Pair(psk_client_config(), psk_server_config(suites=(PSK_AES_128_CCM_8,))).connect()
    snapshot = pair.server.association.save(KEY)
    with pytest.raises(SnapshotRejected, match="not spoken"):
        restore(pair, "server", snapshot, suites=(PSK_AES_128_GCM,))


def test_a_credential_that_is_gone_takes_its_associations_along():
    pair = connected("shared key")
    snapshot = pair.server.association.save(KEY)
    with pytest.raises(SnapshotRejected, match="credential"):
        Association.restore(snapshot.data, KEY, server_config(), entropy=pair.entropy, wall_clock=lambda: NOW)


def test_another_key_restores_nothing():
    pair = connected()
    snapshot = pair.client.association.save(SnapshotKey(bytes(32)))
    with pytest.raises(SnapshotRejected):
        restore(pair, "client", snapshot)


def test_no_secret_is_in_a_snapshot_or_in_what_is_printed():
    pair = connected("shared key")
    association = pair.server.association
    keys = association._agreement.keys
    snapshot = association.save(KEY)
    restored = restore(pair, "server", snapshot)
    shown = "".join(map(repr, [snapshot, KEY, restored, keys])).encode()
    for secret in (PSK, keys.read.key, keys.write.key):
        assert secret not in snapshot.data
        assert secret not in shown
        assert secret.hex().encode() not in shown
    assert PSK_NAME not in snapshot.data


def test_a_trace_tells_of_the_restoration():
    pair = connected()
    snapshot = pair.client.association.save(KEY)
    side = Side()
    Association.restore(
        snapshot.data,
        KEY,
        client_config(),
        entropy=pair.entropy,
        wall_clock=lambda: NOW,
        trace=side.trace.append,
    )
    (event,) = side.traced("restored")
    assert event.source == "restored"
    assert event.data == {"suite": pair.client.connected.suite, "peer": pair.client.connected.peer.uri}


# --- rest -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", CONFIGS)
def test_after_a_rest_data_goes_both_ways(kind):
    pair = connected(kind)
    assert pair.works()
    for side in (pair.client, pair.server):
        side.association.rest()
        epochs = (side.association._sender._epochs[1], side.association._receiver._epochs[1])
        assert [epoch._protection._aead for epoch in epochs] == [None, None]
    assert pair.works()


@pytest.mark.parametrize("side", SIDES)
def test_nothing_is_remembered_of_what_came_before_the_keys(side):
    """Many associations are idle at once, and what is unprotected means nothing any more."""
    pair = connected()
    for association in (getattr(pair, side).association, move(pair, side)):
        assert association._receiver._epochs[0]._recent is None
