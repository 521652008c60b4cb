"""A key in a TPM or another process: the engine asks, waits as long as a handshake may take, and goes on."""

from __future__ import annotations

import pytest
from dtls_cases import assert_refused
from dtls_pair import Pair, client_config, server_config
from small_pki import p256_key, small_pki

from twoway.dtls import AlertDescription, CertificateCredential, ClosedBy, SignatureRequest, SignatureScheme
from twoway.dtls.messages.handshake import HandshakeMessage, HandshakeType
from twoway.dtls.record import DTLS_1_2, encode_record
from twoway.dtls.signatures import sign
from twoway.errors import CallerError

ROLES = pytest.mark.parametrize("role", ["client", "server"])


def pair_without_key(role: str, **changes) -> Pair:
    pki = small_pki()
    if role == "client":
        without = client_config(certificate=CertificateCredential(pki.subscriber.chain), **changes)
        return Pair(client=without, server=server_config(**changes))
    without = server_config(certificate=CertificateCredential(pki.publisher_p256.chain), **changes)
    return Pair(client=client_config(**changes), server=without)


def side_of(pair: Pair, role: str):
    return pair.client if role == "client" else pair.server


def key_of(role: str):
    return (small_pki().subscriber if role == "client" else small_pki().publisher_p256).private_key


def asked(pair: Pair, role: str) -> SignatureRequest:
    """Run until the side has asked for its signature."""
    pair.start()
    pair.run(until=0.1)
    (request,) = [event for event in side_of(pair, role).events if isinstance(event, SignatureRequest)]
    return request


def signature(request: SignatureRequest, key) -> bytes:
    return sign(key, SignatureScheme(request.scheme), request.data)


@ROLES
def test_a_request_says_whose_key_is_asked_for(role):
    pair = pair_without_key(role)
    assert asked(pair, role).credential is side_of(pair, role).association._config.certificate


@pytest.mark.parametrize("seconds", [0.0, 0.5, 1.5, 5.0, 20.0])
@ROLES
def test_a_key_may_take_its_time(role, seconds):
    """The peer's retransmissions meanwhile are no reason to repeat what was answered long ago."""
    pair = pair_without_key(role)
    request = asked(pair, role)
    pair.run(until=pair.now + seconds)
    pair.now = max(pair.now, 0.1 + seconds)
    side_of(pair, role).association.answer(request, signature(request, key_of(role)), pair.now)
    pair.run()
    assert pair.works()
    assert len([event for event in side_of(pair, role).events if isinstance(event, SignatureRequest)]) == 1


@ROLES
def test_a_client_that_waits_for_its_key_does_not_play_ping_pong(role):
    """Cause: the flight before was kept while the key worked, and every repetition of the peer's was answered
    with it, which the peer answered in turn, until both had no retries left."""
    pair = pair_without_key(role)
    asked(pair, role)
    pair.run(until=1.9)
    assert side_of(pair, role).counters["flights resent"] == 0
    assert pair.client.counters["flights resent"] + pair.server.counters["flights resent"] <= 1


@ROLES
def test_a_key_that_never_answers_is_bounded_by_the_handshakes_timeout(role):
    pair = pair_without_key(role, handshake_timeout=7.0)
    request = asked(pair, role)
    pair.run()
    side = side_of(pair, role)
    assert side.closed.by is ClosedBy.TIMEOUT
    side.association.answer(request, signature(request, key_of(role)), pair.now)
    assert side.association.datagrams_to_send() == []
    assert side.association.next_event() is None


@ROLES
def test_a_key_that_cannot_sign_ends_the_association(role):
    pair = pair_without_key(role)
    request = asked(pair, role)
    side_of(pair, role).association.answer(request, None, pair.now)
    pair.run()
    assert_refused(pair, by=role, alert=AlertDescription.INTERNAL_ERROR, why="our own key could not sign")


@ROLES
def test_an_answer_by_another_key_is_refused_by_the_peer(role):
    pair = pair_without_key(role)
    request = asked(pair, role)
    side_of(pair, role).association.answer(request, signature(request, p256_key("thief")), pair.now)
    pair.run()
    other = "server" if role == "client" else "client"
    assert_refused(pair, by=other, alert=AlertDescription.DECRYPT_ERROR, why="not by the key")


@ROLES
def test_only_the_question_that_was_asked_can_be_answered_and_only_once(role):
    pair = pair_without_key(role)
    request = asked(pair, role)
    association = side_of(pair, role).association
    with pytest.raises(CallerError, match="not asked"):
        association.answer(
            SignatureRequest(request.data, request.scheme, request.credential), b"signature", pair.now
        )
    association.answer(request, signature(request, key_of(role)), pair.now)
    with pytest.raises(CallerError, match="not asked"):
        association.answer(request, signature(request, key_of(role)), pair.now)
    pair.run()
    assert pair.works()


@ROLES
def test_while_the_key_works_nothing_from_the_peer_overtakes_it(role):
    """Messages that come meanwhile wait for their turn, good or bad."""
    pair = pair_without_key(role)
    request = asked(pair, role)
    side = side_of(pair, role)
    early = HandshakeMessage(HandshakeType.FINISHED, side.association._receiver.messages.next_seq, bytes(12))
    pair.deliver(encode_record(22, DTLS_1_2, 0, 50, early.encode()), to_server=role == "server")
    assert not side.closed
    side.association.answer(request, signature(request, key_of(role)), pair.now)
    pair.drain(side)
    assert side.closed.alert is AlertDescription.UNEXPECTED_MESSAGE


@ROLES
def test_while_the_key_works_the_peers_repetitions_change_nothing(role):
    pair = pair_without_key(role)
    request = asked(pair, role)
    before = len(side_of(pair, role).events)
    pair.run(until=3.5)
    assert len(side_of(pair, role).events) == before
    side_of(pair, role).association.answer(request, signature(request, key_of(role)), pair.now)
    pair.run()
    assert pair.works()
