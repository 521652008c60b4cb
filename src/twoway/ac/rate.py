"""How often one requester may ask the AC: a bucket of requests for each identity and for each network.

It owns whose requests are counted together. It must never read a clock: monotonic seconds come in. Each
request costs a decision and a write to the disk, and an honest subscriber asks a few times an hour; who asks
without pause is told when to come back (RFC 8516). Both buckets have to hold a request: one identity that
moves between addresses meets its own bound, and many identities behind one address meet that of the address.
"""

from __future__ import annotations

import ipaddress
import math
from dataclasses import dataclass

from twoway.errors import PeerError
from twoway.rate import Buckets

_IPV6_NETWORK_BITS = 64
"""What one site has of IPv6: within it a host may take as many addresses as it likes."""


class TooManyRequests(PeerError):
    """A requester that has used up its share.

    Args:
        retry_after: whole seconds after which one more request is taken.
    """

    def __init__(self, retry_after: int) -> None:
        super().__init__(f"too many requests; the next one is taken in {retry_after} seconds")
        self.retry_after = retry_after


@dataclass(frozen=True)
class Allowance:
    """What one requester may ask for."""

    burst: int
    """Requests at once."""
    per_second: float
    """Requests a second in the long run."""


class RequestRate:
    """How many requests each identity and each network has left.

    Args:
        per_identity: for each identity that was proved.
        per_network: for each IPv4 address and IPv6 /64, whoever asks from there.
        remembered: identities, and as many networks, whose use is remembered; beyond that the one that was
            quiet longest is forgotten.
    """

    def __init__(self, *, per_identity: Allowance, per_network: Allowance, remembered: int) -> None:
        self._identities = _buckets(per_identity, remembered)
        self._networks = _buckets(per_network, remembered)

    def take(self, identity: str, host: str, now: float) -> None:
        """Count one request.

        Args:
            identity: the requester's identity URI.
            host: the address that it asks from, as text.
            now: monotonic seconds.

        Raises:
            TooManyRequests: one of the two has used up its share; nothing is counted then.
        """
        network = network_of(host)
        wait = max(self._identities.wait(identity, now), self._networks.wait(network, now))
        if wait > 0:
            raise TooManyRequests(math.ceil(wait))
        self._identities.take(identity)
        self._networks.take(network)


def _buckets(allowance: Allowance, remembered: int) -> Buckets:
    return Buckets(burst=allowance.burst, per_second=allowance.per_second, remembered=remembered)


def network_of(host: str) -> str:
    """Return what a host cannot choose of its address: all of IPv4, the first 64 bits of IPv6."""
    address = ipaddress.ip_address(host.partition("%")[0])
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is None:
        return str(ipaddress.IPv6Network((address, _IPV6_NETWORK_BITS), strict=False))
    return str(address if isinstance(address, ipaddress.IPv4Address) else address.ipv4_mapped)
