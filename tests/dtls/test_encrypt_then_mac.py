"""Encrypt-then-MAC (RFC 7366): agreed wherever CBC is spoken, and nobody is talked out of it unnoticed."""

from __future__ import annotations

from dataclasses import replace

import pytest
from dtls_cases import assert_never_connected, assert_refused, protections, run
from dtls_pair import Pair, client_config, psk_client_config, psk_server_config, server_config
from dtls_rogue import client_hello, rogue_client, rogue_server, server_hello, with_extension, without
from dtls_worlds import ANONYMOUS_ALONE, kinds, legacy, rsa_transport_configs
from small_pki import small_pki

from twoway.dtls import AlertDescription, DTLSConfig, HandshakeKind, suites
from twoway.dtls.cbc import EncryptThenMAC, MACThenEncrypt
from twoway.dtls.messages.hello import ExtensionType

ETM = ExtensionType.ENCRYPT_THEN_MAC
CBC_PSK = suites.ECDHE_PSK_AES_128_CBC_SHA256
PSK_PAIR = (
    psk_client_config(suites=(CBC_PSK, suites.ECDHE_PSK_AES_128_GCM)),
    psk_server_config(suites=(CBC_PSK, suites.ECDHE_PSK_AES_128_GCM)),
)
LEGACY_PAIRS = {
    "certificates": tuple(
        replace(legacy(config), suites=(suites.ECDHE_ECDSA_AES_128_CBC_SHA256,))
        for config in (client_config(), server_config())
    ),
    "key transport": rsa_transport_configs(),
    "psk": tuple(replace(legacy(config), suites=(CBC_PSK,)) for config in PSK_PAIR),
    "anonymous": (legacy(ANONYMOUS_ALONE), legacy(ANONYMOUS_ALONE)),
}


def has_encrypt_then_mac(pair: Pair) -> bool:
    """Whether both sides agreed upon it and protect all records so."""
    sides = [side.handshake._has_encrypt_then_mac for side in (pair.client, pair.server)]
    assert sides[0] is sides[1]
    assert protections(pair) == {EncryptThenMAC if sides[0] else MACThenEncrypt}
    return sides[0]


@pytest.mark.parametrize("configs", LEGACY_PAIRS.values(), ids=LEGACY_PAIRS)
def test_it_is_agreed_wherever_cbc_is_spoken(configs):
    pair = Pair(*configs).connect()
    assert "CBC" in pair.client.connected.suite
    assert has_encrypt_then_mac(pair)
    assert pair.works()


def test_it_is_offered_only_beside_cbc_and_answered_only_with_it():
    pair = Pair().connect()
    assert ETM not in pair.client.handshake._hello.extensions
    rogue = rogue_client(**client_hello(extensions=with_extension(ETM, b"")))
    assert not Pair(client_handshake=rogue).connect().server.handshake._has_encrypt_then_mac


@pytest.mark.parametrize("configs", LEGACY_PAIRS.values(), ids=LEGACY_PAIRS)
def test_the_legacy_profile_speaks_with_peers_that_lack_it(configs):
    rogue = rogue_client(**client_hello(extensions=without(ETM)))
    pair = Pair(*configs, client_handshake=rogue).connect()
    assert not has_encrypt_then_mac(pair)
    assert pair.works()


# --- nobody else does -------------------------------------------------------------------------------------


def test_a_server_passes_cbc_over_if_the_client_lacks_it():
    rogue = rogue_client(**client_hello(extensions=without(ETM)))
    assert Pair(*PSK_PAIR).connect().client.connected.suite == CBC_PSK.name
    pair = Pair(*PSK_PAIR, client_handshake=rogue).connect()
    assert pair.server.connected.suite == suites.ECDHE_PSK_AES_128_GCM.name


@pytest.mark.parametrize(
    "configs",
    [tuple(replace(config, suites=(CBC_PSK,)) for config in PSK_PAIR), (ANONYMOUS_ALONE, ANONYMOUS_ALONE)],
    ids=["psk", "anonymous"],
)
def test_cbc_without_it_is_refused_by_both_roles(configs):
    rogue = {"client_handshake": rogue_client(**client_hello(extensions=without(ETM)))}
    assert_refused(
        run(Pair(*configs, **rogue)), by="server", alert=AlertDescription.HANDSHAKE_FAILURE, why="in common"
    )
    rogue = {"server_handshake": rogue_server(server_hello(extensions=without(ETM)))}
    assert_refused(
        run(Pair(*configs, **rogue)),
        by="client",
        alert=AlertDescription.HANDSHAKE_FAILURE,
        why="CBC without encrypt-then-MAC",
    )


# --- answers that do not belong there ---------------------------------------------------------------------


def test_an_answer_beside_aead_is_refused():
    """RFC 7366 section 3: it says nothing there, and a server that says so is not what it seems."""
    aead = rogue_server(server_hello(extensions=with_extension(ETM, b"")))
    pair = run(
        Pair(PSK_PAIR[0], psk_server_config(suites=(suites.ECDHE_PSK_AES_128_GCM,)), server_handshake=aead)
    )
    assert_refused(pair, by="client", alert=AlertDescription.ILLEGAL_PARAMETER, why="encrypt_then_mac")


@pytest.mark.parametrize("data", [b"\x00", b"\x01", b"ab"])
def test_it_is_empty_in_both_hellos(data):
    rogue = {"client_handshake": rogue_client(**client_hello(extensions=with_extension(ETM, data)))}
    pair = run(Pair(*PSK_PAIR, **rogue))
    assert_refused(pair, by="server", alert=AlertDescription.DECODE_ERROR, why="encrypt_then_mac")
    rogue = {"server_handshake": rogue_server(server_hello(extensions=with_extension(ETM, data)))}
    pair = run(Pair(*PSK_PAIR, **rogue))
    assert_refused(pair, by="client", alert=AlertDescription.ILLEGAL_PARAMETER, why="encrypt_then_mac")


# --- somebody between them --------------------------------------------------------------------------------

OFFERED, UNKNOWN = b"\x00\x16\x00\x00", b"\x4a\x4a\x00\x00"


def strip_offers(sent):
    """The client's offer becomes an extension that nobody knows; all lengths stay as they are."""
    data = sent.data.replace(OFFERED, UNKNOWN) if sent.records and sent.records[0].epoch == 0 else sent.data
    return [(0.0, data)]


@pytest.mark.parametrize("configs", LEGACY_PAIRS.values(), ids=LEGACY_PAIRS)
def test_an_offer_that_was_stripped_on_the_way_is_found_out(configs):
    """Both sides would do without it; that they disagree about the hellos shows in a proof or in the keys."""
    pair = run(Pair(*configs, wire=strip_offers))
    assert not pair.server.handshake._has_encrypt_then_mac
    assert not pair.client.handshake._has_encrypt_then_mac
    assert_never_connected(pair)


def test_an_offer_that_was_stripped_is_found_out_even_if_nobody_proves_anything_by_signature():
    configs = [
        replace(config, admit=kinds(HandshakeKind.SERVER_AUTHENTICATED)) for config in rsa_transport_configs()
    ]
    pair = run(Pair(*configs, wire=strip_offers))
    assert_never_connected(pair)
    assert pair.server.counters["dropped: not authentic"] > 0


def test_a_stripped_offer_without_the_extended_master_secret_is_found_out_by_finished():
    """The keys are the same then; the Finished messages, which cover the hellos, are not."""
    unsafe = {"unsafe_allow_missing_extended_master_secret": True}
    configs = [
        replace(config, admit=kinds(HandshakeKind.SERVER_AUTHENTICATED), **unsafe)
        for config in rsa_transport_configs()
    ]
    rogue = rogue_client(**client_hello(extensions=without(ExtensionType.EXTENDED_MASTER_SECRET)))
    pair = run(Pair(*configs, client_handshake=rogue, wire=strip_offers))
    assert_refused(pair, by="server", alert=AlertDescription.DECRYPT_ERROR, why="Finished does not match")


def test_the_ordinary_configuration_offers_no_cbc_with_certificates():
    everything = DTLSConfig(
        certificate=client_config().certificate, trust=small_pki().trust, admit=frozenset(HandshakeKind)
    )
    offered = everything.usable_suites(is_client=True)
    assert {suite for suite in offered if suite.is_cbc} == {suites.ECDH_ANON_AES_128_CBC_SHA}
