"""What an association tells its caller: small values, in the order in which they happened."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum

from twoway.dtls.alerts import AlertDescription
from twoway.identity import Identity


class ClosedBy(Enum):
    """Who ended an association."""

    US = "us"
    """We did: :meth:`Association.close`, or a rule of the protocol that the peer broke."""
    PEER = "peer"
    """The peer sent close_notify or a fatal alert."""
    TIMEOUT = "timeout"
    """Nobody answered within the configured retransmissions."""


@dataclass(frozen=True, slots=True)
class Connected:
    """The handshake is complete and both Finished messages are verified."""

    peer: Identity
    """Who the peer proved to be."""
    suite: str
    """The suite's IANA name, ``TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256``."""
    group: str | None
    """The group of the key exchange (``x25519``, ``secp256r1``); None for plain PSK."""
    kind: str
    """The handshake's kind: ``x509 mutual`` or ``psk``."""


@dataclass(frozen=True, slots=True)
class DataReceived:
    """One record of application data, authenticated and not seen before."""

    data: bytes = field(repr=False)
    """The plaintext; datagram boundaries are kept."""


@dataclass(frozen=True, slots=True)
class Closed:
    """The association is over; it is the last event. Every later input is ignored."""

    by: ClosedBy
    """Who ended it."""
    alert: AlertDescription | None
    """The alert that was sent (by us) or received (by the peer); None for a timeout."""
    reason: str
    """One sentence for a person, without secrets."""
    established: bool
    """Whether the handshake had completed before."""


@dataclass(frozen=True, slots=True)
class SignatureRequest:
    """A key that lives elsewhere must sign; answer with :meth:`Association.answer`."""

    data: bytes = field(repr=False)
    """The bytes to sign (not yet hashed)."""
    scheme: int
    """The SignatureScheme to sign with (RFC 8446 section 4.2.3 numbering)."""


Event = Connected | DataReceived | Closed | SignatureRequest
"""Everything that :meth:`Association.next_event` can return."""
