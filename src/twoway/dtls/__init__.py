"""DTLS 1.2 (RFC 6347), sans-IO: client and server, X.509 on both sides or a pre-shared key.

Begin with :class:`Association`; a server puts a :class:`HelloGate` in front. Shells that bring sockets
and time are in :mod:`twoway.net`.
"""

from twoway.dtls.alerts import AlertDescription, AlertLevel, HandshakeFailure
from twoway.dtls.association import Association
from twoway.dtls.config import DTLSConfig
from twoway.dtls.cookie import AcceptedHello, HelloGate, HelloVerify, may_be_client_hello
from twoway.dtls.credentials import CertificateCredential, PSKCredential, PSKLookup, Signer
from twoway.dtls.events import Closed, ClosedBy, Connected, DataReceived, Event, SignatureRequest
from twoway.dtls.groups import NamedGroup
from twoway.dtls.signatures import SignatureScheme
from twoway.dtls.suites import CipherSuite, KeyExchange

__all__ = [
    "AcceptedHello",
    "AlertDescription",
    "AlertLevel",
    "Association",
    "CertificateCredential",
    "CipherSuite",
    "Closed",
    "ClosedBy",
    "Connected",
    "DTLSConfig",
    "DataReceived",
    "Event",
    "HandshakeFailure",
    "HelloGate",
    "HelloVerify",
    "KeyExchange",
    "NamedGroup",
    "PSKCredential",
    "PSKLookup",
    "SignatureRequest",
    "SignatureScheme",
    "Signer",
    "may_be_client_hello",
]
