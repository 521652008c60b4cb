"""Record protection: what the record layer asks of it, and why a record may not count.

A cipher suite makes one :class:`Protection` for each direction of an epoch, from the keys of that direction:
:mod:`twoway.dtls.aead` has the AEAD ciphers, :mod:`twoway.dtls.cbc` CBC with HMAC. None of them keeps
sequence numbers: :mod:`twoway.dtls.epochs` does, and it guarantees that none is used twice for sending.

Two values come with each record:

``number``
    8 bytes as one integer: the epoch in the upper 16 bits, the sequence number in the lower 48.

``prefix``
    what stands in front of the 2-byte length in the additional data or the input of the MAC. RFC 6347
    section 4.1.2: number (8), type (1), version (2). RFC 9146 section 5 has its own for connection IDs.
"""

from __future__ import annotations

from typing import Protocol

from twoway.errors import PeerError


class RecordRejected(PeerError):
    """A record that does not count. It is dropped and counted under the few words that say why."""


class RecordUnreadable(RecordRejected):
    """It is not protected with the keys that we share with the peer."""


class Protection(Protocol):
    """One direction's keys of one epoch at work."""

    @property
    def overhead_bytes(self) -> int:
        """How much longer a protected fragment is than its plaintext, at most."""

    def seal(self, number: int, prefix: bytes, plaintext: bytes) -> bytes:
        """Return the protected fragment. The caller never gives the same ``number`` twice."""

    def open_untrusted(self, number: int, prefix: bytes, fragment: bytes) -> bytes:
        """Return the plaintext of a fragment, at most 2**14 bytes.

        Raises:
            RecordUnreadable: it is not authentic, too short or too long.
            RecordRejected: the keys have met too many forgeries and are given up.
        """

    def rest(self) -> None:
        """Let go of what can be made again from the keys: an idle association takes less memory so."""
