"""Tickets as the AC writes them.

Owns the claims of a ticket and the key that signs it. Decides nothing: who may have which scope is policy,
and that the holder proved the key was checked before. Must never issue beyond the holder's certificate.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

from cryptography.hazmat.primitives.asymmetric import ec

from twoway import strict_cbor
from twoway.errors import CallerError, PeerError
from twoway.tickets import cose
from twoway.tickets.aif import Scope
from twoway.tickets.claims import Claims
from twoway.tickets.confirmation import Confirmation
from twoway.tickets.key_set import SigningKey, require_p256
from twoway.tickets.ticket import MAX_TICKET_BYTES, Ticket, TicketRejected, numeric_date
from twoway.tickets.ticket_ids import sequence_of


class HolderExpired(PeerError):
    """The certificate of the one who asks for a ticket has ended, though its session goes on."""

    def __init__(self, subject: str, not_after: datetime) -> None:
        super().__init__(
            f"its certificate ended at {not_after:%Y-%m-%d %H:%M:%S} UTC",
            where=subject,
            remedy="have it renewed and shake hands again",
        )


class TicketIssuer:
    """Writes and signs tickets.

    Args:
        issuer: identity URI of the AC, which goes into ``iss``.
        private_key: on P-256, for tickets are signed with ES256.
        entropy: returns that many random bytes.

    Raises:
        ConfigurationError: the key is not on P-256.
    """

    def __init__(
        self, *, issuer: str, private_key: ec.EllipticCurvePrivateKey, entropy: Callable[[int], bytes]
    ) -> None:
        require_p256(private_key, issuer)
        self._issuer = issuer
        self._private_key = private_key
        self._key_id = SigningKey(private_key.public_key()).key_id
        self._entropy = entropy

    def issue(
        self,
        *,
        subject: str,
        audience: str,
        scope: Scope,
        confirmation: Confirmation,
        ticket_id: bytes,
        now: datetime,
        lifetime_seconds: int,
        not_after: datetime,
        cnonce: bytes | None = None,
    ) -> Ticket:
        """Issue a ticket and return it with its claims; the bytes to hand out are its ``encoded``.

        Args:
            subject: identity URI of the holder.
            audience: identity URI of the publisher.
            scope: what is granted, not empty.
            confirmation: the key that the holder proved.
            ticket_id: the ``cti``, never given before: :func:`twoway.tickets.ticket_ids.ticket_id`.
            now: the time of issue, aware.
            lifetime_seconds: how long policy lets it live.
            not_after: end of the holder's certificate, beyond which no ticket of it reaches.
            cnonce: what the publisher asked to see again (RFC 9200 section 5.3.1), copied as it is.

        Raises:
            HolderExpired: ``not_after`` has passed.
            CallerError: another audience's ``ticket_id``, empty scope, no lifetime, naive times, or a ticket
                that would be too large.
        """
        if not scope:
            raise CallerError("a ticket that permits nothing is not issued")
        try:
            sequence = sequence_of(ticket_id, audience)
        except TicketRejected:
            raise CallerError("the ticket_id is not one of this audience") from None
        if lifetime_seconds < 1:
            raise CallerError(f"a ticket cannot live for {lifetime_seconds} seconds")
        issued_at = numeric_date(now)
        expires_at = min(issued_at + lifetime_seconds, numeric_date(not_after))
        if expires_at <= issued_at:
            raise HolderExpired(subject, not_after)
        claims = Claims(
            issuer=self._issuer,
            subject=subject,
            audience=audience,
            issued_at=datetime.fromtimestamp(issued_at, UTC),
            expires_at=datetime.fromtimestamp(expires_at, UTC),
            ticket_id=ticket_id,
            scope=scope.encode(),
            confirmation=confirmation.claim(),
            cnonce=cnonce,
        )
        encoded = cose.sign1(
            strict_cbor.encode(claims.to_map()), private_key=self._private_key, key_id=self._key_id
        )
        if len(encoded) > MAX_TICKET_BYTES:
            raise CallerError(
                f"a ticket of {len(encoded)} bytes is larger than publishers take ({MAX_TICKET_BYTES})",
                remedy="grant fewer or shorter paths",
            )
        return Ticket(
            issuer=claims.issuer,
            subject=claims.subject,
            audience=claims.audience,
            issued_at=claims.issued_at,
            expires_at=datetime.fromtimestamp(expires_at, UTC),
            ticket_id=ticket_id,
            sequence=sequence,
            scope=scope,
            confirmation=confirmation,
            cnonce=cnonce,
            encoded=encoded,
        )
