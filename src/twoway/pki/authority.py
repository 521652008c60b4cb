"""The certification authority: a folder with two keys and a ledger, and what it signs.

    HOME/root-key.pem     private, 0600; needed by nobody after `init`: move it to a safe place
    HOME/issuing-key.pem  private, 0600
    HOME/ca.pem           the root: what every identity trusts
    HOME/issuing.pem      the authority that signs leaves; follows each leaf in a chain
    HOME/issued.jsonl     the ledger
    HOME/identities/NAME  identity folders

Who gets which identity is the operator's decision and comes in as arguments. A certificate is written to
the ledger before anybody can hold it, so that no valid leaf exists that the ledger does not know.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding

from twoway.errors import ConfigurationError
from twoway.identity import identity_uri
from twoway.pki.certificates import (
    SERIAL_BYTES,
    Signer,
    Validity,
    sign_issuing,
    sign_leaf,
    sign_root,
    validity_of,
)
from twoway.pki.files import (
    CERTIFICATE_FILE,
    KEY_FILE,
    PRIVATE_MODE,
    TRUST_FILE,
    read_file,
    read_private_file,
    write_file,
)
from twoway.pki.handover import hand_over, is_occupied, require_replaceable
from twoway.pki.keys import (
    KeyKind,
    PublicKey,
    generate_key,
    private_key_from_pem,
    private_key_to_pem,
    public_key_of_request,
    spki_of,
)
from twoway.pki.ledger import LedgerEntry, lock_ledger, require_attributes
from twoway.pki.roles import Role
from twoway.pki.trust import TrustStore

ROOT_LIFETIME = timedelta(days=20 * 365)
"""As long as what is built into walls."""
ISSUING_LIFETIME = timedelta(days=10 * 365)
LEAF_LIFETIME = timedelta(days=365)

ROOT_KEY_FILE = "root-key.pem"
ISSUING_KEY_FILE = "issuing-key.pem"
ISSUING_FILE = "issuing.pem"
LEDGER_FILE = "issued.jsonl"
IDENTITIES_FOLDER = "identities"

_CA_NAME_LENGTH_MAX = 48
"""What RFC 5280's 64 characters of a common name leave beside " issuing CA"."""


@dataclass(frozen=True)
class _Order:
    """What the operator asks the authority to certify."""

    name: str
    role: Role
    hosts: tuple[str, ...]
    attributes: Mapping[str, str]
    public_key: PublicKey

    @property
    def uri(self) -> str:
        return identity_uri(self.name)


class CertificateAuthority:
    """An authority in a folder of its own; made by :meth:`init` or :meth:`open`."""

    def __init__(
        self, home: Path, issuing: Signer, root_pem: bytes, *, entropy: Callable[[int], bytes] = os.urandom
    ) -> None:
        self.home = home
        self._issuing = issuing
        self._root_pem = root_pem
        self._entropy = entropy

    @property
    def ledger_path(self) -> Path:
        """The file that records every certificate (see :func:`twoway.pki.read_ledger`)."""
        return self.home / LEDGER_FILE

    @property
    def trust(self) -> TrustStore:
        """The root, as those who were issued identities trust it."""
        return TrustStore.from_pem(self._root_pem)

    @classmethod
    def init(
        cls, home: Path, *, name: str, now: datetime, entropy: Callable[[int], bytes] = os.urandom
    ) -> CertificateAuthority:
        """Make a new authority: a root, and below it the authority that issues.

        Args:
            home: the folder to make it in; it may exist, but hold no authority.
            name: what people call it, printed in the subjects of its certificates.
            now: the wall-clock time, aware.
            entropy: source of the serial numbers.

        Raises:
            ConfigurationError: if there is an authority already, or the name cannot be used.
            StorageError: if the disk refuses.
        """
        if not name.strip() or len(name) > _CA_NAME_LENGTH_MAX or not name.isprintable():
            raise ConfigurationError(
                f"{name!r} cannot be the name of an authority",
                remedy=f"give 1 to {_CA_NAME_LENGTH_MAX} printable characters",
            )
        root = sign_root(
            name, _new_authority_key(), Validity.starting(now, ROOT_LIFETIME), entropy(SERIAL_BYTES)
        )
        issuing = sign_issuing(
            name, _new_authority_key(), root, Validity.starting(now, ISSUING_LIFETIME), entropy(SERIAL_BYTES)
        )
        _make_home(home)
        with lock_ledger(home / LEDGER_FILE, create=True):
            if (home / TRUST_FILE).exists():
                raise ConfigurationError(
                    "there is an authority here already",
                    where=str(home),
                    remedy="use it, or name another folder",
                )
            write_file(home / ROOT_KEY_FILE, private_key_to_pem(root.private_key), mode=PRIVATE_MODE)
            write_file(home / ISSUING_KEY_FILE, private_key_to_pem(issuing.private_key), mode=PRIVATE_MODE)
            write_file(home / ISSUING_FILE, issuing.certificate.public_bytes(Encoding.PEM))
            # Last: an authority whose making was cut short has no ca.pem, and can be made again.
            write_file(home / TRUST_FILE, root.certificate.public_bytes(Encoding.PEM))
        return cls.open(home, entropy=entropy)

    @classmethod
    def open(cls, home: Path, *, entropy: Callable[[int], bytes] = os.urandom) -> CertificateAuthority:
        """Open an authority that :meth:`init` made.

        Raises:
            ConfigurationError: if there is none, or one of its files is missing or wrong.
        """
        if not (home / TRUST_FILE).is_file():
            raise ConfigurationError(
                "there is no authority here", where=str(home), remedy="make one with `twoway ca init`"
            )
        root_pem = read_file(home / TRUST_FILE)
        certificate = _read_certificate(home / ISSUING_FILE)
        key_path = home / ISSUING_KEY_FILE
        private_key = private_key_from_pem(read_private_file(key_path), where=str(key_path))
        if not isinstance(private_key, ec.EllipticCurvePrivateKey) or certificate.public_key() != (
            private_key.public_key()
        ):
            raise ConfigurationError(
                f"it is not the private key of {ISSUING_FILE}",
                where=str(key_path),
                remedy="restore both from one copy",
            )
        return cls(home, Signer(certificate, private_key), root_pem, entropy=entropy)

    def issue(
        self,
        name: str,
        role: Role,
        *,
        now: datetime,
        key: KeyKind = KeyKind.P256,
        hosts: Sequence[str] = (),
        attributes: Mapping[str, str] | None = None,
        out: Path | None = None,
        lifetime: timedelta = LEAF_LIFETIME,
        replace: bool = False,
    ) -> Path:
        """Make a key, sign a certificate for it, and write both as an identity folder.

        Args:
            name: the identity, short or a whole URN.
            role: decides what the certificate may be used for.
            now: the wall-clock time, aware.
            key: the kind of private key to make.
            hosts: DNS names and addresses at which the holder is reached.
            attributes: what the ledger records about the holder; not in the certificate.
            out: the folder to write, HOME/identities/NAME by default.
            lifetime: how long from now the certificate is in force; it ends with the authority at the latest.
            replace: issue although the identity exists. Its folder keeps other files; the old certificate
                stays valid until it expires.

        Returns:
            The identity folder.

        Raises:
            ConfigurationError: for a name, host or attribute that cannot be used, or one issued before.
            StorageError: if the disk refuses.
        """
        private_key = generate_key(KeyKind(key))
        order = _Order(name, Role(role), tuple(hosts), dict(attributes or {}), private_key.public_key())
        folder = out or self._default_folder(name)
        return self._carry_out(
            order,
            folder,
            now=now,
            lifetime=lifetime,
            replace=replace,
            key_pem=private_key_to_pem(private_key),
        )

    def sign_request(
        self,
        csr_pem: bytes,
        name: str,
        role: Role,
        *,
        now: datetime,
        hosts: Sequence[str] = (),
        attributes: Mapping[str, str] | None = None,
        out: Path | None = None,
        lifetime: timedelta = LEAF_LIFETIME,
        replace: bool = False,
    ) -> Path:
        """Sign a certificate for a key that was made elsewhere; the folder gets no key.pem.

        Only the public key is taken from the request. Whatever else it asks for is ignored.

        Args:
            csr_pem: a PKCS #10 request (RFC 2986) in PEM, signed by the key that it carries.
            name: as for :meth:`issue`, like all that follow.
            role: decides what the certificate may be used for.
            now: the wall-clock time, aware.
            hosts: DNS names and addresses at which the holder is reached.
            attributes: what the ledger records about the holder.
            out: the folder to write.
            lifetime: how long from now the certificate is in force.
            replace: issue although the identity exists; a key.pem in its folder has to be the request's.

        Returns:
            The identity folder, with cert.pem and ca.pem.

        Raises:
            ConfigurationError: as for :meth:`issue`, and for a request that is not what it should be.
            StorageError: if the disk refuses.
        """
        order = _Order(name, Role(role), tuple(hosts), dict(attributes or {}), public_key_of_request(csr_pem))
        folder = out or self._default_folder(name)
        return self._carry_out(order, folder, now=now, lifetime=lifetime, replace=replace, key_pem=None)

    def _carry_out(
        self,
        order: _Order,
        folder: Path,
        *,
        now: datetime,
        lifetime: timedelta,
        replace: bool,
        key_pem: bytes | None,
    ) -> Path:
        require_attributes(order.attributes)
        leaf = sign_leaf(
            order.uri,
            order.role,
            order.public_key,
            self._issuing,
            hosts=order.hosts,
            validity=self._validity(now, lifetime),
            serial=self._entropy(SERIAL_BYTES),
        )
        chain_pem = leaf.public_bytes(Encoding.PEM) + self._issuing.certificate.public_bytes(Encoding.PEM)
        files = {CERTIFICATE_FILE: chain_pem, TRUST_FILE: self._root_pem}
        if key_pem is not None:
            files = {KEY_FILE: key_pem, **files}
        with lock_ledger(self.ledger_path) as ledger:
            entries = ledger.entries()  # read in any case: nothing is added to a ledger that is damaged
            occupied = is_occupied(folder)
            if not replace:
                _require_new(order.uri, folder, entries, occupied=occupied)
            elif occupied:
                require_replaceable(folder, order.uri, None if key_pem else spki_of(order.public_key))
            ledger.append(LedgerEntry.of(order.name, order.role, order.attributes, leaf))
            hand_over(folder, files, occupied=occupied)
        return folder

    def _validity(self, now: datetime, lifetime: timedelta) -> Validity:
        own = validity_of(self._issuing.certificate)
        if not own.not_before <= now <= own.not_after:
            raise ConfigurationError(
                f"the authority is in force from {own.not_before:%Y-%m-%d} to {own.not_after:%Y-%m-%d} only",
                where=str(self.home),
                remedy="check this machine's clock, or make a new authority",
            )
        if lifetime <= timedelta(0):
            raise ConfigurationError("a certificate cannot live for no time", remedy="give a longer lifetime")
        return Validity.starting(now, lifetime).within(own)

    def _default_folder(self, name: str) -> Path:
        """The folder of an identity: a name that stays below `identities`, whatever a URN holds."""
        safe = re.sub(r"^\.|[^A-Za-z0-9.-]", "_", name)
        return self.home / IDENTITIES_FOLDER / safe


def _require_new(uri: str, folder: Path, entries: Sequence[LedgerEntry], *, occupied: bool) -> None:
    if any(entry.uri == uri for entry in entries):
        raise ConfigurationError(
            f"{uri} was issued before", remedy="choose another name, or replace it (--replace)"
        )
    if occupied:
        raise ConfigurationError(
            "there is something in this folder already", where=str(folder), remedy="name another one"
        )


def _make_home(home: Path) -> None:
    try:
        home.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigurationError(
            f"the folder cannot be made ({(error.strerror or 'refused').lower()})",
            where=str(home),
            remedy="name another one",
        ) from None


def _new_authority_key() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


def _read_certificate(path: Path) -> x509.Certificate:
    try:
        return x509.load_pem_x509_certificate(read_file(path))
    except ValueError:
        raise ConfigurationError(
            "it does not hold a certificate in PEM", where=str(path), remedy="restore it from a copy"
        ) from None
