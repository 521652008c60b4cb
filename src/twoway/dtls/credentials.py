"""What an endpoint proves itself with, and what it takes as proof."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from typing import Protocol

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.types import PublicKeyTypes
from cryptography.hazmat.primitives.serialization import load_der_public_key

from twoway.dtls.alerts import AlertDescription, HandshakeFailure
from twoway.dtls.signatures import PrivateKey
from twoway.errors import ConfigurationError
from twoway.identity import X509Identity
from twoway.pki import CertificateReason, CertificateRejected, Purpose, TrustStore

MAX_PSK_BYTES = 64
"""RFC 4279 section 5.3 asks for at least 64 to be supported; longer ones gain nothing."""
MIN_PSK_BYTES = 16
"""128 bits, the strength of every suite here. Shorter keys are guessed from one recorded handshake."""


class Signer(Protocol):
    """A key that lives elsewhere: a TPM, a secure element, another process."""

    def sign(self, data: bytes, scheme: int) -> bytes:
        """Sign ``data`` (not yet hashed) with a SignatureScheme; may take its time."""


@dataclass(frozen=True)
class CertificateCredential:
    """A certificate chain and its key, here or elsewhere.

    With ``private_key`` the engine signs by itself. Without it the engine asks for every signature by a
    :class:`~twoway.dtls.events.SignatureRequest`, and a shell lets ``signer`` answer.
    """

    chain: tuple[bytes, ...] = field(repr=False)
    """DER certificates, leaf first."""
    private_key: PrivateKey | None = field(default=None, repr=False)
    signer: Signer | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        if not self.chain:
            raise ConfigurationError("a certificate credential needs at least one certificate")
        if self.private_key is not None and self.private_key.public_key() != self.public_key:
            raise ConfigurationError("the private key is not the key of the certificate")

    @cached_property
    def public_key(self) -> PublicKeyTypes:
        """The key of the leaf."""
        return x509.load_der_x509_certificate(self.chain[0]).public_key()


@dataclass(frozen=True)
class PSKCredential:
    """A pre-shared key and its name (RFC 4279)."""

    identity: bytes
    key: bytes = field(repr=False)

    def __post_init__(self) -> None:
        if not MIN_PSK_BYTES <= len(self.key) <= MAX_PSK_BYTES:
            raise ConfigurationError(
                f"a pre-shared key has {MIN_PSK_BYTES} to {MAX_PSK_BYTES} bytes, not {len(self.key)}"
            )


PSKLookup = Callable[[bytes], bytes | None]
"""Takes a psk_identity from the network, returns its key, or None. Must not raise."""

_ALERTS = {
    CertificateReason.EMPTY: AlertDescription.HANDSHAKE_FAILURE,  # RFC 5246 section 7.4.6
    CertificateReason.UNKNOWN_CA: AlertDescription.UNKNOWN_CA,
    CertificateReason.EXPIRED: AlertDescription.CERTIFICATE_EXPIRED,
    CertificateReason.NOT_YET_VALID: AlertDescription.CERTIFICATE_EXPIRED,  # "or is not currently valid"
    CertificateReason.WRONG_USAGE: AlertDescription.UNSUPPORTED_CERTIFICATE,
    CertificateReason.UNSUPPORTED_KEY: AlertDescription.UNSUPPORTED_CERTIFICATE,
    CertificateReason.WEAK_SIGNATURE: AlertDescription.UNSUPPORTED_CERTIFICATE,
}
"""RFC 5246 section 7.2.2; every other reason is bad_certificate."""


def verify_chain_untrusted(
    trust: TrustStore, chain: tuple[bytes, ...], *, purpose: Purpose, at: datetime
) -> tuple[X509Identity, PublicKeyTypes]:
    """Verify a peer's chain and return who it names and the leaf's key.

    Raises:
        HandshakeFailure: with the alert that names the reason best.
    """
    try:
        identity = trust.verify_untrusted(chain, purpose=purpose, at=at)
    except CertificateRejected as rejected:
        alert = _ALERTS.get(rejected.reason, AlertDescription.BAD_CERTIFICATE)
        raise HandshakeFailure(alert, str(rejected)) from None
    return identity, load_der_public_key(identity.spki)
