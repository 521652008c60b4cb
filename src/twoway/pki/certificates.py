"""The certificates that our CA signs: its own two, and the leaves, in the profile of RFC 7925 section 4.4.

The root signs one issuing authority and is then needed no more, so that its key can be stored away; the
issuing authority signs leaves only. Nothing in a leaf is taken from whoever asks for it, but its public key.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from twoway.errors import CallerError
from twoway.pki.keys import PublicKey
from twoway.pki.names import names_to_issue
from twoway.pki.roles import Role

SERIAL_BYTES = 16
"""RFC 5280 allows 20; profiles for devices ask for at least 8 that are random."""
BACKDATING = timedelta(minutes=5)
"""Validity begins this long before issuing: a device whose clock is a little behind must not refuse."""

_LAST_MOMENT = datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)
"""What RFC 5280 section 4.1.2.5 writes for "no end"."""


@dataclass(frozen=True)
class Signer:
    """An authority's certificate and private key."""

    certificate: x509.Certificate
    """The authority's own certificate."""
    private_key: ec.EllipticCurvePrivateKey
    """Its P-256 key; never printed."""

    def __repr__(self) -> str:
        return f"Signer({self.certificate.subject.rfc4514_string()!r})"


@dataclass(frozen=True)
class Validity:
    """The time in which a certificate is in force, both ends included."""

    not_before: datetime
    not_after: datetime

    @classmethod
    def starting(cls, now: datetime, lifetime: timedelta) -> Validity:
        """Return a validity that ends `lifetime` after `now`, in whole seconds as certificates count."""
        if now.tzinfo is None:
            raise CallerError("certificates are issued at an aware time, and this one is naive")
        moment = now.astimezone(UTC).replace(microsecond=0)
        try:
            end = moment + lifetime
        except OverflowError:
            end = _LAST_MOMENT
        return cls(moment - BACKDATING, end)

    def within(self, other: Validity) -> Validity:
        """Return the part of this one that lies in `other`."""
        return Validity(max(self.not_before, other.not_before), min(self.not_after, other.not_after))


def validity_of(certificate: x509.Certificate) -> Validity:
    """Return the time in which a certificate is in force."""
    return Validity(certificate.not_valid_before_utc, certificate.not_valid_after_utc)


def sign_root(name: str, key: ec.EllipticCurvePrivateKey, validity: Validity, serial: bytes) -> Signer:
    """Sign a root with its own key; one authority may stand below it."""
    subject = _name(f"{name} root")
    builder = _authority(subject, subject, key.public_key(), validity, serial, path_length=1)
    return Signer(builder.sign(key, hashes.SHA256()), key)


def sign_issuing(
    name: str, key: ec.EllipticCurvePrivateKey, root: Signer, validity: Validity, serial: bytes
) -> Signer:
    """Sign the authority that issues leaves; no other authority may stand below it."""
    subject = _name(f"{name} issuing CA")
    builder = _authority(
        subject, root.certificate.subject, key.public_key(), validity, serial, path_length=0
    ).add_extension(_authority_key_identifier(root), critical=False)
    return Signer(builder.sign(root.private_key, hashes.SHA256()), key)


def sign_leaf(
    uri: str,
    role: Role,
    key: PublicKey,
    issuer: Signer,
    *,
    hosts: tuple[str, ...],
    validity: Validity,
    serial: bytes,
) -> x509.Certificate:
    """Sign a leaf for an actor.

    Args:
        uri: the identity, which becomes the first name in the SAN (and, for the eye, the CN).
        role: decides the extended key usages.
        key: the actor's public key.
        issuer: the issuing authority.
        hosts: DNS names and addresses for the SAN.
        validity: when the leaf is in force.
        serial: SERIAL_BYTES random bytes.

    Raises:
        ConfigurationError: for an identity or host that no peer would accept.
    """
    names = names_to_issue(uri, hosts)
    usages = [purpose.extended_key_usage for purpose in role.purposes]
    builder = (
        _certificate(_name(uri), issuer.certificate.subject, key, validity, serial)
        .add_extension(_key_usage(digital_signature=True), critical=True)
        .add_extension(x509.ExtendedKeyUsage(usages), critical=False)
        .add_extension(names, critical=False)
        .add_extension(_authority_key_identifier(issuer), critical=False)
    )
    return builder.sign(issuer.private_key, hashes.SHA256())


def _authority(
    subject: x509.Name,
    issuer: x509.Name,
    key: ec.EllipticCurvePublicKey,
    validity: Validity,
    serial: bytes,
    *,
    path_length: int,
) -> x509.CertificateBuilder:
    return (
        _certificate(subject, issuer, key, validity, serial)
        .add_extension(x509.BasicConstraints(ca=True, path_length=path_length), critical=True)
        .add_extension(_key_usage(key_cert_sign=True, crl_sign=True), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
    )


def _certificate(
    subject: x509.Name, issuer: x509.Name, key: PublicKey, validity: Validity, serial: bytes
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(_serial_number(serial))
        .not_valid_before(validity.not_before)
        .not_valid_after(validity.not_after)
    )


def _serial_number(random: bytes) -> int:
    """A positive number of as many bytes: the top bit clear for the sign, the next one set for the length."""
    bits = 8 * len(random)
    return (int.from_bytes(random) >> 2) | 1 << (bits - 2)


def _authority_key_identifier(issuer: Signer) -> x509.AuthorityKeyIdentifier:
    return x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer.private_key.public_key())


def _key_usage(
    *, digital_signature: bool = False, key_cert_sign: bool = False, crl_sign: bool = False
) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=digital_signature,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=key_cert_sign,
        crl_sign=crl_sign,
        encipher_only=False,
        decipher_only=False,
    )


def _name(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])
