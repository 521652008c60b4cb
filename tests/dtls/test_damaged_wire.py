"""Damage in every byte of a handshake: nobody wrong is accepted, nothing raises, and nobody hangs."""

from __future__ import annotations

import random

import pytest
from dtls_cases import KINDS, assert_safe, datagrams, pair_of, run
from dtls_wires import damage

MTUS = [1200, 256]


def sizes(kind: str, mtu: int) -> list[int]:
    return [len(datagram.data) for datagram in pair_of(kind, mtu_bytes=mtu).connect().sent]


def flip(byte: int, bit: int):
    def change(data: bytes) -> bytes:
        if byte >= len(data):
            return data
        return data[:byte] + bytes([data[byte] ^ 1 << bit]) + data[byte + 1 :]

    return change


@pytest.mark.parametrize(
    ("kind", "mtu", "step"),
    [("p-256", 1200, 1), ("p-256", 256, 11), ("rsa", 1200, 1), ("psk", 1200, 1), ("psk", 256, 3)],
)
@pytest.mark.parametrize("half", [0, 1])
def test_a_flipped_bit_in_any_byte_never_admits_anybody_wrong(kind, mtu, step, half):
    outcomes = {True: 0, False: 0}
    for number, size in enumerate(sizes(kind, mtu)):
        for byte in range(half * step, size, 2 * step):
            bit = (byte * 5 + number) % 8
            pair = run(pair_of(kind, damage(number, flip(byte, bit)), mtu_bytes=mtu))
            assert_safe(pair, kind)
            outcomes[bool(pair.client.connected and pair.server.connected)] += 1
    assert all(outcomes.values()), "some damage is mended and some is fatal"


@pytest.mark.parametrize("kind", KINDS)
def test_a_flipped_bit_in_any_protected_byte_is_mended_by_retransmission(kind):
    reference = pair_of(kind).connect()
    for datagram in reference.sent:
        start = 0
        for record in datagram.records:
            protected = range(start + 13, start + 13 + len(record.fragment)) if record.epoch else ()
            start += 13 + len(record.fragment)
            for byte in protected:
                pair = pair_of(kind, damage(datagram.number, flip(byte, byte % 8))).connect()
                assert pair.works()


@pytest.mark.parametrize("mtu", MTUS)
@pytest.mark.parametrize("kind", KINDS)
def test_a_truncated_datagram_is_like_a_lost_one(kind, mtu):
    for number, size in enumerate(sizes(kind, mtu)):
        lengths = {*range(0, size, 61), 0, 1, 12, 13, 14, 24, 25, 26, size - 1}
        for length in sorted(length for length in lengths if length < size):
            pair = pair_of(kind, damage(number, lambda data, length=length: data[:length]), mtu_bytes=mtu)
            assert pair.connect().works(), (number, length)


@pytest.mark.parametrize("kind", KINDS)
def test_bytes_behind_a_datagram_do_no_harm(kind):
    dice = random.Random(7)
    for number in range(datagrams(kind)):
        rest = dice.randbytes(dice.randrange(1, 60))
        assert pair_of(kind, damage(number, lambda data, rest=rest: data + rest)).connect().works()


@pytest.mark.parametrize("kind", KINDS)
def test_many_damaged_datagrams_at_once_never_admit_anybody_wrong(kind):
    for seed in range(100):
        dice = random.Random(seed)

        def wire(sent, dice=dice):
            data = bytearray(sent.data)
            if dice.random() < 0.3:
                for _ in range(dice.randrange(1, 4)):
                    data[dice.randrange(len(data))] ^= 1 << dice.randrange(8)
            return [(0.0, bytes(data))]

        assert_safe(run(pair_of(kind, wire, seed=seed)), kind)
