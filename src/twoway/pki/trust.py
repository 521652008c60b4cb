"""Whom we believe: trust anchors, and the judgement of a peer's chain by them.

Paths are built and checked by `cryptography`'s verifier at the time that is handed in. There is no other
way to an X509Identity of a peer than through here, and no option that leaves a check out.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.x509.verification import ExtensionPolicy, PolicyBuilder, Store, VerificationError

from twoway.errors import CallerError, ConfigurationError
from twoway.identity import X509Identity
from twoway.pki.chains import CHAIN_CERTIFICATES_MAX, parse_chain_untrusted
from twoway.pki.diagnosis import diagnose
from twoway.pki.files import read_file
from twoway.pki.keys import is_supported, spki_of
from twoway.pki.names import read_names_untrusted
from twoway.pki.profile import authority_policy, leaf_policy
from twoway.pki.rejection import CertificateReason, CertificateRejected
from twoway.pki.roles import Purpose
from twoway.pki.verified import VerifiedChains, VerifiedPeer

_POLICIES: dict[Purpose, tuple[ExtensionPolicy, ExtensionPolicy]] = {
    purpose: (authority_policy(purpose), leaf_policy(purpose)) for purpose in Purpose
}


class TrustStore:
    """The authorities that are trusted to say who a peer is.

    Whom it believes never changes; one may serve all associations and threads of a process. What it verified
    is remembered for a while (:mod:`twoway.pki.verified`): that saves work and changes no judgement.

    Args:
        anchors: certificates of authorities, at least one.
        known: certificates of further authorities that a path may lead through when the peer does not send
            them. They are not trusted by being here: each has to lead to an anchor.
        where: what the anchors were read from, for errors.
    """

    def __init__(
        self,
        anchors: Sequence[x509.Certificate],
        *,
        known: Sequence[x509.Certificate] = (),
        where: str = "trust anchors",
    ) -> None:
        if not anchors:
            raise ConfigurationError(
                "there is no certificate in it", where=where, remedy="put the trusted authority's there"
            )
        if not all(_is_authority(anchor) for anchor in anchors):
            raise ConfigurationError(
                "a certificate in it is not an authority's",
                where=where,
                remedy="put only certificates with CA:TRUE there, such as the ca.pem that the CA wrote",
            )
        self._anchors = tuple(anchors)
        self._known = tuple(known)
        self._store = Store(list(anchors))
        self._verified = VerifiedChains()

    @classmethod
    def from_pem(cls, pem: bytes, *, where: str = "trust anchors") -> TrustStore:
        """Read trust anchors from one or more PEM certificates.

        Raises:
            ConfigurationError: if there is none, or one that is not an authority's.
        """
        try:
            anchors = x509.load_pem_x509_certificates(pem)
        except ValueError:
            raise ConfigurationError(
                "it does not hold certificates in PEM",
                where=where,
                remedy="put the trusted authority's there",
            ) from None
        return cls(anchors, where=where)

    def knowing(self, chain: Sequence[bytes]) -> TrustStore:
        """Return a store of the same anchors that knows the authorities of a chain, too.

        Some stacks send their leaf alone. A party that has its own certificate from the same authority can
        fill in what they leave out.

        Args:
            chain: DER certificates, leaf first.
        """
        authorities = [x509.load_der_x509_certificate(der) for der in chain[1:]]
        return TrustStore(self._anchors, known=authorities)

    @classmethod
    def from_file(cls, path: Path) -> TrustStore:
        """Read trust anchors from a PEM file.

        Raises:
            ConfigurationError: if it cannot be read, or as for :meth:`from_pem`.
        """
        return cls.from_pem(read_file(path), where=str(path))

    @cached_property
    def subjects(self) -> tuple[bytes, ...]:
        """The anchors' subject names in DER, for the certificate_authorities of a CertificateRequest
        (RFC 5246 section 7.4.4)."""
        return tuple(anchor.subject.public_bytes() for anchor in self._anchors)

    @cached_property
    def fingerprint(self) -> bytes:
        """A digest of the anchors, 32 bytes: equal for stores that believe the same authorities."""
        anchors = sorted(anchor.fingerprint(hashes.SHA256()) for anchor in self._anchors)
        return hashlib.sha256(b"".join(anchors)).digest()

    def verify_untrusted(self, chain: Sequence[bytes], *, purpose: Purpose, at: datetime) -> X509Identity:
        """Judge the chain of a peer and return who it is: :meth:`verify_peer_untrusted` without the key."""
        return self.verify_peer_untrusted(chain, purpose=purpose, at=at).identity

    def verify_peer_untrusted(
        self, chain: Sequence[bytes], *, purpose: Purpose, at: datetime
    ) -> VerifiedPeer:
        """Judge the chain of a peer (RFC 5280 section 6).

        The caller still has to see the peer prove the key, and to ask whether it was revoked: neither is part
        of this judgement.

        Args:
            chain: DER certificates, leaf first, as the peer sent them.
            purpose: the side of the handshake that the peer is on.
            at: the wall-clock time, aware.

        Returns:
            Who the peer is, if it proves the key, and the key. The identity ends with the first certificate
            on the verified path that ends.

        Raises:
            CertificateRejected: for anything that is wrong with the chain, and nothing else.
        """
        if at.tzinfo is None:
            raise CallerError("certificates are judged at an aware time, and this one is naive")
        moment = at.astimezone(UTC)
        sent = tuple(chain)
        remembered = self._verified.recall(sent, purpose=purpose, at=moment)
        return self._verify_anew_untrusted(sent, purpose, moment) if remembered is None else remembered

    def _verify_anew_untrusted(
        self, chain: tuple[bytes, ...], purpose: Purpose, moment: datetime
    ) -> VerifiedPeer:
        sent = parse_chain_untrusted(chain)
        # What the peer sends comes first: of each name there is one, so a search never branches.
        names = {certificate.subject for certificate in sent[1:]}
        certificates = [*sent, *(authority for authority in self._known if authority.subject not in names)]
        leaf, *authorities = certificates
        authority_rules, leaf_rules = _POLICIES[purpose]
        verifier = (
            PolicyBuilder()
            .store(self._store)
            .time(moment)
            .max_chain_depth(CHAIN_CERTIFICATES_MAX - 1)
            .extension_policies(ca_policy=authority_rules, ee_policy=leaf_rules)
            .build_client_verifier()
        )
        try:
            path = verifier.verify(leaf, authorities).chain
        except VerificationError:
            raise diagnose(certificates, self._anchors, purpose=purpose, at=moment) from None
        identity = identity_of_untrusted(sent, chain)
        identity = replace(identity, not_after=min(step.not_valid_after_utc for step in path))
        peer = VerifiedPeer(identity, leaf.public_key())
        if all(certificate in path for certificate in sent):
            self._verified.remember(peer, path, purpose=purpose, at=moment)
        return peer

    def __repr__(self) -> str:
        return f"TrustStore({len(self._anchors)} anchors)"


def identity_of_untrusted(certificates: Sequence[x509.Certificate], chain: tuple[bytes, ...]) -> X509Identity:
    """Read who a leaf says it is, without judging who says so: for verified chains, and for our own.

    Raises:
        CertificateRejected: NO_IDENTITY or UNSUPPORTED_KEY.
    """
    leaf = certificates[0]
    try:
        names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        raise CertificateRejected(
            CertificateReason.NO_IDENTITY, "it carries no subject alternative name"
        ) from None
    key = leaf.public_key()
    if not is_supported(key):
        raise CertificateRejected(CertificateReason.UNSUPPORTED_KEY)
    uri, hosts = read_names_untrusted(names)
    return X509Identity(uri, spki_of(key), chain, leaf.not_valid_after_utc, hosts)


def _is_authority(certificate: x509.Certificate) -> bool:
    try:
        constraints = certificate.extensions.get_extension_for_class(x509.BasicConstraints).value
    except (x509.ExtensionNotFound, ValueError):
        return False
    return constraints.ca
