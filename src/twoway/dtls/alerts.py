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
        """What its sender says by it, as a clause."""
        return _MEANINGS[self]


_MEANINGS: dict[AlertDescription, str] = {
    AlertDescription.CLOSE_NOTIFY: "it closed the connection",
    AlertDescription.UNEXPECTED_MESSAGE: "a message came out of turn",
    AlertDescription.BAD_RECORD_MAC: "a record was not protected with the key that both sides should have",
    AlertDescription.RECORD_OVERFLOW: "a record was too long",
    AlertDescription.HANDSHAKE_FAILURE: (
        "nothing that both sides are willing to do is left, or a certificate is missing"
    ),
    AlertDescription.BAD_CERTIFICATE: "the certificate is not acceptable",
    AlertDescription.UNSUPPORTED_CERTIFICATE: "the certificate is not of a kind that may be used for this",
    AlertDescription.CERTIFICATE_REVOKED: "the certificate was revoked",
    AlertDescription.CERTIFICATE_EXPIRED: "the certificate has expired or is not valid yet",
    AlertDescription.CERTIFICATE_UNKNOWN: "the certificate is not acceptable for a reason that was not told",
    AlertDescription.ILLEGAL_PARAMETER: "a field had a value that is not allowed there",
    AlertDescription.UNKNOWN_CA: "the certificate was signed by an authority that is not trusted there",
    AlertDescription.ACCESS_DENIED: "the certificate is valid, but its holder may not come in",
    AlertDescription.DECODE_ERROR: "a message could not be read",
    AlertDescription.DECRYPT_ERROR: "a signature or a proof of a key is wrong",
    AlertDescription.PROTOCOL_VERSION: "the version of the protocol is not spoken there",
    AlertDescription.INSUFFICIENT_SECURITY: "something stronger is asked for",
    AlertDescription.INTERNAL_ERROR: "it failed by itself",
    AlertDescription.USER_CANCELED: "it gave the handshake up",
    AlertDescription.NO_RENEGOTIATION: "it does not negotiate anew",
    AlertDescription.UNSUPPORTED_EXTENSION: "an extension came that was not asked for",
    AlertDescription.UNKNOWN_PSK_IDENTITY: "no pre-shared key has this name there",
}


class HandshakeFailure(PeerError):
    """We refuse this association: the peer is told ``alert``, the caller is told ``what``."""

    def __init__(self, alert: AlertDescription, what: str) -> None:
        super().__init__(what)
        self.alert = alert
