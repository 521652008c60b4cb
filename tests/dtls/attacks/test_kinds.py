"""The three kinds of handshake: nobody gets a weaker one than it admits, or believes in a stronger one."""

from __future__ import annotations

import itertools

import pytest
from dtls_cases import assert_never_connected, assert_refused, run
from dtls_pair import Pair, certificate_of, client_config, server_config
from dtls_rogue import changed, client_hello, missing, rogue_client, rogue_server, server_hello
from small_pki import small_pki

from twoway.dtls import AlertDescription, DTLSConfig, HandshakeKind, suites
from twoway.dtls.messages.certificates import Certificate
from twoway.dtls.messages.handshake import HandshakeType
from twoway.identity import Unauthenticated, X509Identity

ANONYMOUS, ONE_SIDED, FULL = HandshakeKind
HANDSHAKE_FAILURE = AlertDescription.HANDSHAKE_FAILURE
ANON_SUITE = suites.ECDH_ANON_AES_128_CBC_SHA
POLICIES = [
    frozenset(kinds) for count in range(1, 4) for kinds in itertools.combinations(HandshakeKind, count)
]
NOTHING = changed(HandshakeType.CERTIFICATE, lambda body: Certificate(()).encode())


def side(credential, admit: frozenset[HandshakeKind], *, proves: bool = True) -> DTLSConfig:
    """A side with a certificate, or without one where its policy can do without."""
    certificate = certificate_of(credential) if proves else None
    return DTLSConfig(certificate=certificate, trust=small_pki().trust, admit=admit)


SKEWED = {frozenset({ANONYMOUS, FULL}), frozenset({ANONYMOUS, ONE_SIDED})}
"""With a certificate suite nobody can say beforehand whether it will be one-sided, and so two such sides do
not find out that they have the anonymous kind in common. They fail closed."""


def named(policy: frozenset[HandshakeKind]) -> str:
    return "+".join(kind.name.lower() for kind in HandshakeKind if kind in policy)


@pytest.mark.parametrize("client", POLICIES, ids=named)
@pytest.mark.parametrize("server", POLICIES, ids=named)
def test_what_both_admit_is_spoken_the_strongest_of_it_and_nothing_else(client, server):
    pair = run(Pair(side(small_pki().subscriber, client), side(small_pki().publisher_p256, server)))
    common = client & server
    if not common or {client, server} == SKEWED:
        assert_never_connected(pair)
        return
    assert pair.works()
    strongest = max(common, key=list(HandshakeKind).index)
    assert pair.client.connected.kind is pair.server.connected.kind is strongest
    proved = {ANONYMOUS: (False, False), ONE_SIDED: (True, False), FULL: (True, True)}[strongest]
    for events, has_peer in zip((pair.client, pair.server), proved, strict=True):
        assert isinstance(events.connected.peer, X509Identity if has_peer else Unauthenticated)


def test_by_default_nobody_speaks_without_authentication():
    offers = client_hello(suites=(ANON_SUITE.code,))
    pair = run(Pair(client_handshake=rogue_client(**offers)))
    assert_refused(pair, by="server", alert=HANDSHAKE_FAILURE, why="in common")
    chooses = server_hello(suite=ANON_SUITE.code)
    pair = run(Pair(server_handshake=rogue_server(chooses)))
    assert_refused(pair, by="client", alert=AlertDescription.ILLEGAL_PARAMETER, why="not offered")
    pair = run(Pair(DTLSConfig(admit=frozenset({ANONYMOUS})), server_config()))
    assert_refused(pair, by="server", alert=HANDSHAKE_FAILURE, why="in common")


def test_a_client_without_a_certificate_is_never_taken_for_one_that_has_one():
    """Where both kinds are admitted it is let in, and the server is told that it does not know who it is."""
    server = side(small_pki().publisher_p256, frozenset({FULL, ONE_SIDED}))
    pair = run(Pair(side(small_pki().subscriber, frozenset({ONE_SIDED}), proves=False), server))
    assert pair.works()
    assert pair.server.connected.kind is ONE_SIDED
    assert pair.server.connected.peer == Unauthenticated()
    pair = run(Pair(client_config(), server, client_handshake=rogue_client(NOTHING)))
    assert not pair.server.connected, "a CertificateVerify without a certificate is not passed over"


def test_a_client_that_shows_a_certificate_must_prove_it_where_it_need_not_have_shown_one():
    """The way around CertificateVerify: to show somebody's certificate where none is demanded."""
    server = side(small_pki().publisher_p256, frozenset({FULL, ONE_SIDED}))
    rogue = rogue_client(missing(HandshakeType.CERTIFICATE_VERIFY))
    assert_never_connected(run(Pair(client_config(), server, client_handshake=rogue)))
    stolen = changed(HandshakeType.CERTIFICATE, lambda body: Certificate(small_pki().sink.chain).encode())
    pair = run(Pair(client_config(), server, client_handshake=rogue_client(stolen)))
    assert_refused(pair, by="server", alert=AlertDescription.DECRYPT_ERROR, why="not by the key")


def test_a_server_must_prove_itself_in_a_one_sided_handshake():
    client = side(small_pki().subscriber, frozenset({ONE_SIDED}), proves=False)
    server = side(small_pki().publisher_p256, frozenset({ONE_SIDED}))
    stolen = changed(HandshakeType.CERTIFICATE, lambda body: Certificate(small_pki().ac.chain).encode())
    pair = run(Pair(client, server, server_handshake=rogue_server(stolen)))
    assert_refused(pair, by="client", alert=AlertDescription.DECRYPT_ERROR, why="not by the key")
    pair = run(Pair(client, server, server_handshake=rogue_server(NOTHING)))
    assert_refused(pair, by="client", alert=HANDSHAKE_FAILURE, why="certificate")


@pytest.mark.parametrize("to_server", [True, False])
def test_a_path_that_lies_about_suites_cannot_make_two_sides_anonymous(to_server):
    """Both would admit it. Whoever only rewrites hellos fails; whoever ends both handshakes is a peer."""
    admit = frozenset(HandshakeKind)
    sides = side(small_pki().subscriber, admit), side(small_pki().publisher_p256, admit)
    assert run(Pair(*sides)).client.connected.kind is FULL
    best = suites.ECDHE_ECDSA_AES_128_GCM.code.to_bytes(2, "big")
    anonymous = ANON_SUITE.code.to_bytes(2, "big")

    def lying(sent):
        if sent.to_server is not to_server:
            return [(0.0, sent.data)]
        if not to_server:
            return [(0.0, sent.data.replace(best + b"\x00", anonymous + b"\x00", 1))]
        data = sent.data
        for suite in suites.DEFAULT_SUITES:
            data = (
                data.replace(suite.code.to_bytes(2, "big"), anonymous, 1) if sent.number in (0, 2) else data
            )
        return [(0.0, data)]

    assert_never_connected(run(Pair(*sides, wire=lying)))
