"""DTLS 1.2 (RFC 6347), sans-IO: client and server, with certificates, raw public keys or pre-shared keys.

Begin with :class:`Association`; a server puts a :class:`HelloGate` in front. Shells that bring sockets
and time are in :mod:`twoway.net`.
"""

from twoway.dtls.alerts import AlertDescription, AlertLevel, HandshakeFailure
from twoway.dtls.association import Association
from twoway.dtls.config import DTLSConfig, Legacy2013Profile
from twoway.dtls.cookie import AcceptedHello, HelloGate, HelloUnfinished, HelloVerify, may_be_client_hello
from twoway.dtls.credentials import (
    CertificateCredential,
    Credential,
    Decrypter,
    PSKCredential,
    PSKLookup,
    RawKeyCredential,
    Signer,
)
from twoway.dtls.epochs import NumbersUsedUp
from twoway.dtls.events import (
    Closed,
    ClosedBy,
    Connected,
    DataReceived,
    DecryptionRequest,
    Event,
    PathChanged,
    SaveDue,
    SignatureRequest,
)
from twoway.dtls.groups import NamedGroup
from twoway.dtls.kinds import HandshakeKind
from twoway.dtls.paths import Path
from twoway.dtls.resumption import Resumption
from twoway.dtls.saving import RECEIPTS_AHEAD, SENDS_AHEAD
from twoway.dtls.sealing import SnapshotKey, SnapshotRejected
from twoway.dtls.session import HeldSession, Session
from twoway.dtls.session_store import MemorySessionStore, SessionStore
from twoway.dtls.session_tickets import SessionTickets
from twoway.dtls.signatures import SignatureScheme
from twoway.dtls.snapshot import Snapshot, generation_of_untrusted
from twoway.dtls.suites import CipherSuite, KeyExchange
from twoway.dtls.timers import LINK_MEASURED, RFC6347, RFC7925, Retransmission

__all__ = [
    "LINK_MEASURED",
    "RECEIPTS_AHEAD",
    "RFC6347",
    "RFC7925",
    "SENDS_AHEAD",
    "AcceptedHello",
    "AlertDescription",
    "AlertLevel",
    "Association",
    "CertificateCredential",
    "CipherSuite",
    "Closed",
    "ClosedBy",
    "Connected",
    "Credential",
    "DTLSConfig",
    "DataReceived",
    "Decrypter",
    "DecryptionRequest",
    "Event",
    "HandshakeFailure",
    "HandshakeKind",
    "HeldSession",
    "HelloGate",
    "HelloUnfinished",
    "HelloVerify",
    "KeyExchange",
    "Legacy2013Profile",
    "MemorySessionStore",
    "NamedGroup",
    "NumbersUsedUp",
    "PSKCredential",
    "PSKLookup",
    "Path",
    "PathChanged",
    "RawKeyCredential",
    "Resumption",
    "Retransmission",
    "SaveDue",
    "Session",
    "SessionStore",
    "SessionTickets",
    "SignatureRequest",
    "SignatureScheme",
    "Signer",
    "Snapshot",
    "SnapshotKey",
    "SnapshotRejected",
    "generation_of_untrusted",
    "may_be_client_hello",
]
