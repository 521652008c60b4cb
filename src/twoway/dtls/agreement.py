"""The agreement: what both sides have settled in a handshake and what holds for the rest of the association.

It is filled in as the handshake goes on, and it is what a snapshot takes along.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from twoway.dtls.connection_id import NO_CONNECTION_IDS, ConnectionIDs
from twoway.dtls.keys import EpochKeys


@dataclass(slots=True)
class Agreement:
    """Everything is as it is without any negotiation until a handshake says otherwise."""

    keys: EpochKeys | None = field(default=None, repr=False)
    """Of epoch 1."""
    connection_ids: ConnectionIDs = NO_CONNECTION_IDS
    """What each side writes into its records (RFC 9146)."""
    checks_paths: bool = False
    """Whether both sides speak the return routability check (RFC 9853)."""
    sent_limit: int | None = None
    """Bytes of plaintext that the peer takes in a record; None: no bound agreed (RFC 8449, RFC 6066)."""
    received_limit: int | None = None
    """The same for us."""
