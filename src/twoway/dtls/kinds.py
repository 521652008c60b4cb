"""The three kinds of handshake (draft-schmitt-two-way-authentication-for-iot-01 section 4.1).

A kind says who has proved something, not how: a pre-shared key, a certificate and a pinned raw public key
all prove their holder.
"""

from __future__ import annotations

from enum import Enum


class HandshakeKind(Enum):
    """Who has been authenticated when a handshake is complete."""

    ANONYMOUS = "unauthenticated"
    """Nobody. It keeps passive listeners out, and nobody else."""
    SERVER_AUTHENTICATED = "server authenticated"
    """The server alone: it does not know who the client is."""
    FULL = "fully authenticated"
    """Both: the two-way authentication that everything above is built on."""
