"""What the publisher proves itself with, and whom it believes: files turned into values at the start.

It owns the reading of identity folder, pre-shared keys and the access control server's certificate. It
must never accept a certificate for the latter that does not lead to the publisher's own authorities.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_der_public_key

from twoway.configuration import read_key_file
from twoway.dtls import DTLSConfig, PSKCredential
from twoway.errors import ConfigurationError
from twoway.identity import X509Identity
from twoway.net import credential_of
from twoway.pki import CertificateRejected, Purpose, StoredIdentity, TrustStore, read_chain, read_identity
from twoway.publisher.authority import Authority
from twoway.publisher.config import ACSection, PublisherConfig
from twoway.tickets import (
    DEFAULT_NUMBERS,
    ExiLedger,
    FreshNonces,
    ProvisionalNumbers,
    SharedSecret,
    SigningKey,
)

NONCE_KEY_BYTES = 32
"""Of the key that nonces are recognised by; it is made anew at each start."""


@dataclass(frozen=True)
class Credentials:
    """Who the publisher is, as its peers will see it."""

    name: str
    """Its identity URI: the audience of tickets, and the beginning of the names of its readings."""
    dtls: DTLSConfig
    """How peers are met."""
    client: DTLSConfig | None
    """How the AC is met: by our certificate, or where there is none by what we share with it; None for a
    publisher that has neither."""
    trust: TrustStore | None
    """Its authorities; None for a publisher that has pre-shared keys only."""
    psk: Mapping[bytes, bytes] = field(repr=False)
    """The operator's pre-shared keys by identity."""
    secret: SharedSecret | None
    """What the AC shares with us; None where it does not."""


def load_credentials(config: PublisherConfig, *, now: datetime) -> Credentials:
    """Read the identity folder, the pre-shared keys and the secret that ``config`` names.

    Raises:
        ConfigurationError: a file is missing, open to others, wrong, or the certificate is not in force.
    """
    keys = {section.identity.encode(): section.read_key() for section in config.psk}
    secret = None
    if config.ac is not None and config.ac.shared_secret_file is not None:
        secret = SharedSecret(read_key_file(config.ac.shared_secret_file))
    psk_lookup = keys.get if keys or secret is not None else None
    if config.identity is None:
        assert config.name is not None
        client = None if secret is None else _met_by_secret(secret, config.name)
        return Credentials(config.name, DTLSConfig(psk_lookup=psk_lookup), client, None, keys, secret)
    stored = StoredIdentity.load(config.identity)
    stored.require_valid_at(now)
    client = DTLSConfig(certificate=credential_of(stored), trust=stored.trust)
    dtls = replace(client, psk_lookup=psk_lookup)
    return Credentials(stored.identity.uri, dtls, client, stored.trust, keys, secret)


def _met_by_secret(secret: SharedSecret, name: str) -> DTLSConfig:
    """Return how a publisher without a certificate meets the AC: each proves that it knows the secret."""
    return DTLSConfig(psk=PSKCredential(secret.association_name(name), secret.association_key()))


def load_authority(
    section: ACSection,
    credentials: Credentials,
    *,
    exi_ledger: ExiLedger | None,
    numbers: ProvisionalNumbers = DEFAULT_NUMBERS,
    entropy: Callable[[int], bytes],
    now: datetime,
) -> Authority:
    """Put together what is known of the access control server: its certificate, which is read, or the secret
    that is shared with it, or both.

    A publisher that has pre-shared keys only has no authorities to hold the certificate against; there the
    operator's file is all the word there is.

    Args:
        section: what the file says of it.
        credentials: the publisher's own.
        exi_ledger: for a publisher without a clock: which tickets it has seen.
        numbers: what drafts call the hash of a certificate.
        entropy: returns that many random bytes.
        now: the time that the certificate is judged by.

    Raises:
        ConfigurationError: the certificate does not lead to our authorities, is not in force, or its key
            cannot sign tickets.
    """
    nonces = None
    if section.cnonce:
        nonces = FreshNonces(
            key=entropy(NONCE_KEY_BYTES), lifetime_seconds=section.cnonce_lifetime, entropy=entropy
        )
    if section.certificate is None:
        assert section.identity is not None
        issuer, keys, certified_until = section.identity, [], datetime.max.replace(tzinfo=UTC)
    else:
        ac = _read_ac(section.certificate, credentials.trust, now)
        issuer, keys, certified_until = ac.uri, [_signing_key(ac, section.certificate)], ac.not_after
    return Authority(
        token_uri=section.uri,
        issuer=issuer,
        audience=credentials.name,
        keys=keys,
        certified_until=certified_until,
        secret=credentials.secret,
        nonces=nonces,
        exi_ledger=exi_ledger,
        numbers=numbers,
    )


def _signing_key(ac: X509Identity, path: Path) -> SigningKey:
    key = load_der_public_key(ac.spki)
    if not isinstance(key, ec.EllipticCurvePublicKey) or not isinstance(key.curve, ec.SECP256R1):
        raise ConfigurationError(
            "its key cannot sign tickets",
            where=str(path),
            remedy="give the AC a certificate with a P-256 key",
        )
    return SigningKey(key)


def _read_ac(path: Path, trust: TrustStore | None, now: datetime) -> X509Identity:
    if trust is None:
        return read_identity(path)
    try:
        return trust.verify_untrusted(read_chain(path), purpose=Purpose.SERVER, at=now)
    except CertificateRejected as rejection:
        raise ConfigurationError(
            f"this is no AC to believe: {rejection.fault}",
            where=str(path),
            remedy="name the AC's current cert.pem, issued by the CA of our ca.pem",
        ) from None
