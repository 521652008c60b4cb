"""Whether the peer that was reached is the one that was meant.

A trust anchor says that a certificate's name is true; it does not say that this was the name that the
caller had in mind. With a pre-shared or pinned key there is nothing to ask: the key is the peer.
"""

from __future__ import annotations

import ipaddress
from typing import Final

from twoway.errors import PeerError
from twoway.identity import Identity, X509Identity

ANYBODY: Final = "*"
"""Every identity that the trust anchors vouch for."""


def require_peer(peer: Identity, *, host: str, expected: str | None) -> None:
    """Insist that a peer is the one that was meant.

    Args:
        peer: who the peer proved to be.
        host: the name or address that was connected to.
        expected: the identity URI that the peer must have; :data:`ANYBODY`; or None: its certificate must
            name the host (RFC 9525 section 6.3: as a DNS name, without wildcards, or as an IP address).

    Raises:
        PeerError: it is somebody else.
    """
    if not isinstance(peer, X509Identity) or expected == ANYBODY:
        return
    if expected is None:
        if _canonical(host) in {_canonical(name) for name in peer.hosts}:
            return
        raise PeerError(
            f"the peer's certificate names {peer.uri}, not this host",
            where=host,
            remedy="say whom you mean: peer=... with an identity URI",
        )
    if peer.uri != expected:
        raise PeerError(f"the peer proved to be {peer.uri}, not {expected}", where=host)


def _canonical(name: str) -> str:
    try:
        return str(ipaddress.ip_address(name))
    except ValueError:
        return name.lower().removesuffix(".")
