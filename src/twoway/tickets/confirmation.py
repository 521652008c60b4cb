"""To which key a ticket is bound: the ``cnf`` claim (RFC 8747) and the comparison with a proved key.

Owns the forms that this package issues and accepts. A public key stands there itself, as COSE_Key, or by its
thumbprint (RFC 9679); beside it there may be the hash of a certificate (``x5t``), and then both count: who
does not understand the hash is left with the key, as RFC 8747 section 3.1 wants. A symmetric key stands there
itself, in an encrypted ticket, or by its name alone where the publisher derives it (RFC 9202 section 3.3.1).
Keys are compared in constant time. Must never match by a ``kid`` or a name alone what was not proved.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Self

from twoway.errors import PeerError
from twoway.tickets.cose_key import (
    KeyFault,
    UnusableKey,
    cose_key_from_spki,
    spki_from_cose_key_untrusted,
    thumbprint,
)
from twoway.tickets.iana import (
    Algorithm,
    ConfirmationMethod,
    KeyOperation,
    KeyParameter,
    KeyType,
    SymmetricKeyParameter,
)
from twoway.tickets.provisional import DEFAULT_NUMBERS, ProvisionalNumbers

HASH_BYTES = 32
"""SHA-256 in full: a shorter one could be collided with on purpose."""
KID_BYTES = 8
"""Of the name of a symmetric key, as the RFC's examples have it."""
MAX_KID_BYTES = 64
"""Of a name that we read."""
_DERIVING = (KeyOperation.DERIVE_KEY, KeyOperation.DERIVE_BITS)
SYMMETRIC_KEY_BYTES = range(16, 64 + 1)
"""What DTLS takes as a pre-shared key here."""


class WrongKey(PeerError):
    """The key that a peer proved is not the key that was confirmed."""

    def __init__(self) -> None:
        super().__init__("it is bound to another key than the peer proved")


@dataclass(frozen=True)
class Confirmation:
    """A public key that a peer has to prove, by value or by thumbprint, perhaps with a certificate."""

    thumbprint: bytes
    """SHA-256 COSE Key Thumbprint, 32 bytes."""
    spki: bytes | None = field(default=None, repr=False)
    """DER SubjectPublicKeyInfo, if the key was given by value."""
    certificate_sha256: bytes | None = None
    """SHA-256 of the DER certificate that the peer has to show with the key, 32 bytes; None for any."""

    @classmethod
    def of_key(cls, spki: bytes, *, compact: bool = False, certificate_sha256: bytes | None = None) -> Self:
        """Confirm the key ``spki``; ``compact`` keeps its thumbprint only (41 bytes less in a ticket).

        Raises:
            UnusableKey: the key is neither P-256 nor RSA.
        """
        return cls(thumbprint(spki), None if compact else spki, certificate_sha256)

    @property
    def index(self) -> tuple[str, bytes]:
        """What a table of tickets is looked up by."""
        return ("thumbprint", self.thumbprint)

    def claim(self, numbers: ProvisionalNumbers = DEFAULT_NUMBERS) -> dict[int, object]:
        """The ``cnf`` map to encode."""
        claim: dict[int, object] = (
            {ConfirmationMethod.CKT: self.thumbprint}
            if self.spki is None
            else {ConfirmationMethod.COSE_KEY: cose_key_from_spki(self.spki)}
        )
        if self.certificate_sha256 is not None:
            claim[numbers.x5t] = [int(Algorithm.SHA_256), self.certificate_sha256]
        return claim

    @classmethod
    def parse_untrusted(cls, value: object, numbers: ProvisionalNumbers = DEFAULT_NUMBERS) -> Self:
        """Read a decoded ``cnf`` map.

        Members that are not understood are passed over (RFC 8747 section 3.1); of those that name a key,
        there is exactly one, since a ticket that names two keys confirms neither.

        Raises:
            UnusableKey: not a map, no or several keys, a method other than COSE_Key and thumbprint, a key
                that :func:`spki_from_cose_key_untrusted` refuses, or a hash that is not SHA-256 in full.
        """
        if not isinstance(value, Mapping):
            raise UnusableKey(KeyFault.MALFORMED)
        pin = certificate_hash_untrusted(value[numbers.x5t]) if numbers.x5t in value else None
        match [method for method in ConfirmationMethod if method in value]:
            case [ConfirmationMethod.COSE_KEY]:
                spki = spki_from_cose_key_untrusted(value[ConfirmationMethod.COSE_KEY])
                return cls.of_key(spki, certificate_sha256=pin)
            case [ConfirmationMethod.CKT]:
                return cls(_sha256(value[ConfirmationMethod.CKT]), certificate_sha256=pin)
            case [_]:
                raise UnusableKey(KeyFault.UNSUPPORTED)
            case _:
                raise UnusableKey(KeyFault.MALFORMED)

    def require_key(self, spki: bytes, certificate: bytes | None = None) -> None:
        """Check that ``spki``, the key that a peer proved, is the confirmed one.

        Args:
            spki: DER SubjectPublicKeyInfo.
            certificate: the DER certificate that the peer showed with it; None if it showed none.

        Raises:
            WrongKey: it is not, or is of a kind that no ticket is bound to, or comes with another
                certificate than the pinned one.
        """
        try:
            proved = thumbprint(spki)
        except UnusableKey:
            raise WrongKey from None
        if not hmac.compare_digest(proved, self.thumbprint):
            raise WrongKey
        if self.certificate_sha256 is None:
            return
        if certificate is None:
            raise WrongKey
        if not hmac.compare_digest(hashlib.sha256(certificate).digest(), self.certificate_sha256):
            raise WrongKey


@dataclass(frozen=True)
class SymmetricConfirmation:
    """A symmetric key that a peer has to prove, where there are no certificates (RFC 9202 section 3.3)."""

    kid: bytes
    """Its name, unique among the keys that the AC made for the publisher."""
    key: bytes | None = field(default=None, repr=False)
    """The key itself, where it is known already."""
    derived: bool = False
    """Whether the publisher derives the key from the ticket, which then holds its name alone."""

    @property
    def index(self) -> tuple[str, bytes]:
        """What a table of tickets is looked up by."""
        return ("kid", self.kid)

    def claim(self, numbers: ProvisionalNumbers = DEFAULT_NUMBERS) -> dict[int, object]:
        """The ``cnf`` map for a ticket; with the key in it, it may only be sent encrypted."""
        return symmetric_claim(self.kid, None if self.derived else self.key)

    @classmethod
    def parse_untrusted(cls, value: object) -> Self:
        """Read a decoded ``cnf`` map whose only key is a symmetric one.

        Raises:
            UnusableKey: it is something else, has no name, a key of another length than 16 to 64 bytes, or
                words that restrict the key to something else than a handshake.
        """
        if not isinstance(value, Mapping):
            raise UnusableKey(KeyFault.MALFORMED)
        if [method for method in ConfirmationMethod if method in value] != [ConfirmationMethod.COSE_KEY]:
            raise UnusableKey(KeyFault.MALFORMED)
        if not is_symmetric(value):
            raise UnusableKey(KeyFault.UNSUPPORTED)
        cose_key = value[ConfirmationMethod.COSE_KEY]
        kid, key = cose_key.get(KeyParameter.KID), cose_key.get(SymmetricKeyParameter.K)
        if not isinstance(kid, bytes) or not 0 < len(kid) <= MAX_KID_BYTES:
            raise UnusableKey(KeyFault.MALFORMED)
        if key is not None and (not isinstance(key, bytes) or len(key) not in SYMMETRIC_KEY_BYTES):
            raise UnusableKey(KeyFault.MALFORMED)
        _check_symmetric_use(cose_key)
        return cls(kid, key)


AnyConfirmation = Confirmation | SymmetricConfirmation
"""Whatever a ticket can be bound to."""


def parse_confirmation_untrusted(
    value: object, numbers: ProvisionalNumbers = DEFAULT_NUMBERS
) -> AnyConfirmation:
    """Read a decoded ``cnf`` map of either kind.

    Raises:
        UnusableKey: it is neither.
    """
    if is_symmetric(value):
        return SymmetricConfirmation.parse_untrusted(value)
    return Confirmation.parse_untrusted(value, numbers)


def symmetric_claim(kid: bytes, key: bytes | None) -> dict[int, object]:
    """Return the ``cnf`` map of a symmetric key, or of its name alone (RFC 9202 figures 8 and 9)."""
    cose_key: dict[int, object] = {KeyParameter.KTY: int(KeyType.SYMMETRIC), KeyParameter.KID: kid}
    if key is not None:
        cose_key[SymmetricKeyParameter.K] = key
    return {ConfirmationMethod.COSE_KEY: cose_key}


def is_symmetric(value: object) -> bool:
    """Whether a decoded ``cnf`` map holds a symmetric key, well formed or not."""
    match value:
        case {ConfirmationMethod.COSE_KEY: {KeyParameter.KTY: int() as kty}}:
            return type(kty) is int and kty == KeyType.SYMMETRIC
        case _:
            return False


def fresh_kid(entropy: Callable[[int], bytes]) -> bytes:
    """Return a new name for a symmetric key: 8 random bytes, none of them zero.

    The name travels in ``psk_identity``, which some stacks keep as a string that ends at the first zero.
    """
    return bytes(1 + byte % 255 for byte in entropy(KID_BYTES))


def certificate_hash_untrusted(value: object) -> bytes:
    """Read ``[algorithm, digest]`` (COSE_CertHash, RFC 9360 section 2); SHA-256 in full, or it says nothing.

    Raises:
        UnusableKey: it is another hash, or none.
    """
    match value:
        case [int() as algorithm, digest] if type(algorithm) is int:
            if algorithm != Algorithm.SHA_256:
                raise UnusableKey(KeyFault.UNSUPPORTED)
            return _sha256(digest)
        case _:
            raise UnusableKey(KeyFault.MALFORMED)


def _check_symmetric_use(cose_key: Mapping[object, object]) -> None:
    """Refuse a key that is not for deriving others, as a handshake does (RFC 9052 section 7.1): no COSE
    algorithm stands for DTLS, so one that is named is for something else."""
    operations = cose_key.get(KeyParameter.KEY_OPS, [int(KeyOperation.DERIVE_KEY)])
    derives = isinstance(operations, list) and any(op in operations for op in _DERIVING)
    if KeyParameter.ALG in cose_key or not derives:
        raise UnusableKey(KeyFault.UNSUPPORTED)


def _sha256(digest: object) -> bytes:
    if not isinstance(digest, bytes) or len(digest) != HASH_BYTES:
        raise UnusableKey(KeyFault.MALFORMED)
    return digest
