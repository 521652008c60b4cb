"""Chains that were verified a short while ago, so that a peer that comes back costs no signatures again.

Theory of operation. A verification depends on the chain, the purpose, the anchors and the time. A memory
belongs to one :class:`~twoway.pki.trust.TrustStore`, whose anchors never change. It is asked with the whole
chain and the purpose, compared byte by byte: no digest stands for a chain, so none can collide. That leaves
the time. Every certificate of the path was in force when it was verified; it is recalled from that moment
until the first of them ends, so all are in force at each moment in between. And never for longer than
:data:`REMEMBERED_FOR`, whatever the certificates say.

Three things are not remembered: refusals, so that an attacker fills nothing with rubbish; chains with
certificates that the path did not need, for the holder of one good certificate could vary them without end;
and revocation, which is the caller's question at each use.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from datetime import datetime, timedelta
from threading import Lock
from typing import Final, NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.types import CertificatePublicKeyTypes

from twoway.identity import X509Identity
from twoway.pki.roles import Purpose

REMEMBERED_FOR: Final = timedelta(hours=1)
"""A sensor that reports every few minutes is recognised; a mistake of ours in remembering ends by itself."""
REMEMBERED_CHAINS: Final = 1024
"""About 3 MB with chains of two P-256 certificates; the one that was asked for longest ago makes room."""


class VerifiedPeer(NamedTuple):
    """What a verified chain says."""

    identity: X509Identity
    """Who the peer is, if it proves the key."""
    public_key: CertificatePublicKeyTypes
    """The leaf's key, ready for use."""


class _Verification(NamedTuple):
    peer: VerifiedPeer
    at: datetime
    ends_at: datetime
    """When the first certificate of the path ends."""

    def holds_at(self, moment: datetime) -> bool:
        return self.at <= moment <= self.ends_at and moment - self.at <= REMEMBERED_FOR


class VerifiedChains:
    """What one trust store has verified lately. Threads may share it: each access is made under a lock.

    Args:
        capacity: how many chains are kept.
    """

    def __init__(self, capacity: int = REMEMBERED_CHAINS) -> None:
        self._capacity = capacity
        self._kept: OrderedDict[tuple[Purpose, tuple[bytes, ...]], _Verification] = OrderedDict()
        self._lock = Lock()

    def recall(self, chain: tuple[bytes, ...], *, purpose: Purpose, at: datetime) -> VerifiedPeer | None:
        """Return what the very same chain said, or None: it has to be verified.

        Args:
            chain: DER certificates, leaf first, as the peer sent them.
            purpose: the side of the handshake that the peer is on.
            at: the wall-clock time, aware.
        """
        with self._lock:
            verification = self._kept.get((purpose, chain))
            if verification is None or not verification.holds_at(at):
                return None
            self._kept.move_to_end((purpose, chain))
            return verification.peer

    def remember(
        self, peer: VerifiedPeer, path: Sequence[x509.Certificate], *, purpose: Purpose, at: datetime
    ) -> None:
        """Keep what was just verified.

        Args:
            peer: what its chain says.
            path: the certificates from its leaf to the anchor, both included.
            purpose: the side of the handshake that the peer is on.
            at: the time at which the path was judged, aware.
        """
        ends_at = min(certificate.not_valid_after_utc for certificate in path)
        with self._lock:
            self._kept[purpose, peer.identity.chain] = _Verification(peer, at, ends_at)
            self._kept.move_to_end((purpose, peer.identity.chain))
            if len(self._kept) > self._capacity:
                self._kept.popitem(last=False)
