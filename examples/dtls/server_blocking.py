"""The gate and engines on a blocking socket: python server_blocking.py PORT CERTIFICATE KEY AUTHORITY"""

import os
import socket
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

from twoway.dtls import (
    AcceptedHello,
    Association,
    CertificateCredential,
    DataReceived,
    DTLSConfig,
    HelloGate,
    HelloVerify,
)
from twoway.pki import TrustStore

port, *files = sys.argv[1:]
chain, key, authority = (Path(file).read_bytes() for file in files)
config = DTLSConfig(
    certificate=CertificateCredential.from_pem(chain, key), trust=TrustStore.from_pem(authority)
)
wire = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
wire.bind(("127.0.0.1", int(port)))
print("serving on port", wire.getsockname()[1], flush=True)
gate = HelloGate(entropy=os.urandom)
engines: dict[tuple[str, int], Association] = {}

while True:
    due = [at for engine in engines.values() if (at := engine.next_deadline()) is not None]
    wire.settimeout(max(0.001, min(due) - time.monotonic()) if due else None)
    try:
        datagram, address = wire.recvfrom(65536)
    except TimeoutError:
        for engine in engines.values():
            engine.handle_timer(time.monotonic())
    else:
        if address in engines:
            engines[address].receive_datagram(datagram, time.monotonic())
        else:
            match gate.receive_untrusted(datagram, repr(address).encode(), time.monotonic()):
                case HelloVerify(datagram=request):
                    wire.sendto(request, address)
                case AcceptedHello() as hello:
                    engines[address] = Association.server(
                        config, hello, entropy=os.urandom, wall_clock=lambda: datetime.now(UTC)
                    )
                    engines[address].start(time.monotonic())
    for address, engine in list(engines.items()):
        while event := engine.next_event():
            if isinstance(event, DataReceived):
                engine.send(event.data + f", {engine.peer}".encode())
        for datagram in engine.datagrams_to_send():
            wire.sendto(datagram, address)
        if engine.is_closed:
            del engines[address]
