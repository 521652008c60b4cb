"""Memory of idle associations: what each side of a connected pair costs, measured in fresh processes.

    python bench/memory.py                   # the table
    python bench/memory.py --where psk       # which lines of the source hold it, by tracemalloc

Each case runs in a process of its own: it connects pairs in memory, lets everything go but the two
associations, and divides the growth of the resident set by their number. A tenth as many pairs before warm
the allocator and are not counted. With certificates every client has one of its own, so that nothing is equal
which is not equal in the field; all servers show the same one. pyOpenSSL's pairs have one certificate a side,
which is to its advantage.
"""

from __future__ import annotations

import argparse
import gc
import os
import platform
import subprocess
import sys
import tracemalloc
from collections import Counter
from collections.abc import Iterator
from datetime import timedelta
from itertools import islice, starmap
from pathlib import Path
from tempfile import TemporaryDirectory

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from handshakes import Papers, connect, now
from peers import GCM, PyOpenSSL, installed

from twoway.dtls import Association, CertificateCredential, DTLSConfig, PSKCredential
from twoway.pki import Role, TrustStore
from twoway.pki.certificates import SERIAL_BYTES, Validity, sign_issuing, sign_leaf, sign_root

IDLE = 10_000
"""Associations that are measured: both sides of half as many pairs."""
IDLE_OF_PYOPENSSL = 1_000
"""They take a hundred times as much, and vary less."""
AIM_BYTES = 4096

Configs = Iterator[tuple[DTLSConfig, DTLSConfig]]


def psk_configs(pairs: int) -> Configs:
    keys = {b"sensor-%d" % number: os.urandom(16) for number in range(pairs)}
    server = DTLSConfig(psk_lookup=keys.get)
    for name, key in keys.items():
        yield DTLSConfig(psk=PSKCredential(name, key)), server


def p256_configs(pairs: int) -> Configs:
    validity = Validity.starting(now(), timedelta(days=365))
    root = sign_root("bench", ec.generate_private_key(ec.SECP256R1()), validity, os.urandom(SERIAL_BYTES))
    issuing = sign_issuing(
        "bench", ec.generate_private_key(ec.SECP256R1()), root, validity, os.urandom(SERIAL_BYTES)
    )
    trust = TrustStore([root.certificate])

    def config(name: str, role: Role) -> DTLSConfig:
        key = ec.generate_private_key(ec.SECP256R1())
        leaf = sign_leaf(
            f"urn:dev:org:32473-{name}",
            role,
            key.public_key(),
            issuing,
            hosts=(),
            validity=validity,
            serial=os.urandom(SERIAL_BYTES),
        )
        chain = tuple(each.public_bytes(Encoding.DER) for each in (leaf, issuing.certificate))
        credential = CertificateCredential(chain, key)
        # These are made once for each credential, and would be taken for a part of its first association.
        assert credential.message
        assert credential.public_key
        return DTLSConfig(certificate=credential, trust=trust)

    server = config("meter", Role.PUBLISHER)
    for number in range(pairs):
        yield config(f"reader-{number}", Role.SUBSCRIBER), server


CASES = {"p256": p256_configs, "psk": psk_configs}
NAMES = {"p256": "P-256, mutual", "psk": "PSK"}
PYOPENSSL = "pyopenssl"
"""The case of P-256 with pyOpenSSL."""


def settled(client: Association, server: Association) -> tuple[Association, Association]:
    """Exchange a record each way, take the outputs, and let both rest: two idle associations."""
    for sender, receiver in ((client, server), (server, client)):
        while sender.next_event() is not None:
            pass
        sender.send(b"hello")
        for datagram in sender.datagrams_to_send():
            receiver.receive_datagram(datagram, 1.0)
    while client.next_event() is not None or server.next_event() is not None:
        pass
    client.rest()
    server.rest()
    return client, server


def resident_bytes() -> int:
    gc.collect()
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def pairs_of(case: str, count: int) -> Iterator[object]:
    """Return pairs that idle, one after the other."""
    if case == PYOPENSSL:
        with TemporaryDirectory() as folder:
            identities = Papers.issue(Path(folder)).p256
            return PyOpenSSL().idle(identities, GCM)
    configs = list(CASES[case](count))  # Made before: what belongs to the caller is not an association's.
    return (settled(*pair) for pair in starmap(connect, configs))


def measure(case: str, idle: int) -> float:
    """Return the bytes of each of so many idle associations; to be called in a fresh process."""
    warming = idle // 10
    pairs = pairs_of(case, warming + idle // 2)
    held = list(islice(pairs, warming))
    before = resident_bytes()
    held += islice(pairs, idle // 2)
    return (resident_bytes() - before) / (2 * (len(held) - warming))


def measured(case: str, idle: int) -> float:
    """Return the same, measured in a fresh process."""
    command = [sys.executable, __file__, "--case", case, "--idle", str(idle)]
    return float(subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout)


def locate(case: str, pairs: int = 300) -> None:
    configs = list(CASES[case](2 * pairs))
    warm = [settled(*connect(*pair)) for pair in configs[:pairs]]
    gc.collect()
    tracemalloc.start(1)
    idle = [settled(*connect(*pair)) for pair in configs[pairs:]]
    gc.collect()
    taken = tracemalloc.take_snapshot()
    tracemalloc.stop()
    sides = 2 * len(idle)
    by_file: Counter[str] = Counter()
    statistics = taken.statistics("lineno")
    for each in statistics:
        by_file[each.traceback[0].filename] += each.size
    print(f"{sum(by_file.values()) / sides:8.0f} bytes a side, of {len(warm)} + {len(idle)} pairs\n")
    for each in statistics[:40]:
        place = f"{Path(each.traceback[0].filename).name}:{each.traceback[0].lineno}"
        print(f"{each.size / sides:8.0f}  {each.count / sides:5.1f} objects  {place}")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--where", choices=CASES, help="which lines hold it")
    parser.add_argument("--case", choices=[*CASES, PYOPENSSL], help="measure this one, in this process")
    parser.add_argument("--idle", type=int, default=IDLE, help="associations")
    options = parser.parse_args()
    if options.case:
        print(measure(options.case, options.idle))
    elif options.where:
        locate(options.where)
    else:
        print(f"{platform.platform()}, Python {platform.python_version()}\n")
        print(f"{f'bytes an idle association, of {options.idle}':40}{'measured':>10}{'aim':>8}")
        for case, name in NAMES.items():
            print(f"{name:40}{measured(case, options.idle):10.0f}{AIM_BYTES:8}")
        if installed("pyopenssl"):
            idle = min(options.idle, IDLE_OF_PYOPENSSL)
            print(f"{f'pyOpenSSL, of {idle}':40}{measured(PYOPENSSL, idle):10.0f}")


if __name__ == "__main__":
    sys.exit(main())
