"""The key schedule: PRF (RFC 5246 section 5), master secret (section 8.1, RFC 7627), key block (section 6.3).

A suite says which hash its PRF uses. Secrets are passed and returned as bytes and are never kept here.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final, NamedTuple

from cryptography.hazmat.primitives import hashes, hmac

if TYPE_CHECKING:  # A suite makes its protection of the keys below, so at run time it imports this module.
    from twoway.dtls.protection import Protection
    from twoway.dtls.suites import CipherSuite

MASTER_SECRET_BYTES: Final = 48
VERIFY_DATA_BYTES: Final = 12

PRFHash = type[hashes.SHA256] | type[hashes.SHA384]


class DirectionKeys(NamedTuple):
    """What the key block holds for one direction; ``mac_key`` is empty with AEAD, ``iv`` with CBC."""

    mac_key: bytes
    key: bytes
    iv: bytes

    def __repr__(self) -> str:
        return "DirectionKeys(...)"


class KeyBlock(NamedTuple):
    """RFC 5246 section 6.3, sorted by who writes with the keys."""

    client: DirectionKeys
    server: DirectionKeys


class EpochKeys(NamedTuple):
    """All that the records of an epoch are protected with, in both directions."""

    suite: CipherSuite
    encrypt_then_mac: bool
    """Whether RFC 7366 was negotiated."""
    read: DirectionKeys
    """The peer writes with them."""
    write: DirectionKeys
    """We write with them."""

    def protection(self, direction: DirectionKeys, entropy: Callable[[int], bytes]) -> Protection:
        """Make the protection of one of the two directions."""
        return self.suite.protection(direction, encrypt_then_mac=self.encrypt_then_mac, entropy=entropy)


def prf(prf_hash: PRFHash, secret: bytes, label: bytes, seed: bytes, length: int) -> bytes:
    """PRF(secret, label, seed) = P_hash(secret, label + seed), the first ``length`` bytes."""
    keyed = hmac.HMAC(secret, prf_hash())
    seed = label + seed
    output = b""
    a = seed  # A(0)
    while len(output) < length:
        a = _mac(keyed, a)  # A(i) = HMAC_hash(secret, A(i-1))
        output += _mac(keyed, a + seed)
    return output[:length]


def handshake_hash(prf_hash: PRFHash, messages: bytes) -> bytes:
    """The hash of the handshake messages (RFC 5246 section 7.4.9): by the PRF's hash."""
    digest = hashes.Hash(prf_hash())
    digest.update(messages)
    return digest.finalize()


def master_secret(prf_hash: PRFHash, premaster: bytes, client_random: bytes, server_random: bytes) -> bytes:
    """RFC 5246 section 8.1: bound to the randoms alone, so used only where that is allowed by name."""
    return prf(prf_hash, premaster, b"master secret", client_random + server_random, MASTER_SECRET_BYTES)


def extended_master_secret(prf_hash: PRFHash, premaster: bytes, session_hash: bytes) -> bytes:
    """RFC 7627 section 4: bound to all messages up to and including ClientKeyExchange."""
    return prf(prf_hash, premaster, b"extended master secret", session_hash, MASTER_SECRET_BYTES)


def key_block(suite: CipherSuite, master: bytes, client_random: bytes, server_random: bytes) -> KeyBlock:
    """RFC 5246 section 6.3: note that the server's random comes first here."""
    sizes = (suite.mac_key_bytes,) * 2 + (suite.key_bytes,) * 2 + (suite.fixed_iv_bytes,) * 2
    block = prf(suite.prf_hash, master, b"key expansion", server_random + client_random, sum(sizes))
    pieces = []
    for size in sizes:
        pieces.append(block[:size])
        block = block[size:]
    return KeyBlock(client=DirectionKeys(*pieces[0::2]), server=DirectionKeys(*pieces[1::2]))


def verify_data(prf_hash: PRFHash, master: bytes, *, of_client: bool, handshake_hash: bytes) -> bytes:
    """RFC 5246 section 7.4.9: the body of a Finished message."""
    label = b"client finished" if of_client else b"server finished"
    return prf(prf_hash, master, label, handshake_hash, VERIFY_DATA_BYTES)


def psk_premaster(key: bytes, other_secret: bytes | None = None) -> bytes:
    """The premaster secret of a pre-shared key: two secrets, each with its length in 2 bytes in front.

    Args:
        key: the pre-shared key, which is the second.
        other_secret: the first: the ECDH secret (RFC 5489 section 2), or without one as many zero bytes as
            the key has (RFC 4279 section 2).
    """
    first = bytes(len(key)) if other_secret is None else other_secret
    return len(first).to_bytes(2, "big") + first + len(key).to_bytes(2, "big") + key


def _mac(keyed: hmac.HMAC, data: bytes) -> bytes:
    mac = keyed.copy()
    mac.update(data)
    return mac.finalize()
