"""Sessions of servers that we were connected with, for the next time: bounded, in memory, by address.

A session is offered to the very address that gave it, and only under the configuration that it was made with.
Whether it may be resumed is for the engine to judge.
"""

from __future__ import annotations

from collections import OrderedDict

from twoway.dtls import DTLSConfig, HeldSession
from twoway.net.address import SocketAddress


class SessionCache:
    """One session an address; when it is full, the one goes that was kept first.

    Args:
        capacity: how many sessions it holds.
    """

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._sessions: OrderedDict[SocketAddress, tuple[DTLSConfig, HeldSession]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._sessions)

    def find(self, address: SocketAddress, config: DTLSConfig) -> HeldSession | None:
        """Return what may be offered to an address."""
        kept = self._sessions.get(address)
        return kept[1] if kept is not None and kept[0] == config else None

    def keep(self, address: SocketAddress, config: DTLSConfig, held: HeldSession | None) -> None:
        """Keep what an association has left; None: it has left nothing, or went wrong."""
        self._sessions.pop(address, None)
        if held is None:
            return
        self._sessions[address] = (config, held)
        if len(self._sessions) > self._capacity:
            self._sessions.popitem(last=False)
