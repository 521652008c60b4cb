"""Records of one association in another: replayed across, reflected, a recorded conversation played again.

Between the same two parties, with the same credentials, so that only keys and transcript differ.
"""

from __future__ import annotations

import pytest
from dtls_cases import KINDS, configs, pair_of, run
from dtls_pair import Pair, everything

from twoway.dtls import AlertDescription

EVERY_KIND = pytest.mark.parametrize("kind", KINDS)
TO_SERVER = pytest.mark.parametrize("to_server", [True, False])


def protected_of_another(kind: str) -> list[tuple[bool, bytes]]:
    """Every protected record of an earlier association of the same two, with its direction."""
    pair = pair_of(kind, seed=99).connect()
    assert pair.works()
    return [(sent.to_server, sent.data) for sent in pair.sent if any(record.epoch for record in sent.records)]


@EVERY_KIND
def test_protected_records_of_another_association_are_not_authentic_in_this_one(kind):
    pair = pair_of(kind).connect()
    sent = len(pair.sent)
    foreign = protected_of_another(kind)
    for to_server, data in foreign:
        pair.deliver(data, to_server=to_server)
    counters = pair.client.counters + pair.server.counters
    assert counters["dropped: not authentic"] + counters["dropped: replayed"] >= len(foreign)
    assert counters["dropped: not authentic"] >= 2
    assert not pair.client.received
    assert not pair.server.received
    assert len(pair.sent) == sent
    assert pair.works()


@EVERY_KIND
def test_a_finished_of_another_connection_does_not_finish_this_one(kind):
    """Both Finished are replaced on the path by those of an earlier handshake of the same two parties."""
    recorded = dict(reversed(protected_of_another(kind)))

    def wire(sent):
        is_protected = any(record.epoch for record in sent.records)
        return [(0.0, recorded[sent.to_server] if is_protected else sent.data)]

    pair = run(Pair(*configs(kind), wire=wire))
    assert not pair.client.connected
    assert not pair.server.connected
    assert pair.client.closed
    assert pair.server.closed


@EVERY_KIND
@TO_SERVER
def test_ones_own_records_come_back_as_nothing(kind, to_server):
    """Reflection: each direction has keys of its own (RFC 5246 section 6.3)."""
    pair = pair_of(kind).connect()
    sender = pair.client if to_server else pair.server
    pair.wire = lambda sent: []
    for number in range(5):
        sender.send(b"number %d" % number)
    pair.drain(sender)
    for sent in pair.sent[-5:]:
        pair.deliver(sent.data, to_server=not to_server)
    assert not sender.received
    # The first numbers were taken by the peer's Finished; from there on the reflected ones are new.
    assert sender.counters["dropped: not authentic"] >= 4
    pair.wire = everything
    assert pair.works()


@EVERY_KIND
def test_a_handshake_with_oneself_in_a_mirror_connects_nobody(kind):
    """Everything that the client says comes straight back to it."""
    pair = pair_of(kind)
    pair.start()
    pair.wire = lambda sent: []
    for _ in range(3):
        for sent in list(pair.sent):
            pair.deliver(sent.data, to_server=False)
    assert not pair.client.connected
    pair.run()
    assert not pair.client.connected
    assert pair.client.closed


@EVERY_KIND
def test_a_recorded_server_is_worth_nothing_to_a_new_client(kind):
    """Whoever has recorded all that a server ever said cannot play it: the client's random is a new one."""
    recorded = [sent.data for sent in pair_of(kind, seed=99).connect().sent if not sent.to_server]
    pair = pair_of(kind, lambda sent: [])
    pair.start()
    for data in recorded:
        pair.deliver(data, to_server=False)
    pair.run()
    assert not pair.client.connected
    assert pair.client.closed
    if kind != "psk":
        assert pair.client.closed.alert is AlertDescription.DECRYPT_ERROR


@EVERY_KIND
def test_a_recorded_client_is_worth_nothing_to_a_server_whose_cookie_still_counts(kind):
    """The hello and its cookie are taken, for the address is the same; the server's random is a new one."""
    first = pair_of(kind).connect()
    recorded = [sent.data for sent in first.sent if sent.to_server]
    second = pair_of(kind, lambda sent: [])
    second.gate, second.server.association = first.gate, None
    for data in recorded:
        second.deliver(data, to_server=True)
    assert second.server.association is not None, "the recorded cookie is good"
    second.run()
    assert not second.server.connected
    assert second.server.closed
