"""Handshakes and connections that ended, in words: who, what, and what to do about it."""

from __future__ import annotations

from typing import Final

from twoway.dtls.alerts import AlertDescription as Alert
from twoway.dtls.events import Closed, ClosedBy
from twoway.errors import NetworkError, PeerError, RefusedError, TwowayError

_REMEDIES: Final[dict[Alert, str]] = {
    Alert.HANDSHAKE_FAILURE: "compare the credentials and cipher suites of both sides",
    Alert.BAD_CERTIFICATE: "have a new certificate issued",
    Alert.UNSUPPORTED_CERTIFICATE: "have a certificate issued for the role that it is used in",
    Alert.CERTIFICATE_REVOKED: "have a new certificate issued",
    Alert.CERTIFICATE_EXPIRED: "renew the certificate and compare the clocks of both sides",
    Alert.CERTIFICATE_UNKNOWN: "look into the log of the side that refused",
    Alert.UNKNOWN_CA: "use certificates of one authority on both sides",
    Alert.ACCESS_DENIED: "ask whoever runs it for access",
    Alert.DECRYPT_ERROR: "compare the keys of both sides, and the names of pre-shared keys",
    Alert.PROTOCOL_VERSION: "use a peer that speaks DTLS 1.2",
    Alert.INSUFFICIENT_SECURITY: "allow a stronger cipher suite",
    Alert.UNKNOWN_PSK_IDENTITY: "compare the names and values of the pre-shared keys on both sides",
    Alert.BAD_RECORD_MAC: "compare the values of the pre-shared keys on both sides",
    Alert.INTERNAL_ERROR: "look into its log and try again",
}

_REFUSALS: Final = frozenset(
    {
        Alert.HANDSHAKE_FAILURE,
        Alert.BAD_CERTIFICATE,
        Alert.UNSUPPORTED_CERTIFICATE,
        Alert.CERTIFICATE_REVOKED,
        Alert.CERTIFICATE_EXPIRED,
        Alert.CERTIFICATE_UNKNOWN,
        Alert.UNKNOWN_CA,
        Alert.ACCESS_DENIED,
        Alert.DECRYPT_ERROR,
        Alert.INSUFFICIENT_SECURITY,
        Alert.UNKNOWN_PSK_IDENTITY,
    }
)
"""Alerts by which a peer says no to who we are, rather than to how we speak."""

NOBODY_ANSWERED: Final = "nobody answered"
START_IT: Final = "check the address and the port, and that the server is running"


class HandshakeRefused(RefusedError):
    """The peer looked at what we proved and said no."""

    def __init__(self, alert: Alert, what: str, *, where: str, remedy: str | None) -> None:
        super().__init__(what, where=where, remedy=remedy)
        self.alert = alert


class HandshakeBroken(PeerError):
    """We refused the peer, or one of both did not follow the protocol."""

    def __init__(self, alert: Alert | None, what: str, *, where: str, remedy: str | None) -> None:
        super().__init__(what, where=where, remedy=remedy)
        self.alert = alert


def handshake_failed(closed: Closed, where: str) -> TwowayError:
    """Make the error of a handshake that we opened and that did not complete.

    Args:
        closed: the association's last event.
        where: the peer, as a person named it.

    Returns:
        :class:`~twoway.errors.NetworkError` if nobody answered, :class:`HandshakeRefused` if the peer did
        not want us, :class:`HandshakeBroken` if we did not want the peer or the protocol was broken.
    """
    if closed.by is ClosedBy.TIMEOUT:
        return NetworkError(NOBODY_ANSWERED, where=where, remedy=START_IT)
    remedy = None if closed.alert is None else _REMEDIES.get(closed.alert)
    if closed.by is ClosedBy.US:
        return HandshakeBroken(closed.alert, closed.reason, where=where, remedy=remedy)
    if closed.alert is None:
        return HandshakeBroken(None, closed.reason, where=where, remedy=None)
    what = f"the handshake was refused with the alert {closed.alert.label}: {closed.alert.meaning}"
    kind = HandshakeRefused if closed.alert in _REFUSALS else HandshakeBroken
    return kind(closed.alert, what, where=where, remedy=remedy)


def connection_ended(closed: Closed, where: str) -> TwowayError:
    """Make the error of whatever still needed a connection when it closed."""
    if closed.by is ClosedBy.PEER and closed.alert is not None and closed.alert is not Alert.CLOSE_NOTIFY:
        what = f"the connection was ended with the alert {closed.alert.label}: {closed.alert.meaning}"
        return HandshakeBroken(closed.alert, what, where=where, remedy=_REMEDIES.get(closed.alert))
    if closed.by is ClosedBy.PEER:
        return NetworkError("the peer closed the connection", where=where, remedy="connect again")
    return NetworkError(f"the connection is closed: {closed.reason}", where=where, remedy="connect again")
