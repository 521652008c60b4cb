"""Why the path builder refused a chain: it says so in prose only, so the reason is found here.

Nothing in this module decides. It is asked after the library has refused, and each of its answers is a
refusal; a wrong answer costs a fitting alert, never security.

The order is that of trust: who vouches for the chain comes first, because what a certificate says is worth
nothing until somebody we know has signed it; then whether it is in force, then what it is for, then whom it
names.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.x509.oid import SignatureAlgorithmOID

from twoway.pki.profile import require_authority_untrusted, require_leaf_untrusted
from twoway.pki.rejection import CertificateReason, CertificateRejected
from twoway.pki.roles import Purpose

_STRONG_SIGNATURES = frozenset(
    {
        SignatureAlgorithmOID.ECDSA_WITH_SHA256,
        SignatureAlgorithmOID.ECDSA_WITH_SHA384,
        SignatureAlgorithmOID.ECDSA_WITH_SHA512,
        SignatureAlgorithmOID.RSA_WITH_SHA256,
        SignatureAlgorithmOID.RSA_WITH_SHA384,
        SignatureAlgorithmOID.RSA_WITH_SHA512,
        SignatureAlgorithmOID.RSASSA_PSS,
    }
)
"""What the path builder admits below a trust anchor."""


def diagnose(
    presented: Sequence[x509.Certificate],
    anchors: Sequence[x509.Certificate],
    *,
    purpose: Purpose,
    at: datetime,
) -> CertificateRejected:
    """Find the reason for which a chain was refused.

    Args:
        presented: what the peer sent, leaf first.
        anchors: the authorities that are trusted.
        purpose: the side of the handshake that the peer is on.
        at: the time at which the chain was judged.

    Returns:
        The error to raise; its reason is BAD_CHAIN where no other one is found.
    """
    try:
        path = _path_to_anchor(presented, anchors)
        for certificate in path:
            _require_in_force(certificate, at)
        require_leaf_untrusted(path[0], purpose)
        for authority in path[1:]:
            require_authority_untrusted(authority, purpose)
    except CertificateRejected as rejection:
        return rejection
    return CertificateRejected(CertificateReason.BAD_CHAIN)


def _path_to_anchor(
    presented: Sequence[x509.Certificate], anchors: Sequence[x509.Certificate]
) -> list[x509.Certificate]:
    """Follow the signatures up from the leaf, whatever else may be wrong with the certificates on the way."""
    path = [presented[0]]
    unused = list(presented[1:])
    while path[-1] not in anchors:
        issuer = _issuer_of(path[-1], [*anchors, *unused])
        path.append(issuer)
        if issuer in unused:
            unused.remove(issuer)
    return path


def _issuer_of(certificate: x509.Certificate, candidates: Sequence[x509.Certificate]) -> x509.Certificate:
    namesakes = [each for each in candidates if each.subject == certificate.issuer]
    if namesakes and certificate.signature_algorithm_oid not in _STRONG_SIGNATURES:
        raise CertificateRejected(CertificateReason.WEAK_SIGNATURE)
    for candidate in namesakes:
        if _signed_by(certificate, candidate):
            return candidate
    if any(_claims_key_of(certificate, candidate) for candidate in namesakes):
        raise CertificateRejected(CertificateReason.BAD_SIGNATURE)
    raise CertificateRejected(CertificateReason.UNKNOWN_CA)


def _signed_by(certificate: x509.Certificate, issuer: x509.Certificate) -> bool:
    try:
        certificate.verify_directly_issued_by(issuer)
    except (InvalidSignature, UnsupportedAlgorithm, ValueError, TypeError):
        return False
    return True


def _claims_key_of(certificate: x509.Certificate, issuer: x509.Certificate) -> bool:
    """Whether the key identifiers of both agree: the signature should have verified, and did not."""
    try:
        claimed = certificate.extensions.get_extension_for_class(x509.AuthorityKeyIdentifier).value
        actual = issuer.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    except x509.ExtensionNotFound:
        return False
    return claimed.key_identifier == actual.digest


def _require_in_force(certificate: x509.Certificate, at: datetime) -> None:
    moment = at.replace(microsecond=0)  # validity is counted in whole seconds, both ends included
    if moment > certificate.not_valid_after_utc:
        raise CertificateRejected(
            CertificateReason.EXPIRED, f"since {certificate.not_valid_after_utc:%Y-%m-%d %H:%M} UTC"
        )
    if moment < certificate.not_valid_before_utc:
        raise CertificateRejected(
            CertificateReason.NOT_YET_VALID, f"until {certificate.not_valid_before_utc:%Y-%m-%d %H:%M} UTC"
        )
