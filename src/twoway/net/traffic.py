"""What travelled for one connection, in UDP payloads."""

from __future__ import annotations

from dataclasses import dataclass, replace


@dataclass(slots=True)
class Traffic:
    """Counts of whole datagrams and the bytes in them, without IP and UDP headers."""

    datagrams_sent: int = 0
    bytes_sent: int = 0
    datagrams_received: int = 0
    bytes_received: int = 0

    def count_sent(self, datagram: bytes) -> None:
        """Add a datagram that we sent."""
        self.datagrams_sent += 1
        self.bytes_sent += len(datagram)

    def count_received(self, datagram: bytes) -> None:
        """Add a datagram that came from the peer's address."""
        self.datagrams_received += 1
        self.bytes_received += len(datagram)

    def snapshot(self) -> Traffic:
        """Return the counts so far, as a value of its own."""
        return replace(self)
