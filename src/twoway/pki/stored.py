"""An identity as a folder: `key.pem` (0600), `cert.pem` (leaf first, then intermediates), `ca.pem`.

In the place of `key.pem` there may be `key.uri`, which says where in hardware the key is.

It owns how such a folder is read and what may be wrong with it. It must never let the private key out in
any printed form.
"""

from __future__ import annotations

import hmac
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from twoway.errors import ConfigurationError
from twoway.identity import X509Identity
from twoway.pki.chains import parse_chain_untrusted
from twoway.pki.files import CERTIFICATE_FILE, KEY_FILE, TRUST_FILE, read_file, read_private_file
from twoway.pki.hardware import KEY_URI_FILE, KeyURI, open_key
from twoway.pki.keys import PrivateKey, private_key_from_pem, spki_of
from twoway.pki.rejection import CertificateRejected
from twoway.pki.trust import TrustStore, identity_of_untrusted


@dataclass(frozen=True)
class StoredIdentity:
    """Everything with which a party takes part in a handshake."""

    folder: Path
    """Where it was loaded from."""
    chain: tuple[bytes, ...] = field(repr=False)
    """DER certificates to send, leaf first."""
    private_key: PrivateKey = field(repr=False)
    """The leaf's private key."""
    trust: TrustStore
    """Whom this party believes."""
    identity: X509Identity
    """This party as its peers will see it."""

    @property
    def hosts(self) -> tuple[str, ...]:
        """DNS names and addresses in the leaf."""
        return self.identity.hosts

    @classmethod
    def load(cls, folder: Path) -> StoredIdentity:
        """Read an identity folder.

        Whether the certificate is in force is not asked, for that depends on the time: see
        :meth:`require_valid_at`.

        Raises:
            ConfigurationError: one sentence about the first thing that is missing or wrong.
        """
        if not folder.is_dir():
            raise ConfigurationError(
                "there is no such identity folder",
                where=str(folder),
                remedy="make one with `twoway ca issue`, or check the path",
            )
        chain = read_chain(folder / CERTIFICATE_FILE)
        identity = read_identity(folder / CERTIFICATE_FILE)
        private_key = _private_key(folder)
        if not hmac.compare_digest(spki_of(private_key.public_key()), identity.spki):
            raise ConfigurationError(
                f"its private key is not the one of {CERTIFICATE_FILE}",
                where=str(folder),
                remedy="put the files of one issuance together, or issue the identity again",
            )
        trust = TrustStore.from_file(folder / TRUST_FILE).knowing(chain)
        return cls(folder, chain, private_key, trust, identity)

    def require_valid_at(self, at: datetime) -> None:
        """Check that our own leaf is in force, before peers refuse it.

        Raises:
            ConfigurationError: if it has expired, or is not valid yet.
        """
        leaf = x509.load_der_x509_certificate(self.chain[0])
        if at > leaf.not_valid_after_utc:
            fault = f"its certificate expired on {leaf.not_valid_after_utc:%Y-%m-%d %H:%M} UTC"
        elif at < leaf.not_valid_before_utc:
            fault = f"its certificate is not valid until {leaf.not_valid_before_utc:%Y-%m-%d %H:%M} UTC"
        else:
            return
        raise ConfigurationError(
            fault, where=str(self.folder), remedy="issue it again, or check this machine's clock"
        )


def _private_key(folder: Path) -> PrivateKey:
    """Read the key, or find it in its token."""
    in_file, in_token = folder / KEY_FILE, folder / KEY_URI_FILE
    if not in_token.exists():
        return private_key_from_pem(read_private_file(in_file), where=str(in_file))
    if in_file.exists():
        raise ConfigurationError(
            f"the folder has both {KEY_FILE} and {KEY_URI_FILE}",
            where=str(folder),
            remedy="remove the one that is not meant",
        )
    uri = KeyURI.parse(read_file(in_token).decode("utf-8", "replace"), where=str(in_token))
    return open_key(uri, where=str(in_token))


def read_chain(path: Path) -> tuple[bytes, ...]:
    """Read the DER certificates of a PEM file that the operator named, in the file's order.

    Raises:
        ConfigurationError: if there is none, or one that cannot be parsed.
    """
    try:
        certificates = x509.load_pem_x509_certificates(read_file(path))
    except ValueError:
        raise ConfigurationError(
            "it does not hold certificates in PEM",
            where=str(path),
            remedy="put the leaf first, then intermediates",
        ) from None
    return tuple(certificate.public_bytes(Encoding.DER) for certificate in certificates)


def read_identity(path: Path) -> X509Identity:
    """Read who a PEM file's first certificate names: for peers that are configured by their certificate.

    Nothing vouches for it but the operator, who put the file there.

    Raises:
        ConfigurationError: if the file cannot be read, or its leaf could never be accepted by a peer.
    """
    chain = read_chain(path)
    try:
        return identity_of_untrusted(parse_chain_untrusted(chain), chain)
    except CertificateRejected as rejection:
        raise ConfigurationError(
            f"no peer would accept this: {rejection.fault}",
            where=str(path),
            remedy="issue the certificate again",
        ) from None
