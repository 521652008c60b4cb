"""What an endpoint proves itself with, and what it takes as proof."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from typing import Final, Protocol

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.types import PublicKeyTypes
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_der_public_key,
)

from twoway.dtls.alerts import AlertDescription, HandshakeFailure
from twoway.dtls.messages.certificates import Certificate, CertificateType, RawPublicKey
from twoway.dtls.signatures import PrivateKey
from twoway.errors import ConfigurationError
from twoway.identity import RawPublicKeyIdentity, X509Identity
from twoway.pki import (
    CertificateReason,
    CertificateRejected,
    Purpose,
    TrustStore,
    VerifiedPeer,
    private_key_from_pem,
)

MAX_PSK_BYTES = 64
"""RFC 4279 section 5.3 asks for at least 64 to be supported; longer ones gain nothing."""
MIN_PSK_BYTES = 16
"""128 bits, the strength of every suite here. Shorter keys are guessed from one recorded handshake."""
PIN_BYTES: Final = 32
"""A pin is the SHA-256 of a DER SubjectPublicKeyInfo."""


class Signer(Protocol):
    """A key that lives elsewhere: a TPM, a secure element, another process."""

    def sign(self, data: bytes, scheme: int) -> bytes:
        """Sign ``data`` (not yet hashed) with a SignatureScheme; may take its time."""


class Decrypter(Protocol):
    """An RSA key that lives elsewhere and decrypts premaster secrets.

    Give one only for a key whose answers tell nothing about the padding, neither by what they say nor by how
    long they take. Many hardware keys do not qualify.
    """

    def decrypt(self, ciphertext: bytes) -> bytes | None:
        """Decrypt RSAES-PKCS1-v1_5; None if there is no plaintext. May take its time."""


@dataclass(frozen=True)
class CertificateCredential:
    """A certificate chain and its key, here or elsewhere.

    With ``private_key`` the engine signs by itself. Without it the engine asks for every signature by a
    :class:`~twoway.dtls.events.SignatureRequest`, and a shell lets ``signer`` answer. Likewise with
    ``decrypter`` for RSA key transport, which a key elsewhere does not take part in without one.
    """

    chain: tuple[bytes, ...] = field(repr=False)
    """DER certificates, leaf first."""
    private_key: PrivateKey | None = field(default=None, repr=False)
    signer: Signer | None = field(default=None, repr=False)
    decrypter: Decrypter | None = field(default=None, repr=False)

    certificate_type = CertificateType.X509

    def __post_init__(self) -> None:
        if not self.chain:
            raise ConfigurationError("a certificate credential needs at least one certificate")
        if self.private_key is not None and self.private_key.public_key() != self.public_key:
            raise ConfigurationError("the private key is not the key of the certificate")

    @classmethod
    def from_pem(cls, chain: bytes, private_key: bytes) -> CertificateCredential:
        """Read a credential from PEM.

        Args:
            chain: certificates, leaf first.
            private_key: the leaf's key, unencrypted.

        Raises:
            ConfigurationError: one of them is not that, or they do not belong together.
        """
        try:
            certificates = x509.load_pem_x509_certificates(chain)
        except ValueError:
            raise ConfigurationError("this is not a certificate chain in PEM") from None
        key = private_key_from_pem(private_key, where="private key")
        return cls(tuple(certificate.public_bytes(Encoding.DER) for certificate in certificates), key)

    @cached_property
    def public_key(self) -> PublicKeyTypes:
        """The key of the leaf."""
        return x509.load_der_x509_certificate(self.chain[0]).public_key()

    @cached_property
    def message(self) -> bytes:
        """The body of the Certificate message that shows it."""
        return Certificate(self.chain).encode()


@dataclass(frozen=True)
class RawKeyCredential:
    """A key pair without a certificate (RFC 7250), here or elsewhere; the peer must have pinned it.

    ``private_key``, ``signer`` and ``decrypter`` are as for :class:`CertificateCredential`.
    """

    public_key: PublicKeyTypes = field(repr=False)
    private_key: PrivateKey | None = field(default=None, repr=False)
    signer: Signer | None = field(default=None, repr=False)
    decrypter: Decrypter | None = field(default=None, repr=False)

    certificate_type = CertificateType.RAW_PUBLIC_KEY

    def __post_init__(self) -> None:
        if self.private_key is not None and self.private_key.public_key() != self.public_key:
            raise ConfigurationError("the private key does not belong to the raw public key")

    @classmethod
    def of(cls, private_key: PrivateKey) -> RawKeyCredential:
        """The credential of a key at hand."""
        return cls(private_key.public_key(), private_key)

    @cached_property
    def spki(self) -> bytes:
        """DER SubjectPublicKeyInfo."""
        return self.public_key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)

    @property
    def pin(self) -> bytes:
        """What a peer pins: SHA-256 of :attr:`spki`, 32 bytes."""
        return hashlib.sha256(self.spki).digest()

    @cached_property
    def message(self) -> bytes:
        """The body of the Certificate message that shows it."""
        return RawPublicKey(self.spki).encode()


Credential = CertificateCredential | RawKeyCredential
"""What signs in a handshake."""


def can_decrypt(credential: Credential) -> bool:
    """Tell whether a key takes part in RSA key transport; one that lives elsewhere does only where that was
    asked for, since many tell about the padding."""
    return credential.private_key is not None or credential.decrypter is not None


@dataclass(frozen=True)
class PSKCredential:
    """A pre-shared key and its name (RFC 4279)."""

    identity: bytes
    """Any bytes, at most 65,535 (RFC 4279 section 2); many stacks take 128 or fewer, and text alone."""
    key: bytes = field(repr=False)

    def __post_init__(self) -> None:
        if not MIN_PSK_BYTES <= len(self.key) <= MAX_PSK_BYTES:
            raise ConfigurationError(
                f"a pre-shared key has {MIN_PSK_BYTES} to {MAX_PSK_BYTES} bytes, not {len(self.key)}"
            )
        if len(self.identity) >= 2**16:
            raise ConfigurationError("the name of a pre-shared key has less than 65,536 bytes")


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
) -> VerifiedPeer:
    """Verify a peer's chain and return who it names and the leaf's key.

    Raises:
        HandshakeFailure: with the alert that names the reason best.
    """
    try:
        return trust.verify_peer_untrusted(chain, purpose=purpose, at=at)
    except CertificateRejected as rejected:
        alert = _ALERTS.get(rejected.reason, AlertDescription.BAD_CERTIFICATE)
        raise HandshakeFailure(alert, str(rejected)) from None


def require_key_encipherment(identity: X509Identity) -> None:
    """Insist that a certificate's key may take part in RSA key transport: RFC 5246 section 7.4.2.

    Raises:
        HandshakeFailure: its key usage leaves keyEncipherment out.
    """
    extensions = x509.load_der_x509_certificate(identity.chain[0]).extensions
    for extension in extensions:
        if isinstance(extension.value, x509.KeyUsage) and not extension.value.key_encipherment:
            raise HandshakeFailure(
                AlertDescription.UNSUPPORTED_CERTIFICATE, "the server's certificate is not for key transport"
            )


def verify_raw_key_untrusted(
    is_believed: Callable[[RawPublicKeyIdentity], bool], spki: bytes
) -> tuple[RawPublicKeyIdentity, PublicKeyTypes]:
    """Judge a peer's raw public key by what was said of it elsewhere (RFC 7250 section 6).

    Args:
        is_believed: tells whether a key is pinned; does not raise.
        spki: DER SubjectPublicKeyInfo from the network.

    Raises:
        HandshakeFailure: certificate_unknown for a key that is not pinned, unsupported_certificate for a
            pinned one that nothing can be verified with.
    """
    identity = RawPublicKeyIdentity(spki)
    if not is_believed(identity):
        raise HandshakeFailure(
            AlertDescription.CERTIFICATE_UNKNOWN, f"the peer's raw public key is not pinned: {identity}"
        )
    try:
        return identity, load_der_public_key(spki)
    except (ValueError, UnsupportedAlgorithm):
        raise HandshakeFailure(
            AlertDescription.UNSUPPORTED_CERTIFICATE, "the peer's raw public key cannot be read"
        ) from None
