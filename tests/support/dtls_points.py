"""Points that no side of a Diffie-Hellman exchange may take, each with the group that it is meant for."""

from __future__ import annotations

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from twoway.dtls import NamedGroup

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
