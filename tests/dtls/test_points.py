"""Public keys of the exchange: whatever is not a point of the group, whole and uncompressed, is refused."""

from __future__ import annotations

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from dtls_cases import assert_refused, run
from dtls_pair import Pair, server_config
from dtls_points import BAD_POINTS
from dtls_rogue import changed, rogue_client, rogue_server
from small_pki import small_pki

from twoway.dtls import AlertDescription, HandshakeFailure, NamedGroup
from twoway.dtls.groups import EphemeralKey
from twoway.dtls.messages.handshake import HandshakeType
from twoway.dtls.messages.key_exchange import ClientECDHE, ServerECDHEParameters
from twoway.dtls.wire import vector


@pytest.mark.parametrize("group", list(NamedGroup))
def test_two_sides_agree(group):
    ours, theirs = EphemeralKey(group), EphemeralKey(group)
    assert ours.agree_untrusted(theirs.point) == theirs.agree_untrusted(ours.point)
    assert (
        len(ours.point) == {NamedGroup.X25519: 32, NamedGroup.SECP256R1: 65, NamedGroup.SECP384R1: 97}[group]
    )


def test_a_certificates_key_lies_in_the_group_of_its_curve_or_in_none_of_ours():
    curves = {
        ec.SECP256R1(): NamedGroup.SECP256R1,
        ec.SECP384R1(): NamedGroup.SECP384R1,
        ec.SECP521R1(): None,
    }
    for curve, group in curves.items():
        assert NamedGroup.of(ec.generate_private_key(curve).public_key()) is group
    assert NamedGroup.of(small_pki().publisher_rsa.private_key.public_key()) is None


@pytest.mark.parametrize("group", list(NamedGroup))
def test_every_handshake_has_keys_of_its_own(group):
    assert EphemeralKey(group).point != EphemeralKey(group).point


@pytest.mark.parametrize(("group", "point"), BAD_POINTS)
def test_a_bad_point_is_refused(group, point):
    with pytest.raises(HandshakeFailure) as caught:
        EphemeralKey(group).agree_untrusted(point)
    assert caught.value.alert is AlertDescription.ILLEGAL_PARAMETER


@pytest.mark.parametrize(("group", "point"), BAD_POINTS)
def test_a_client_with_a_bad_point_is_told_so(group, point):
    say = changed(HandshakeType.CLIENT_KEY_EXCHANGE, lambda body: ClientECDHE(point).encode())
    pair = run(Pair(server=server_config(groups=(group,)), client_handshake=rogue_client(say)))
    assert_refused(pair, by="server", alert=AlertDescription.ILLEGAL_PARAMETER, why="not a valid point")


@pytest.mark.parametrize(("group", "point"), BAD_POINTS)
def test_a_server_with_a_bad_point_is_told_so(group, point):
    """The server even signs it: a true certificate does not make a point better."""
    pair = run(Pair(server=server_config(groups=(group,)), server_handshake=_server_with(point)))
    assert_refused(pair, by="client", alert=AlertDescription.ILLEGAL_PARAMETER, why="not a valid point")


def _server_with(point: bytes):
    def _sign(self, credential, scheme, data, then):
        key = small_pki().publisher_p256.private_key
        parameters = ServerECDHEParameters(int.from_bytes(data[65:67], "big"), point).encode()
        then(key.sign(data[:64] + parameters, ec.ECDSA(hashes.SHA256())))

    def replace_point(body):
        after = 4 + body[3]
        return body[:3] + vector(1, point) + body[after:]

    return rogue_server(changed(HandshakeType.SERVER_KEY_EXCHANGE, replace_point), _sign=_sign)
