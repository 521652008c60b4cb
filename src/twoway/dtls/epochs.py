"""Epochs: the keys, sequence numbers and replay windows of both directions (RFC 6347 section 4.1).

Epoch 0 is unprotected, epoch 1 has the keys of the one handshake that an association makes. This module
guarantees that no sequence number is used twice for sending, and that no record is taken twice.
"""

from __future__ import annotations

import struct
from typing import Final

from twoway.dtls.protection import Protection, RecordRejected
from twoway.dtls.record import MAX_SEQUENCE, Record, encode_record
from twoway.dtls.replay import RecentRecords, ReplayWindow

MAX_DATA_SEQUENCE: Final = MAX_SEQUENCE - 2**16
"""The last sequence numbers are kept for alerts and repeated flights, which must always be possible."""

_PREFIX = struct.Struct(">QBH")
"""What is authenticated with a record before its length: number, type, version (RFC 6347 section 4.1.2)."""


class WriteEpoch:
    """The sending side of one epoch.

    Args:
        number: the epoch.
        sequence: the sequence number of its first record.
        protection: its keys; None for epoch 0.
    """

    __slots__ = ("_number", "_protection", "sequence")

    def __init__(self, number: int, sequence: int, protection: Protection | None) -> None:
        self._number = number
        self._protection = protection
        self.sequence = sequence

    @property
    def overhead_bytes(self) -> int:
        """How much longer a fragment is than its plaintext."""
        return self._protection.overhead_bytes if self._protection else 0

    @property
    def has_room_for_data(self) -> bool:
        """Whether application data may still be sent."""
        return self.sequence <= MAX_DATA_SEQUENCE

    def encode(self, kind: int, version: int, plaintext: bytes) -> bytes:
        """Make the next record. Its sequence number is gone whatever becomes of the record."""
        sequence = self.sequence
        assert sequence <= MAX_SEQUENCE, "a sequence number must never wrap"
        self.sequence = sequence + 1
        if self._protection is not None:
            number = self._number << 48 | sequence
            plaintext = self._protection.seal(number, _PREFIX.pack(number, kind, version), plaintext)
        return encode_record(kind, version, self._number, sequence, plaintext)


class ReadEpoch:
    """The receiving side of one epoch.

    Args:
        protection: its keys; None for epoch 0.
    """

    __slots__ = ("_protection", "_recent", "_window")

    def __init__(self, protection: Protection | None) -> None:
        self._protection = protection
        self._window = ReplayWindow()
        self._recent = RecentRecords()

    def open_untrusted(self, record: Record) -> bytes:
        """Return the plaintext of a record that is authentic and new, and remember it.

        The window of RFC 6347 section 4.1.2.6 moves for verified records alone, so epoch 0 has none.

        Raises:
            RecordRejected: it is not authentic, or was seen before, or is too old to say.
        """
        if self._protection is None:
            if self._recent.repeats(record):
                raise RecordRejected("replayed")
            return record.fragment
        if not self._window.is_fresh(record.sequence):
            raise RecordRejected("replayed")
        number = record.epoch << 48 | record.sequence
        prefix = _PREFIX.pack(number, record.type, record.version)
        plaintext = self._protection.open_untrusted(number, prefix, record.fragment)
        self._window.mark(record.sequence)
        return plaintext
