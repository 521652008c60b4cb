"""A stored identity as what takes part in a handshake, wherever its key is."""

from __future__ import annotations

from dataclasses import dataclass, field

from twoway.dtls import CertificateCredential
from twoway.dtls.signatures import SignatureScheme, sign
from twoway.pki import HardwareKey, StoredIdentity


@dataclass(frozen=True)
class _SlowKey:
    """Answers for a key in a token; asked from a thread, so that nobody else waits for the token."""

    key: HardwareKey = field(repr=False)

    def sign(self, data: bytes, scheme: int) -> bytes:
        return sign(self.key, SignatureScheme(scheme), data)


def credential_of(identity: StoredIdentity) -> CertificateCredential:
    """Return the credential of an identity folder: the engine signs by itself with a key from a file, and has
    a key in a token asked off the event loop."""
    key = identity.private_key
    if isinstance(key, HardwareKey):
        return CertificateCredential(identity.chain, signer=_SlowKey(key))
    return CertificateCredential(identity.chain, key)
