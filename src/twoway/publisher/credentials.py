"""What the publisher proves itself with, and whom it believes: files turned into values at the start.

It owns the reading of identity folder, pre-shared keys and the access control server's certificate. It
must never accept a certificate for the latter that does not lead to the publisher's own authorities.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_der_public_key

from twoway.dtls import DTLSConfig
from twoway.errors import ConfigurationError
from twoway.identity import X509Identity
from twoway.net import credential_of
from twoway.pki import CertificateRejected, Purpose, StoredIdentity, TrustStore, read_chain, read_identity
from twoway.publisher.authority import Authority
from twoway.publisher.config import ACSection, PublisherConfig
from twoway.tickets import SigningKey


@dataclass(frozen=True)
class Credentials:
    """Who the publisher is, as its peers will see it."""

    name: str
    """Its identity URI: the audience of tickets, and the beginning of the names of its readings."""
    dtls: DTLSConfig
    """How peers are met."""
    client: DTLSConfig | None
    """How the AC is met; None for a publisher that has pre-shared keys only."""
    trust: TrustStore | None
    """Its authorities; None for a publisher that has pre-shared keys only."""


def load_credentials(config: PublisherConfig, *, now: datetime) -> Credentials:
    """Read the identity folder and the pre-shared keys that ``config`` names.

    Raises:
        ConfigurationError: a file is missing, open to others, wrong, or the certificate is not in force.
    """
    keys = {section.identity.encode(): section.read_key() for section in config.psk}
    psk_lookup = keys.get if keys else None
    if config.identity is None:
        assert config.name is not None
        return Credentials(config.name, DTLSConfig(psk_lookup=psk_lookup), None, None)
    stored = StoredIdentity.load(config.identity)
    stored.require_valid_at(now)
    client = DTLSConfig(certificate=credential_of(stored), trust=stored.trust)
    dtls = replace(client, psk_lookup=psk_lookup)
    return Credentials(stored.identity.uri, dtls, client, stored.trust)


def load_authority(section: ACSection, credentials: Credentials, *, now: datetime) -> Authority:
    """Read the access control server's certificate and make the verifier of its tickets.

    A publisher that has pre-shared keys only has no authorities to hold the certificate against; there the
    operator's file is all the word there is.

    Raises:
        ConfigurationError: the certificate does not lead to our authorities, is not in force, or its key
            cannot sign tickets.
    """
    ac = _read_ac(section, credentials.trust, now)
    key = load_der_public_key(ac.spki)
    if not isinstance(key, ec.EllipticCurvePublicKey) or not isinstance(key.curve, ec.SECP256R1):
        raise ConfigurationError(
            "its key cannot sign tickets",
            where=str(section.certificate),
            remedy="give the AC a certificate with a P-256 key",
        )
    return Authority(
        token_uri=section.uri,
        issuer=ac.uri,
        audience=credentials.name,
        keys=[SigningKey(key)],
        certified_until=ac.not_after,
    )


def _read_ac(section: ACSection, trust: TrustStore | None, now: datetime) -> X509Identity:
    if trust is None:
        return read_identity(section.certificate)
    try:
        return trust.verify_untrusted(read_chain(section.certificate), purpose=Purpose.SERVER, at=now)
    except CertificateRejected as rejection:
        raise ConfigurationError(
            f"this is no AC to believe: {rejection.fault}",
            where=str(section.certificate),
            remedy="name the AC's current cert.pem, issued by the CA of our ca.pem",
        ) from None
