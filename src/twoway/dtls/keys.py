"""The key schedule: PRF (RFC 5246 section 5), master secret (section 8.1, RFC 7627), key block (section 6.3).

All suites of this engine use the PRF with SHA-256. Secrets are passed and returned as bytes and are
never kept here.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from cryptography.hazmat.primitives import hashes, hmac

from twoway.dtls.suites import AES_128_KEY_BYTES, WRITE_IV_BYTES

MASTER_SECRET_BYTES: Final = 48
VERIFY_DATA_BYTES: Final = 12


class KeyBlock(NamedTuple):
    """RFC 5246 section 6.3, without MAC keys: AEAD has none."""

    client_key: bytes
    server_key: bytes
    client_iv: bytes
    server_iv: bytes

    def __repr__(self) -> str:
        return "KeyBlock(...)"


def prf(secret: bytes, label: bytes, seed: bytes, length: int) -> bytes:
    """PRF(secret, label, seed) = P_SHA256(secret, label + seed), the first ``length`` bytes."""
    keyed = hmac.HMAC(secret, hashes.SHA256())
    seed = label + seed
    output = b""
    a = seed  # A(0)
    while len(output) < length:
        a = _mac(keyed, a)  # A(i) = HMAC_hash(secret, A(i-1))
        output += _mac(keyed, a + seed)
    return output[:length]


def sha256(data: bytes) -> bytes:
    """The hash of the handshake messages."""
    digest = hashes.Hash(hashes.SHA256())
    digest.update(data)
    return digest.finalize()


def master_secret(premaster: bytes, client_random: bytes, server_random: bytes) -> bytes:
    """RFC 5246 section 8.1: bound to the randoms alone, so used only where that is allowed by name."""
    return prf(premaster, b"master secret", client_random + server_random, MASTER_SECRET_BYTES)


def extended_master_secret(premaster: bytes, session_hash: bytes) -> bytes:
    """RFC 7627 section 4: bound to all messages up to and including ClientKeyExchange."""
    return prf(premaster, b"extended master secret", session_hash, MASTER_SECRET_BYTES)


def key_block(master: bytes, client_random: bytes, server_random: bytes) -> KeyBlock:
    """RFC 5246 section 6.3: note that the server's random comes first here."""
    sizes = (AES_128_KEY_BYTES, AES_128_KEY_BYTES, WRITE_IV_BYTES, WRITE_IV_BYTES)
    block = prf(master, b"key expansion", server_random + client_random, sum(sizes))
    pieces = []
    for size in sizes:
        pieces.append(block[:size])
        block = block[size:]
    return KeyBlock(*pieces)


def verify_data(master: bytes, *, of_client: bool, handshake_hash: bytes) -> bytes:
    """RFC 5246 section 7.4.9: the body of a Finished message."""
    label = b"client finished" if of_client else b"server finished"
    return prf(master, label, handshake_hash, VERIFY_DATA_BYTES)


def psk_premaster(key: bytes) -> bytes:
    """RFC 4279 section 2: as many zero bytes as the key has, then the key, each with its length in front."""
    length = len(key).to_bytes(2, "big")
    return length + bytes(len(key)) + length + key


def _mac(keyed: hmac.HMAC, data: bytes) -> bytes:
    mac = keyed.copy()
    mac.update(data)
    return mac.finalize()
