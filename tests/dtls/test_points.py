"""Public keys of the exchange: whatever is not a point of the group, whole and uncompressed, is refused."""

from __future__ import annotations

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from dtls_cases import assert_refused, run
from dtls_pair import Pair, server_config
from dtls_rogue import changed, rogue_client, rogue_server
from small_pki import small_pki

from twoway.dtls import AlertDescription, HandshakeFailure, NamedGroup
from twoway.dtls.groups import EphemeralKey
from twoway.dtls.messages.handshake import HandshakeType
from twoway.dtls.messages.key_exchange import ClientECDHE, ServerECDHEParameters
from twoway.dtls.wire import vector

PUBLIC = ec.derive_private_key(7, ec.SECP256R1()).public_key()
GOOD = PUBLIC.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
PUBLIC_384 = ec.derive_private_key(7, ec.SECP384R1()).public_key()
GOOD_384 = PUBLIC_384.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
X25519_ORDER_8 = bytes.fromhex("e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800")

BAD_POINTS = [
    pytest.param(NamedGroup.X25519, bytes(32), id="x25519: zero"),
    pytest.param(NamedGroup.X25519, b"\x01" + bytes(31), id="x25519: one"),
    pytest.param(NamedGroup.X25519, X25519_ORDER_8, id="x25519: order 8"),
    pytest.param(NamedGroup.X25519, bytes([9]) * 31, id="x25519: too short"),
    pytest.param(NamedGroup.X25519, bytes([9]) * 33, id="x25519: too long"),
    pytest.param(NamedGroup.X25519, GOOD, id="x25519: a point of P-256"),
    pytest.param(NamedGroup.SECP256R1, GOOD[:-1] + bytes([GOOD[-1] ^ 1]), id="p-256: off the curve"),
    pytest.param(NamedGroup.SECP256R1, b"\x04" + bytes(64), id="p-256: zero"),
    pytest.param(NamedGroup.SECP256R1, b"\x04" + b"\xff" * 64, id="p-256: beyond the field"),
    pytest.param(NamedGroup.SECP256R1, b"\x00", id="p-256: infinity"),
    pytest.param(
        NamedGroup.SECP256R1,
        PUBLIC.public_bytes(Encoding.X962, PublicFormat.CompressedPoint),
        id="p-256: compressed",
    ),
    pytest.param(NamedGroup.SECP256R1, bytes([6 + (GOOD[-1] & 1)]) + GOOD[1:], id="p-256: hybrid"),
    pytest.param(NamedGroup.SECP256R1, GOOD[:-1], id="p-256: too short"),
    pytest.param(NamedGroup.SECP256R1, GOOD + b"\x00", id="p-256: too long"),
    pytest.param(NamedGroup.SECP256R1, b"\x04", id="p-256: nothing"),
    pytest.param(NamedGroup.SECP256R1, bytes([9]) * 32, id="p-256: a key of x25519"),
    pytest.param(NamedGroup.SECP256R1, GOOD_384, id="p-256: a point of P-384"),
    pytest.param(NamedGroup.SECP384R1, GOOD, id="p-384: a point of P-256"),
    pytest.param(NamedGroup.SECP384R1, GOOD_384[:-1] + bytes([GOOD_384[-1] ^ 1]), id="p-384: off the curve"),
    pytest.param(NamedGroup.SECP384R1, b"\x04" + bytes(96), id="p-384: zero"),
    pytest.param(NamedGroup.SECP384R1, b"\x00", id="p-384: infinity"),
    pytest.param(
        NamedGroup.SECP384R1,
        PUBLIC_384.public_bytes(Encoding.X962, PublicFormat.CompressedPoint),
        id="p-384: compressed",
    ),
    pytest.param(NamedGroup.SECP384R1, GOOD_384[:-1], id="p-384: too short"),
]


@pytest.mark.parametrize("group", list(NamedGroup))
def test_two_sides_agree(group):
    ours, theirs = EphemeralKey(group), EphemeralKey(group)
    assert ours.agree_untrusted(theirs.point) == theirs.agree_untrusted(ours.point)
    assert (
        len(ours.point) == {NamedGroup.X25519: 32, NamedGroup.SECP256R1: 65, NamedGroup.SECP384R1: 97}[group]
    )


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
