"""Two ends of ours in one thread and in memory: what the benchmarks drive.

Everything that a socket would add is left out; everything that the protocol asks for is there, the cookie
exchange included.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from itertools import cycle
from pathlib import Path

from twoway.dtls import (
    AcceptedHello,
    Association,
    CertificateCredential,
    DTLSConfig,
    HeldSession,
    HelloGate,
    HelloVerify,
    PSKCredential,
    Resumption,
    SessionTickets,
)
from twoway.pki import CertificateAuthority, KeyKind, Role, StoredIdentity
from twoway.pki.verified import REMEMBERED_FOR

PAYLOAD = bytes(64)
PSK_NAME = b"bench"
GATE = HelloGate(entropy=os.urandom)
"""An endpoint has one for all who knock."""


def now() -> datetime:
    return datetime.now(UTC)


def connect(
    client_config: DTLSConfig,
    server_config: DTLSConfig,
    wall_clock: Callable[[], datetime] = now,
    session: HeldSession | None = None,
) -> tuple[Association, Association]:
    """Shake hands in memory, cookie included; ``session`` is offered."""
    client = Association.client(client_config, entropy=os.urandom, wall_clock=wall_clock, session=session)
    client.start(0.0)
    server: Association | None = None
    while server is None:
        (hello,) = client.datagrams_to_send()
        verdict = GATE.receive_untrusted(hello, b"bench", 0.0)
        if isinstance(verdict, HelloVerify):
            client.receive_datagram(verdict.datagram, 0.0)
        elif isinstance(verdict, AcceptedHello):
            server = Association.server(server_config, verdict, entropy=os.urandom, wall_clock=wall_clock)
            server.start(0.0)
    while not (client.established and server.established):
        for datagram in server.datagrams_to_send():
            client.receive_datagram(datagram, 0.0)
        for datagram in client.datagrams_to_send():
            server.receive_datagram(datagram, 0.0)
    return client, server


def resumed(client_config: DTLSConfig, server_config: DTLSConfig) -> Callable[[], object]:
    """Return the work of resuming one session by its ticket, again and again."""
    resumption = Resumption(tickets=SessionTickets(os.urandom(32), since=now()))
    client_config = replace(client_config, resumption=Resumption())
    server_config = replace(server_config, resumption=resumption)
    session = connect(client_config, server_config)[0].session

    def work() -> None:
        for end in connect(client_config, server_config, session=session):
            assert end.connected is not None
            assert end.connected.resumed, "a full handshake was made"

    return work


def round_trip(client: Association, server: Association) -> None:
    """Send 64 bytes there and back."""
    for sender, receiver in ((client, server), (server, client)):
        sender.send(PAYLOAD)
        for datagram in sender.datagrams_to_send():
            receiver.receive_datagram(datagram, 0.0)
        while receiver.next_event() is not None:
            pass


def strangers() -> Callable[[], datetime]:
    """Return a clock by which no chain is remembered: it was verified later than now, or too long ago."""
    moments = [now(), now() + REMEMBERED_FOR + timedelta(minutes=1)]
    # One handshake asks twice, once on each side, so each moment is told twice.
    return cycle([moments[0], moments[0], moments[1], moments[1]]).__next__


@dataclass(frozen=True)
class Papers:
    """The identities and keys that both stacks are measured with."""

    p256: tuple[StoredIdentity, StoredIdentity]
    """A client and a server."""
    rsa: tuple[StoredIdentity, StoredIdentity]
    psk: bytes

    @classmethod
    def issue(cls, folder: Path) -> Papers:
        ca = CertificateAuthority.init(folder / "ca", name="bench", now=now() - timedelta(minutes=1))

        def pair(kind: KeyKind) -> tuple[StoredIdentity, StoredIdentity]:
            names = (f"{kind.value}-client", f"{kind.value}-server")
            folders = [ca.issue(name, Role.PUBLISHER, now=now(), key=kind) for name in names]
            client, server = (StoredIdentity.load(each) for each in folders)
            return client, server

        return cls(pair(KeyKind.P256), pair(KeyKind.RSA2048), os.urandom(16))

    def psk_configs(self, **options: object) -> tuple[DTLSConfig, DTLSConfig]:
        return (
            DTLSConfig(psk=PSKCredential(PSK_NAME, self.psk), **options),  # type: ignore[arg-type]
            DTLSConfig(psk_lookup={PSK_NAME: self.psk}.get, **options),  # type: ignore[arg-type]
        )


def configs_of(
    identities: tuple[StoredIdentity, StoredIdentity], **options: object
) -> tuple[DTLSConfig, DTLSConfig]:
    client, server = (
        DTLSConfig(
            certificate=CertificateCredential(identity.chain, identity.private_key),
            trust=identity.trust,
            **options,  # type: ignore[arg-type]
        )
        for identity in identities
    )
    return client, server
