"""Each state meets every message: what is not in docs/states.md is refused, and changes nothing."""

from __future__ import annotations

from enum import Enum

import pytest
from state_table import (
    CHANGE_CIPHER_SPEC,
    DOCUMENT,
    ROLES,
    answer,
    document,
    play,
    scenarios,
    steps,
    taken,
)

from twoway.dtls import AlertDescription, ClosedBy
from twoway.dtls.alerts import HandshakeFailure
from twoway.dtls.messages.handshake import HandshakeMessage, HandshakeType
from twoway.dtls.record import DTLS_1_2, ContentType, encode_record

SCENARIOS = sorted(scenarios())
UNEXPECTED = AlertDescription.UNEXPECTED_MESSAGE


def test_the_document_is_what_the_code_says():
    assert DOCUMENT.read_text() == document(), "make states draws it anew"


def test_the_watched_handshakes_reach_every_state():
    seen = steps()
    for role, (_, states) in ROLES.items():
        reached = {state for before, _, after in seen[role] for state in (before, after)}
        assert reached == set(states)


def name_of(kind: int) -> str:
    known = kind in HandshakeType.__members__.values()
    return HandshakeType(kind).label if known else f"a message of type {kind}"


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_every_state_refuses_every_message_that_it_does_not_take(scenario):
    """All 256 types in each state that the handshake comes through, before the message that is due there."""
    visited: set[tuple[str, Enum]] = set()

    def probe(role, handshake, came, state):
        if came in ("start", HandshakeType.CLIENT_HELLO.label):
            return
        visited.add((role, state))
        transcript, peer = handshake._transcript, handshake._peer
        for kind in set(range(256)) - taken(role, state):
            message = HandshakeMessage(kind, 7, b"whatever it says")
            with pytest.raises(HandshakeFailure) as refusal:
                type(handshake).__mro__[1].receive_untrusted(handshake, message)
            assert refusal.value.alert is UNEXPECTED, (role, state, kind)
            assert f"the peer sent {name_of(kind)} while" in str(refusal.value)
            assert (handshake.state, handshake._transcript, handshake._peer) == (state, transcript, peer)

    assert play(scenarios()[scenario], probe).works()
    assert len(visited) >= 5


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_a_hello_request_is_passed_over_in_every_state_of_a_client(scenario):
    def probe(role, handshake, came, state):
        if role == "client" and came != "start":
            transcript = handshake._transcript
            message = HandshakeMessage(HandshakeType.HELLO_REQUEST, 7, b"")
            type(handshake).__mro__[1].receive_untrusted(handshake, message)
            assert (handshake.state, handshake._transcript) == (state, transcript)

    assert play(scenarios()[scenario], probe).works()


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_a_change_cipher_spec_is_taken_in_its_one_state_alone(scenario):
    def probe(role, handshake, came, state):
        assert handshake.awaits_change_cipher_spec is (came == CHANGE_CIPHER_SPEC), (role, state)

    assert play(scenarios()[scenario], probe).works()


WAITING = [
    (role, state)
    for role, (handshake, _) in ROLES.items()
    for state in handshake.TRANSITIONS
    if state.name != "FINISHED"
]


def one_record_at_a_time(datagram):
    """Every record travels alone, so that the other side is seen between any two messages."""
    return [(0.001 * number, encode_record(*record)) for number, record in enumerate(datagram.records)]


@pytest.mark.parametrize(("role", "state"), WAITING, ids=lambda one: getattr(one, "name", one))
def test_whoever_hears_an_unexpected_message_says_so_and_ends_the_association(role, state):
    """The same through the record layer: the datagram comes, the alert goes, both sides are told."""
    for one in scenarios().values():
        pair = one.pair(wire=one_record_at_a_time)
        pair.signer = answer
        deliver, intruded = pair.deliver, []

        def intrude(data, *, to_server, path, pair=pair, deliver=deliver, intruded=intruded):
            deliver(data, to_server=to_server, path=path)
            side = pair.server if role == "server" else pair.client
            if intruded or side.association is None or side.association.state is not state:
                return
            seq = side.association._receiver.messages.next_seq
            forged = HandshakeMessage(HandshakeType.FINISHED, seq, b"").encode()
            intruded.append(encode_record(ContentType.HANDSHAKE, DTLS_1_2, 0, 2**20, forged))
            deliver(intruded[0], to_server=role == "server")

        pair.deliver = intrude
        pair.start()
        pair.run()
        if intruded:
            refusing = pair.server if role == "server" else pair.client
            assert (refusing.closed.by, refusing.closed.alert) == (ClosedBy.US, UNEXPECTED)
            assert "was due" in refusing.closed.reason
            assert not pair.client.connected
            assert not pair.server.connected
            return
    pytest.fail("no handshake waits in this state between two records")
