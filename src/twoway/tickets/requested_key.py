"""To which key a ticket shall be bound: ``req_cnf`` of a token request (RFC 9201 section 3.1).

Owns the forms in which a requester names its key: by value or thumbprint (RFC 9202 section 3.2.1), by its
certificate (draft-ietf-ace-authcred-dtls-profile-04 section 3), or by the name of the key of a ticket that it
has, to change the rights of a running association (RFC 9202 section 4). None of them is believed: the key has
to be the one that the requester proved in its handshake with the AC, or one that the AC made for it.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass

from twoway.tickets.confirmation import MAX_KID_BYTES, Confirmation, WrongKey, certificate_hash_untrusted
from twoway.tickets.cose_key import KeyFault, UnusableKey
from twoway.tickets.iana import Algorithm, ConfirmationMethod
from twoway.tickets.provisional import DEFAULT_NUMBERS, ProvisionalNumbers


@dataclass(frozen=True)
class CertificateReference:
    """The certified key of a certificate, which came by value or by its hash."""

    certificate_sha256: bytes
    """SHA-256 of the DER certificate, 32 bytes."""

    @classmethod
    def of(cls, certificate: bytes) -> CertificateReference:
        """Refer to a DER certificate."""
        return cls(hashlib.sha256(certificate).digest())

    def claim(self, numbers: ProvisionalNumbers = DEFAULT_NUMBERS) -> dict[int, object]:
        """The ``req_cnf`` map to encode: ``x5t``."""
        return {numbers.x5t: [int(Algorithm.SHA_256), self.certificate_sha256]}

    def require_key(self, spki: bytes, certificate: bytes | None = None) -> None:
        """Check that the certificate is the one with which the peer proved its key.

        Raises:
            WrongKey: it is another, or the peer showed none.
        """
        proved = b"" if certificate is None else hashlib.sha256(certificate).digest()
        if not hmac.compare_digest(proved, self.certificate_sha256):
            raise WrongKey


@dataclass(frozen=True)
class KeyReference:
    """The key of a ticket that was issued before; the AC has to know that it made it for this requester."""

    kid: bytes
    """Its name."""

    def claim(self, numbers: ProvisionalNumbers = DEFAULT_NUMBERS) -> dict[int, object]:
        """The ``req_cnf`` map to encode."""
        return {ConfirmationMethod.KID: self.kid}


RequestedKey = Confirmation | CertificateReference | KeyReference
"""What ``req_cnf`` may hold."""


def parse_requested_key_untrusted(
    value: object, numbers: ProvisionalNumbers = DEFAULT_NUMBERS
) -> RequestedKey:
    """Read a decoded ``req_cnf`` map.

    Raises:
        UnusableKey: it names no key or several, a symmetric one, or one that no ticket can be bound to.
    """
    if not isinstance(value, Mapping):
        raise UnusableKey(KeyFault.MALFORMED)
    known = [method for method in ConfirmationMethod if method in value]
    if known == [ConfirmationMethod.KID]:
        return _key_reference(value[ConfirmationMethod.KID])
    if known or not {numbers.x5t, numbers.x5chain} & value.keys():
        return Confirmation.parse_untrusted(value, numbers)
    if numbers.x5t in value and numbers.x5chain in value:
        raise UnusableKey(KeyFault.MALFORMED)
    if numbers.x5t in value:
        return CertificateReference(certificate_hash_untrusted(value[numbers.x5t]))
    return CertificateReference.of(_leaf(value[numbers.x5chain]))


def _key_reference(kid: object) -> KeyReference:
    if not isinstance(kid, bytes) or not 0 < len(kid) <= MAX_KID_BYTES:
        raise UnusableKey(KeyFault.MALFORMED)
    return KeyReference(kid)


def _leaf(chain: object) -> bytes:
    """One certificate, or a list of them with the leaf first (RFC 9360 section 2, COSE_X509)."""
    match chain:
        case bytes() as leaf if leaf:
            return leaf
        case [bytes() as leaf, *rest] if leaf and all(isinstance(issuer, bytes) for issuer in rest):
            return leaf
        case _:
            raise UnusableKey(KeyFault.MALFORMED)
