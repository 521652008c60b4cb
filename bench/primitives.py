"""What a handshake costs if all but its primitives were free: the ceiling for any engine on this library.

The operations of both ends, one after the other, by `cryptography` alone: key agreement, signatures, the
PRF's HMACs, the transcript's hashes, the two protected records. Chains are taken as verified.
"""

from __future__ import annotations

import os
from collections.abc import Callable

from cryptography.hazmat.primitives import hashes, hmac
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa, x25519
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from twoway.pki import StoredIdentity

PRF_MACS = 12
"""A side's HMACs: 4 each for the master secret and the key block, 2 for each of the two Finished."""
TRANSCRIPT_HASHES = 3
"""A side's hashes of all messages so far: for the master secret and for each of the two Finished."""
TRANSCRIPT = bytes(2000)
FINISHED = bytes(24)


def symmetric() -> None:
    """Key schedule and Finished of both sides."""
    for _ in range(2):
        keyed = hmac.HMAC(bytes(48), hashes.SHA256())
        for _ in range(PRF_MACS):
            mac = keyed.copy()
            mac.update(bytes(64))
            mac.finalize()
        for _ in range(TRANSCRIPT_HASHES):
            digest = hashes.Hash(hashes.SHA256())
            digest.update(TRANSCRIPT)
            digest.finalize()
        nonce, aead = os.urandom(12), AESGCM(bytes(16))
        aead.decrypt(nonce, aead.encrypt(nonce, FINISHED, bytes(13)), bytes(13))


def mutual(identities: tuple[StoredIdentity, StoredIdentity]) -> Callable[[], object]:
    """Return the work of a handshake in which both sign and X25519 agrees upon the keys."""
    pss = padding.PSS(padding.MGF1(hashes.SHA256()), hashes.SHA256.digest_size)

    def work() -> None:
        ephemeral = [x25519.X25519PrivateKey.generate() for _ in range(2)]
        points = [key.public_key().public_bytes_raw() for key in ephemeral]
        for key, point in zip(ephemeral, reversed(points), strict=True):
            key.exchange(x25519.X25519PublicKey.from_public_bytes(point))
        for identity, data in zip(identities, (TRANSCRIPT, points[0] * 3), strict=True):
            key = identity.private_key
            if isinstance(key, ec.EllipticCurvePrivateKey):
                signature = key.sign(data, ec.ECDSA(hashes.SHA256()))
                key.public_key().verify(signature, data, ec.ECDSA(hashes.SHA256()))
            elif isinstance(key, rsa.RSAPrivateKey):
                signature = key.sign(data, pss, hashes.SHA256())
                key.public_key().verify(signature, data, pss, hashes.SHA256())
        symmetric()

    return work


def round_trip() -> Callable[[], object]:
    """Return the work of two records of 64 bytes, protected and opened."""
    aead, nonce, additional, payload = AESGCM(bytes(16)), bytes(12), bytes(13), bytes(64)

    def work() -> None:
        for _ in range(2):
            aead.decrypt(nonce, aead.encrypt(nonce, payload, additional), additional)

    return work
