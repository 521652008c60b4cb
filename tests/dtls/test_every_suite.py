"""Every suite and every kind of key: a handshake between our two sides completes, and both say the same."""

from __future__ import annotations

from dataclasses import replace

import pytest
from dtls_cases import assert_refused, run
from dtls_pair import Pair, client_config, psk_client_config, psk_server_config, server_config
from dtls_worlds import ANONYMOUS_ALONE, legacy, raw_key_configs
from small_pki import small_pki

from twoway.dtls import AlertDescription, DTLSConfig, HandshakeKind, NamedGroup, SignatureScheme, suites
from twoway.dtls.suites import CipherSuite, KeyExchange
from twoway.identity import PSKIdentity, RawPublicKeyIdentity, Unauthenticated

EVERY_SUITE = suites.DEFAULT_SUITES + suites.LEGACY_2013_SUITES + suites.ANONYMOUS_SUITES
PKI = small_pki()
CERTIFICATES = {
    "p-256": PKI.publisher_p256,
    "p-384": PKI.publisher_p384,
    "ed25519": PKI.publisher_ed25519,
    "rsa": PKI.publisher_rsa,
}
RSA_KINDS = (KeyExchange.RSA, KeyExchange.ECDHE_RSA)


def configs_for(suite: CipherSuite) -> tuple[DTLSConfig, DTLSConfig]:
    """A client and a server that can do nothing but this suite."""
    if suite.key_exchange.uses_psk:
        client, server = psk_client_config(), psk_server_config()
    elif suite.key_exchange is KeyExchange.ECDH_ANON:
        client = server = ANONYMOUS_ALONE
    else:
        credential = PKI.publisher_2013 if suite.key_exchange in RSA_KINDS else PKI.publisher_p256
        client, server = client_config(), server_config(credential)
    if suite.is_legacy:
        client, server = legacy(client), legacy(server)
    return replace(client, suites=(suite,)), replace(server, suites=(suite,))


def kind_of(suite: CipherSuite) -> HandshakeKind:
    anonymous = suite.key_exchange is KeyExchange.ECDH_ANON
    return HandshakeKind.ANONYMOUS if anonymous else HandshakeKind.FULL


@pytest.mark.parametrize("suite", EVERY_SUITE, ids=lambda suite: suite.name)
def test_both_sides_of_a_handshake_say_the_same(suite):
    pair = Pair(*configs_for(suite)).connect()
    for side in (pair.client, pair.server):
        assert side.connected.suite == suite.name
        assert side.connected.kind is kind_of(suite)
        assert side.connected.group == ("x25519" if suite.key_exchange.is_ephemeral else None)
    assert pair.works()


def without(config: DTLSConfig, suite: CipherSuite) -> DTLSConfig:
    """The same with all suites but this one, and with credentials that leave it something to speak."""
    beside = replace(config, psk=psk_client_config().psk, psk_lookup=psk_server_config().psk_lookup)
    beside = replace(beside, admit=frozenset(HandshakeKind), suites=suites.DEFAULT_SUITES)
    return replace(legacy(beside), suites=tuple(other for other in EVERY_SUITE if other is not suite))


@pytest.mark.parametrize("suite", EVERY_SUITE, ids=lambda suite: suite.name)
def test_neither_side_takes_a_suite_that_it_has_left_out(suite):
    client, server = configs_for(suite)
    for pair in (Pair(client, without(server, suite)), Pair(without(client, suite), server)):
        assert_refused(run(pair), by="server", alert=AlertDescription.HANDSHAKE_FAILURE, why="in common")


@pytest.mark.parametrize("server", CERTIFICATES)
@pytest.mark.parametrize("client", CERTIFICATES)
def test_each_kind_of_key_proves_a_client_and_a_server(client, server):
    pair = Pair(client_config(CERTIFICATES[client]), server_config(CERTIFICATES[server])).connect()
    assert pair.client.connected.peer == CERTIFICATES[server].identity
    assert pair.server.connected.peer == CERTIFICATES[client].identity
    assert pair.client.connected.suite == pair.server.connected.suite
    assert ("ECDHE_RSA" in pair.client.connected.suite) is (server == "rsa")
    assert pair.works()


@pytest.mark.parametrize("server", CERTIFICATES)
@pytest.mark.parametrize("client", CERTIFICATES)
def test_each_kind_of_raw_key_proves_a_client_and_a_server(client, server):
    keys = CERTIFICATES[client].private_key, CERTIFICATES[server].private_key
    pair = Pair(*raw_key_configs(*keys)).connect()
    assert pair.client.connected.peer == RawPublicKeyIdentity(CERTIFICATES[server].spki)
    assert pair.server.connected.peer == RawPublicKeyIdentity(CERTIFICATES[client].spki)
    assert pair.client.connected.kind is pair.server.connected.kind is HandshakeKind.FULL
    assert pair.works()


@pytest.mark.parametrize("name", ["p-384", "ed25519"])
def test_the_peers_curve_or_scheme_is_needed_for_a_servers_key(name):
    """RFC 8422 sections 5.1 and 5.10: a client that does not take the curve or EdDSA cannot be served."""
    scheme = SignatureScheme.ECDSA_SECP384R1_SHA384 if name == "p-384" else SignatureScheme.ED25519
    config = client_config()
    without_scheme = replace(
        config, signature_schemes=tuple(each for each in config.signature_schemes if each is not scheme)
    )
    pair = run(Pair(without_scheme, server_config(CERTIFICATES[name])))
    assert_refused(pair, by="server", alert=AlertDescription.HANDSHAKE_FAILURE, why="in common")
    without_curve = replace(config, groups=(NamedGroup.X25519, NamedGroup.SECP256R1))
    pair = run(Pair(without_curve, server_config(CERTIFICATES[name])))
    assert bool(pair.server.connected) is (name == "ed25519")


@pytest.mark.parametrize("group", NamedGroup, ids=lambda group: group.label)
@pytest.mark.parametrize(
    "suite",
    [
        suites.ECDHE_ECDSA_AES_128_GCM,
        suites.ECDHE_RSA_AES_256_GCM,
        suites.ECDHE_PSK_AES_128_GCM,
        suites.ECDH_ANON_AES_128_CBC_SHA,
    ],
    ids=lambda suite: suite.key_exchange.name,
)
def test_each_group_serves_each_ephemeral_key_exchange(suite, group):
    client, server = configs_for(suite)
    # The client offers secp256r1, too: it binds the server's certificate as well (RFC 8422 section 5.1).
    client = replace(client, groups=(group, NamedGroup.SECP256R1))
    pair = Pair(client, replace(server, groups=(group,))).connect()
    assert pair.client.connected.group == pair.server.connected.group == group.label
    assert pair.works()


# --- whose order decides ----------------------------------------------------------------------------------


def both_ways(server_suites: tuple[CipherSuite, ...]) -> str:
    """What a server that can do everything picks of a client that can do everything."""
    client = replace(
        legacy(client_config(psk=psk_client_config().psk)),
        suites=EVERY_SUITE,
        admit=frozenset(HandshakeKind),
    )
    server = replace(
        legacy(server_config(PKI.publisher_2013, psk_lookup=psk_server_config().psk_lookup)),
        suites=server_suites,
        admit=frozenset(HandshakeKind),
    )
    pair = Pair(client, server).connect()
    assert pair.client.connected.suite == pair.server.connected.suite
    return pair.client.connected.suite


def test_the_servers_order_decides_among_all_suites():
    """An RSA certificate, a pre-shared key and nothing at all: whatever stands first is spoken."""
    served = [suite for suite in EVERY_SUITE if suite.key_exchange is not KeyExchange.ECDHE_ECDSA]
    for first in range(len(served)):
        assert both_ways(tuple(served[first:] + served[:first])) == served[first].name


def test_a_peer_that_speaks_a_modern_suite_gets_it_from_the_legacy_profile():
    server = legacy(server_config(PKI.publisher_2013))
    modern = Pair(client_config(), server).connect()
    assert modern.client.connected.suite == suites.ECDHE_RSA_AES_128_GCM.name
    assert (
        Pair(legacy(client_config()), server).connect().client.connected.suite
        == modern.client.connected.suite
    )


# --- who is who afterwards --------------------------------------------------------------------------------


def test_identities_are_what_was_proved_and_nothing_else():
    assert {
        suite.key_exchange: type(Pair(*configs_for(suite)).connect().server.connected.peer).__name__
        for suite in EVERY_SUITE
    } == {
        KeyExchange.ECDHE_ECDSA: "X509Identity",
        KeyExchange.ECDHE_RSA: "X509Identity",
        KeyExchange.RSA: "X509Identity",
        KeyExchange.PSK: PSKIdentity.__name__,
        KeyExchange.ECDHE_PSK: PSKIdentity.__name__,
        KeyExchange.ECDH_ANON: Unauthenticated.__name__,
    }
