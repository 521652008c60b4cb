"""The names of tickets, ``cti``: unique, and for each publisher in the order of issue (RFC 9200 5.10.3).

    audience (8 bytes)  the first bytes of SHA-256 over the publisher's identity URI, in UTF-8
    sequence (8 bytes)  the number of the ticket among those for this audience, big-endian

RFC 9200 wants the name of the publisher and a sequence number in a row and does not say how they are
written. With fixed widths two different pairs never give the same name. The AC never gives a number twice,
so a later ticket has a higher one, whatever the clocks say. Must never be taken for a secret: numbers can be
guessed, and nothing is granted to whoever knows one.
"""

from __future__ import annotations

import hashlib
import hmac

from twoway.errors import CallerError
from twoway.tickets.ticket import TicketReason, TicketRejected

AUDIENCE_BYTES = 8
"""Enough that no two publishers of an AC share it by chance; by intent only their registrar could."""
SEQUENCE_BYTES = 8
"""More numbers than will ever be needed."""
TICKET_ID_BYTES = AUDIENCE_BYTES + SEQUENCE_BYTES
"""Length of a ``cti``."""


def ticket_id(audience: str, sequence: int) -> bytes:
    """Return the ``cti`` of the ticket for ``audience`` with this number, 16 bytes.

    Raises:
        CallerError: the number is negative or does not fit into 8 bytes.
    """
    if not 0 <= sequence < 1 << 8 * SEQUENCE_BYTES:
        raise CallerError(f"{sequence} is not a sequence number of a ticket")
    return _audience_prefix(audience) + sequence.to_bytes(SEQUENCE_BYTES)


def sequence_of(ticket_id: bytes, audience: str) -> int:
    """Return the sequence number in a ``cti`` that was issued for ``audience``.

    Raises:
        TicketRejected: it has another length, or is of another audience.
    """
    prefix, number = ticket_id[:AUDIENCE_BYTES], ticket_id[AUDIENCE_BYTES:]
    if len(number) != SEQUENCE_BYTES or not hmac.compare_digest(prefix, _audience_prefix(audience)):
        raise TicketRejected(TicketReason.MALFORMED_CLAIMS)
    return int.from_bytes(number)


def _audience_prefix(audience: str) -> bytes:
    return hashlib.sha256(audience.encode("utf-8", "surrogatepass")).digest()[:AUDIENCE_BYTES]
