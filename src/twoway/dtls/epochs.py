"""Epochs: the keys, sequence numbers and replay windows of both directions (RFC 6347 section 4.1).

Epoch 0 is unprotected, epoch 1 has the keys of the one handshake that an association makes. This module
guarantees that no sequence number is used twice for sending, and that no record is taken twice.
"""

from __future__ import annotations

import struct
from typing import Final

from twoway.dtls.connection_id import INNER_TYPE_BYTES, authenticated_prefix, unwrap_untrusted, wrap
from twoway.dtls.protection import Protection, RecordRejected
from twoway.dtls.record import MAX_SEQUENCE, TLS12_CID, Record, encode_record
from twoway.dtls.replay import RecentRecords, ReplayWindow
from twoway.errors import CallerError

MAX_DATA_SEQUENCE: Final = MAX_SEQUENCE - 2**16
"""The last sequence numbers are kept for alerts and repeated flights, which must always be possible."""

_PREFIX = struct.Struct(">QBH")
"""What is authenticated with a record before its length: number, type, version (RFC 6347 section 4.1.2)."""


class NumbersUsedUp(CallerError):
    """There is no sequence number left that may be sent under."""


class WriteEpoch:
    """The sending side of one epoch.

    Args:
        number: the epoch.
        sequence: the sequence number of its first record.
        protection: its keys; None for epoch 0.
        connection_id: what the peer asked for in protected records; may be empty.

    Attributes:
        sequence: the sequence number of the next record.
        limit: sequence numbers end below it (:mod:`twoway.dtls.reservation`).
        inner_bytes: how much is protected beside the content: the type, in a record with a connection ID.
    """

    __slots__ = ("_connection_id", "_number", "_protection", "inner_bytes", "limit", "sequence")

    def __init__(
        self, number: int, sequence: int, protection: Protection | None, connection_id: bytes = b""
    ) -> None:
        self._connection_id = connection_id
        self._number = number
        self._protection = protection
        self.inner_bytes = INNER_TYPE_BYTES if connection_id else 0
        self.sequence = sequence
        self.limit = MAX_SEQUENCE + 1

    @property
    def overhead_bytes(self) -> int:
        """How much longer a record is than its header of 13 bytes and its content, at most."""
        cipher_bytes = self._protection.overhead_bytes if self._protection else 0
        return len(self._connection_id) + self.inner_bytes + cipher_bytes

    @property
    def has_room_for_data(self) -> bool:
        """Whether application data may still be sent."""
        return self.sequence <= MAX_DATA_SEQUENCE

    def rest(self) -> None:
        """Let go of what can be made again from the keys."""
        if self._protection is not None:
            self._protection.rest()

    def encode(self, kind: int, version: int, plaintext: bytes) -> bytes:
        """Make the next record. Its sequence number is gone whatever becomes of the record.

        Raises:
            NumbersUsedUp: the epoch or the reserved block has no number left.
        """
        sequence = self.sequence
        if sequence >= self.limit:
            raise NumbersUsedUp(
                "the association has no sequence number left",
                remedy="save it and confirm that, or connect again",
            )
        self.sequence = sequence + 1
        if self._protection is None:
            return encode_record(kind, version, self._number, sequence, plaintext)
        number = self._number << 48 | sequence
        if not self._connection_id:
            fragment = self._protection.seal(number, _PREFIX.pack(number, kind, version), plaintext)
            return encode_record(kind, version, self._number, sequence, fragment)
        prefix = authenticated_prefix(number, version, self._connection_id)
        fragment = self._protection.seal(number, prefix, wrap(kind, plaintext))
        return encode_record(TLS12_CID, version, self._number, sequence, fragment, self._connection_id)


Opened = tuple[int, bytes, bool]
"""What was in a record that is authentic and new: its real type, its content, and whether it is newer than
every authentic record before it (RFC 9146 section 6)."""


class ReadEpoch:
    """The receiving side of one epoch.

    Args:
        protection: its keys; None for epoch 0.
        connection_id: what the peer has to write into protected records; may be empty.
        first: the lowest sequence number that may be taken.

    Attributes:
        following: above every sequence number that came in an authentic record, taken or not.
        limit: sequence numbers that may be taken end below it (:mod:`twoway.dtls.reservation`).
    """

    __slots__ = ("_connection_id", "_protection", "_recent", "_window", "following", "limit")

    def __init__(self, protection: Protection | None, connection_id: bytes = b"", first: int = 0) -> None:
        self._connection_id = connection_id
        self._protection = protection
        self._window = ReplayWindow(first)
        self._recent = None if protection else RecentRecords()
        self.following = first
        self.limit = MAX_SEQUENCE + 1

    def open_untrusted(self, record: Record) -> Opened:
        """Return what is in a record that is authentic and new, and remember it.

        The window of RFC 6347 section 4.1.2.6 moves for verified records alone, so epoch 0 has none.

        Raises:
            RecordRejected: it is not authentic, or was seen before, or is too old to say, or has not the
                connection ID that was agreed upon (RFC 9146 section 3).
        """
        if record.connection_id != self._connection_id:
            raise RecordRejected("wrong connection ID")
        if self._protection is None:
            if self._recent is not None and self._recent.repeats(record):
                raise RecordRejected("replayed")
            return record.type, record.fragment, False
        if not self._window.is_fresh(record.sequence):
            raise RecordRejected("replayed")
        number = record.epoch << 48 | record.sequence
        if self._connection_id:
            prefix = authenticated_prefix(number, record.version, self._connection_id)
        else:
            prefix = _PREFIX.pack(number, record.type, record.version)
        plaintext = self._protection.open_untrusted(number, prefix, record.fragment)
        if record.sequence >= self.following:
            self.following = record.sequence + 1
        if record.sequence >= self.limit:
            raise RecordRejected("beyond the reserved numbers")
        is_newest = self._window.mark(record.sequence)
        if not self._connection_id:
            return record.type, plaintext, is_newest
        kind, plaintext = unwrap_untrusted(plaintext)
        return kind, plaintext, is_newest

    def forget_recent(self) -> None:
        """Nothing that is not protected matters any more, be it repeated or not."""
        self._recent = None

    def rest(self) -> None:
        """Let go of what can be made again from the keys."""
        if self._protection is not None:
            self._protection.rest()
