"""What a peer's certificates must look like: the rules that are handed to the path builder.

They are those of RFC 7925 and RFC 5280 for devices, which seldom have a DNS name: so both sides of a
handshake are judged by the library's client verifier, with the extended key usage of the purpose.
Each rule is a function that raises CertificateRejected; `diagnosis` asks the same functions for the reason.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from cryptography import x509
from cryptography.x509.verification import Criticality, ExtensionPolicy, Policy

from twoway.pki.names import read_names_untrusted
from twoway.pki.rejection import CertificateReason, CertificateRejected
from twoway.pki.roles import Purpose

_Extension = TypeVar("_Extension", bound=x509.ExtensionType)


def leaf_policy(purpose: Purpose) -> ExtensionPolicy:
    """Return the rules for a leaf that is used for `purpose`."""
    return (
        ExtensionPolicy.webpki_defaults_ee()
        # An aid in building paths, which smaller CAs leave out; the signature decides, not the hint.
        .may_be_present(x509.AuthorityKeyIdentifier, Criticality.AGNOSTIC, None)
        .require_present(x509.SubjectAlternativeName, Criticality.AGNOSTIC, _check_names)
        .require_present(x509.ExtendedKeyUsage, Criticality.AGNOSTIC, _check_usage(purpose))
        .may_be_present(x509.KeyUsage, Criticality.AGNOSTIC, _check_key_usage)
        .may_be_present(x509.BasicConstraints, Criticality.AGNOSTIC, _check_not_authority)
    )


def authority_policy(purpose: Purpose) -> ExtensionPolicy:
    """Return the rules for an authority above a leaf that is used for `purpose`.

    Those of the Web PKI: keyCertSign, critical basicConstraints, key identifiers. An authority that is
    limited to some usages may vouch for those alone.
    """
    return ExtensionPolicy.webpki_defaults_ca().may_be_present(
        x509.ExtendedKeyUsage, Criticality.AGNOSTIC, _check_optional_usage(purpose)
    )


def require_leaf_untrusted(leaf: x509.Certificate, purpose: Purpose) -> None:
    """Apply every rule for leaves to `leaf`, outside of the path builder, to learn which one it breaks.

    Raises:
        CertificateRejected: WRONG_USAGE or NO_IDENTITY.
    """
    usage = _value(leaf, x509.ExtendedKeyUsage)
    if usage is None:
        raise CertificateRejected(CertificateReason.WRONG_USAGE, "it carries no extended key usage")
    _require_usage(usage, purpose)
    _require_digital_signature(_value(leaf, x509.KeyUsage))
    _require_not_authority(_value(leaf, x509.BasicConstraints))
    names = _value(leaf, x509.SubjectAlternativeName)
    if names is None:
        raise CertificateRejected(CertificateReason.NO_IDENTITY, "it carries no subject alternative name")
    read_names_untrusted(names)


def require_authority_untrusted(authority: x509.Certificate, purpose: Purpose) -> None:
    """Apply our own rule for authorities, likewise.

    Raises:
        CertificateRejected: WRONG_USAGE.
    """
    usage = _value(authority, x509.ExtendedKeyUsage)
    if usage is not None:
        _require_usage(usage, purpose)


def _require_usage(usage: x509.ExtendedKeyUsage, purpose: Purpose) -> None:
    if purpose.extended_key_usage not in usage:
        raise CertificateRejected(CertificateReason.WRONG_USAGE, f"it may not be used by a {purpose.value}")


def _require_digital_signature(usage: x509.KeyUsage | None) -> None:
    if usage is not None and not usage.digital_signature:
        raise CertificateRejected(CertificateReason.WRONG_USAGE, "its key may not sign")


def _require_not_authority(constraints: x509.BasicConstraints | None) -> None:
    if constraints is not None and constraints.ca:
        raise CertificateRejected(CertificateReason.WRONG_USAGE, "it is the certificate of an authority")


def _check_names(policy: Policy, leaf: x509.Certificate, names: x509.SubjectAlternativeName) -> None:
    read_names_untrusted(names)


def _check_usage(purpose: Purpose) -> Callable[[Policy, x509.Certificate, x509.ExtendedKeyUsage], None]:
    return lambda policy, certificate, usage: _require_usage(usage, purpose)


def _check_optional_usage(
    purpose: Purpose,
) -> Callable[[Policy, x509.Certificate, x509.ExtendedKeyUsage | None], None]:
    return lambda policy, certificate, usage: None if usage is None else _require_usage(usage, purpose)


def _check_key_usage(policy: Policy, leaf: x509.Certificate, usage: x509.KeyUsage | None) -> None:
    _require_digital_signature(usage)


def _check_not_authority(
    policy: Policy, leaf: x509.Certificate, constraints: x509.BasicConstraints | None
) -> None:
    _require_not_authority(constraints)


def _value(certificate: x509.Certificate, kind: type[_Extension]) -> _Extension | None:
    try:
        return certificate.extensions.get_extension_for_class(kind).value
    except x509.ExtensionNotFound:
        return None
