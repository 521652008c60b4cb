"""What an association tells its caller: small values, in the order in which they happened."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass, field
from enum import Enum

from twoway.dtls.alerts import AlertDescription
from twoway.dtls.credentials import Credential
from twoway.dtls.kinds import HandshakeKind
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
    """The group of the key exchange (``x25519``, ``secp256r1``); None where there was none, as in an
    abbreviated handshake."""
    kind: HandshakeKind
    """Who has been authenticated."""
    resumed: bool = False
    """Whether the handshake was abbreviated: then all of the above had been proved in an earlier one."""


@dataclass(slots=True)  # Each record makes one, and a frozen one takes longer to make.
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
    credential: Credential = field(repr=False)
    """Whose key it is; its ``signer`` can do it."""


@dataclass(frozen=True, slots=True)
class DecryptionRequest:
    """A key that lives elsewhere must decrypt an RSA premaster secret; answer with
    :meth:`Association.answer`.

    Whoever answers must treat every ciphertext alike, in what it says and in how long it takes: what the
    padding was like is for nobody to know (RFC 5246 section 7.4.7.1).
    """

    ciphertext: bytes = field(repr=False)
    """EncryptedPreMasterSecret, RSAES-PKCS1-v1_5 to our public key."""
    credential: Credential = field(repr=False)
    """Whose key it is; its ``decrypter`` can do it."""


@dataclass(frozen=True, slots=True)
class PathChanged:
    """The peer has moved: what we send goes by another path from here on (RFC 9146 section 6)."""

    path: Hashable
    """The path, as it was given to :meth:`Association.receive_datagram`."""


@dataclass(frozen=True, slots=True)
class SaveDue:
    """Half of the records that were reserved by the last :meth:`Association.save` are used: save again.

    A restored association says so at once, for it can do nothing before.
    """


Event = Connected | DataReceived | Closed | SignatureRequest | DecryptionRequest | PathChanged | SaveDue
"""Everything that :meth:`Association.next_event` can return."""
