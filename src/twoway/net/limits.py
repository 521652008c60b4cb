"""How much of a machine the network may take: one frozen value with the reason beside each number."""

from __future__ import annotations

from dataclasses import dataclass

from twoway.errors import CallerError


@dataclass(frozen=True, kw_only=True)
class Limits:
    """Bounds of one endpoint. Whatever goes beyond one is dropped and counted, never queued."""

    half_open: int = 256
    """Accepted handshakes that are not complete. Each costs some 10 kB and two signatures to come; more
    at once would time out anyway on the machines that this runs on."""
    half_open_per_host: int = 64
    """The share of one IPv4 address or one IPv6 /64, so that one host cannot keep all others out."""
    associations: int = 10_000
    """Associations in all, complete or not, accepted or opened by us."""
    associations_per_host: int = 2_500
    """The share of one IPv4 address or one IPv6 /64 in the associations that peers opened. Behind one address
    there may be a whole site of sensors."""
    awake: int = 1024
    """Connections that keep their ciphers at hand, those that were used last. With them one takes about twice
    the memory; the others make them again when a record needs them."""
    sessions: int = 256
    """Sessions of servers that are kept for the next connection with them, some 2 kB each; none unless a
    configuration has ``resumption``."""
    idle_timeout: float = 3600.0
    """Seconds without an authenticated record from the peer until an association is closed. A sensor that
    speaks once an hour shakes hands once an hour."""

    def __post_init__(self) -> None:
        counts = (
            self.half_open,
            self.half_open_per_host,
            self.associations,
            self.associations_per_host,
            self.awake,
            self.sessions,
        )
        if min(counts) < 1 or self.idle_timeout <= 0:
            raise CallerError("every limit of an endpoint is a positive number")
