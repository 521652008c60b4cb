"""Who asks: what the handshake proved, put together with what the registry knows.

It owns the step from a proved identity to a registered one. It must never take a name for a proof: a
certificate has to be of the registered key where there is one, and a raw public key is nobody until the
registry says whose it is.
"""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass
from datetime import UTC, datetime

from twoway.ac.directory import Directory
from twoway.ac.entity import Entity
from twoway.errors import RefusedError
from twoway.identity import Identity, RawPublicKeyIdentity, X509Identity

NEVER = datetime(9999, 12, 31, tzinfo=UTC)
"""When a raw public key ends: it has no date in it."""


class NotAdmitted(RefusedError):
    """The registry does not know the requester, or not with this proof.

    Args:
        what: why, in words that the requester may read.
        is_unknown: whether it is nobody to us; else it proved itself in a way that serves for nothing here.
    """

    def __init__(self, what: str, *, is_unknown: bool) -> None:
        super().__init__(what)
        self.is_unknown = is_unknown


@dataclass(frozen=True)
class Requester:
    """Somebody who asks, and whom the registry knows."""

    entity: Entity
    """What the registry has of it."""
    proved: X509Identity | RawPublicKeyIdentity
    """What the handshake proved."""

    @property
    def uri(self) -> str:
        """Its registered identity, whatever it proved itself with."""
        return self.entity.uri

    @property
    def not_after(self) -> datetime:
        """When its proof ends."""
        return self.proved.not_after if isinstance(self.proved, X509Identity) else NEVER

    @property
    def certificate(self) -> bytes | None:
        """The certificate that it showed (DER); None if it showed none."""
        chain = self.proved.chain if isinstance(self.proved, X509Identity) else ()
        return chain[0] if chain else None

    @property
    def certificate_sha256(self) -> bytes | None:
        """SHA-256 of that certificate, 32 bytes; None if there is none."""
        return None if self.certificate is None else hashlib.sha256(self.certificate).digest()


def identify(identity: Identity, directory: Directory) -> Requester:
    """Find out who is on the other end; the handshake has authenticated them, the registry must know them.

    Raises:
        NotAdmitted: it does not.
    """
    match identity:
        case X509Identity():
            entity = directory.requester(identity.uri)
            expected = None if entity is None else entity.spki
            if entity is not None and expected is not None and not _same(expected, identity.spki):
                # Certified by an authority that we trust, but not as the registry has it: the identity was
                # issued again since, or behind the ledger's back.
                raise NotAdmitted("the requester's key is not the registered one", is_unknown=True)
        case RawPublicKeyIdentity():
            entity = directory.holder_of_raw_key(identity.spki_sha256)
        case _:
            raise NotAdmitted(
                "a ticket is bound to a certified or registered key; ask with one", is_unknown=False
            )
    if entity is None:
        raise NotAdmitted("the requester is not registered here", is_unknown=True)
    return Requester(entity, identity)


def _same(one: bytes, other: bytes) -> bool:
    return hmac.compare_digest(one, other)
