"""The CA's ledger: one line for each certificate that it signed, on the disk before the certificate is used.

The file is append-only JSON, one object a line. It is what an access control server reads to learn who
exists, with which role, attributes and key. A line without its line feed was cut off by a crash before its
certificate was handed out: readers pass over it, and the next writer removes it.
"""

from __future__ import annotations

import fcntl
import json
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from twoway.errors import ConfigurationError, StorageError
from twoway.identity import X509Identity, identity_uri
from twoway.pki.chains import parse_chain_untrusted
from twoway.pki.rejection import CertificateRejected
from twoway.pki.roles import Role
from twoway.pki.trust import identity_of_untrusted

_KEYS = frozenset(
    {
        "name",
        "uri",
        "role",
        "serial",
        "not_before",
        "not_after",
        "spki_sha256",
        "attributes",
        "hosts",
        "certificate",
    }
)
_ATTRIBUTE_KEY = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_ATTRIBUTE_VALUE_LENGTH_MAX = 256


@dataclass(frozen=True)
class LedgerEntry:
    """One certificate that the CA signed."""

    name: str
    """The name that the operator gave, short or a whole URN."""
    role: Role
    """What the certificate was issued for."""
    attributes: Mapping[str, str]
    """What the operator said of the holder, such as `organisation` and `region`; never in the certificate."""
    certificate: str = field(repr=False)
    """The leaf in PEM."""

    @classmethod
    def of(
        cls, name: str, role: Role, attributes: Mapping[str, str], certificate: x509.Certificate
    ) -> LedgerEntry:
        """Return the entry for a certificate that was just signed."""
        return cls(name, role, dict(attributes), certificate.public_bytes(Encoding.PEM).decode())

    @cached_property
    def _leaf(self) -> x509.Certificate:
        return x509.load_pem_x509_certificate(self.certificate.encode())

    @cached_property
    def identity(self) -> X509Identity:
        """The holder as peers will see it; the chain is the leaf alone."""
        der = self._leaf.public_bytes(Encoding.DER)
        return identity_of_untrusted(parse_chain_untrusted([der]), (der,))

    @property
    def uri(self) -> str:
        """The identity in the certificate."""
        return self.identity.uri

    @property
    def hosts(self) -> tuple[str, ...]:
        """DNS names and addresses in the certificate."""
        return self.identity.hosts

    @property
    def spki(self) -> bytes:
        """DER SubjectPublicKeyInfo of the holder's key."""
        return self.identity.spki

    @property
    def spki_sha256(self) -> bytes:
        """SHA-256 of :attr:`spki`, 32 bytes."""
        return self.identity.spki_sha256

    @property
    def serial(self) -> int:
        """The certificate's serial number."""
        return self._leaf.serial_number

    @property
    def not_before(self) -> datetime:
        """Start of the certificate's validity, aware, UTC."""
        return self._leaf.not_valid_before_utc

    @property
    def not_after(self) -> datetime:
        """End of the certificate's validity, aware, UTC."""
        return self._leaf.not_valid_after_utc

    def to_json(self) -> dict[str, object]:
        """Return the object of the ledger's line: what the certificate says is spelt out for readers."""
        return {
            "name": self.name,
            "uri": self.uri,
            "role": self.role.value,
            "serial": f"{self.serial:x}",
            "not_before": _timestamp(self.not_before),
            "not_after": _timestamp(self.not_after),
            "spki_sha256": self.spki_sha256.hex(),
            "attributes": dict(self.attributes),
            "hosts": list(self.hosts),
            "certificate": self.certificate,
        }


def read_ledger(path: Path) -> list[LedgerEntry]:
    """Read a CA's ledger, oldest entry first.

    Raises:
        ConfigurationError: if it cannot be read, or a line is not an entry whose fields agree with its
            certificate.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ConfigurationError(
            f"the ledger cannot be read ({(error.strerror or 'refused').lower()})",
            where=str(path),
            remedy="check the path",
        ) from None
    return _parse_lines(content, path)


def latest_by_uri(entries: Iterable[LedgerEntry]) -> dict[str, LedgerEntry]:
    """Return what holds now: for each identity its last entry, since a later issuance replaces an earlier."""
    return {entry.uri: entry for entry in entries}


def require_attributes(attributes: Mapping[str, str]) -> None:
    """Check attributes before they are recorded.

    Raises:
        ConfigurationError: for a key that is no identifier, or a value that is empty, long or unprintable.
    """
    for key, value in attributes.items():
        if not _ATTRIBUTE_KEY.fullmatch(key):
            raise ConfigurationError(
                f"{key!r} cannot be the name of an attribute", remedy="use letters, digits and underscores"
            )
        if not value or len(value) > _ATTRIBUTE_VALUE_LENGTH_MAX or not value.isprintable():
            raise ConfigurationError(
                f"the value of attribute {key} cannot be used",
                remedy=f"give 1 to {_ATTRIBUTE_VALUE_LENGTH_MAX} printable characters",
            )


class OpenLedger:
    """A ledger that this process alone may write, for as long as :func:`lock_ledger` holds it."""

    def __init__(self, path: Path, descriptor: int) -> None:
        self._path = path
        self._descriptor = descriptor

    def entries(self) -> list[LedgerEntry]:
        """Read the entries, oldest first; raises ConfigurationError as :func:`read_ledger` does."""
        return read_ledger(self._path)

    def append(self, entry: LedgerEntry) -> None:
        """Add an entry; on return it survives a power cut."""
        line = json.dumps(entry.to_json(), ensure_ascii=False, separators=(",", ":")).encode() + b"\n"
        os.ftruncate(self._descriptor, _complete_bytes(self._path.read_bytes()))
        while line:
            line = line[os.write(self._descriptor, line) :]
        os.fsync(self._descriptor)


@contextmanager
def lock_ledger(path: Path, *, create: bool = False) -> Iterator[OpenLedger]:
    """Hold a ledger for writing; a second process waits until the first is done.

    Raises:
        StorageError: if it cannot be opened or written.
    """
    try:
        flags = os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC | (os.O_CREAT if create else 0)
        descriptor = os.open(path, flags, 0o644)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield OpenLedger(path, descriptor)
        finally:
            os.close(descriptor)
    except OSError as error:
        raise StorageError(
            f"the ledger cannot be written ({(error.strerror or 'refused').lower()})",
            where=str(path),
            remedy="check its mode and the free space",
        ) from None


def _parse_lines(content: bytes, path: Path) -> list[LedgerEntry]:
    entries = []
    for number, line in enumerate(content[: _complete_bytes(content)].splitlines(), start=1):
        try:
            entries.append(_parse_line(line))
        except (ValueError, TypeError, RecursionError, CertificateRejected, ConfigurationError):
            raise ConfigurationError(
                "this line is not an entry of a ledger",
                where=f"{path}, line {number}",
                remedy="restore the file from a copy; it is written by the CA alone",
            ) from None
    return entries


def _parse_line(line: bytes) -> LedgerEntry:
    fields = json.loads(line)
    if not isinstance(fields, dict) or fields.keys() != _KEYS:
        raise ValueError("not an object with just these keys")
    name, attributes, certificate = fields["name"], fields["attributes"], fields["certificate"]
    if not isinstance(attributes, dict):
        raise TypeError("the attributes are not an object")
    if not all(isinstance(each, str) for each in (name, certificate, *attributes.values())):
        raise TypeError("not text")
    require_attributes(attributes)
    entry = LedgerEntry(name, Role(fields["role"]), attributes, certificate)
    if entry.uri != identity_uri(name) or entry.to_json() != fields:
        raise ValueError("the fields disagree with the certificate")
    return entry


def _complete_bytes(content: bytes) -> int:
    """How many bytes of the file are whole lines."""
    return content.rfind(b"\n") + 1


def _timestamp(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
