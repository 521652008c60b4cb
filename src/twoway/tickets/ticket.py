"""A ticket whose issuer's signature has been verified, and the reasons for which one is refused.

Owns the value that publishers keep and ask. A ticket alone grants nothing: it counts only together with
the proof of its key (:meth:`Ticket.require_holder`), at the time of each request
(:meth:`Ticket.require_valid_at`), for what its scope permits.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import Enum
from functools import cached_property

from twoway.errors import CallerError, PeerError
from twoway.tickets.aif import Scope
from twoway.tickets.confirmation import AnyConfirmation, Confirmation, WrongKey
from twoway.tickets.token_hash import token_hash

MAX_TICKET_BYTES = 4096
"""An ordinary ticket takes 300 bytes, one with an RSA key and a long scope under 2000. Uploads come in
blocks from peers that have no right yet, so that more would be memory for strangers."""


class TicketReason(Enum):
    """Why a ticket is refused: the answer that a publisher gives (RFC 9200 section 5.10.1), and the words."""

    MALFORMED = ((4, 0), "it is not a CWT in the accepted form")
    """Not CBOR, wrong tags, wrong structure, or too large."""
    UNSUPPORTED_PROTECTION = ((4, 1), "it is not protected by an accepted algorithm with all its headers")
    """Another COSE message or algorithm, an unprotected header, or critical headers."""
    UNKNOWN_ISSUER = ((4, 1), "it is not from an AC that this publisher trusts")
    """The signing key or the named issuer is not configured, or the two do not belong together."""
    BAD_SIGNATURE = ((4, 1), "its signature does not verify")
    """Tampered with, or signed by another key."""
    NOT_AUTHENTIC = ((4, 1), "it is not encrypted with the secret that is shared with its AC")
    """Tampered with, or encrypted by somebody else."""
    MALFORMED_CLAIMS = ((4, 0), "its claims are incomplete or of the wrong types")
    """Signed, but the claim set cannot be read."""
    EXPIRED = ((4, 1), "it has expired")
    """Now is at or after ``exp``."""
    NOT_YET_VALID = ((4, 1), "it is not valid yet")
    """Now is before ``nbf``."""
    WRONG_AUDIENCE = ((4, 3), "it is for another publisher")
    """``aud`` names somebody else."""
    BAD_SCOPE = ((4, 0), "its scope cannot be read")
    """Not AIF for CoAP resources."""
    STALE_NONCE = ((4, 1), "it does not carry a nonce that this publisher gave out lately")
    """``cnonce`` is missing, forged or too old, where the publisher asks for one."""
    UNSUPPORTED_PROFILE = ((4, 0), "it is not for the DTLS profile")
    """``ace_profile`` names another profile."""
    NO_CONFIRMATION = ((4, 0), "it is not bound to exactly one usable key")
    """``cnf`` is missing, ambiguous, or names a key that cannot be proved here."""
    WRONG_KEY = ((4, 1), "it is bound to another key than the peer proved")
    """Somebody else's ticket."""
    REVOKED = ((4, 1), "it has been revoked")
    """Its hash is on the AC's list."""
    SUPERSEDED = ((4, 1), "a newer ticket for the same key is in force")
    """Kept from widening rights again that a newer ticket narrowed."""
    NOT_ACTIVE = ((4, 1), "the AC does not vouch for it")
    """The AC was asked about it and said no (RFC 9200 section 5.9)."""
    UNCONFIRMED = ((4, 0), "the AC could not be asked about it")
    """The AC is to be asked and does not answer (RFC 9200 section 5.10.1.1: no claims, no access)."""
    NOT_RECORDED = ((5, 3), "this publisher cannot write down that it has seen it")
    """It lives from first sight on, and that has to outlast a restart."""
    STORE_FULL = ((5, 3), "this publisher holds as many tickets as it can")
    """No room, and nothing that may be dropped."""

    @property
    def response_code(self) -> tuple[int, int]:
        """Class and detail of the CoAP response code: ``(4, 1)`` for 4.01."""
        return self.value[0]

    @property
    def sentence(self) -> str:
        """The reason in words."""
        return self.value[1]


class TicketRejected(PeerError):
    """A ticket that grants nothing, here and now, to this peer."""

    def __init__(self, reason: TicketReason) -> None:
        super().__init__(f"the ticket is refused: {reason.sentence}")
        self.reason = reason


@dataclass(frozen=True)
class Ticket:
    """The claims of a verified ticket."""

    issuer: str
    """Identity URI of the AC whose key signed it."""
    subject: str
    """Identity URI of the subscriber that it was issued to."""
    audience: str
    """Identity URI of the publisher that it is for."""
    issued_at: datetime
    """``iat``: aware, UTC, whole seconds."""
    expires_at: datetime
    """``exp``: the first moment at which it is no longer valid."""
    ticket_id: bytes
    """``cti``: see :mod:`twoway.tickets.ticket_ids`."""
    sequence: int
    """The number in ``cti``: of two tickets of one issuer for one audience, the later has the higher."""
    scope: Scope
    """What it permits."""
    confirmation: AnyConfirmation
    """The key that its holder has to prove."""
    not_before: datetime | None = None
    """``nbf``: the first moment at which it is valid, if it says so."""
    cnonce: bytes | None = None
    """What the publisher asked to see again, if it did (RFC 9200 section 5.3.1)."""
    exi: int | None = None
    """Seconds of validity from its first sight, where it says that instead of ``exp``; ``expires_at`` is
    reckoned from it (RFC 9200 section 5.10.3)."""
    encoded: bytes = field(default=b"", repr=False)
    """The ticket as it came, byte for byte."""

    @cached_property
    def token_hash(self) -> bytes:
        """The hash under which a revocation lists it (RFC 9770 section 4), 33 bytes."""
        return token_hash(self.encoded)

    def require_holder(self, spki: bytes, certificate: bytes | None = None) -> None:
        """Check that the peer which proved the key ``spki`` (DER) is the holder, in constant time.

        Args:
            spki: DER SubjectPublicKeyInfo.
            certificate: the DER certificate that the peer showed, which some tickets are bound to as well.

        Raises:
            TicketRejected: with :attr:`TicketReason.WRONG_KEY`.
        """
        if not isinstance(self.confirmation, Confirmation):
            raise TicketRejected(TicketReason.WRONG_KEY)
        try:
            self.confirmation.require_key(spki, certificate)
        except WrongKey:
            raise TicketRejected(TicketReason.WRONG_KEY) from None

    def require_valid_at(self, now: datetime) -> None:
        """Check the time, without any leeway; to be asked on every request.

        Raises:
            TicketRejected: with :attr:`TicketReason.EXPIRED` or :attr:`TicketReason.NOT_YET_VALID`.
        """
        require_within(now, not_before=self.not_before, expires_at=self.expires_at)


def require_within(now: datetime, *, not_before: datetime | None, expires_at: datetime | None) -> None:
    """Check that ``now`` lies in the time of validity, whose end is not part of it; None is no limit.

    Raises:
        TicketRejected: with :attr:`TicketReason.EXPIRED` or :attr:`TicketReason.NOT_YET_VALID`.
    """
    if expires_at is not None and now >= expires_at:
        raise TicketRejected(TicketReason.EXPIRED)
    if not_before is not None and now < not_before:
        raise TicketRejected(TicketReason.NOT_YET_VALID)


def numeric_date(at: datetime) -> int:
    """Whole seconds since 1970 of an aware time, rounded down (RFC 8392 section 2).

    Raises:
        CallerError: the time is naive; its zone would be a guess.
    """
    if at.tzinfo is None:
        raise CallerError("a time without a zone was given", remedy="pass an aware datetime in UTC")
    return int((at - _EPOCH).total_seconds() // 1)


_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
