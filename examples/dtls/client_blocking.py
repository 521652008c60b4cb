"""The engine on a blocking socket: python client_blocking.py HOST PORT CERTIFICATE KEY AUTHORITY"""

import os
import socket
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

from twoway.dtls import Association, CertificateCredential, Closed, Connected, DataReceived, DTLSConfig
from twoway.net import require_peer
from twoway.pki import TrustStore

host, port, *files = sys.argv[1:]
chain, key, authority = (Path(file).read_bytes() for file in files)
config = DTLSConfig(
    certificate=CertificateCredential.from_pem(chain, key), trust=TrustStore.from_pem(authority)
)
wire = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
wire.connect((host, int(port)))
engine = Association.client(config, entropy=os.urandom, wall_clock=lambda: datetime.now(UTC))
engine.start(time.monotonic())

while True:
    while event := engine.next_event():
        match event:
            case Connected(peer=peer):
                require_peer(peer, host=host, expected=None)
                engine.send(b"hello")
            case DataReceived(data=data):
                print(data.decode())
                engine.close()
            case Closed(reason=reason):
                print(reason)
    for datagram in engine.datagrams_to_send():
        wire.send(datagram)
    if engine.is_closed:
        break
    due = engine.next_deadline()
    wire.settimeout(None if due is None else max(0.001, due - time.monotonic()))
    try:
        engine.receive_datagram(wire.recv(65536), time.monotonic())
    except TimeoutError:
        engine.handle_timer(time.monotonic())
