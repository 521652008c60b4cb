"""Certificate, CertificateRequest, CertificateVerify: RFC 5246 sections 7.4.2, 7.4.4, 7.4.8, RFC 7250."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum

from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.asymmetric.types import PublicKeyTypes

from twoway.dtls.wire import Reader, integers, vector


class CertificateType(IntEnum):
    """What a Certificate message holds: RFC 7250 section 3, in IANA's registry of certificate types."""

    X509 = 0
    RAW_PUBLIC_KEY = 2


class ClientCertificateType(IntEnum):
    """RFC 5246 section 7.4.4 and RFC 8422 section 5.5; the latter stands for EdDSA, too."""

    RSA_SIGN = 1
    ECDSA_SIGN = 64

    @classmethod
    def of(cls, public_key: PublicKeyTypes) -> ClientCertificateType:
        """The type of a certificate with this key."""
        return cls.RSA_SIGN if isinstance(public_key, rsa.RSAPublicKey) else cls.ECDSA_SIGN


@dataclass(frozen=True)
class Certificate:
    """struct Certificate: certificate_list<0..2^24-1> of ASN.1Cert<1..2^24-1>, leaf first."""

    chain: tuple[bytes, ...] = field(repr=False)

    @classmethod
    def parse_untrusted(cls, body: bytes) -> Certificate:
        """Take a body apart. An empty list is well formed: the peer has no certificate."""
        reader = Reader(body, "Certificate")
        certificates = Reader(reader.vector_untrusted(3), "Certificate")
        reader.end_untrusted()
        chain = []
        while certificates.remaining:
            chain.append(certificates.vector_untrusted(3, at_least=1))
        return cls(tuple(chain))

    def encode(self) -> bytes:
        """Write the body."""
        return vector(3, b"".join(vector(3, certificate) for certificate in self.chain))


@dataclass(frozen=True)
class RawPublicKey:
    """struct Certificate of type RawPublicKey: ASN.1_subjectPublicKeyInfo<1..2^24-1> (RFC 7250 section 3).

    A client that has no key sends an empty vector, as it does with certificates.
    """

    spki: bytes = field(repr=False)

    @classmethod
    def parse_untrusted(cls, body: bytes) -> RawPublicKey:
        """Take a body apart."""
        reader = Reader(body, "Certificate")
        message = cls(reader.vector_untrusted(3))
        reader.end_untrusted()
        return message

    def encode(self) -> bytes:
        """Write the body."""
        return vector(3, self.spki)


@dataclass(frozen=True)
class CertificateRequest:
    """struct CertificateRequest: certificate types, supported signature algorithms, authorities."""

    types: tuple[int, ...]
    schemes: tuple[int, ...]
    authorities: bytes = b""
    """The names of CAs that the server takes, still encoded. We send none and do not choose by them:
    an endpoint of ours has one certificate."""

    @classmethod
    def parse_untrusted(cls, body: bytes) -> CertificateRequest:
        """Take a body apart."""
        reader = Reader(body, "CertificateRequest")
        request = cls(
            types=reader.integers_untrusted(1, 1, at_least=1),
            schemes=reader.integers_untrusted(2, 2, at_least=2),
            authorities=reader.vector_untrusted(2),
        )
        reader.end_untrusted()
        return request

    def encode(self) -> bytes:
        """Write the body."""
        return integers(1, 1, self.types) + integers(2, 2, self.schemes) + vector(2, self.authorities)


@dataclass(frozen=True)
class CertificateVerify:
    """struct CertificateVerify: the algorithm and the signature over all handshake messages so far."""

    scheme: int
    signature: bytes = field(repr=False)

    @classmethod
    def parse_untrusted(cls, body: bytes) -> CertificateVerify:
        """Take a body apart."""
        reader = Reader(body, "CertificateVerify")
        verify = cls(reader.integer_untrusted(2), reader.vector_untrusted(2))
        reader.end_untrusted()
        return verify

    def encode(self) -> bytes:
        """Write the body."""
        return self.scheme.to_bytes(2, "big") + vector(2, self.signature)
