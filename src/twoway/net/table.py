"""Which associations live at which address, and whether there is room for one more.

An address holds one association in each direction, and beside each at most one handshake that may take
its place (RFC 6347 section 4.2.8). Every operation costs the same however many there are.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from twoway.net.address import SocketAddress, packed_network
from twoway.net.limits import Limits
from twoway.net.link import Link


class LinkTable:
    """The links of one endpoint, by address."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._links: dict[SocketAddress, tuple[Link, ...]] = {}
        self._count = 0
        self._half_open: set[Link] = set()
        self._half_open_by_network: Counter[bytes] = Counter()
        self._accepted_by_network: Counter[bytes] = Counter()

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[Link]:
        return iter([link for links in self._links.values() for link in links])

    @property
    def half_open(self) -> int:
        """How many handshakes that peers opened are not complete."""
        return len(self._half_open)

    def at(self, address: SocketAddress) -> tuple[Link, ...]:
        """Return the links at an address, oldest first."""
        return self._links.get(address, ())

    def lack_of_room(self, address: SocketAddress, *, outgoing: bool) -> str | None:
        """Say what is full, if one more link at an address would be too many."""
        if self._count >= self._limits.associations:
            return "associations"
        if outgoing:
            return None
        if len(self._half_open) >= self._limits.half_open:
            return "half-open handshakes"
        if self._half_open_by_network[packed_network(address)] >= self._limits.half_open_per_host:
            return "half-open handshakes of one host"
        if self._accepted_by_network[packed_network(address)] >= self._limits.associations_per_host:
            return "associations of one host"
        return None

    def add(self, link: Link) -> None:
        """Add a link whose handshake begins."""
        self._links[link.address] = (*self.at(link.address), link)
        self._count += 1
        if not link.outgoing:
            self._half_open.add(link)
            self._half_open_by_network[packed_network(link.address)] += 1
            self._accepted_by_network[packed_network(link.address)] += 1

    def complete(self, link: Link) -> None:
        """Note that a link's handshake is complete: it is not half-open any more."""
        if link not in self._half_open:
            return
        self._half_open.discard(link)
        _take_one(self._half_open_by_network, packed_network(link.address))

    def remove(self, link: Link) -> None:
        """Forget a link."""
        self.complete(link)
        self._count -= 1
        if not link.outgoing:
            _take_one(self._accepted_by_network, packed_network(link.address))
        rest = tuple(other for other in self._links[link.address] if other is not link)
        if rest:
            self._links[link.address] = rest
        else:
            del self._links[link.address]


def _take_one(counter: Counter[bytes], network: bytes) -> None:
    """Count one less; what is down to nothing is forgotten, for the network chooses the keys."""
    counter[network] -= 1
    if not counter[network]:
        del counter[network]
