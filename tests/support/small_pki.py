"""A small real PKI for tests: two authorities, one identity an actor, and leaves that are wrong on purpose.

It is made with `cryptography` alone, not with the CA of the product, so that the two check each other and
so that certificates can be made which the product's CA would never sign.

    pki = small_pki()                              # made once a process, a few milliseconds plus one RSA key
    pki.publisher_p256.chain                       # (leaf, issuing CA) in DER
    pki.publisher_p256.private_key                 # the leaf's key
    pki.ca.trust                                   # twoway.pki.TrustStore with the root of `ca`
    pki.folder(pki.sink, tmp_path / "sink")        # an identity folder: key.pem (0600), cert.pem, ca.pem
    pki.stored(pki.sink, tmp_path / "sink")        # the same, loaded: twoway.pki.StoredIdentity
    pki.flawed(Flaw.EXPIRED)                       # a credential that must be refused, and its key
    pki.ca.mint("meter", hosts=["127.0.0.1"])      # one more

Everything without a flaw is valid from 2020 to 2099: a manual clock and the system's clock both fit.
"""

from __future__ import annotations

import functools
import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from ipaddress import ip_address, ip_network
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from twoway.identity import X509Identity, identity_uri
from twoway.pki import Role, StoredIdentity, TrustStore

NOW = datetime(2026, 1, 1, tzinfo=UTC)
"""When the tests' manual clocks start."""
NOT_BEFORE = datetime(2020, 1, 1, tzinfo=UTC)
NOT_AFTER = datetime(2099, 1, 1, tzinfo=UTC)

CLIENT_AUTH = ExtendedKeyUsageOID.CLIENT_AUTH
SERVER_AUTH = ExtendedKeyUsageOID.SERVER_AUTH
BOTH = (SERVER_AUTH, CLIENT_AUTH)

PrivateKey = ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey | rsa.RSAPrivateKey


def p256_key(label: str) -> ec.EllipticCurvePrivateKey:
    """The P-256 key of this name: the same in each run, so that failures can be repeated."""
    return _curve_key(label, ec.SECP256R1())


def p384_key(label: str) -> ec.EllipticCurvePrivateKey:
    """The P-384 key of this name."""
    return _curve_key(label, ec.SECP384R1())


def ed25519_key(label: str) -> ed25519.Ed25519PrivateKey:
    """The Ed25519 key of this name."""
    return ed25519.Ed25519PrivateKey.from_private_bytes(hashlib.sha256(label.encode()).digest())


@functools.cache
def rsa_key(label: str = "rsa", bits: int = 2048) -> rsa.RSAPrivateKey:
    """One RSA key a label and process; making one takes a tenth of a second."""
    return rsa.generate_private_key(65537, bits)


@functools.cache
def _curve_key(label: str, curve: ec.EllipticCurve) -> ec.EllipticCurvePrivateKey:
    return ec.derive_private_key(int.from_bytes(hashlib.sha256(label.encode()).digest()) >> 2, curve)


def key_usage(*allowed: str) -> x509.KeyUsage:
    """A keyUsage extension with just these bits, named as `cryptography` names them."""
    bits = [
        "digital_signature",
        "content_commitment",
        "key_encipherment",
        "data_encipherment",
        "key_agreement",
        "key_cert_sign",
        "crl_sign",
        "encipher_only",
        "decipher_only",
    ]
    return x509.KeyUsage(**{bit: bit in allowed for bit in bits})


def common_name(text: str) -> x509.Name:
    """A distinguished name of one CN."""
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


@dataclass(frozen=True)
class Credential:
    """A chain and the private key of its leaf."""

    uri: str
    """The identity that the leaf was minted for."""
    chain: tuple[bytes, ...]
    """DER, leaf first, then intermediates, without the root."""
    private_key: PrivateKey = field(repr=False)
    ca_pem: bytes = field(repr=False)
    """The root of the authority that this one was minted for: what this party trusts."""

    @property
    def leaf(self) -> x509.Certificate:
        return x509.load_der_x509_certificate(self.chain[0])

    @property
    def spki(self) -> bytes:
        return self.private_key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)

    @property
    def trust(self) -> TrustStore:
        return TrustStore.from_pem(self.ca_pem)

    @property
    def identity(self) -> X509Identity:
        """What a peer that accepts this credential should learn of it."""
        names = self.leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        hosts = [str(n.value) for n in names if isinstance(n, x509.DNSName | x509.IPAddress)]
        return X509Identity(self.uri, self.spki, self.chain, self.leaf.not_valid_after_utc, tuple(hosts))

    @property
    def key_pem(self) -> bytes:
        return self.private_key.private_bytes(
            Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )

    @property
    def cert_pem(self) -> bytes:
        return b"".join(x509.load_der_x509_certificate(der).public_bytes(Encoding.PEM) for der in self.chain)


class SmallCA:
    """A root, an issuing authority under it, and a mint that signs whatever it is told to."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.root_key = p256_key(f"{name} root")
        self.issuing_key = p256_key(f"{name} issuing")
        self.root = self.authority(f"{name} root", self.root_key, path_length=1)
        self.issuing = self.authority(f"{name} issuing", self.issuing_key, path_length=0)

    @property
    def ca_pem(self) -> bytes:
        return self.root.public_bytes(Encoding.PEM)

    @property
    def trust(self) -> TrustStore:
        return TrustStore.from_pem(self.ca_pem)

    def authority(
        self,
        subject: str,
        key: PrivateKey,
        *,
        signer: tuple[x509.Name, PrivateKey] | None = None,
        path_length: int | None = 0,
        not_before: datetime = NOT_BEFORE,
        not_after: datetime = NOT_AFTER,
        usage: x509.KeyUsage | None = None,
        extra: Sequence[tuple[x509.ExtensionType, bool]] = (),
    ) -> x509.Certificate:
        """A CA certificate; signed by this one's root unless told otherwise."""
        issuer, issuer_key = signer or (common_name(f"{self.name} root"), self.root_key)
        builder = (
            x509.CertificateBuilder()
            .subject_name(common_name(subject))
            .issuer_name(issuer)
            .public_key(key.public_key())
            .serial_number(_serial(subject))
            .not_valid_before(not_before)
            .not_valid_after(not_after)
            .add_extension(x509.BasicConstraints(ca=True, path_length=path_length), critical=True)
            .add_extension(usage or key_usage("key_cert_sign", "crl_sign"), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key()), critical=False
            )
        )
        for extension, critical in extra:
            builder = builder.add_extension(extension, critical)
        return builder.sign(issuer_key, hashes.SHA256())

    def mint(
        self,
        name: str,
        *,
        key: PrivateKey | None = None,
        hosts: Sequence[str] = (),
        usages: Sequence[x509.ObjectIdentifier] = BOTH,
        names: Sequence[x509.GeneralName] | None = None,
        usage: x509.KeyUsage | None = None,
        not_before: datetime = NOT_BEFORE,
        not_after: datetime = NOT_AFTER,
        issuer: tuple[x509.Certificate, PrivateKey] | None = None,
        intermediates: Sequence[x509.Certificate] | None = None,
        constraints: x509.BasicConstraints | None = None,
        extra: Sequence[tuple[x509.ExtensionType, bool]] = (),
        sha1: bool = False,
    ) -> Credential:
        """Sign a leaf; each argument left out is as it should be.

        Args:
            name: short name (see `twoway.identity.identity_uri`) or a whole URN.
            key: the leaf's key; a P-256 key of this name by default.
            hosts: DNS names and IP addresses beside the identity.
            usages: extended key usages; none leaves the extension out.
            names: the whole SAN instead of the identity and `hosts`; empty leaves the extension out.
            usage: keyUsage; digitalSignature by default.
            not_before: start of validity.
            not_after: end of validity.
            issuer: who signs instead of the issuing authority.
            intermediates: what follows the leaf in the chain; the issuer by default.
            constraints: a basicConstraints extension; left out by default.
            extra: more extensions, with whether they are critical.
            sha1: sign with SHA-1.
        """
        key = key or p256_key(name)
        certificate, issuer_key = issuer or (self.issuing, self.issuing_key)
        uri = identity_uri(name)
        if names is None:
            names = [x509.UniformResourceIdentifier(uri), *(general_name(host) for host in hosts)]
        builder = (
            x509.CertificateBuilder()
            .subject_name(common_name(uri[:64]))
            .issuer_name(certificate.subject)
            .public_key(key.public_key())
            .serial_number(_serial(name))
            .not_valid_before(not_before)
            .not_valid_after(not_after)
            .add_extension(usage or key_usage("digital_signature"), critical=True)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key()), critical=False
            )
        )
        if names:
            builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
        if usages:
            builder = builder.add_extension(x509.ExtendedKeyUsage(usages), critical=False)
        if constraints:
            builder = builder.add_extension(constraints, critical=True)
        for extension, critical in extra:
            builder = builder.add_extension(extension, critical)
        leaf = builder.sign(issuer_key, hashes.SHA256()).public_bytes(Encoding.DER)
        if sha1:
            leaf = _signed_with_sha1(leaf, issuer_key)
        following = [certificate] if intermediates is None else intermediates
        chain = (leaf, *(each.public_bytes(Encoding.DER) for each in following))
        return Credential(uri, chain, key, self.ca_pem)


class Flaw(StrEnum):
    """What can be wrong with a credential; `expected` names the CertificateReason of its refusal."""

    expected: str

    def __new__(cls, value: str, expected: str) -> Flaw:
        member = str.__new__(cls, value)
        member._value_ = value
        member.expected = expected
        return member

    EXPIRED = "the leaf expired in 2021", "EXPIRED"
    NOT_YET_VALID = "the leaf is valid from 2098", "NOT_YET_VALID"
    EXPIRED_ISSUER = "the issuing CA expired in 2021", "EXPIRED"
    ISSUER_NOT_YET_VALID = "the issuing CA is valid from 2098", "NOT_YET_VALID"
    OTHER_CA = "another authority signed the chain", "UNKNOWN_CA"
    OTHER_CA_SAME_NAMES = "another authority that calls itself the same signed the chain", "UNKNOWN_CA"
    OTHER_CA_AND_EXPIRED = "another authority signed the chain, and the leaf expired", "UNKNOWN_CA"
    SELF_SIGNED = "the leaf signed itself", "UNKNOWN_CA"
    NO_INTERMEDIATE = "the issuing CA is missing from the chain", "UNKNOWN_CA"
    FORGED = "one bit of the leaf's signature is flipped", "BAD_SIGNATURE"
    SIGNED_BY_LEAF = "a leaf signed it, as if that were a CA", "BAD_CHAIN"
    CLIENT_ONLY = "the extended key usage is clientAuth only (wrong for a server)", "WRONG_USAGE"
    SERVER_ONLY = "the extended key usage is serverAuth only (wrong for a client)", "WRONG_USAGE"
    OTHER_USAGE = "the extended key usage is codeSigning", "WRONG_USAGE"
    ANY_USAGE = "the extended key usage is anyExtendedKeyUsage", "WRONG_USAGE"
    NO_USAGE = "there is no extended key usage", "WRONG_USAGE"
    KEY_AGREEMENT_ONLY = "the key usage lacks digitalSignature", "WRONG_USAGE"
    CA_LEAF = "the leaf's basic constraints say CA:TRUE", "WRONG_USAGE"
    NO_SAN = "there is no subject alternative name", "NO_IDENTITY"
    TWO_IDENTITIES = "the leaf carries two URNs", "NO_IDENTITY"
    FOREIGN_URI = "the only name is an https URI", "NO_IDENTITY"
    CONTROL_CHARACTERS = "the URN carries a line feed", "NO_IDENTITY"
    UPPER_CASE_URN = "the URN is written URN:DEV:", "NO_IDENTITY"
    WILDCARD = "the only name is a wildcard", "NO_IDENTITY"
    UNSUPPORTED_CURVE = "the leaf's key is on P-521", "UNSUPPORTED_KEY"
    SMALL_RSA = "the leaf's key is RSA-1024", "UNSUPPORTED_KEY"
    SHA1 = "the leaf is signed with SHA-1", "WEAK_SIGNATURE"
    SHA1_RSA = "the leaf is signed with SHA-1 and RSA", "WEAK_SIGNATURE"
    NAME_CONSTRAINED = "its host is outside of the issuing CA's name constraints", "BAD_CHAIN"
    URI_CONSTRAINED = "the issuing CA constrains URIs, which nothing here can judge", "BAD_CHAIN"
    PATH_TOO_LONG = "there is a CA below the issuing CA, whose path length is 0", "BAD_CHAIN"
    ISSUER_CANNOT_SIGN = "the issuing CA's key usage lacks keyCertSign", "BAD_CHAIN"
    UNKNOWN_CRITICAL = "the leaf carries a critical extension that nobody knows", "BAD_CHAIN"


@dataclass(frozen=True)
class SmallPKI:
    """The two authorities and everybody's credential."""

    ca: SmallCA
    """Who all actors trust."""
    other_ca: SmallCA
    """Who none of them trusts."""
    publisher_p256: Credential
    publisher_p384: Credential
    publisher_ed25519: Credential
    publisher_rsa: Credential
    publisher_2013: Credential
    """RSA again, and the one whose certificate is for key transport, too."""
    subscriber: Credential
    ac: Credential
    sink: Credential
    outsider: Credential
    """Signed by `other_ca`; trusts `ca`, so that it gets as far as its own certificate."""

    @property
    def trust(self) -> TrustStore:
        """The trust store of everybody."""
        return self.ca.trust

    def flawed(self, flaw: Flaw) -> Credential:
        """A credential with just this one thing wrong; fit for either purpose otherwise."""
        return _flawed(self, flaw)

    def folder(self, credential: Credential, folder: Path) -> Path:
        """Write an identity folder; its ca.pem holds the root of `ca`, whoever signed the credential."""
        folder.mkdir(parents=True)
        (folder / "cert.pem").write_bytes(credential.cert_pem)
        (folder / "ca.pem").write_bytes(self.ca.ca_pem)
        descriptor = os.open(folder / "key.pem", os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(credential.key_pem)
        return folder

    def stored(self, credential: Credential, folder: Path) -> StoredIdentity:
        """Write an identity folder and load it."""
        return StoredIdentity.load(self.folder(credential, folder))


USAGES = {
    Role.PUBLISHER: BOTH,
    Role.CACHE: BOTH,
    Role.AC: BOTH,
    Role.SINK: BOTH,
    Role.SUBSCRIBER: (CLIENT_AUTH,),
}
"""The extended key usages that each role's leaf carries."""


@functools.cache
def small_pki() -> SmallPKI:
    """The PKI of this process; it is made at the first call and shared by all tests."""
    ca, other_ca = SmallCA("twoway test"), SmallCA("somebody else")
    local = ["localhost", "127.0.0.1", "::1"]
    outsider = other_ca.mint("outsider", usages=USAGES[Role.SUBSCRIBER])
    return SmallPKI(
        ca=ca,
        other_ca=other_ca,
        publisher_p256=ca.mint("publisher-p256", hosts=local, usages=USAGES[Role.PUBLISHER]),
        publisher_p384=ca.mint("publisher-p384", key=p384_key("publisher"), hosts=local),
        publisher_ed25519=ca.mint("publisher-ed25519", key=ed25519_key("publisher"), hosts=local),
        publisher_rsa=ca.mint("publisher-rsa", key=rsa_key(), hosts=local, usages=USAGES[Role.PUBLISHER]),
        publisher_2013=ca.mint(
            "publisher-2013",
            key=rsa_key(),
            hosts=local,
            usage=key_usage("digital_signature", "key_encipherment"),
        ),
        subscriber=ca.mint("subscriber", usages=USAGES[Role.SUBSCRIBER]),
        ac=ca.mint("ac", hosts=local, usages=USAGES[Role.AC]),
        sink=ca.mint("sink", usages=USAGES[Role.SINK]),
        outsider=Credential(outsider.uri, outsider.chain, outsider.private_key, ca.ca_pem),
    )


@functools.cache
def _flawed(pki: SmallPKI, flaw: Flaw) -> Credential:
    ca, past, future = pki.ca, datetime(2021, 1, 1, tzinfo=UTC), datetime(2098, 1, 1, tzinfo=UTC)
    uri = x509.UniformResourceIdentifier
    name = f"flawed-{flaw.name.lower().replace('_', '-')}"
    issuing_name, issuing_key = ca.issuing.subject.rfc4514_string().removeprefix("CN="), ca.issuing_key
    match flaw:
        case Flaw.EXPIRED:
            return ca.mint(name, not_after=past)
        case Flaw.NOT_YET_VALID:
            return ca.mint(name, not_before=future)
        case Flaw.EXPIRED_ISSUER:
            return ca.mint(
                name, issuer=(ca.authority(issuing_name, issuing_key, not_after=past), issuing_key)
            )
        case Flaw.ISSUER_NOT_YET_VALID:
            issuer = ca.authority(issuing_name, issuing_key, not_before=future)
            return ca.mint(name, issuer=(issuer, issuing_key))
        case Flaw.OTHER_CA:
            return pki.other_ca.mint(name)
        case Flaw.OTHER_CA_SAME_NAMES:
            key, root_key = p256_key("impostor issuing"), p256_key("impostor root")
            impostor = ca.authority(issuing_name, key, signer=(ca.root.subject, root_key))
            return ca.mint(name, issuer=(impostor, key))
        case Flaw.OTHER_CA_AND_EXPIRED:
            return pki.other_ca.mint(name, not_after=past)
        case Flaw.SELF_SIGNED:
            key = p256_key(name)
            myself = ca.authority(identity_uri(name), key, signer=(common_name(identity_uri(name)), key))
            return ca.mint(name, key=key, issuer=(myself, key), intermediates=[])
        case Flaw.NO_INTERMEDIATE:
            return ca.mint(name, intermediates=[])
        case Flaw.FORGED:
            good = ca.mint(name)
            return Credential(
                good.uri, (_flip_last_bit(good.chain[0]), *good.chain[1:]), good.private_key, good.ca_pem
            )
        case Flaw.SIGNED_BY_LEAF:
            leaf, key = pki.sink.leaf, pki.sink.private_key
            return ca.mint(name, issuer=(leaf, key), intermediates=[leaf, ca.issuing])
        case Flaw.CLIENT_ONLY:
            return ca.mint(name, usages=[CLIENT_AUTH])
        case Flaw.SERVER_ONLY:
            return ca.mint(name, usages=[SERVER_AUTH])
        case Flaw.OTHER_USAGE:
            return ca.mint(name, usages=[ExtendedKeyUsageOID.CODE_SIGNING])
        case Flaw.ANY_USAGE:
            return ca.mint(name, usages=[ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE])
        case Flaw.NO_USAGE:
            return ca.mint(name, usages=[])
        case Flaw.KEY_AGREEMENT_ONLY:
            return ca.mint(name, usage=key_usage("key_agreement"))
        case Flaw.CA_LEAF:
            return ca.mint(name, constraints=x509.BasicConstraints(ca=True, path_length=None))
        case Flaw.NO_SAN:
            return ca.mint(name, names=[])
        case Flaw.TWO_IDENTITIES:
            return ca.mint(name, names=[uri("urn:dev:org:32473-one"), uri("urn:dev:org:32473-two")])
        case Flaw.FOREIGN_URI:
            return ca.mint(name, names=[uri("https://meter.example/")])
        case Flaw.CONTROL_CHARACTERS:
            return ca.mint(name, names=[uri("urn:dev:org:32473-a\nb")])
        case Flaw.UPPER_CASE_URN:
            return ca.mint(name, names=[uri("URN:DEV:org:32473-a")])
        case Flaw.WILDCARD:
            return ca.mint(name, names=[x509.DNSName("*.meters.example")])
        case Flaw.UNSUPPORTED_CURVE:
            return ca.mint(name, key=_curve_key(name, ec.SECP521R1()))
        case Flaw.SMALL_RSA:
            return ca.mint(name, key=rsa_key("small", 1024))
        case Flaw.SHA1:
            return ca.mint(name, sha1=True)
        case Flaw.SHA1_RSA:
            key = rsa_key()
            return ca.mint(name, issuer=(ca.authority("twoway test rsa", key), key), sha1=True)
        case Flaw.NAME_CONSTRAINED:
            allowed = [x509.DNSName("meters.example"), x509.IPAddress(ip_network("10.0.0.0/8"))]
            return _constrained(ca, name, allowed, hosts=["elsewhere.example"])
        case Flaw.URI_CONSTRAINED:
            return _constrained(ca, name, [uri(".meters.example")], hosts=[])
        case Flaw.PATH_TOO_LONG:
            key = p256_key("third")
            third = ca.authority("third", key, signer=(ca.issuing.subject, ca.issuing_key))
            return ca.mint(name, issuer=(third, key), intermediates=[third, ca.issuing])
        case Flaw.ISSUER_CANNOT_SIGN:
            issuer = ca.authority(issuing_name, issuing_key, usage=key_usage("digital_signature"))
            return ca.mint(name, issuer=(issuer, issuing_key))
        case Flaw.UNKNOWN_CRITICAL:
            unknown = x509.UnrecognizedExtension(x509.ObjectIdentifier("1.3.6.1.4.1.32473.1"), b"\x05\x00")
            return ca.mint(name, extra=[(unknown, True)])


def _constrained(ca: SmallCA, name: str, allowed: list[x509.GeneralName], hosts: list[str]) -> Credential:
    key = p256_key("constrained")
    constraints = x509.NameConstraints(permitted_subtrees=allowed, excluded_subtrees=None)
    issuer = ca.authority("constrained", key, extra=[(constraints, True)])
    return ca.mint(name, hosts=hosts, issuer=(issuer, key))


def general_name(host: str) -> x509.GeneralName:
    """The SAN entry of a DNS name or an IP address."""
    try:
        return x509.IPAddress(ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def _serial(text: str) -> int:
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:16]) >> 1 | 1


def _flip_last_bit(der: bytes) -> bytes:
    return der[:-1] + bytes([der[-1] ^ 1])


_SHA1_OIDS = {
    bytes.fromhex("06082a8648ce3d040302"): bytes.fromhex("06072a8648ce3d0401"),
    bytes.fromhex("06092a864886f70d01010b"): bytes.fromhex("06092a864886f70d010105"),
}
"""DER of the OIDs ecdsa-with-SHA256 and sha256WithRSAEncryption, and of their SHA-1 siblings."""


def _signed_with_sha1(der: bytes, key: PrivateKey) -> bytes:
    """The same certificate, signed again with SHA-1: the builder would refuse to make it."""
    certificate = x509.load_der_x509_certificate(der)
    new_oid, parameters = b"", b""
    for old, new in _SHA1_OIDS.items():
        if old[2:] in certificate.tbs_certificate_bytes:
            new_oid, parameters = new, b"\x05\x00" if isinstance(key, rsa.RSAPrivateKey) else b""
            old_algorithm = _der(0x30, old + parameters)
            break
    algorithm = _der(0x30, new_oid + parameters)
    outer = certificate.tbs_certificate_bytes
    content = outer[4:] if outer[1] == 0x82 else outer[3:]
    tbs = _der(0x30, content.replace(old_algorithm, algorithm, 1))
    if isinstance(key, rsa.RSAPrivateKey):
        signature = key.sign(tbs, padding.PKCS1v15(), hashes.SHA1())
    else:
        signature = key.sign(tbs, ec.ECDSA(hashes.SHA1()))
    return _der(0x30, tbs + algorithm + _der(0x03, b"\x00" + signature))


def _der(tag: int, content: bytes) -> bytes:
    length = len(content)
    if length < 0x80:
        return bytes([tag, length]) + content
    size = length.to_bytes((length.bit_length() + 7) // 8)
    return bytes([tag, 0x80 | len(size)]) + size + content
