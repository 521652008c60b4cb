"""What a cell of the interop matrix is: what is tried with which stack, in which role, and how it ends.

`foreign_cells` lists the cells, `foreign_matrix` runs one, `foreign_paper` writes docs/interop.md, and
tests/interop/test_matrix.py holds them together.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType
from typing import Any, Final

from twoway.dtls import AlertDescription, CipherSuite, ClosedBy, HandshakeKind
from twoway.dtls.groups import DEFAULT_GROUPS, NamedGroup
from twoway.dtls.suites import (
    ANONYMOUS_SUITES,
    DEFAULT_SUITES,
    ECDHE_PSK_AES_128_CBC_SHA256,
    LEGACY_2013_SUITES,
)

OUR_SUITES: Final = (
    *DEFAULT_SUITES,
    ECDHE_PSK_AES_128_CBC_SHA256,
    *ANONYMOUS_SUITES,
    *LEGACY_2013_SUITES,
)
"""All that we speak, with whatever profile; one of them only if it is named."""


class We(StrEnum):
    """Our side of the handshake."""

    CLIENT = "client"
    SERVER = "server"

    @property
    def other(self) -> We:
        return We.SERVER if self is We.CLIENT else We.CLIENT


class Proof(StrEnum):
    """What a side proves itself with."""

    P256 = "P-256"
    P384 = "P-384"
    ED25519 = "Ed25519"
    RSA = "RSA-2048"
    RAW = "raw P-256"
    STRANGER = "raw stranger"
    PSK = "PSK"
    NOTHING = "nothing"
    OTHER_CA = "other CA's"
    EXPIRED = "expired"
    WRONG_USAGE = "wrong usage"
    WRONG_KEY = "wrong PSK"
    UNKNOWN_NAME = "unknown name"

    @property
    def is_psk(self) -> bool:
        return self in (Proof.PSK, Proof.WRONG_KEY, Proof.UNKNOWN_NAME)

    @property
    def is_raw(self) -> bool:
        return self in (Proof.RAW, Proof.STRANGER)


class Extra(StrEnum):
    """What a peer is told to do otherwise than it does by default."""

    NO_COOKIE = "no cookie"
    KEEPS_HELLOS = "memory before the cookie"
    ASKS_FOR_NO_CERTIFICATE = "asks for no certificate"
    MAC_THEN_ENCRYPT = "does not know encrypt-then-MAC"
    LIMITS_RECORDS = "asks for short records"


class Resumes(StrEnum):
    """What a session is resumed by."""

    TICKET = "ticket"
    SESSION_ID = "session ID"


@dataclass(frozen=True)
class Refused:
    """The handshake fails, and this side says why."""

    by: ClosedBy
    alert: AlertDescription | None = None

    def __str__(self) -> str:
        if self.by is ClosedBy.TIMEOUT:
            return "no answer, given up"
        assert self.alert is not None
        return f"{'we' if self.by is ClosedBy.US else 'they'} say {self.alert.label}"


@dataclass(frozen=True)
class Case:
    """One cell."""

    peer: str
    """The stack's title."""
    we: We
    tried: str
    """What is special about it; with the proofs and the role it names the cell."""
    ours: Proof
    theirs: Proof
    suite: CipherSuite
    """The only one that we offer or accept."""
    groups: tuple[NamedGroup, ...] = DEFAULT_GROUPS
    their_datagram_bytes: int | None = None
    """The largest datagram that the peer is told to send; None leaves it to the peer."""
    kind: HandshakeKind = HandshakeKind.FULL
    """The only one that we admit."""
    extras: frozenset[Extra] = frozenset()
    config: MappingProxyType[str, Any] = field(default_factory=lambda: MappingProxyType({}), hash=False)
    """More of our configuration."""
    resumes: Resumes | None = None
    """Two handshakes, the second one with the session of the first."""
    peer_dies: bool = False
    """Its program does not survive a handshake that succeeded."""
    says_nothing: bool = False
    """Whether it hears of its refusal before it gives up depends on its timers."""
    ends: Refused | None = None
    """How it is refused; None where it has to succeed."""

    @property
    def name(self) -> str:
        return f"{self.peer}, we {self.we}, {self.ours} to {self.theirs}, {self.tried}"


@dataclass(frozen=True)
class Limit:
    """What a stack cannot do, and how it is known: it does not say a word where it would have to."""

    peer: str
    what: str
    command: tuple[str, ...]
    """A command of the peer whose output shows it."""
    lacks: str = ""
    """What the output does not hold."""
    says: str = ""
    """What the output holds, where it is said outright."""

    @property
    def name(self) -> str:
        return f"{self.peer}, {self.what}"

    @property
    def evidence(self) -> str:
        shown = f"`{' '.join(self.command)}`"
        return f"{shown} says `{self.says}`" if self.says else f"{shown} does not name `{self.lacks}`"


def short(suite: CipherSuite) -> str:
    """A suite's name without what all of them share."""
    return suite.name.removeprefix("TLS_").replace("_WITH", "")
