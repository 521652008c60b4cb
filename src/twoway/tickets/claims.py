"""The claim set of a ticket (RFC 8392 section 3, RFC 9200 section 5.10), its types checked.

Owns the map of claims as a value and back. The same map stands inside of a ticket and in the answer to an
introspection, whose keys are those of the claims (RFC 9200 section 5.9.2, table 6). What a scope or a key in
it means is judged later, in its turn (:mod:`twoway.tickets.verification`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Self

from twoway.tickets.iana import Claim, Profile
from twoway.tickets.ticket import TicketReason, TicketRejected, numeric_date
from twoway.tickets.ticket_ids import sequence_of

MAX_IDENTITY_CHARACTERS = 255
"""Of ``iss``, ``sub`` and ``aud``: names that go into logs and databases."""
MAX_SHORT_BYTES = 64
"""Of ``cti`` and ``cnonce``: ours take 16 and 32."""
LAST_NUMERIC_DATE = 253_402_300_799
"""The end of the year 9999, the last second that a ``datetime`` can hold."""
MAX_EXI_SECONDS = 10 * 365 * 86400
"""Ten years: more than any certificate lasts, and small enough to be added to any time of this century."""


@dataclass(frozen=True)
class Claims:
    """The claims of a ticket; a fault in one of them is :attr:`TicketReason.MALFORMED_CLAIMS`."""

    issuer: str
    """``iss``: identity URI of the AC."""
    subject: str
    """``sub``: identity URI of the holder."""
    audience: str
    """``aud``: identity URI of the publisher."""
    issued_at: datetime
    """``iat``: aware, UTC, whole seconds."""
    ticket_id: bytes
    """``cti``: in the form of :mod:`twoway.tickets.ticket_ids`, for this very audience."""
    expires_at: datetime | None = None
    """``exp``: None only where there is ``exi``."""
    exi: int | None = None
    """Seconds of validity from the first time that the publisher sees the ticket."""
    not_before: datetime | None = None
    """``nbf``."""
    scope: object = None
    """AIF in a byte string."""
    confirmation: object = None
    """The ``cnf`` map."""
    ace_profile: object = int(Profile.COAP_DTLS)
    """1; what a ticket means that does not say it."""
    cnonce: bytes | None = None
    """The publisher's nonce."""

    @property
    def sequence(self) -> int:
        """The number of the ticket among those of its audience."""
        return sequence_of(self.ticket_id, self.audience)

    def to_map(self) -> dict[int, object]:
        """Return the map to encode."""
        claims: dict[int, object] = {
            Claim.ISS: self.issuer,
            Claim.SUB: self.subject,
            Claim.AUD: self.audience,
            Claim.EXP: None if self.expires_at is None else numeric_date(self.expires_at),
            Claim.NBF: None if self.not_before is None else numeric_date(self.not_before),
            Claim.IAT: numeric_date(self.issued_at),
            Claim.CTI: self.ticket_id,
            Claim.CNF: self.confirmation,
            Claim.SCOPE: self.scope,
            Claim.ACE_PROFILE: self.ace_profile,
            Claim.CNONCE: self.cnonce,
            Claim.EXI: self.exi,
        }
        return {claim: value for claim, value in claims.items() if value is not None}

    @classmethod
    def from_map_untrusted(cls, claims: object) -> Self:
        """Check a decoded map; claims that are not known are passed over.

        Raises:
            TicketRejected: with :attr:`TicketReason.MALFORMED_CLAIMS`.
        """
        if not isinstance(claims, Mapping) or (Claim.EXP not in claims and Claim.EXI not in claims):
            raise TicketRejected(TicketReason.MALFORMED_CLAIMS)
        checked = cls(
            issuer=_identity(claims, Claim.ISS),
            subject=_identity(claims, Claim.SUB),
            audience=_identity(claims, Claim.AUD),
            issued_at=_date(claims, Claim.IAT),
            ticket_id=_short_bytes(claims, Claim.CTI),
            expires_at=_date(claims, Claim.EXP) if Claim.EXP in claims else None,
            exi=_seconds(claims, Claim.EXI) if Claim.EXI in claims else None,
            not_before=_date(claims, Claim.NBF) if Claim.NBF in claims else None,
            scope=claims.get(Claim.SCOPE),
            confirmation=claims.get(Claim.CNF),
            ace_profile=claims.get(Claim.ACE_PROFILE, int(Profile.COAP_DTLS)),
            cnonce=_short_bytes(claims, Claim.CNONCE) if Claim.CNONCE in claims else None,
        )
        sequence_of(checked.ticket_id, checked.audience)
        return checked


def _identity(claims: Mapping[object, object], claim: Claim) -> str:
    value = claims.get(claim)
    if not isinstance(value, str) or not 0 < len(value) <= MAX_IDENTITY_CHARACTERS or not value.isprintable():
        raise TicketRejected(TicketReason.MALFORMED_CLAIMS)
    return value


def _date(claims: Mapping[object, object], claim: Claim) -> datetime:
    # Integers only: a float loses seconds, a tag changes the meaning, True is no time.
    value = claims.get(claim)
    if type(value) is not int or not 0 <= value <= LAST_NUMERIC_DATE:
        raise TicketRejected(TicketReason.MALFORMED_CLAIMS)
    return datetime.fromtimestamp(value, UTC)


def _seconds(claims: Mapping[object, object], claim: Claim) -> int:
    value = claims.get(claim)
    if type(value) is not int or not 0 < value <= MAX_EXI_SECONDS:
        raise TicketRejected(TicketReason.MALFORMED_CLAIMS)
    return value


def _short_bytes(claims: Mapping[object, object], claim: Claim) -> bytes:
    value = claims.get(claim)
    if not isinstance(value, bytes) or not 0 < len(value) <= MAX_SHORT_BYTES:
        raise TicketRejected(TicketReason.MALFORMED_CLAIMS)
    return value
