"""Why a peer's certificate is refused: the reasons, and the one error that carries them.

It must never repeat text out of a certificate that nobody vouched for: names in it may be chosen by an
attacker, and errors are logged and shown.
"""

from __future__ import annotations

from enum import Enum

from twoway.errors import PeerError


class CertificateReason(Enum):
    """What is wrong with a chain. The value says it for a person, each docstring names a fitting alert."""

    EMPTY = "it sent no certificate"
    """Alert bad_certificate, or handshake_failure from a server that demands one (RFC 5246 section 7.4.6)."""
    MALFORMED = "a certificate of its chain cannot be parsed"
    """Alert bad_certificate."""
    TOO_LONG = "its certificate chain is longer than is admitted"
    """Alert bad_certificate."""
    UNKNOWN_CA = "its certificate does not lead to an authority that is trusted here"
    """Alert unknown_ca."""
    BAD_SIGNATURE = "a certificate of its chain was altered after it was signed"
    """Alert bad_certificate: the signer is known, by name and key, and did not sign this."""
    EXPIRED = "its certificate, or one of an authority above it, has expired"
    """Alert certificate_expired."""
    NOT_YET_VALID = "its certificate, or one of an authority above it, is not valid yet"
    """Alert certificate_expired: RFC 5246 section 7.2.2 gives it for "not currently valid"."""
    WRONG_USAGE = "its certificate was not issued for this use"
    """Alert unsupported_certificate."""
    UNSUPPORTED_KEY = (
        "the key in its certificate is none of P-256, P-384, Ed25519 and RSA of 2048 to 4096 bits"
    )
    """Alert unsupported_certificate."""
    WEAK_SIGNATURE = "a certificate of its chain is signed with an algorithm that is not trusted"
    """Alert unsupported_certificate."""
    NO_IDENTITY = "its certificate does not carry exactly one usable identity"
    """Alert bad_certificate."""
    BAD_CHAIN = "its certificate chain breaks a rule of X.509"
    """Alert bad_certificate: a path length, a name constraint, an authority that may not sign, an unknown
    critical extension."""


class CertificateRejected(PeerError):
    """A peer's certificate chain is refused.

    Args:
        reason: the kind of fault, from which the alert is chosen.
        detail: more for a person; never text out of the certificate.
    """

    def __init__(self, reason: CertificateReason, detail: str | None = None) -> None:
        self.reason = reason
        self.fault = f"{reason.value} ({detail})" if detail else reason.value
        super().__init__(f"the peer cannot be authenticated: {self.fault}")
