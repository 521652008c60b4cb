"""The keys with which an AC signs tickets, as it publishes them: a COSE_KeySet (RFC 9052 section 7).

    [ {1: 2, 2: kid, 3: -7, 4: [2], -1: 1, -2: x, -3: y}, ... ]         content format 102

Owns the set as bytes and back. A publisher believes a set because of who gave it, over an association on
which that AC proved itself; nothing in here proves anything.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_der_public_key

from twoway import strict_cbor
from twoway.errors import CallerError, ConfigurationError, PeerError
from twoway.tickets.cose_key import UnusableKey, cose_key_from_spki, spki_from_cose_key_untrusted, thumbprint
from twoway.tickets.iana import Algorithm, KeyOperation, KeyParameter

KEY_ID_BYTES = 8
"""Of the signing key's thumbprint: enough to tell an AC's keys apart; it proves nothing."""
MAX_KEYS = 8
"""The key in use, the one before, the one to come, and room."""
MAX_KEY_SET_BYTES = 2048
"""Of a set with as many keys, twice over."""


class MalformedKeySet(PeerError):
    """An answer that holds no key that tickets can be verified with."""


@dataclass(frozen=True)
class SigningKey:
    """The public half of a key that signs tickets.

    Raises:
        ConfigurationError: it is not on P-256; tickets are signed with ES256.
    """

    public_key: ec.EllipticCurvePublicKey
    """On P-256."""

    def __post_init__(self) -> None:
        require_p256(self.public_key, "a signing key")

    @property
    def spki(self) -> bytes:
        """DER SubjectPublicKeyInfo."""
        return self.public_key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)

    @property
    def key_id(self) -> bytes:
        """The ``kid`` under which tickets name it, 8 bytes: the same wherever it is computed."""
        return thumbprint(self.spki)[:KEY_ID_BYTES]


def encode_key_set(keys: Sequence[SigningKey]) -> bytes:
    """Return the set in CBOR, content format 102.

    Raises:
        CallerError: there is no key, or too many.
    """
    if not 0 < len(keys) <= MAX_KEYS:
        raise CallerError(f"a key set holds 1 to {MAX_KEYS} keys, not {len(keys)}")
    return strict_cbor.encode([_described(key) for key in keys])


def parse_key_set_untrusted(payload: bytes) -> tuple[SigningKey, ...]:
    """Read a set; keys of other kinds are passed over, as RFC 9052 section 7 wants.

    A ``kid`` that stands in the set is passed over too: ours is computed from the key.

    Raises:
        MalformedKeySet: not a set, too large, or without any P-256 key that may verify signatures.
    """
    if len(payload) > MAX_KEY_SET_BYTES:
        raise MalformedKeySet(f"the key set has more than {MAX_KEY_SET_BYTES} bytes")
    try:
        items = strict_cbor.decode_untrusted(payload)
    except strict_cbor.MalformedCBOR as fault:
        raise MalformedKeySet(fault.what) from None
    if not isinstance(items, list) or len(items) > MAX_KEYS:
        raise MalformedKeySet(f"the key set is not a list of up to {MAX_KEYS} keys")
    keys = tuple(key for key in map(_usable, items) if key is not None)
    if not keys:
        raise MalformedKeySet("the key set holds no P-256 key")
    return keys


def require_p256(key: object, owner: str) -> None:
    """Check that ``key``, private or public, can sign or verify tickets.

    Raises:
        ConfigurationError: it is not on P-256.
    """
    if not isinstance(key, ec.EllipticCurvePrivateKey | ec.EllipticCurvePublicKey) or not isinstance(
        key.curve, ec.SECP256R1
    ):
        raise ConfigurationError(
            "its key cannot sign tickets",
            where=owner,
            remedy="give the AC a certificate with a P-256 key",
        )


def _described(key: SigningKey) -> dict[int, object]:
    use = {
        KeyParameter.KID: key.key_id,
        KeyParameter.ALG: int(Algorithm.ES256),
        KeyParameter.KEY_OPS: [int(KeyOperation.VERIFY)],
    }
    return cose_key_from_spki(key.spki) | use


def _usable(item: object) -> SigningKey | None:
    try:
        public_key = load_der_public_key(spki_from_cose_key_untrusted(item))
    except UnusableKey:
        return None
    return SigningKey(public_key) if isinstance(public_key, ec.EllipticCurvePublicKey) else None
