"""The premaster secret under the server's RSA key: RFC 5246 section 7.4.7.1.

    struct { ProtocolVersion client_version; opaque random[46]; } PreMasterSecret;

Whoever can tell a ciphertext with good padding from one with bad padding can have the server decrypt any
recorded premaster secret, a question at a time (Bleichenbacher 1998; ROBOT 2017). So nothing that the server
does may depend on what came out: a premaster that is wrong in any way is replaced by a random one that was
drawn beforehand, and the handshake fails later, with the keys, like any other handshake with wrong keys.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from cryptography.hazmat.primitives.asymmetric import padding, rsa

from twoway.dtls.record import DTLS_1_2

PREMASTER_BYTES: Final = 48
_VERSION: Final = DTLS_1_2.to_bytes(2, "big")


def make_premaster(entropy: Callable[[int], bytes]) -> bytes:
    """Make a client's premaster secret; its version is that of our ClientHello."""
    return _VERSION + entropy(PREMASTER_BYTES - len(_VERSION))


def encrypt_premaster(server_key: rsa.RSAPublicKey, premaster: bytes) -> bytes:
    """Return EncryptedPreMasterSecret: RSAES-PKCS1-v1_5."""
    return server_key.encrypt(premaster, padding.PKCS1v15())


def decrypt_untrusted(private_key: rsa.RSAPrivateKey, ciphertext: bytes) -> bytes | None:
    """Decrypt with a key at hand; None if the padding is wrong, where the library says so at all.

    Newer libraries return random bytes instead (implicit rejection), which fail by length or version or key.
    """
    try:
        return private_key.decrypt(ciphertext, padding.PKCS1v15())
    except ValueError:
        return None


def choose_premaster(decrypted: bytes | None, client_version: int, stand_in: bytes) -> bytes:
    """Take what was decrypted if it is a premaster secret of this handshake, else the stand-in.

    Args:
        decrypted: what came out, None if nothing did.
        client_version: what the ClientHello says; a premaster with another one is a sign of a version that
            was rolled back on the way.
        stand_in: 48 random bytes, drawn before the ciphertext was looked at.
    """
    candidate = decrypted or b""
    wrong = int(len(candidate) != PREMASTER_BYTES) | int(candidate[:2] != client_version.to_bytes(2, "big"))
    # Both are always there and the choice is by index: no branch depends on the plaintext.
    return (candidate, stand_in)[wrong]
