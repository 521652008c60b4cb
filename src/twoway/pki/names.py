"""Names in certificates: which one is a party's identity, and which hosts it may be reached at.

The identity is exactly one `urn:` URI in the subject alternative name, written in its canonical form
(RFC 8141): scheme and namespace in lower case, printable, without query or fragment. A leaf without a URN
is known by its first DNS name (`dns:meter.example`) or, failing that, by its first address
(`ip:192.0.2.7`): that is what established CAs issue. Nothing is ever read from the subject's CN.

Names are compared byte by byte everywhere above, so a name with two spellings must not get in here.
"""

from __future__ import annotations

import re
from ipaddress import IPv4Address, IPv6Address, ip_address

from cryptography import x509

from twoway.errors import ConfigurationError
from twoway.pki.rejection import CertificateReason, CertificateRejected

URN_LENGTH_MAX = 255
"""Longer URNs serve nobody and would be paid for in every ticket and log line."""
URNS_ISSUED_LENGTH_MAX = 64
"""Our CA repeats the URN as the subject's CN, which RFC 5280 appendix A.1 bounds (ub-common-name)."""

_URN = re.compile(
    r"urn:[a-z0-9][a-z0-9-]{0,30}[a-z0-9]:"  # namespace identifier, RFC 8141 section 2
    r"(?:[A-Za-z0-9._~!$&'()*+,;=:@-]|%[0-9A-F]{2})"  # one pchar
    r"(?:[A-Za-z0-9._~!$&'()*+,;=:@/-]|%[0-9A-F]{2})*"
)
_DNS_LABEL = r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9])?"
_DNS_NAME = re.compile(rf"{_DNS_LABEL}(?:\.{_DNS_LABEL})*")
_DNS_LENGTH_MAX = 253


def is_urn(text: str) -> bool:
    """Whether `text` is a URN in the one spelling that is accepted as an identity."""
    return len(text) <= URN_LENGTH_MAX and _URN.fullmatch(text) is not None


def read_names_untrusted(names: x509.SubjectAlternativeName) -> tuple[str, tuple[str, ...]]:
    """Find the identity and the hosts in a subject alternative name.

    Returns:
        The identity as a URI, and the DNS names and addresses in text form, in the order of the certificate.

    Raises:
        CertificateRejected: NO_IDENTITY, where there is none, more than one, or one in a doubtful spelling.
    """
    urns = [uri for uri in names.get_values_for_type(x509.UniformResourceIdentifier) if _claims_urn(uri)]
    dns_names = [name.lower() for name in names.get_values_for_type(x509.DNSName)]
    addresses = [str(address) for address in names.get_values_for_type(x509.IPAddress)]
    if len(urns) > 1:
        raise CertificateRejected(CertificateReason.NO_IDENTITY, f"it carries {len(urns)} URNs")
    if not all(is_urn(urn) for urn in urns):
        raise CertificateRejected(CertificateReason.NO_IDENTITY, "its URN is not in canonical form")
    if not all(_is_dns_name(name) for name in dns_names):
        raise CertificateRejected(
            CertificateReason.NO_IDENTITY, "one of its DNS names is a wildcard or malformed"
        )
    candidates = [*urns, *(f"dns:{name}" for name in dns_names), *(f"ip:{address}" for address in addresses)]
    if not candidates:
        raise CertificateRejected(CertificateReason.NO_IDENTITY, "it carries no URN, DNS name or address")
    return candidates[0], (*dns_names, *addresses)


def names_to_issue(uri: str, hosts: tuple[str, ...]) -> x509.SubjectAlternativeName:
    """Build the subject alternative name of a leaf: the identity first, then each host.

    Raises:
        ConfigurationError: for an identity or host that no peer would accept.
    """
    if not is_urn(uri) or len(uri) > URNS_ISSUED_LENGTH_MAX:
        raise ConfigurationError(
            f"{uri!r} cannot be an identity",
            remedy=f"use a URN of at most {URNS_ISSUED_LENGTH_MAX} printable characters, with its "
            "scheme and namespace in lower case",
        )
    return x509.SubjectAlternativeName(
        [x509.UniformResourceIdentifier(uri), *(_host_name(host) for host in hosts)]
    )


def _host_name(host: str) -> x509.GeneralName:
    address = _address(host)
    if address is not None:
        return x509.IPAddress(address)
    if _is_dns_name(host.lower()):
        return x509.DNSName(host.lower())
    raise ConfigurationError(
        f"{host!r} is neither a host name nor an IP address",
        remedy="give a name such as meter.example, or an address without port, zone or brackets",
    )


def _address(text: str) -> IPv4Address | IPv6Address | None:
    try:
        address = ip_address(text)
    except ValueError:
        return None
    # A zone (fe80::1%eth0) means something on one machine only, and has no form in a certificate.
    return None if isinstance(address, IPv6Address) and address.scope_id is not None else address


def _claims_urn(uri: str) -> bool:
    return uri[:4].lower() == "urn:"


def _is_dns_name(name: str) -> bool:
    return len(name) <= _DNS_LENGTH_MAX and _DNS_NAME.fullmatch(name) is not None
