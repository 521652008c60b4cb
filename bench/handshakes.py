"""Handshakes and round trips a second, both ends in one thread and in memory, beside pyOpenSSL.

    make bench

Prints the machine, the versions and, for each kind, the median of several rounds. The rounds of both stacks
alternate, so that a noisy machine disturbs both alike. pyOpenSSL is measured where it is installed; it has
no pre-shared keys, and its engine runs without a cookie exchange, which ours includes.
"""

from __future__ import annotations

import os
import platform
import statistics
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from tempfile import TemporaryDirectory

from cryptography import x509
from cryptography.hazmat.backends.openssl import backend

from twoway.dtls import (
    AcceptedHello,
    Association,
    CertificateCredential,
    DTLSConfig,
    HelloGate,
    HelloVerify,
    PSKCredential,
)
from twoway.pki import CertificateAuthority, KeyKind, Role, StoredIdentity

ROUNDS = 7
SECONDS_A_ROUND = 0.6
PAYLOAD = bytes(64)


def now() -> datetime:
    return datetime.now(UTC)


def connect(client_config: DTLSConfig, server_config: DTLSConfig) -> tuple[Association, Association]:
    """Shake hands in memory, cookie included."""
    gate = HelloGate(entropy=os.urandom)
    client = Association.client(client_config, entropy=os.urandom, wall_clock=now)
    client.start(0.0)
    server: Association | None = None
    while server is None:
        (hello,) = client.datagrams_to_send()
        verdict = gate.receive_untrusted(hello, b"bench", 0.0)
        if isinstance(verdict, HelloVerify):
            client.receive_datagram(verdict.datagram, 0.0)
        elif isinstance(verdict, AcceptedHello):
            server = Association.server(server_config, verdict, entropy=os.urandom, wall_clock=now)
            server.start(0.0)
    while not (client.established and server.established):
        for datagram in server.datagrams_to_send():
            client.receive_datagram(datagram, 0.0)
        for datagram in client.datagrams_to_send():
            server.receive_datagram(datagram, 0.0)
    return client, server


def round_trip(client: Association, server: Association) -> None:
    """Send 64 bytes there and back."""
    for sender, receiver in ((client, server), (server, client)):
        sender.send(PAYLOAD)
        for datagram in sender.datagrams_to_send():
            receiver.receive_datagram(datagram, 0.0)
        while receiver.next_event() is not None:
            pass


def config_of(identity: StoredIdentity) -> DTLSConfig:
    return DTLSConfig(
        certificate=CertificateCredential(identity.chain, identity.private_key), trust=identity.trust
    )


def openssl_handshake(client: StoredIdentity, server: StoredIdentity) -> Callable[[], object] | None:
    """Return the same handshake by pyOpenSSL, or None where it is not installed."""
    try:
        from OpenSSL import SSL
        from OpenSSL.crypto import X509, PKey
    except ImportError:
        return None

    def context(identity: StoredIdentity) -> SSL.Context:
        made = SSL.Context(SSL.DTLS_METHOD)
        made.set_options(SSL.OP_NO_QUERY_MTU | SSL.OP_NO_TICKET)
        made.set_cipher_list(b"ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256")
        leaf, *rest = (X509.from_cryptography(x509.load_der_x509_certificate(der)) for der in identity.chain)
        made.use_certificate(leaf)
        for certificate in rest:
            made.add_extra_chain_cert(certificate)
        made.use_privatekey(PKey.from_cryptography_key(identity.private_key))
        made.load_verify_locations(str(identity.folder / "ca.pem"))
        made.set_verify(SSL.VERIFY_PEER | SSL.VERIFY_FAIL_IF_NO_PEER_CERT, lambda *told: bool(told[-1]))
        return made

    contexts = context(client), context(server)

    def handshake() -> None:
        ends = [SSL.Connection(made, None) for made in contexts]
        ends[0].set_connect_state()
        ends[1].set_accept_state()
        for end in ends:
            end.set_ciphertext_mtu(1200)
        open_ends = set(ends)
        while open_ends:
            for end, other in ((ends[0], ends[1]), (ends[1], ends[0])):
                if end in open_ends:
                    try:
                        end.do_handshake()
                        open_ends.discard(end)
                    except SSL.WantReadError:
                        pass
                while True:
                    try:
                        other.bio_write(end.bio_read(65536))
                    except SSL.WantReadError:
                        break

    return handshake


def rate(work: Callable[[], object]) -> float:
    """How often a second."""
    count, end = 0, time.perf_counter() + SECONDS_A_ROUND
    begin = time.perf_counter()
    while time.perf_counter() < end:
        work()
        count += 1
    return count / (time.perf_counter() - begin)


def installed(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"


def main() -> None:
    print(f"{platform.platform()}, {os.cpu_count()} processors, Python {platform.python_version()}")
    print(
        f"twoway {installed('twoway')}, cryptography {installed('cryptography')} "
        f"({backend.openssl_version_text()}), pyOpenSSL {installed('pyopenssl')}\n"
    )
    with TemporaryDirectory() as folder:
        ca = CertificateAuthority.init(Path(folder) / "ca", name="bench", now=now() - timedelta(minutes=1))
        p256 = [StoredIdentity.load(ca.issue(f"p256-{n}", Role.PUBLISHER, now=now())) for n in range(2)]
        rsa = [
            StoredIdentity.load(ca.issue(f"rsa-{n}", Role.PUBLISHER, now=now(), key=KeyKind.RSA2048))
            for n in range(2)
        ]
        key = os.urandom(16)
        psk = DTLSConfig(psk=PSKCredential(b"bench", key)), DTLSConfig(psk_lookup={b"bench": key}.get)
        p256_configs, rsa_configs = [config_of(each) for each in p256], [config_of(each) for each in rsa]
        pair = connect(*p256_configs)
        work: dict[str, tuple[Callable[[], object], Callable[[], object] | None]] = {
            "P-256 handshakes, mutual": (
                lambda: connect(*p256_configs),
                openssl_handshake(*p256),
            ),
            "RSA-2048 handshakes, mutual": (
                lambda: connect(*rsa_configs),
                openssl_handshake(*rsa),
            ),
            "PSK handshakes": (lambda: connect(*psk), None),
            "64-byte round trips, GCM": (lambda: round_trip(*pair), None),
        }
        heading = f"a second, median of {ROUNDS} rounds"
        print(f"{heading:32}{'twoway':>10}{'pyOpenSSL':>12}{'ratio':>8}")
        for name, (ours, theirs) in work.items():
            samples = [(rate(ours), rate(theirs) if theirs else None) for _ in range(ROUNDS)]
            mine = statistics.median(sample[0] for sample in samples)
            peers = [sample[1] for sample in samples if sample[1] is not None]
            if peers:
                other = statistics.median(peers)
                print(f"{name:32}{mine:10.0f}{other:12.0f}{mine / other:8.2f}")
            else:
                print(f"{name:32}{mine:10.0f}{'-':>12}{'-':>8}")


if __name__ == "__main__":
    sys.exit(main())
