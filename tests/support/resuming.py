"""Pairs that have met before: a full handshake, and then another one with the session that it left.

    first = Meeting(by="ticket")              # server and client with resumption, and what they share
    pair = first.again()                      # a pair whose client offers the session
    pair.connect().client.connected.resumed   # True

Both ways of naming a session are `WAYS`; the kinds of handshake are those of `dtls_cases`.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from dtls_cases import configs
from dtls_pair import Pair
from small_pki import NOW

from twoway.dtls import DTLSConfig, MemorySessionStore, Resumption, SessionTickets
from twoway.dtls.session import HeldSession

WAYS = ["ticket", "id"]
SECRET = bytes(range(32))
LIFETIME = 3600.0


def server_resumption(by: str, **changes: Any) -> Resumption:
    """What a server needs to be found by ticket, by session ID, or by either."""
    tickets = SessionTickets(SECRET, since=NOW) if by in ("ticket", "either") else None
    store = MemorySessionStore() if by in ("id", "either") else None
    return replace(Resumption(tickets=tickets, store=store, lifetime=LIFETIME), **changes)


@dataclass
class Meeting:
    """A full handshake whose session can be resumed."""

    by: str = "ticket"
    kind: str = "p-256"
    client: DTLSConfig = field(init=False)
    server: DTLSConfig = field(init=False)
    changes: dict[str, Any] = field(default_factory=dict)
    """Fields of both configurations."""
    seed: int = 1

    def __post_init__(self) -> None:
        client, server = configs(self.kind)
        self.client = replace(client, resumption=Resumption(lifetime=LIFETIME), **self.changes)
        self.server = replace(server, resumption=server_resumption(self.by), **self.changes)
        self.now = NOW
        self.pair = Pair(self.client, self.server, seed=self.seed, wall_clock=self.wall_clock).connect()
        assert not self.pair.client.connected.resumed
        assert self.pair.client.association.session is not None
        self.held: HeldSession = self.pair.client.association.session

    def wall_clock(self) -> datetime:
        return self.now

    def pass_time(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)

    def again(
        self,
        *,
        client: DTLSConfig | None = None,
        server: DTLSConfig | None = None,
        held: HeldSession | None = None,
        **arguments: Any,
    ) -> Pair:
        """A new pair whose client offers the session, with other configurations if told so."""
        return self.anew(client=client, server=server, session=held or self.held, **arguments)

    def anew(
        self, *, client: DTLSConfig | None = None, server: DTLSConfig | None = None, **arguments: Any
    ) -> Pair:
        """A new pair that knows of nothing; its randomness is its own."""
        self.seed += 1
        return Pair(
            client or self.client,
            server or self.server,
            seed=self.seed,
            wall_clock=self.wall_clock,
            **arguments,
        )


def is_resumed(pair: Pair) -> bool:
    """Connect, and tell whether both sides say that the handshake was abbreviated."""
    pair.connect()
    assert pair.client.connected.resumed == pair.server.connected.resumed
    assert pair.works()
    return pair.client.connected.resumed
