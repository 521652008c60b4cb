"""The box on the path: each of its habits does what it says, and no habit of a path ends a handshake."""

from __future__ import annotations

import random
import socket

import pytest
from dtls_cases import KINDS, configs
from dtls_pair import Pair
from loopback import LoopbackClient, LoopbackServer
from middle_box import (
    Corrupt,
    Delay,
    Drop,
    Duplicate,
    Habit,
    InjectClientHello,
    MiddleBox,
    Narrow,
    OnUDP,
    Packet,
    Split,
    WrongConnectionID,
    carrying,
    from_client,
    from_server,
    names,
    other_than,
    records,
)

from twoway.dtls import Connected
from twoway.dtls.timers import Retransmission

EVERY_KIND = pytest.mark.parametrize("kind", KINDS)


def through(kind: str, *habits: Habit, mtu_bytes: int = 256, **box: object) -> Pair:
    """A handshake through a box; both sides are connected and can speak once the box lets them."""
    box = MiddleBox(*habits, **box)
    pair = Pair(*configs(kind, mtu_bytes=mtu_bytes, handshake_timeout=600.0), box=box).connect()
    pair.box = None
    assert pair.works()
    pair.box = box
    return pair


def resent(pair: Pair) -> int:
    return pair.client.counters["flights resent"] + pair.server.counters["flights resent"]


def dropped(pair: Pair, why: str) -> int:
    return pair.client.counters[f"dropped: {why}"] + pair.server.counters[f"dropped: {why}"]


# --- a handshake through each habit -----------------------------------------------------------------------


@EVERY_KIND
def test_an_idle_box_changes_nothing(kind):
    pair = through(kind)
    assert not resent(pair)


@EVERY_KIND
def test_loss_repetition_and_disorder_together_are_mended(kind):
    habits = Drop(chance=0.2), Duplicate(1.0, chance=0.2), Delay((0.0, 1.0), chance=0.3)
    for seed in range(10):
        through(kind, *habits, seed=seed)
    assert all(habit.struck >= 5 for habit in habits)


MESSAGES = [
    "ClientHello",
    "HelloVerifyRequest",
    "ServerHello",
    "Certificate",
    "ServerKeyExchange",
    "CertificateRequest",
    "ServerHelloDone",
    "ClientKeyExchange",
    "CertificateVerify",
    "ChangeCipherSpec",
    "protected handshake",
]


@pytest.mark.parametrize("times", [1, 3])
@pytest.mark.parametrize("message", MESSAGES)
@pytest.mark.parametrize("side", [from_client, from_server])
def test_any_message_may_be_lost_several_times_in_a_row(message, times, side):
    lost = Drop(which=lambda packet: side(packet) and carrying(message)(packet), times=times)
    pair = through("p-256", Split(), lost)
    assert lost.struck in (0, times)
    assert bool(resent(pair)) == bool(lost.struck)


def test_every_message_is_lost_by_one_side_or_the_other():
    """The test above would be content with a name that nobody ever says."""
    for message in MESSAGES:
        lost = Drop(which=carrying(message), times=1)
        through("p-256", lost)
        assert lost.struck == 1, message


@pytest.mark.parametrize("message", MESSAGES)
@pytest.mark.parametrize("seconds", [0.5, 2.5])
def test_any_message_may_come_late(message, seconds):
    late = Delay(seconds, which=carrying(message), times=2)
    through("p-256", Split(), late)
    assert late.struck


@EVERY_KIND
def test_each_record_may_travel_alone(kind):
    split = Split()
    pair = through(kind, split, mtu_bytes=1200)
    assert split.struck
    assert not resent(pair)


@pytest.mark.parametrize("kind", ["p-256", "rsa"])  # With a shared key each flight is one datagram.
def test_datagrams_may_be_glued_together(kind):
    pair = through(kind, glue_seconds=0.05)
    assert pair.box.glued
    assert not resent(pair)


@EVERY_KIND
def test_split_and_glued_again_they_are_still_the_same_records(kind):
    pair = through(kind, Split(), glue_seconds=0.3, glue_bytes=900)
    assert pair.box.glued
    assert not resent(pair)


def test_a_narrow_path_lets_our_datagrams_through_when_we_know_its_mtu():
    narrow = Narrow(256)
    through("rsa", narrow, mtu_bytes=256)
    assert not narrow.struck


@EVERY_KIND
def test_a_damaged_copy_of_a_protected_record_costs_nothing(kind):
    damaged = Corrupt(copy_first=True, which=carrying("ApplicationData"))
    pair = through(kind, damaged)
    assert pair.works()
    assert damaged.struck == 2
    assert dropped(pair, "not authentic") == 2
    assert len(pair.client.received) == len(pair.server.received) == 2


@EVERY_KIND
def test_a_hello_that_is_said_again_in_the_middle_of_the_conversation_costs_nothing(kind):
    injected = InjectClientHello()
    pair = through(kind, injected)
    assert pair.works()
    assert injected.struck == 1
    assert pair.server.counters["dropped: handshake message after the handshake"] == 1


def test_a_box_can_spare_what_must_not_be_lost():
    """As a test needs it whose peer forgets its cookie secret, or waits long before the first flight."""
    spared = Drop(which=other_than("HelloVerifyRequest", "ClientHello"), chance=0.3)
    pair = through("p-256", spared, seed=3)
    assert spared.struck
    assert [names(sent.data) for sent in pair.sent[:3]] == [
        {"ClientHello"},
        {"HelloVerifyRequest"},
        {"ClientHello"},
    ]


# --- the box by itself ------------------------------------------------------------------------------------


def packets_of(habit: Habit, data: bytes = b"\x17\xfe\xfd" + bytes(20), dice: int = 1) -> list[Packet]:
    return habit(Packet(True, data, 5.0), random.Random(dice))


def test_the_same_seed_treats_the_same_datagrams_alike():
    def outcome(seed: int) -> list[tuple[bool, bytes]]:
        box = MiddleBox(Drop(chance=0.3), Duplicate(1.0, chance=0.3), Delay((0, 1), chance=0.3), seed=seed)
        for number in range(50):
            box.take(bytes([number]) * 20, to_server=bool(number % 2), now=number / 100)
        return box.release(100.0)

    assert outcome(1) == outcome(1) != outcome(2)


def test_a_habit_ends_after_its_times():
    drop = Drop(times=2)
    assert [len(packets_of(drop)) for _ in range(4)] == [0, 0, 1, 1]


def test_a_chance_is_what_it_says():
    drop, dice = Drop(chance=0.25), random.Random(1)
    kept = sum(len(drop(Packet(True, b"x", 0.0), dice)) for _ in range(4000))
    assert 0.72 < kept / 4000 < 0.78


def test_a_wrong_connection_id_runs_ahead_of_the_right_one():
    record = bytes([25]) + bytes(30)
    wrong, right = packets_of(WrongConnectionID(), record)
    assert right.data == record
    assert [place for place in range(31) if wrong.data[place] != record[place]] == [11]
    assert len(packets_of(WrongConnectionID())) == 1, "a record without one is left alone"


def test_a_record_is_damaged_in_one_bit_of_its_content():
    for seed in range(20):
        (damaged,) = packets_of(Corrupt(), b"\x17\xfe\xfd" + bytes(20), seed)
        assert damaged.data[:13] == b"\x17\xfe\xfd" + bytes(10)
        assert sum(byte.bit_count() for byte in damaged.data[13:]) == 1


def test_glue_joins_one_direction_only_and_only_up_to_its_size():
    box = MiddleBox(glue_seconds=1.0, glue_bytes=5)
    for data, to_server in [(b"ab", True), (b"cd", False), (b"ef", True), (b"gh", True)]:
        box.take(data, to_server=to_server, now=0.5)
    assert box.next_at() == 1.0
    assert box.release(0.9) == []
    assert box.release(1.0) == [(True, b"abef"), (False, b"cd"), (True, b"gh")]
    assert box.next_at() is None


def test_a_datagram_is_cut_where_its_records_end():
    one, two = b"\x16\xfe\xfd" + bytes(8) + b"\x00\x02ab", b"\x14\xfe\xfd" + bytes(8) + b"\x00\x01c"
    assert records(one + two) == [one, two]
    assert records(one + b"junk") == [one, b"junk"]
    assert records(b"") == []


# --- between real sockets ---------------------------------------------------------------------------------


def test_two_real_sockets_shake_hands_through_a_box():
    lost = Drop(which=carrying("ServerHelloDone"), times=1)
    client_config, server_config = configs("psk", retransmission=Retransmission(initial=0.1))
    with (
        LoopbackServer(server_config) as server,
        OnUDP(MiddleBox(lost, Duplicate(0.01, chance=0.5)), server.port) as path,
        LoopbackClient(client_config, path.port) as client,
    ):
        client.wait_for(Connected)
        server.wait_for(Connected)
        assert server.peer == ("127.0.0.1", path.server_sees)
        client.send(b"through the box")
        client.wait_for_data(b"echo: through the box")
    assert lost.struck == 1


def test_a_box_that_forgets_its_mapping_shows_the_server_another_port():
    with (
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client,
    ):
        server.bind(("127.0.0.1", 0))
        for sock in (server, client):
            sock.settimeout(5.0)
        with OnUDP(MiddleBox(), server.getsockname()[1]) as path:
            ports = []
            for _ in range(2):
                client.sendto(b"there", ("127.0.0.1", path.port))
                data, seen = server.recvfrom(100)
                assert (data, seen[1]) == (b"there", path.server_sees)
                server.sendto(b"back", seen)
                assert client.recvfrom(100) == (b"back", ("127.0.0.1", path.port))
                ports.append(seen[1])
                path.rebind()
    assert ports[0] != ports[1]
