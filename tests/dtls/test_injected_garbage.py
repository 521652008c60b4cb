"""Somebody who can write onto the wire but knows no key: in every state of both roles nothing raises."""

from __future__ import annotations

import functools
import random

import pytest
from dtls_cases import KINDS, assert_safe, datagrams, pair_of, run
from dtls_pair import everything
from dtls_wires import meanwhile

from twoway.dtls.messages.handshake import HandshakeMessage
from twoway.dtls.receiving import MAX_EARLY_RECORDS
from twoway.dtls.record import DTLS_1_2, MAX_SEQUENCE, encode_record


def noise(dice: random.Random) -> bytes:
    return dice.randbytes(dice.randrange(0, 200))


def forged_record(dice: random.Random) -> bytes:
    """A header that is right, and anything behind it."""
    kind = dice.choice([20, 21, 22, 23, dice.randrange(256)])
    return encode_record(kind, DTLS_1_2, dice.randrange(3), dice.randrange(100, 200), noise(dice))


def forged_message(dice: random.Random) -> bytes:
    """A handshake header that is right, and anything behind it."""
    kind = dice.choice([0, 1, 2, 3, 11, 12, 13, 14, 15, 16, 20, dice.randrange(256)])
    message = HandshakeMessage(kind, dice.randrange(10), noise(dice))
    return encode_record(22, DTLS_1_2, 0, dice.randrange(100, 200), message.encode())


def inject(kind: str, at: int, make, dice: random.Random, count: int):
    """Run a handshake in which, once `at` datagrams were sent, both sides get forged ones."""

    def forge():
        pair.wire = everything
        for _ in range(count):
            pair.deliver(make(dice), to_server=True)
            pair.deliver(make(dice), to_server=False)

    pair = pair_of(kind)
    pair.wire = meanwhile(at, forge)
    return run(pair)


@pytest.mark.parametrize("kind", KINDS)
def test_noise_in_any_state_does_not_even_delay_the_handshake(kind):
    for at in range(datagrams(kind)):
        for seed in range(10):
            pair = inject(kind, at, noise, random.Random(seed), count=5)
            assert pair.works(), (at, seed)
            assert pair.now < 2


@pytest.mark.parametrize("make", [forged_record, forged_message])
@pytest.mark.parametrize("kind", KINDS)
def test_forgeries_in_any_state_never_admit_anybody_wrong(kind, make):
    for at in range(datagrams(kind)):
        for seed in range(20):
            assert_safe(inject(kind, at, make, random.Random(seed), count=3), kind)


@pytest.mark.parametrize("make", [noise, forged_record, forged_message])
@pytest.mark.parametrize("kind", KINDS)
def test_an_established_association_is_proof_against_any_forgery(kind, make):
    pair = pair_of(kind).connect()
    dice = random.Random(3)
    for _ in range(500):
        pair.deliver(make(dice), to_server=True)
        pair.deliver(make(dice), to_server=False)
    assert pair.works()


@pytest.mark.parametrize("kind", KINDS)
def test_what_comes_before_its_keys_is_held_only_up_to_a_bound(kind):
    """Records of the next epoch may overtake ChangeCipherSpec; before the keys anybody can send some."""
    pair = pair_of(kind)
    pair.start()
    pair.run(until=0.035)
    for sequence in range(100):
        pair.deliver(encode_record(22, DTLS_1_2, 1, 500 + sequence, bytes(1000)), to_server=True)
    assert len(pair.server.association._receiver._early) == MAX_EARLY_RECORDS
    assert pair.server.counters["dropped: too early"] == 100 - MAX_EARLY_RECORDS


@pytest.mark.parametrize("to_server", [True, False])
@pytest.mark.parametrize("kind", KINDS)
def test_one_forged_record_from_the_far_future_does_not_shut_out_the_real_ones(kind, to_server):
    """Where nothing is authenticated, a number that anybody can write must not make all real ones too old."""
    forged = encode_record(21, DTLS_1_2, 0, MAX_SEQUENCE, b"\x01\x64")
    for at in range(datagrams(kind)):
        pair = pair_of(kind)
        pair.wire = meanwhile(at, functools.partial(pair.deliver, forged, to_server=to_server))
        assert run(pair).works(), at


@pytest.mark.parametrize("kind", KINDS)
def test_a_closed_association_ignores_everything(kind):
    pair = pair_of(kind).connect()
    pair.client.association.close()
    pair.run()
    events = list(pair.client.events), list(pair.server.events)
    sent = len(pair.sent)
    dice = random.Random(4)
    for make in (noise, forged_record, forged_message) * 20:
        pair.deliver(make(dice), to_server=True)
        pair.deliver(make(dice), to_server=False)
    assert (pair.client.events, pair.server.events) == events
    assert len(pair.sent) == sent
