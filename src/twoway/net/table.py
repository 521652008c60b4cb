"""Which associations live at which address and under which connection ID, and whether there is room for more.

An address holds one association in each direction, and beside each at most one handshake that may take
its place (RFC 6347 section 4.2.8). Associations with a connection ID are found by it, wherever a record
comes from; several of them may have been seen at one address. A record does not say how long its ID is, so
all IDs of one socket have one length (RFC 9146 section 4). Every operation costs the same however many
there are.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator

from twoway.dtls import DTLSConfig
from twoway.errors import CallerError
from twoway.net.address import SocketAddress, packed_network
from twoway.net.limits import Limits
from twoway.net.link import Link


class LinkTable:
    """The links of one endpoint, by address and by connection ID.

    Args:
        limits: how many there may be.
        connection_id_bytes: how long the IDs are that we give out; 0: the first one decides.
    """

    def __init__(self, limits: Limits, connection_id_bytes: int) -> None:
        self._limits = limits
        self._links: dict[SocketAddress, tuple[Link, ...]] = {}
        self._by_connection_id: dict[bytes, Link] = {}
        self.connection_id_bytes = connection_id_bytes
        """How long the IDs are that we give out; 0 as long as that is open."""
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

    def known_as(self, connection_id: bytes) -> Link | None:
        """Return the link that has a connection ID."""
        return self._by_connection_id.get(connection_id)

    def unused_connection_id(self, size: int, entropy: Callable[[int], bytes]) -> bytes:
        """Return a random ID that no link has.

        Raises:
            CallerError: those that we give out have another length.
        """
        if not size:
            return b""
        if self.connection_id_bytes not in (0, size):
            raise CallerError(
                f"the connection IDs of this endpoint have {self.connection_id_bytes} bytes, not {size}",
                remedy="give all configurations of an endpoint the same connection_id_bytes",
            )
        self.connection_id_bytes = size
        while (connection_id := entropy(size)) in self._by_connection_id:
            pass
        return connection_id

    def can_find(self, connection_id: bytes) -> bool:
        """Tell whether a link that has its ID already can be told from the others by it."""
        if not connection_id:
            return True
        has_length = self.connection_id_bytes in (0, len(connection_id))
        return has_length and connection_id not in self._by_connection_id

    def lack_of_room(self, address: SocketAddress, config: DTLSConfig, *, outgoing: bool) -> str | None:
        """Say what is full, if one more link at an address would be too many."""
        if self._count >= self._limits.associations:
            return "associations"
        size = config.connection_id_bytes
        if size and len(self._by_connection_id) >= 1 << (8 * size - 1):
            return "associations for connection IDs so short"  # Half of all: a random one must soon be free.
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
        self._settle(link)
        self._count += 1
        if link.connection_id:
            self.connection_id_bytes = len(link.connection_id)
            self._by_connection_id[link.connection_id] = link
        if not link.outgoing:
            self._half_open.add(link)
            self._half_open_by_network[packed_network(link.address)] += 1

    def complete(self, link: Link) -> None:
        """Note that a link's handshake is complete: it is not half-open any more."""
        if link not in self._half_open:
            return
        self._half_open.discard(link)
        _take_one(self._half_open_by_network, packed_network(link.address))

    def move(self, link: Link, address: SocketAddress) -> None:
        """Note that the peer of a complete link is at another address. Nobody is sent away for having moved,
        so a host may then have more than its share."""
        self._leave(link)
        link.address = address
        self._settle(link)

    def remove(self, link: Link) -> None:
        """Forget a link."""
        self.complete(link)
        self._count -= 1
        self._by_connection_id.pop(link.connection_id, None)
        self._leave(link)

    def _settle(self, link: Link) -> None:
        self._links[link.address] = (*self.at(link.address), link)
        if not link.outgoing:
            self._accepted_by_network[packed_network(link.address)] += 1

    def _leave(self, link: Link) -> None:
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
