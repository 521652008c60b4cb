"""The kinds of handshake that every wire test runs, and what may come of one on a hostile wire."""

from __future__ import annotations

import functools

from dtls_pair import (
    PSK_NAME,
    Pair,
    Side,
    Wire,
    client_config,
    everything,
    psk_client_config,
    psk_server_config,
    server_config,
)
from small_pki import small_pki

from twoway.dtls import AlertDescription, ClosedBy, DTLSConfig
from twoway.identity import Identity, PSKIdentity

KINDS = ["p-256", "rsa", "psk"]


@functools.cache
def configs(kind: str, **changes: object) -> tuple[DTLSConfig, DTLSConfig]:
    """Client and server of a kind."""
    if kind == "psk":
        return psk_client_config(**changes), psk_server_config(**changes)
    server = small_pki().publisher_p256 if kind == "p-256" else small_pki().publisher_rsa
    client = small_pki().subscriber if kind == "p-256" else small_pki().publisher_rsa
    return client_config(client, **changes), server_config(server, **changes)


def pair_of(kind: str, wire: Wire = everything, *, seed: int = 1, **changes: object) -> Pair:
    """A pair of a kind on a wire."""
    return Pair(*configs(kind, **changes), wire=wire, seed=seed)


@functools.cache
def peers(kind: str) -> tuple[Identity, Identity]:
    """Whom the client and the server of a kind may believe to speak with, and nobody else."""
    if kind == "psk":
        return PSKIdentity(PSK_NAME), PSKIdentity(PSK_NAME)
    client = small_pki().subscriber if kind == "p-256" else small_pki().publisher_rsa
    server = small_pki().publisher_p256 if kind == "p-256" else small_pki().publisher_rsa
    return server.identity, client.identity


@functools.cache
def datagrams(kind: str, **changes: object) -> int:
    """How many datagrams an undisturbed handshake takes."""
    return len(pair_of(kind, **changes).connect().sent)


def assert_safe(pair: Pair, kind: str) -> None:
    """Whatever the wire did: nobody wrong was accepted, and nobody is left without a verdict."""
    for side, peer in zip((pair.client, pair.server), peers(kind), strict=True):
        if side.connected:
            assert side.connected.peer == peer
        else:
            assert has_verdict(side)
    pair.wire = everything
    if pair.client.connected and pair.server.connected:
        assert pair.works(), "both are connected, so their keys must be the same"


def has_verdict(side: Side) -> bool:
    """Whether a side that is not connected has said why (or has never existed)."""
    return side.association is None or (side.closed is not None and bool(side.closed.reason))


def run(pair: Pair) -> Pair:
    """Start, and let everything happen."""
    pair.start()
    pair.run()
    return pair


def assert_refused(pair: Pair, *, by: str, alert: AlertDescription, why: str) -> None:
    """One side found the fault and says so in words; the other is told by the alert; nobody was connected."""
    refusing, refused = (pair.server, pair.client) if by == "server" else (pair.client, pair.server)
    assert not pair.client.connected, pair.client.events
    assert not pair.server.connected, pair.server.events
    assert refusing.closed, "nobody refused"
    assert (refusing.closed.by, refusing.closed.alert) == (ClosedBy.US, alert), refusing.closed
    assert refusing.closed.reason
    assert why in refusing.closed.reason, refusing.closed
    assert refused.closed, "the other side was not told"
    assert (refused.closed.by, refused.closed.alert) == (ClosedBy.PEER, alert), refused.closed
    assert alert.label in refused.closed.reason
    assert refusing.events[-1] is refusing.closed
    assert not refusing.closed.established
    assert not refused.closed.established


def assert_never_connected(pair: Pair) -> None:
    """Nobody was connected, and both have given up."""
    for side in (pair.client, pair.server):
        assert not side.connected, side.events
        assert side.closed
        assert side.closed.reason


def protections(pair: Pair) -> set[type]:
    """How both sides protect the records of epoch 1, in both directions."""
    ends = [
        end
        for side in (pair.client.association, pair.server.association)
        if side is not None
        for end in (side._sender, side._receiver)
    ]
    return {type(end._epochs[1]._protection) for end in ends}


def say_protected(side: Side, kind: int, plaintext: bytes) -> None:
    """A side sends an authentic record of any kind, as its keys and numbers stand."""
    assert side.association is not None
    side.association._sender.send(kind, plaintext)  # type: ignore[arg-type]


def set_next_sequence(side: Side, sequence: int) -> None:
    """A side has sent so many protected records that this is its next number."""
    assert side.association is not None
    side.association._sender._epochs[1].sequence = sequence
