"""Which record numbers an association may use once copies of it exist outside of this process.

A saved association can be restored by a process that knows nothing of what the first one did after it had
saved. If both sent under one number, they would use one nonce for two plaintexts, which breaks AES-GCM and
AES-CCM (RFC 5288 section 6.1, RFC 5116 section 3.1). If both took one number, a recorded message would be
delivered twice (RFC 6347 section 4.1.2.6). So numbers are divided before a copy leaves.

Theory of operation. Each snapshot holds a *cut*: one number for each direction. Whoever is restored from it
begins at the cut; whoever lived before stays below it. A cut lies a chosen number of records ahead, and that
block is what the saving side goes on with. The rules, for either direction:

(a) Who saves puts the cut at or above the next number that they would use.
(b) From then on they use numbers below that cut, and below that of the snapshot which they know to be stored.
    A snapshot counts from the moment in which its bytes exist: they may reach a disk unseen.
(c) Who is restored begins at the cut, may use nothing, and has to save. Only when *their* snapshot has been
    stored, and they were told so (:meth:`Reservation.confirm_stored`), do they go on below its cut.
(d) The caller stores a snapshot only in the place of the one that the saving side was restored from or that
    was confirmed to it last, or in an empty place for the first. So the stored snapshots S1, S2, ... form one
    chain, and each is made by somebody who held the one before.

No number is used by two processes. By (d) each process makes a stretch of the chain, and the stretches follow
each other: a process restored from Sk adds something only while Sk is the newest. By (c) a process that never
adds anything uses nothing. By (a) and (b) a process that was restored from Sj and adds up to Sk uses numbers
from cut(Sj) to below cut(Sk), and if it made another snapshot which it does not know to be stored, to below
that one's cut as well. So the next process, restored from the newest, begins above everything that was used.
Within one process sending counts upwards and receiving has the replay window. A crash at any moment leaves
this true, for a confirmation that never came only keeps a limit low.

Who must see to (d)? One process at a time with a file of its own does it by itself. Workers that share a
store use the generation, which is one more than that of the snapshot to be replaced: the store puts g + 1 in
the place of g in one step, and only if it holds g. Of several workers that restored the same bytes one goes
on, and the others never use a number. A worker that lost its place without noticing stays below its own cut.
If the store says that it holds g + 1 already, and it is the very bytes that we gave it, they were stored.
Where workers share a store, nothing must be deleted from it while one of them may still want to save.

A cut for receiving costs something: records between what the peer has sent when we crash and the cut are
refused afterwards, since nobody knows which of them were delivered. The peer's messages are lost until its
numbers pass the cut. Hence the block for receiving is small, and none at all where an association is saved
as the last thing before it is handed over. What comes late from below the cut is refused, too.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from twoway.dtls.record import MAX_SEQUENCE
from twoway.errors import CallerError

MAX_GENERATION: Final = 2**32 - 1
"""It has four bytes in a snapshot; at one snapshot a second they last for 136 years."""


class Cut(NamedTuple):
    """Where one holder of an association ends and the next begins; both numbers belong to the next."""

    send: int
    """The first sequence number that the next may send under."""
    receive: int
    """The first sequence number that the next may take."""


NO_CUT: Final = Cut(MAX_SEQUENCE + 1, MAX_SEQUENCE + 1)
"""No snapshot exists: all numbers of the epoch are ours."""


class Reservation:
    """The cuts that bind one association.

    Args:
        generation: of the snapshot that the association was restored from; 0 if it was not.
        stored: the cut of that snapshot.

    Attributes:
        generation: of the snapshot that is stored as far as we know; 0 if there is none.
        limit: our numbers end below it.
        due: from here on it is time to save again.
    """

    __slots__ = ("_margin", "_stored", "_unconfirmed", "due", "generation", "limit")

    def __init__(self, generation: int = 0, stored: Cut = NO_CUT) -> None:
        self.generation = generation
        self.limit = self.due = self._stored = stored
        self._unconfirmed = NO_CUT
        self._margin = (0, 0)  # How far below the limit it is due, to send and to receive.

    @property
    def awaits_confirmation(self) -> bool:
        """Whether a snapshot was made of which we do not know whether it is stored."""
        return self._unconfirmed is not NO_CUT

    def save(self, following: Cut, *, sends_ahead: int, receipts_ahead: int) -> tuple[int, Cut]:
        """Reserve a block for ourselves.

        Args:
            following: the numbers that would be used next.
            sends_ahead: how many numbers to keep for sending.
            receipts_ahead: how many numbers to keep for receiving.

        Returns:
            The generation and the cut of the new snapshot.

        Raises:
            CallerError: a block is negative, or does not fit into what is left of the epoch.
        """
        if sends_ahead < 0 or receipts_ahead < 0:
            raise CallerError("a negative number of records cannot be kept")
        cut = Cut(following.send + sends_ahead, following.receive + receipts_ahead)
        if max(cut) > MAX_SEQUENCE or self.generation == MAX_GENERATION:
            raise CallerError("the association's numbers are used up", remedy="connect again")
        self._unconfirmed = _lower(self._unconfirmed, cut)
        self._margin = (sends_ahead // 2, receipts_ahead // 2)
        self._bind(_lower(self._stored, self._unconfirmed))
        return self.generation + 1, cut

    def confirm_stored(self, generation: int) -> None:
        """Note that a snapshot is stored, in the place of the one before.

        Raises:
            CallerError: no snapshot of this generation waits to be confirmed.
        """
        if not self.awaits_confirmation or generation != self.generation + 1:
            raise CallerError("no such snapshot waits to be confirmed")
        self.generation = generation
        self._stored, self._unconfirmed = self._unconfirmed, NO_CUT
        self._bind(self._stored)

    def confirm_deleted(self) -> None:
        """Note that no snapshot is left which could be restored."""
        self.generation = 0
        self._stored = self._unconfirmed = NO_CUT
        self._bind(NO_CUT)

    def _bind(self, limit: Cut) -> None:
        self.limit = limit
        self.due = Cut(limit.send - self._margin[0], limit.receive - self._margin[1])


def _lower(one: Cut, other: Cut) -> Cut:
    if one is NO_CUT:
        return other
    return Cut(min(one.send, other.send), min(one.receive, other.receive))
