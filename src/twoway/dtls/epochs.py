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
        connection_id: what the peer asked for in protected records; may be empty.
    """

    __slots__ = ("_connection_id", "_number", "_protection", "sequence")

    def __init__(
        self, number: int, sequence: int, protection: Protection | None, connection_id: bytes = b""
    ) -> None:
        self._connection_id = connection_id
        self._number = number
        self._protection = protection
        self.sequence = sequence

    @property
    def inner_bytes(self) -> int:
        """How much is protected beside the content: the type, in a record with a connection ID."""
        return INNER_TYPE_BYTES if self._connection_id else 0

    @property
    def overhead_bytes(self) -> int:
        """How much longer a record is than its header of 13 bytes and its content, at most."""
        cipher_bytes = self._protection.overhead_bytes if self._protection else 0
        return len(self._connection_id) + self.inner_bytes + cipher_bytes

    @property
    def has_room_for_data(self) -> bool:
        """Whether application data may still be sent."""
        return self.sequence <= MAX_DATA_SEQUENCE

    def encode(self, kind: int, version: int, plaintext: bytes) -> bytes:
        """Make the next record. Its sequence number is gone whatever becomes of the record."""
        sequence = self.sequence
        assert sequence <= MAX_SEQUENCE, "a sequence number must never wrap"
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
    """

    __slots__ = ("_connection_id", "_protection", "_recent", "_window")

    def __init__(self, protection: Protection | None, connection_id: bytes = b"") -> None:
        self._connection_id = connection_id
        self._protection = protection
        self._window = ReplayWindow()
        self._recent = RecentRecords()

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
            if self._recent.repeats(record):
                raise RecordRejected("replayed")
            return record.type, record.fragment, False
        if not self._window.is_fresh(record.sequence):
            raise RecordRejected("replayed")
        number = record.epoch << 48 | record.sequence
        if not self._connection_id:
            prefix = _PREFIX.pack(number, record.type, record.version)
            plaintext = self._protection.open_untrusted(number, prefix, record.fragment)
            return record.type, plaintext, self._window.mark(record.sequence)
        prefix = authenticated_prefix(number, record.version, self._connection_id)
        inner = self._protection.open_untrusted(number, prefix, record.fragment)
        is_newest = self._window.mark(record.sequence)
        kind, plaintext = unwrap_untrusted(inner)
        return kind, plaintext, is_newest
