"""The messages of the return routability check: RFC 9853 section 4.

    rrc_msg_type msg_type;       1 byte
    Cookie cookie;               8 bytes

They travel in records of their own type, protected like data. Who is asked when, and what an answer means,
is :mod:`twoway.dtls.paths`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum
from typing import Final

from twoway.dtls.protection import RecordRejected

COOKIE_BYTES: Final = 8
MESSAGE_BYTES: Final = 1 + COOKIE_BYTES


class PathMessageType(IntEnum):
    """RFC 9853 section 4."""

    PATH_CHALLENGE = 0
    """Do you receive what is sent to this path?"""
    PATH_RESPONSE = 1
    """I do, and may be sent to by it."""
    PATH_DROP = 2
    """I do, and have left it for another."""

    @property
    def label(self) -> str:
        """The name as the RFC writes it: ``path_challenge``."""
        return self.name.lower()


@dataclass(frozen=True, slots=True)
class PathMessage:
    """One message."""

    type: PathMessageType
    cookie: bytes = field(repr=False)
    """What a challenge brings, and its answer brings back."""

    @classmethod
    def parse_untrusted(cls, data: bytes) -> PathMessage:
        """Take the content of a record apart.

        Raises:
            RecordRejected: it is of a type that we do not know, which section 4 asks us to ignore, or it is
                no message at all.
        """
        try:
            kind = PathMessageType(data[0])
        except (IndexError, ValueError):
            raise RecordRejected("unknown path message") from None
        if len(data) != MESSAGE_BYTES:
            raise RecordRejected("malformed path message")
        return cls(kind, data[1:])

    def encode(self) -> bytes:
        """Write the content of a record."""
        return bytes([self.type]) + self.cookie
