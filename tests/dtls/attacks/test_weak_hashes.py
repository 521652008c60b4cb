"""SLOTH: a peer that really signs with a hash that was never offered, and says so.

The signature is good and the key is the right one; the hash is refused for what it is (RFC 9155).
"""

from __future__ import annotations

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding
from dtls_cases import assert_refused, configs, run
from dtls_pair import Pair
from dtls_rogue import changed, rogue_client, rogue_server
from small_pki import small_pki

from twoway.dtls import AlertDescription
from twoway.dtls.messages.certificates import CertificateVerify
from twoway.dtls.messages.handshake import HandshakeType
from twoway.dtls.messages.key_exchange import ServerECDHE

WEAK = [
    pytest.param("rsa", 0x0101, hashes.MD5(), id="rsa_pkcs1_md5"),
    pytest.param("rsa", 0x0201, hashes.SHA1(), id="rsa_pkcs1_sha1"),
    pytest.param("p-256", 0x0203, hashes.SHA1(), id="ecdsa_sha1"),
    pytest.param("p-256", 0x0303, hashes.SHA224(), id="ecdsa_sha224"),
]


def signing_weakly(kind: str, hash_algorithm: hashes.HashAlgorithm):
    pki = small_pki()

    def _sign(self, credential, scheme, data, then):
        if kind == "rsa":
            then(pki.publisher_rsa.private_key.sign(data, padding.PKCS1v15(), hash_algorithm))
        else:
            key = pki.subscriber if self.is_client else pki.publisher_p256
            then(key.private_key.sign(data, ec.ECDSA(hash_algorithm)))

    return {"_sign": _sign}


@pytest.mark.parametrize(("kind", "scheme", "hash_algorithm"), WEAK)
def test_a_client_that_signs_with_a_weak_hash_is_refused(kind, scheme, hash_algorithm):
    say = changed(
        HandshakeType.CERTIFICATE_VERIFY,
        lambda body: CertificateVerify(scheme, CertificateVerify.parse_untrusted(body).signature).encode(),
    )
    rogue = rogue_client(say, **signing_weakly(kind, hash_algorithm))
    pair = run(Pair(*configs(kind), client_handshake=rogue))
    assert_refused(pair, by="server", alert=AlertDescription.ILLEGAL_PARAMETER, why="not offered")


@pytest.mark.parametrize(("kind", "scheme", "hash_algorithm"), WEAK)
def test_a_server_that_signs_with_a_weak_hash_is_refused(kind, scheme, hash_algorithm):
    def weakly(body: bytes) -> bytes:
        share = ServerECDHE.parse_untrusted(body)
        return ServerECDHE(share.parameters, scheme, share.signature).encode()

    say = changed(HandshakeType.SERVER_KEY_EXCHANGE, weakly)
    rogue = rogue_server(say, **signing_weakly(kind, hash_algorithm))
    pair = run(Pair(*configs(kind), server_handshake=rogue))
    assert_refused(pair, by="client", alert=AlertDescription.ILLEGAL_PARAMETER, why="not offered")


@pytest.mark.parametrize(("kind", "scheme", "hash_algorithm"), WEAK)
def test_a_weak_hash_under_the_name_of_a_strong_one_is_refused(kind, scheme, hash_algorithm):
    rogue = rogue_client(**signing_weakly(kind, hash_algorithm))
    pair = run(Pair(*configs(kind), client_handshake=rogue))
    assert_refused(pair, by="server", alert=AlertDescription.DECRYPT_ERROR, why="not by the key")
