"""ECDHE_PSK (RFC 5489): the shared key proves both sides, the points give forward secrecy."""

from __future__ import annotations

from dataclasses import replace

import pytest
from dtls_cases import assert_refused, run
from dtls_pair import PSK, PSK_NAME, Pair, psk_client_config, psk_server_config
from dtls_points import BAD_POINTS
from dtls_rogue import changed, missing, rogue_client, rogue_server

from twoway.dtls import AlertDescription, NamedGroup, suites
from twoway.dtls.messages.handshake import HandshakeType
from twoway.dtls.messages.key_exchange import ClientECDHEPSK, ServerECDHEParameters, ServerECDHEPSK
from twoway.dtls.suites import KeyExchange

ECDHE_PSK = tuple(suite for suite in suites.DEFAULT_SUITES if suite.key_exchange is KeyExchange.ECDHE_PSK)
SHARE, ANSWER = HandshakeType.SERVER_KEY_EXCHANGE, HandshakeType.CLIENT_KEY_EXCHANGE
ILLEGAL = AlertDescription.ILLEGAL_PARAMETER


def pair_of_psk(**options) -> Pair:
    groups = options.pop("groups", tuple(NamedGroup))
    name = options.pop("name", PSK_NAME)
    key = options.pop("key", PSK)
    client = psk_client_config(name=name, key=key, suites=ECDHE_PSK, groups=tuple(NamedGroup))
    return Pair(client, psk_server_config(suites=ECDHE_PSK, groups=groups), **options)


@pytest.mark.parametrize(("group", "point"), BAD_POINTS)
def test_a_client_with_a_bad_point_is_told_so(group, point):
    say = changed(ANSWER, lambda body: ClientECDHEPSK(PSK_NAME, point).encode())
    pair = run(pair_of_psk(groups=(group,), client_handshake=rogue_client(say)))
    assert_refused(pair, by="server", alert=ILLEGAL, why="not a valid point")


@pytest.mark.parametrize(("group", "point"), BAD_POINTS)
def test_a_server_with_a_bad_point_is_told_so(group, point):
    say = changed(SHARE, lambda body: ServerECDHEPSK(b"", ServerECDHEParameters(group, point)).encode())
    pair = run(pair_of_psk(groups=(group,), server_handshake=rogue_server(say)))
    assert_refused(pair, by="client", alert=ILLEGAL, why="not a valid point")


@pytest.mark.parametrize("group", [0, 21, 23, 24, 30, 0xFF01])
def test_a_group_that_was_not_offered_is_refused(group):
    def other_group(body):
        share = ServerECDHEPSK.parse_untrusted(body)
        return replace(share, parameters=replace(share.parameters, group=group)).encode()

    pair = pair_of_psk(server_handshake=rogue_server(changed(SHARE, other_group)))
    narrow = replace(pair.client.association._config, groups=(NamedGroup.X25519,))
    pair = Pair(narrow, pair._server_config, server_handshake=rogue_server(changed(SHARE, other_group)))
    assert_refused(run(pair), by="client", alert=ILLEGAL, why=f"group {group}")


def test_a_share_of_a_curve_without_a_name_is_refused():
    """RFC 8422 section 5.4: explicit curves are gone; 1 and 2 once were."""
    for curve_type in (0, 1, 2, 4):
        say = changed(SHARE, lambda body, kind=curve_type: body[:2] + bytes([kind]) + body[3:])
        pair = run(pair_of_psk(server_handshake=rogue_server(say)))
        assert_refused(pair, by="client", alert=ILLEGAL, why="no name")


def test_a_server_gives_no_hint():
    said = []
    say = changed(SHARE, lambda body: said.append(body) or body)
    pair_of_psk(server_handshake=rogue_server(say)).connect()
    assert [ServerECDHEPSK.parse_untrusted(body).hint for body in said] == [b""]


def test_a_hint_is_read_and_not_acted_upon():
    say = changed(SHARE, lambda body: replace(ServerECDHEPSK.parse_untrusted(body), hint=b"hint").encode())
    assert pair_of_psk(server_handshake=rogue_server(say)).connect().works()


def test_the_share_may_not_be_left_out():
    """In plain PSK a server may say nothing here; in this exchange its point is needed."""
    pair = run(pair_of_psk(server_handshake=rogue_server(missing(SHARE))))
    assert_refused(
        pair, by="client", alert=AlertDescription.UNEXPECTED_MESSAGE, why="while ServerKeyExchange was due"
    )


@pytest.mark.parametrize("cut", [1, 4, 20])
def test_a_malformed_share_or_answer_is_refused(cut):
    say = changed(SHARE, lambda body: body[:-cut])
    pair = run(pair_of_psk(server_handshake=rogue_server(say)))
    assert_refused(pair, by="client", alert=AlertDescription.DECODE_ERROR, why="ServerKeyExchange")
    say = changed(ANSWER, lambda body: body[:-cut])
    pair = run(pair_of_psk(client_handshake=rogue_client(say)))
    assert_refused(pair, by="server", alert=AlertDescription.DECODE_ERROR, why="ClientKeyExchange")


def test_a_wrong_key_and_an_unknown_name_look_alike_to_the_peer():
    """The very same datagrams, sizes and moments: names cannot be collected."""
    views = []
    for wrong in ({"key": bytes(range(100, 116))}, {"name": b"sensor-8"}):
        pair = run(pair_of_psk(**wrong))
        assert_refused(pair, by="server", alert=AlertDescription.DECRYPT_ERROR, why="pre-shared key")
        seen = [
            (sent.to_server, [(record.type, record.epoch, len(record.fragment)) for record in sent.records])
            for sent in pair.sent
        ]
        views.append((seen, pair.client.closed, pair.now))
    assert views[0] == views[1]


def test_the_points_alone_are_not_enough():
    """Whoever does the Diffie-Hellman exchange right and does not know the key stays outside."""
    pair = run(pair_of_psk(key=bytes(16)))
    assert not pair.client.connected
    assert not pair.server.connected
