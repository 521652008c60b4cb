"""The receiving side of an association: records, epochs, and messages put together.

RFC 6347 sections 4.1 and 4.2. It says which records count and what is in them; what follows from that is
the association's.
"""

from __future__ import annotations

from typing import Final

from twoway.dtls.epochs import Opened, ReadEpoch
from twoway.dtls.protection import Protection, RecordRejected
from twoway.dtls.reassembly import Reassembler
from twoway.dtls.record import DTLS_1_2, MAX_PLAINTEXT_BYTES, Record

MAX_EARLY_RECORDS: Final = 8
"""Records of the next epoch that are held until its keys may be used; a flight brings one or two."""


class RecordOverflow(RecordRejected):
    """An authentic record with more in it than the peer was told that we take."""


class Receiver:
    """Turns records into plaintext, and keeps what came too early.

    Args:
        next_seq: the message_seq of the first message to expect.
    """

    __slots__ = ("_early", "_epochs", "_limit_bytes", "epoch", "messages")

    def __init__(self, *, next_seq: int) -> None:
        self.epoch = 0
        """The epoch that the peer speaks in; records of epoch 0 are still read in epoch 1."""
        self.messages = Reassembler(next_seq)
        """Puts handshake messages together."""
        self._epochs = [ReadEpoch(None)]
        self._early: list[Record] = []
        self._limit_bytes = MAX_PLAINTEXT_BYTES

    def install_keys(self, protection: Protection, connection_id: bytes) -> None:
        """Make epoch 1 ready; it is entered by :meth:`change_epoch`.

        Args:
            protection: the peer's keys.
            connection_id: what the peer writes into its records; empty if it writes none.
        """
        self._epochs.append(ReadEpoch(protection, connection_id))

    def restore(self, protection: Protection, connection_id: bytes, first: int) -> None:
        """Go on in epoch 1; what was sent below a sequence number does not count."""
        self._epochs.append(ReadEpoch(protection, connection_id, first))
        self.epoch = 1
        self._epochs[0].forget_recent()

    @property
    def following(self) -> int:
        """Above every sequence number of an authentic record in the current epoch."""
        return self._epochs[self.epoch].following

    def limit(self, sequence: int) -> None:
        """Have the numbers that are taken in epoch 1 end below one."""
        self._epochs[1].limit = sequence

    def limit_plaintext(self, limit_bytes: int | None) -> None:
        """Take no protected record with more plaintext than that, our own limit that the peer was told; None:
        what the protocol allows. Unprotected records are free of it (RFC 8449 section 4)."""
        self._limit_bytes = MAX_PLAINTEXT_BYTES if limit_bytes is None else limit_bytes

    def open_untrusted(self, record: Record) -> Opened | None:
        """Return what is in a record, or None if it is held for the next epoch.

        Raises:
            RecordOverflow: it is authentic and too long.
            RecordRejected: the record does not count; the error says why in a few words.
        """
        # The version of records before the keys means nothing: hellos carry 1.0 (RFC 6347 section 4.2.1).
        if record.version != DTLS_1_2 and record.epoch > 0:
            raise RecordRejected("wrong version")
        if record.epoch in (0, self.epoch):
            opened = self._epochs[record.epoch].open_untrusted(record)
            size = len(opened[1])
            if record.epoch > 0 and size > self._limit_bytes:
                raise RecordOverflow(
                    f"the peer sent a record of {size} bytes, and was told that we take {self._limit_bytes}"
                )
            return opened
        if record.epoch != 1:
            raise RecordRejected("wrong epoch")
        if len(self._early) >= MAX_EARLY_RECORDS:
            raise RecordRejected("too early")
        self._early.append(record)
        return None

    def change_epoch(self) -> list[Record]:
        """Enter epoch 1 and return what came too early for it, in order.

        Unfinished messages of the epoch before are dropped: what is protected must not be completed by what
        was not.
        """
        self.messages.forget_unfinished()
        self.epoch = 1
        early, self._early = self._early, []
        return early

    def complete(self) -> None:
        """The handshake is complete: let go of what it needed."""
        self._epochs[0].forget_recent()
        self.messages.forget_unfinished()

    def rest(self) -> None:
        """Let go of what can be made again from the keys."""
        self._epochs[self.epoch].rest()

    def forget(self) -> None:
        """Let go of what is held; nothing will be read any more."""
        self._early.clear()
        self.messages.forget_unfinished()
