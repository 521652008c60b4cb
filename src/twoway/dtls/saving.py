"""Saving: what an association does about the numbers that its copies may use.

:mod:`twoway.dtls.reservation` says which numbers are ours, and why. This module holds both directions to it,
and tells the caller when it is time to save again.
"""

from __future__ import annotations

from typing import Final

from twoway.dtls.events import SaveDue
from twoway.dtls.journal import Journal
from twoway.dtls.receiving import Receiver
from twoway.dtls.reservation import Cut, Reservation
from twoway.dtls.sending import Sender

SENDS_AHEAD: Final = 2**16
"""Records that may be sent from one save to the next. Of these blocks there are 2^32 in an epoch."""
RECEIPTS_AHEAD: Final = 64
"""The same for receiving; about as many of a peer's records are lost by a crash, whatever we do."""


class Saving:
    """The bounds of one association that was saved or restored; nobody else needs one.

    Args:
        sender: whose numbers for sending end where the reservation says.
        receiver: the same for receiving.
        journal: takes :class:`~twoway.dtls.events.SaveDue`.
        reservation: what is known so far. It binds from the first :meth:`reserve` or :meth:`go_on`.
    """

    __slots__ = ("_is_due_told", "_journal", "_receiver", "_reservation", "_sender")

    def __init__(
        self, sender: Sender, receiver: Receiver, journal: Journal, reservation: Reservation
    ) -> None:
        self._sender = sender
        self._receiver = receiver
        self._journal = journal
        self._reservation = reservation
        self._is_due_told = False

    def go_on(self) -> None:
        """Be bound by what a snapshot says that the association was restored from."""
        self._bind()
        self.look()

    def reserve(self, *, sends_ahead: int, receipts_ahead: int) -> tuple[int, Cut]:
        """Keep so many numbers for ourselves.

        Returns:
            The generation and the cut of the snapshot that is to be made.

        Raises:
            CallerError: see :meth:`~twoway.dtls.reservation.Reservation.save`.
        """
        reserved = self._reservation.save(
            Cut(self._sender.following, self._receiver.following),
            sends_ahead=sends_ahead,
            receipts_ahead=receipts_ahead,
        )
        self._is_due_told = True
        events = self._journal.events
        events[:] = [event for event in events if not isinstance(event, SaveDue)]
        self._bind()
        return reserved

    def confirm_stored(self, generation: int) -> None:
        """Go on below the cut of a snapshot that is stored.

        Raises:
            CallerError: no snapshot of this generation waits to be confirmed.
        """
        self._reservation.confirm_stored(generation)
        self._is_due_told = False
        self._bind()

    def confirm_deleted(self) -> None:
        """Let all numbers be ours; this object has nothing to do any more."""
        self._reservation.confirm_deleted()
        self._bind()

    def look(self) -> None:
        """Tell the caller, once, if it is time to save."""
        due = self._reservation.due
        if self._is_due_told:
            return
        if self._sender.following >= due.send or self._receiver.following >= due.receive:
            self._is_due_told = True
            self._journal.events.append(SaveDue())
            self._journal.tell("save due")

    def _bind(self) -> None:
        self._sender.limit(self._reservation.limit.send)
        self._receiver.limit(self._reservation.limit.receive)
