"""Alerts: RFC 5246 section 7.2, and the two ways in which an association can fail."""

from __future__ import annotations

from enum import IntEnum

from twoway.errors import PeerError


class AlertLevel(IntEnum):
    """RFC 5246 section 7.2."""

    WARNING = 1
    FATAL = 2


class AlertDescription(IntEnum):
    """RFC 5246 section 7.2, RFC 4279 section 2, RFC 5746, RFC 7301."""

    CLOSE_NOTIFY = 0
    UNEXPECTED_MESSAGE = 10
    BAD_RECORD_MAC = 20
    RECORD_OVERFLOW = 22
    HANDSHAKE_FAILURE = 40
    BAD_CERTIFICATE = 42
    UNSUPPORTED_CERTIFICATE = 43
    CERTIFICATE_REVOKED = 44
    CERTIFICATE_EXPIRED = 45
    CERTIFICATE_UNKNOWN = 46
    ILLEGAL_PARAMETER = 47
    UNKNOWN_CA = 48
    ACCESS_DENIED = 49
    DECODE_ERROR = 50
    DECRYPT_ERROR = 51
    PROTOCOL_VERSION = 70
    INSUFFICIENT_SECURITY = 71
    INTERNAL_ERROR = 80
    USER_CANCELED = 90
    NO_RENEGOTIATION = 100
    UNSUPPORTED_EXTENSION = 110
    UNKNOWN_PSK_IDENTITY = 115

    @property
    def label(self) -> str:
        """The name as the RFC writes it: ``bad_certificate``."""
        return self.name.lower()

    @property
    def meaning(self) -> str:
        """What it means to the one who receives it, in words."""
        return _MEANINGS.get(self, "it found a fault in what we sent")


_MEANINGS = {
    AlertDescription.HANDSHAKE_FAILURE: "it has no suite, group, signature or credential in common with us",
    AlertDescription.BAD_CERTIFICATE: "it could not verify our certificate",
    AlertDescription.UNSUPPORTED_CERTIFICATE: "our certificate is not made for this use",
    AlertDescription.CERTIFICATE_REVOKED: "our certificate was revoked",
    AlertDescription.CERTIFICATE_EXPIRED: "our certificate is expired or not yet valid, by its clock",
    AlertDescription.CERTIFICATE_UNKNOWN: "it does not accept our certificate",
    AlertDescription.UNKNOWN_CA: "it does not trust the CA that issued our certificate",
    AlertDescription.ACCESS_DENIED: "our certificate is good, but we are not let in",
    AlertDescription.DECRYPT_ERROR: "a key or signature of ours is not the one it expected",
    AlertDescription.PROTOCOL_VERSION: "it does not speak DTLS 1.2",
    AlertDescription.INSUFFICIENT_SECURITY: "it wants stronger suites than ours",
    AlertDescription.INTERNAL_ERROR: "something failed on its side",
    AlertDescription.UNKNOWN_PSK_IDENTITY: "it does not know the name of our pre-shared key",
    AlertDescription.USER_CANCELED: "it gave up the handshake",
}


class HandshakeFailure(PeerError):
    """We refuse this association: the peer is told ``alert``, the caller is told ``what``."""

    def __init__(self, alert: AlertDescription, what: str) -> None:
        super().__init__(what)
        self.alert = alert
