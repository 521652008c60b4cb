"""tinydtls as a peer, through the extension module of DTLSSocket: one handshake, one exchange, one end.

    python tinydtls.py client PORT IDENTITY KEY_HEX
    python tinydtls.py server PORT IDENTITY KEY_HEX

It is a program of its own, because a fault of the extension would take the tests' process with it. A client
says hello and prints what comes back; a server sends back what it gets. What the library says about its
state is printed as it comes, `event: 0x01de` when it is connected.
"""

from __future__ import annotations

import socket
import sys
import time

from DTLSSocket import dtls

CONNECTED = 0x01DE  # DTLS_EVENT_CONNECTED in dtls.h
PATIENCE = 15.0


class Peer:
    """A context of tinydtls on an IPv6 socket: it knows addresses of that family alone."""

    def __init__(self, identity: bytes, key: bytes) -> None:
        self.socket = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
        self.connected = False
        self.closed = False
        self.received: list[bytes] = []
        self.connection: dtls.Connection | None = None  # It ends when nobody holds it any more.
        dtls.setLogLevel(dtls.DTLS_LOG_INFO)
        self.identity = identity  # The library keeps a pointer, not a copy.
        self.context = dtls.DTLS(
            read=self.read, write=self.write, event=self.event, pskId=identity, pskStore={identity: key}
        )

    def read(self, address: tuple[str, int], data: bytes) -> int:
        print("received:", data, flush=True)
        self.received.append(data)
        return len(data)

    def write(self, address: tuple[str, int], data: bytes) -> int:
        return self.socket.sendto(data, address)

    def event(self, level: int, code: int) -> None:
        print(f"event: {code:#06x} level {level}", flush=True)
        self.connected = self.connected or code == CONNECTED
        self.closed = self.closed or level > 0

    def step(self) -> tuple[str, int] | None:
        """Take one datagram, or repeat what was not answered."""
        self.socket.settimeout(0.2)
        try:
            data, address = self.socket.recvfrom(2048)
        except TimeoutError:
            self.context.checkRetransmit()
            return None
        self.context.handleMessageAddr(address[0], address[1], data)
        return address[0], address[1]


def main(role: str, port: str, identity: str, key: str) -> None:
    peer = Peer(identity.encode(), bytes.fromhex(key))
    until = time.monotonic() + PATIENCE
    if role == "client":
        peer.socket.bind(("::ffff:127.0.0.1", 0))
        remote = dtls.Session("::ffff:127.0.0.1", int(port))
        peer.connection = peer.context.connect("::ffff:127.0.0.1", int(port))
    else:
        peer.socket.bind(("::ffff:127.0.0.1", int(port)))
        print("listening", flush=True)
    said = False
    while not peer.closed and time.monotonic() < until:
        address = peer.step()
        if role == "client" and peer.connected and not said:
            peer.context.write(remote, b"hello\n")
            said = True
        elif role == "client" and peer.received:
            peer.context.close(remote)
            print("closed", flush=True)
            break
        elif role == "server" and peer.received:
            peer.context.write(dtls.Session(*address), b"echo: " + peer.received.pop(0))


if __name__ == "__main__":
    main(*sys.argv[1:])
