"""To which key a ticket is bound: the ``cnf`` claim (RFC 8747) and the comparison with a proved key.

Owns both forms that this package issues and accepts: the key itself as COSE_Key, and its thumbprint
(RFC 9679). A key is compared by thumbprint, in constant time. Must never match by a ``kid`` or a name.
"""

from __future__ import annotations

import hmac
from collections.abc import Mapping
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
from twoway.tickets.iana import ConfirmationMethod

THUMBPRINT_BYTES = 32
"""SHA-256 in full: a shorter one could be collided with on purpose."""


class WrongKey(PeerError):
    """The key that a peer proved is not the key that was confirmed."""

    def __init__(self) -> None:
        super().__init__("it is bound to another key than the peer proved")


@dataclass(frozen=True)
class Confirmation:
    """A public key that a peer has to prove, by value or by thumbprint."""

    thumbprint: bytes
    """SHA-256 COSE Key Thumbprint, 32 bytes."""
    spki: bytes | None = field(default=None, repr=False)
    """DER SubjectPublicKeyInfo, if the key was given by value."""

    @classmethod
    def of_key(cls, spki: bytes, *, compact: bool = False) -> Self:
        """Confirm the key ``spki``; ``compact`` keeps its thumbprint only (41 bytes less in a ticket).

        Raises:
            UnusableKey: the key is neither P-256 nor RSA.
        """
        return cls(thumbprint(spki), None if compact else spki)

    @classmethod
    def parse_untrusted(cls, value: object) -> Self:
        """Read a decoded ``cnf`` map.

        Members that are not understood are passed over (RFC 8747 section 3.1); of those that are, there is
        exactly one, since a ticket that names two keys confirms neither.

        Raises:
            UnusableKey: not a map, no or several methods, a method other than COSE_Key and thumbprint, or
                a key that :func:`spki_from_cose_key_untrusted` refuses.
        """
        if not isinstance(value, Mapping):
            raise UnusableKey(KeyFault.MALFORMED)
        methods = [method for method in ConfirmationMethod if method in value]
        match methods:
            case [ConfirmationMethod.COSE_KEY]:
                return cls.of_key(spki_from_cose_key_untrusted(value[ConfirmationMethod.COSE_KEY]))
            case [ConfirmationMethod.CKT]:
                digest = value[ConfirmationMethod.CKT]
                if not isinstance(digest, bytes) or len(digest) != THUMBPRINT_BYTES:
                    raise UnusableKey(KeyFault.MALFORMED)
                return cls(digest)
            case [_]:
                raise UnusableKey(KeyFault.UNSUPPORTED)
            case _:
                raise UnusableKey(KeyFault.MALFORMED)

    def claim(self) -> dict[int, object]:
        """The ``cnf`` map to encode."""
        if self.spki is None:
            return {ConfirmationMethod.CKT: self.thumbprint}
        return {ConfirmationMethod.COSE_KEY: cose_key_from_spki(self.spki)}

    def require_key(self, spki: bytes) -> None:
        """Check that ``spki``, the key that a peer proved, is the confirmed one.

        Raises:
            WrongKey: it is not, or is of a kind that no ticket is bound to.
        """
        try:
            proved = thumbprint(spki)
        except UnusableKey:
            raise WrongKey from None
        if not hmac.compare_digest(proved, self.thumbprint):
            raise WrongKey
