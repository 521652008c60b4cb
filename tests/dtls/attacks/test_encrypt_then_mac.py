"""Encrypt-then-MAC (RFC 7366) stripped, forced, or answered where it does not belong."""

from __future__ import annotations

import pytest
from dtls_cases import assert_never_connected, assert_refused, run
from dtls_pair import PSK, PSK_NAME, Pair, psk_client_config, psk_server_config
from dtls_rogue import client_hello, rogue_client, rogue_server, server_hello, with_extension, without

from twoway.dtls import AlertDescription, Legacy2013Profile, PSKCredential, suites
from twoway.dtls.messages.hello import ExtensionType

ENCRYPT_THEN_MAC = ExtensionType.ENCRYPT_THEN_MAC
CBC = (suites.ECDHE_PSK_AES_128_CBC_SHA256,)
STRIPPED = without(ENCRYPT_THEN_MAC)


def modern(**rogues) -> Pair:
    return run(Pair(psk_client_config(suites=CBC), psk_server_config(suites=CBC), **rogues))


def legacy(wire=None, **rogues) -> Pair:
    client = Legacy2013Profile(psk=PSKCredential(PSK_NAME, PSK), suites=CBC)
    server = Legacy2013Profile(psk_lookup={PSK_NAME: PSK}.get, suites=CBC)
    return run(Pair(client, server, **({"wire": wire} if wire else {}), **rogues))


def test_both_sides_want_it_and_get_it():
    pair = modern()
    assert pair.works()
    for side in (pair.client, pair.server):
        assert side.handshake._has_encrypt_then_mac


def test_a_client_that_does_not_offer_it_gets_no_cbc():
    pair = modern(client_handshake=rogue_client(**client_hello(extensions=STRIPPED)))
    assert_refused(pair, by="server", alert=AlertDescription.HANDSHAKE_FAILURE, why="in common")


def test_a_server_that_does_not_answer_it_gets_no_cbc():
    pair = modern(server_handshake=rogue_server(server_hello(extensions=STRIPPED)))
    assert_refused(pair, by="client", alert=AlertDescription.HANDSHAKE_FAILURE, why="RFC 7366")


@pytest.mark.parametrize("direction", ["to the server", "to the client"])
def test_stripped_on_the_way_it_is_missed_even_where_both_could_do_without(direction):
    """The legacy profile speaks with peers that lack it. Two that have it find out that it was taken away."""
    assert legacy().works()
    offered = ENCRYPT_THEN_MAC.to_bytes(2, "big") + b"\x00\x00"
    unknown = b"\x5a\x5a\x00\x00"

    def strip(sent):
        strikes = sent.to_server is (direction == "to the server")
        return [(0.0, sent.data.replace(offered, unknown) if strikes else sent.data)]

    assert_never_connected(legacy(strip))


def test_answered_to_a_suite_that_has_no_use_for_it_it_is_refused():
    answer = server_hello(extensions=with_extension(ENCRYPT_THEN_MAC, b""), suite=0xD001)
    both = (suites.ECDHE_PSK_AES_128_GCM, *CBC)
    client, server = psk_client_config(suites=both), psk_server_config(suites=both)
    pair = run(Pair(client, server, server_handshake=rogue_server(answer)))
    assert_refused(pair, by="client", alert=AlertDescription.ILLEGAL_PARAMETER, why="does not belong")


@pytest.mark.parametrize("data", [b"\x00", b"\x01", b"ab"])
def test_one_that_is_not_empty_is_refused_by_both_roles(data):
    change = with_extension(ENCRYPT_THEN_MAC, data)
    pair = modern(client_handshake=rogue_client(**client_hello(extensions=change)))
    assert_refused(pair, by="server", alert=AlertDescription.DECODE_ERROR, why="not empty")
    pair = modern(server_handshake=rogue_server(server_hello(extensions=change)))
    assert_refused(pair, by="client", alert=AlertDescription.ILLEGAL_PARAMETER, why="does not belong")
