"""Credentials of our own: read once, checked before the first handshake."""

from __future__ import annotations

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from dtls_pair import Pair, client_config
from small_pki import p256_key, small_pki

from twoway.dtls import CertificateCredential
from twoway.errors import ConfigurationError


def pem_of(credential):
    from cryptography import x509

    chain = b"".join(
        x509.load_der_x509_certificate(der).public_bytes(Encoding.PEM) for der in credential.chain
    )
    return chain, key_pem(credential.private_key)


def key_pem(key):
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


@pytest.mark.parametrize("name", ["subscriber", "publisher_rsa"])
def test_a_chain_and_its_key_in_pem_make_a_credential(name):
    credential = getattr(small_pki(), name)
    read = CertificateCredential.from_pem(*pem_of(credential))
    assert read.chain == credential.chain
    assert Pair(client=client_config(certificate=read)).connect().works()


def test_what_is_not_pem_or_does_not_belong_together_is_said_so():
    chain, key = pem_of(small_pki().subscriber)
    with pytest.raises(ConfigurationError, match="not a certificate chain"):
        CertificateCredential.from_pem(b"nothing", key)
    with pytest.raises(ConfigurationError, match="^private key: .* not a private key"):
        CertificateCredential.from_pem(chain, b"nothing")
    with pytest.raises(ConfigurationError, match="not the key of the certificate"):
        CertificateCredential.from_pem(chain, key_pem(p256_key("another")))
