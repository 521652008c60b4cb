"""A certificate chain as a peer sent it: bytes in, parsed and bounded certificates out, nothing trusted yet.

The parser is lazy: fields, keys and extensions fail only when they are first read. Here everything is read
once, so that no later step meets a certificate that falls apart in its hands.
"""

from __future__ import annotations

from collections.abc import Sequence

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from twoway.pki.keys import RSA_BITS_MAX, is_supported
from twoway.pki.rejection import CertificateReason, CertificateRejected

CHAIN_CERTIFICATES_MAX = 5
"""A leaf, three authorities and a root that is sent although it need not be; the deepest chains of
established CAs are as long."""
CHAIN_BYTES_MAX = 16_384
"""Five certificates with RSA-4096 keys and generous extensions; a handshake buffers as much per peer."""


def parse_chain_untrusted(chain: Sequence[bytes]) -> list[x509.Certificate]:
    """Parse a peer's chain.

    Args:
        chain: DER certificates, leaf first, as in the Certificate message (RFC 5246 section 7.4.2).

    Returns:
        The certificates, every part of them read once. The leaf's key is P-256, P-384, Ed25519 or RSA of
        2048 to 4096 bits, and no two authorities have the same name, so that a search for a path never
        branches on what the peer sent.

    Raises:
        CertificateRejected: EMPTY, TOO_LONG, MALFORMED, UNSUPPORTED_KEY or BAD_CHAIN.
    """
    if not chain:
        raise CertificateRejected(CertificateReason.EMPTY)
    if len(chain) > CHAIN_CERTIFICATES_MAX:
        raise CertificateRejected(
            CertificateReason.TOO_LONG, f"{len(chain)} certificates, at most {CHAIN_CERTIFICATES_MAX}"
        )
    size = sum(len(der) for der in chain)
    if size > CHAIN_BYTES_MAX:
        raise CertificateRejected(CertificateReason.TOO_LONG, f"{size} bytes, at most {CHAIN_BYTES_MAX}")
    certificates = [_parse_untrusted(der) for der in chain]
    _require_keys_supported(certificates)
    _require_distinct_authorities(certificates[1:])
    return certificates


def _parse_untrusted(der: bytes) -> x509.Certificate:
    try:
        certificate = x509.load_der_x509_certificate(der)
        certificate.public_key()
        _read_lazy_fields(certificate)
    except UnsupportedAlgorithm:
        raise CertificateRejected(CertificateReason.UNSUPPORTED_KEY) from None
    except Exception:  # noqa: BLE001 - the parser is not ours: whatever it raises about a peer's bytes is the peer's fault
        # The cause is cut off, for its message may quote the certificate.
        raise CertificateRejected(CertificateReason.MALFORMED) from None
    return certificate


def _read_lazy_fields(certificate: x509.Certificate) -> tuple[object, ...]:
    return (
        certificate.version,
        certificate.subject,
        certificate.issuer,
        certificate.not_valid_before_utc,
        certificate.not_valid_after_utc,
        certificate.signature_algorithm_oid,
        certificate.extensions,
    )


def _require_keys_supported(certificates: Sequence[x509.Certificate]) -> None:
    leaf, *authorities = (certificate.public_key() for certificate in certificates)
    if not is_supported(leaf):
        raise CertificateRejected(CertificateReason.UNSUPPORTED_KEY)
    for key in authorities:
        too_large = isinstance(key, rsa.RSAPublicKey) and key.key_size > RSA_BITS_MAX
        if too_large or not isinstance(key, rsa.RSAPublicKey | ec.EllipticCurvePublicKey):
            raise CertificateRejected(CertificateReason.UNSUPPORTED_KEY, "it is the key of an authority")


def _require_distinct_authorities(authorities: Sequence[x509.Certificate]) -> None:
    """Each certificate certifies the one before it (RFC 5246 section 7.4.2): no name can occur twice.

    Without this, a few authorities of one name that all signed each other make the search for a path
    exponential in the length of the chain.
    """
    if len({authority.subject for authority in authorities}) < len(authorities):
        raise CertificateRejected(CertificateReason.BAD_CHAIN, "two of its authorities have the same name")
