"""Session tickets: sessions that the client keeps for the server, sealed (RFC 5077).

Theory of operation. All workers of a service are handed one secret and the time when it was made. Time is
cut into intervals, and each interval has a key: the first one's is derived from the secret, each later
one's from the one before (HKDF, RFC 5869). So workers agree without talking. A worker keeps the key of its
interval, which seals and opens, and the one before, which only opens. From these, older ones cannot be found
again: who steals them reads the sessions of two intervals, and none that ended before. That holds as long as
nobody keeps the secret. Where it lies in a file, who steals the file reads every session since it was made;
a secret that a parent process draws for its workers, and lets go of, is kept by nobody.

A ticket is::

    uint8 version;            1
    uint32 interval;          the key's name (RFC 5077 section 4): intervals since 1970
    opaque salt[16];          random
    opaque sealed<1..>;       the session under AES-256-GCM, with the fields above as additional data,
                              and 16 bytes of tag

Each ticket has a key of its own, derived from its interval's key and its salt, and so a nonce of zeros. No
count of tickets has to be kept, which workers that do not talk could not do: that two of 2^40 tickets of an
interval get the same salt happens with a probability of 2^-49, while random 96-bit nonces under one key are
good for 2^32 tickets of all workers together (NIST SP 800-38D section 8.3).

A ticket cannot be taken back. A session that went wrong is remembered instead
(:meth:`SessionTickets.invalidate`), by this process alone.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Callable
from datetime import datetime
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand

from twoway.dtls.alerts import HandshakeFailure
from twoway.dtls.session import Session, SessionUnusable
from twoway.errors import CallerError, ConfigurationError

MIN_SECRET_BYTES: Final = 32
MIN_INTERVAL: Final = 600.0
"""Seconds. A worker derives one key for each interval since the secret was made: 50,000 a year."""
MAX_INTERVAL: Final = 7 * 86400.0
"""Seconds: RFC 9325 section 3.4 wants new keys at least weekly."""
MAX_INVALIDATED: Final = 1024
"""Sessions that are remembered as invalid; beyond that the oldest is forgotten."""

_VERSION: Final = 1
_KEY_BYTES: Final = 32
_SALT_BYTES: Final = 16
_HEADER_BYTES: Final = 1 + 4 + _SALT_BYTES
_TAG_BYTES: Final = 16
_NONCE: Final = bytes(12)
_FIRST_INTERVAL: Final = b"twoway session tickets, first interval"
_NEXT_INTERVAL: Final = b"twoway session tickets, next interval"
_ONE_TICKET: Final = b"twoway session tickets, one ticket"


class SessionTickets:
    """Issues tickets and takes them back.

    Args:
        secret: at least 32 random bytes, the same in all workers; keep it as you keep a private key, or do
            not keep it at all.
        since: when the secret was made, aware; the same in all workers.
        interval: seconds that a key is in use, 10 minutes to a week; the same in all workers. A ticket is
            good for at least one interval and at most two, if its session does not end before.
    """

    def __init__(self, secret: bytes, *, since: datetime, interval: float = 3600.0) -> None:
        if len(secret) < MIN_SECRET_BYTES:
            raise ConfigurationError(f"the secret for session tickets has less than {MIN_SECRET_BYTES} bytes")
        if since.tzinfo is None:
            raise CallerError("the time when the secret was made must be aware, and this one is naive")
        if not MIN_INTERVAL <= interval <= MAX_INTERVAL:
            raise ConfigurationError("keys of session tickets change after 10 minutes to a week")
        self._interval = interval
        self._number = int(since.timestamp() // interval)
        self._key = _derive(secret, _FIRST_INTERVAL)
        self._previous_key: bytes | None = None
        self._invalidated: OrderedDict[bytes, None] = OrderedDict()

    def issue(self, session: Session, *, at: datetime, entropy: Callable[[int], bytes]) -> bytes:
        """Seal a session.

        Args:
            session: what the ticket is to hold.
            at: the wall-clock time, aware.
            entropy: returns that many random bytes.
        """
        self._advance(at)
        header = bytes([_VERSION]) + self._number.to_bytes(4, "big") + entropy(_SALT_BYTES)
        return header + _cipher(self._key, header).encrypt(_NONCE, session.encode(), header)

    def accept_untrusted(self, ticket: bytes, *, at: datetime) -> Session:
        """Open a ticket. Whether its session may be resumed is for others to judge.

        Raises:
            SessionUnusable: it is not one of ours, or was damaged, or is too old, or its session is invalid.
        """
        self._advance(at)
        header, sealed = ticket[:_HEADER_BYTES], ticket[_HEADER_BYTES:]
        if len(sealed) <= _TAG_BYTES or header[0] != _VERSION:
            raise SessionUnusable("the ticket is not one of ours")
        key = self._key_of(int.from_bytes(header[1:5], "big"))
        if key is None:
            raise SessionUnusable("the ticket's key is not in use")
        try:
            session = Session.parse_untrusted(_cipher(key, header).decrypt(_NONCE, sealed, header))
        except InvalidTag:
            raise SessionUnusable("the ticket is not authentic") from None
        except HandshakeFailure:
            raise SessionUnusable("the ticket was made by another version of this program") from None
        if _name(session) in self._invalidated:
            raise SessionUnusable("the ticket's session went wrong")
        return session

    def is_fresh(self, ticket: bytes, *, at: datetime) -> bool:
        """Whether a ticket that was accepted was made in this interval: it will do for the next one, too."""
        self._advance(at)
        return int.from_bytes(ticket[1:5], "big") == self._number

    def invalidate(self, session: Session) -> None:
        """Take no ticket of this session any more (RFC 5246 section 7.2.2)."""
        self._invalidated[_name(session)] = None
        while len(self._invalidated) > MAX_INVALIDATED:
            self._invalidated.popitem(last=False)

    def _advance(self, at: datetime) -> None:
        """Enter the interval of a time. There is no way back, even if the clock goes back."""
        number = int(at.timestamp() // self._interval)
        while self._number < number:
            self._previous_key, self._key = self._key, _derive(self._key, _NEXT_INTERVAL)
            self._number += 1

    def _key_of(self, number: int) -> bytes | None:
        if number == self._number:
            return self._key
        return self._previous_key if number == self._number - 1 else None


def _cipher(interval_key: bytes, header: bytes) -> AESGCM:
    return AESGCM(_derive(interval_key, _ONE_TICKET + header[-_SALT_BYTES:]))


def _derive(key: bytes, info: bytes) -> bytes:
    return HKDFExpand(hashes.SHA256(), _KEY_BYTES, info).derive(key)


def _name(session: Session) -> bytes:
    """What a session is remembered by: a digest, so that no secret is kept for it."""
    return hashlib.sha256(session.master_secret).digest()
