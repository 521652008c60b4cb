"""What the interop matrix needs to know of a foreign DTLS stack, and what one is given to run with."""

from __future__ import annotations

import functools
import re
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import MappingProxyType
from typing import ClassVar, Final

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from foreign import Foreign, free_udp_port
from foreign_cases import Case, Proof, We
from loopback import echo
from small_pki import CLIENT_AUTH, SERVER_AUTH, Credential, key_usage, p256_key, rsa_key, small_pki

ATTEMPTS = 3
PORT_TAKEN = re.compile("Address already in use|EADDRINUSE")
"""What every peer's server says of a port that somebody has, or of its neighbour: libcoap's takes two."""
PSK_NAME = "sensor-7"
PSK = b"0123456789abcdef"
"""Text, because libcoap's programs take keys as text."""
HOSTS: Final = ("localhost", "127.0.0.1")
"""What the peers look for in a server's certificate: some for the name, some for the address."""


@functools.cache
def certificate(proof: Proof, side: We) -> Credential | None:
    """The certificate and key of a proof, for a side of the handshake; None where it is not a certificate."""
    pki = small_pki()
    client = side is We.CLIENT
    match proof:
        case Proof.P256:
            return pki.subscriber if client else pki.publisher_p256
        case Proof.P384:
            return pki.ca.mint("p-384", key=ec.generate_private_key(ec.SECP384R1()), hosts=HOSTS)
        case Proof.ED25519:
            return pki.ca.mint("ed25519", key=ed25519.Ed25519PrivateKey.generate(), hosts=HOSTS)
        case Proof.RSA:
            # The older key exchange encrypts to it (RFC 5246 section 7.4.2).
            usage = key_usage("digital_signature", "key_encipherment")
            return pki.ca.mint("rsa", key=rsa_key(), hosts=HOSTS, usage=usage)
        case Proof.OTHER_CA:
            return pki.other_ca.mint("stranger", hosts=HOSTS)
        case Proof.EXPIRED:
            return pki.ca.mint("expired", hosts=HOSTS, not_after=datetime(2021, 1, 1, tzinfo=UTC))
        case Proof.WRONG_USAGE:
            usages = [SERVER_AUTH if client else CLIENT_AUTH]
            return pki.ca.mint("misused", hosts=HOSTS, usages=usages)
        case _:
            return None


@functools.cache
def raw_key(proof: Proof, side: We) -> ec.EllipticCurvePrivateKey | None:
    """The key of a proof without a certificate (RFC 7250); None where it is not one."""
    return p256_key(f"{proof} {side}") if proof.is_raw else None


def shared_key(proof: Proof) -> tuple[str, bytes] | None:
    """The name and key of a proof; None where it is not a pre-shared key."""
    match proof:
        case Proof.PSK:
            return PSK_NAME, PSK
        case Proof.WRONG_KEY:
            return PSK_NAME, bytes(reversed(PSK))
        case Proof.UNKNOWN_NAME:
            return "nobody", PSK
        case _:
            return None


@dataclass(frozen=True)
class Papers:
    """The files that a peer proves itself with and judges us by."""

    folder: Path

    @classmethod
    def write(cls, proof: Proof, side: We, folder: Path) -> Papers:
        """Write them: PEM and DER, and a list of pre-shared keys."""
        folder.mkdir(parents=True)
        papers = cls(folder)
        papers.path("ca.pem").write_bytes(small_pki().ca.ca_pem)
        papers.path("ca.der").write_bytes(small_pki().ca.root.public_bytes(Encoding.DER))
        credential = certificate(proof, side)
        if credential is not None:
            papers.path("cert.pem").write_bytes(credential.cert_pem)
            following = (x509.load_der_x509_certificate(der) for der in credential.chain[1:])
            chain = b"".join(certificate.public_bytes(Encoding.PEM) for certificate in following)
            papers.path("chain.pem").write_bytes(chain)
            papers.path("cert.der").write_bytes(credential.chain[0])
            papers.path("key.pem").write_bytes(credential.key_pem)
            form = (Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
            papers.path("key.der").write_bytes(credential.private_key.private_bytes(*form))
        key = raw_key(proof, side)
        if key is not None:
            pem = (Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
            public = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
            papers.path("raw.pem").write_bytes(public)
            papers.path("key.pem").write_bytes(key.private_bytes(*pem))
            papers.path("both.pem").write_bytes(public + key.private_bytes(*pem))
        pair = shared_key(proof)
        if pair is not None:
            papers.path("psk.txt").write_text(f"{pair[0]}:{pair[1].hex()}\n")
        return papers

    def path(self, name: str) -> Path:
        return self.folder / name

    def __getitem__(self, name: str) -> str:
        return str(self.path(name))


class Stack(ABC):
    """A foreign stack: how its programs are started, spoken with and understood.

    A program of a client says hello in an application's way, expects it back with ``echo: `` before it,
    and closes. A program of a server answers in some way and stays until it is stopped.
    """

    title: ClassVar[str]
    """As the paper calls it."""
    suites: ClassVar[Mapping[int, str]]
    """What it calls those of our suites that it has, by their numbers."""
    peculiarities: ClassVar[Sequence[str]] = ()
    """What somebody has to know who meets it; each is seen in the cells."""
    sends_leaf_only: ClassVar[bool] = False
    """Its certificate comes without the issuer's, so we have to know that one."""
    lacks_extended_master_secret: ClassVar[bool] = False
    """We allow that by name for it."""
    says_goodbye: ClassVar[bool] = True
    """Its client ends with close_notify."""
    ready: ClassVar[str]
    """What its server says when it listens."""
    request: ClassVar[bytes] = b"hello\n"
    """What we send to its server."""
    reply: ClassVar[bytes] = b"answer"
    """What is in the answer."""
    answer = staticmethod(echo)
    """How our server answers its client."""
    echoed: ClassVar[str] = "echo: hello"
    """What its client prints when our answer came."""
    agreed_words: ClassVar[Sequence[str]] = ()
    """Patterns of what it prints about a handshake that succeeded; their groups are quoted."""
    master_secret_words: ClassVar[str | None] = None
    """What its client prints where RFC 7627 is in force; None if it does not say."""
    resumed_words: ClassVar[Mapping[We, str]] = MappingProxyType({})
    """What its client and its server print where a session was resumed, as far as they say so."""
    reconnects_by_itself: ClassVar[bool] = False
    """Its client makes both connections in one run."""
    ready_again: ClassVar[str] = ""
    """What its server says when it takes the next client."""
    refusal_words: ClassVar[str]
    """The pattern of what it prints about one that failed; the first line with it is quoted."""

    @abstractmethod
    def version(self) -> str:
        """What it says about its version."""

    @abstractmethod
    def client(self, case: Case, port: int, papers: Papers) -> Foreign:
        """A client that will connect to a port of 127.0.0.1."""

    @abstractmethod
    def server(self, case: Case, port: int, papers: Papers) -> Foreign:
        """A server that will listen on a port of 127.0.0.1."""

    @abstractmethod
    def everything(self, port: int) -> Sequence[Foreign]:
        """Clients that offer, together, each suite of ours that the stack has."""

    def speak(self, client: Foreign) -> None:  # noqa: B027 - most speak by themselves
        """Make a client say hello, if it does not do so by itself."""

    def hang_up(self, client: Foreign) -> None:  # noqa: B027 - most close by themselves
        """Make a client close, if it does not do so by itself."""

    def respond(self, server: Foreign) -> None:  # noqa: B027 - most answer by themselves
        """Make a server answer, if it does not do so by itself."""

    def words(self, output: str, *, agreed: bool) -> str:
        """What it said about the handshake, in its own words; only whole lines count."""
        whole = output[: output.rfind("\n") + 1]
        matches = [re.search(pattern, whole) for pattern in self.agreed_words if agreed]
        matches += [] if agreed else [re.search(self.refusal_words, whole)]
        return "; ".join(match[1].strip() for match in matches if match)


@contextmanager
def foreign_server(case: Case, stack: Stack, papers: Papers) -> Iterator[tuple[Foreign, int]]:
    """Start a peer's server; on another port if somebody was quicker, for it cannot choose one by itself."""
    for _ in range(ATTEMPTS):
        port = free_udp_port()
        with stack.server(case, port, papers) as theirs:
            theirs.wait_until(lambda said: stack.ready in said or bool(PORT_TAKEN.search(said)))
            if not PORT_TAKEN.search(theirs.output):
                theirs.wait_for(stack.ready)
                yield theirs, port
                return
    raise AssertionError(theirs.output)
