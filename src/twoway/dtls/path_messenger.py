"""The path messenger: sends the messages of the return routability check and says what came of it.

RFC 9853 section 5. An association has one from the moment in which somebody moves; :mod:`twoway.dtls.paths`
decides what to ask.
"""

from __future__ import annotations

from twoway.dtls.epochs import NumbersUsedUp
from twoway.dtls.events import PathChanged
from twoway.dtls.journal import Journal
from twoway.dtls.paths import ROUND_TRIPS, Path
from twoway.dtls.record import ContentType
from twoway.dtls.return_routability import MESSAGE_BYTES, PathMessage
from twoway.dtls.sending import Sender
from twoway.dtls.timers import Retransmission


class PathMessenger:
    """The :class:`~twoway.dtls.paths.PathLink` of an association.

    Args:
        sender: the association's.
        journal: takes what happens.
        retransmission: how patiently, where the handshake has measured nothing.
    """

    __slots__ = ("_journal", "_retransmission", "_sender")

    def __init__(self, sender: Sender, journal: Journal, retransmission: Retransmission) -> None:
        self._sender = sender
        self._journal = journal
        self._retransmission = retransmission

    @property
    def challenge_bytes(self) -> int:
        """How long a datagram with a challenge is."""
        return self._sender.record_bytes(MESSAGE_BYTES)

    @property
    def path_timeout(self) -> float:
        """Seconds that a path has to answer (RFC 9853 section 5.5)."""
        if self._sender.round_trip is None:
            return self._retransmission.initial
        # A new path may be slower than the one that was measured.
        return max(self._retransmission.shortest, ROUND_TRIPS * self._sender.round_trip)

    def send_path_message(self, message: PathMessage, path: Path) -> None:
        """Send a message by a path."""
        if not self._sender.has_room_for_data:
            return  # The last sequence numbers are not for the peer to use up.
        try:
            self._sender.send_by(path, ContentType.RETURN_ROUTABILITY_CHECK, message.encode())
        except NumbersUsedUp:
            return  # Nor are those that somebody else may use.
        self._journal.counters[f"path messages sent: {message.type.label}"] += 1
        self._journal.tell("path message sent", type=message.type.label, path=path)

    def path_changed(self, path: Path) -> None:
        """Tell the caller that the peer is spoken to by another path from here on."""
        self._journal.tell("path changed", path=path)
        self._journal.events.append(PathChanged(path))

    def path_noted(self, what: str, path: Path) -> None:
        """Count and trace what happened."""
        self._journal.counters[what] += 1
        self._journal.tell(what, path=path)
