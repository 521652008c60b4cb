"""Tickets as the AC writes them.

Owns the claims of a ticket and the key that signs it; a ticket for a publisher that shares a secret with the
AC is encrypted with a key of that secret instead. Decides nothing: who may have which scope is policy,
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
from twoway.tickets.confirmation import AnyConfirmation, SymmetricConfirmation
from twoway.tickets.encrypt0 import IV_BYTES, encrypt0
from twoway.tickets.key_set import SigningKey, require_p256
from twoway.tickets.provisional import DEFAULT_NUMBERS, ProvisionalNumbers
from twoway.tickets.shared_secret import SharedSecret, with_derived_key
from twoway.tickets.ticket import MAX_TICKET_BYTES, Ticket, TicketRejected, numeric_date
from twoway.tickets.ticket_ids import SEQUENCE_BYTES, sequence_of


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
        numbers: what drafts call the hash of a certificate.

    Raises:
        ConfigurationError: the key is not on P-256.
    """

    def __init__(
        self,
        *,
        issuer: str,
        private_key: ec.EllipticCurvePrivateKey,
        entropy: Callable[[int], bytes],
        numbers: ProvisionalNumbers = DEFAULT_NUMBERS,
    ) -> None:
        require_p256(private_key, issuer)
        self._issuer = issuer
        self._private_key = private_key
        self._key_id = SigningKey(private_key.public_key()).key_id
        self._entropy = entropy
        self._numbers = numbers

    def issue(
        self,
        *,
        subject: str,
        audience: str,
        scope: Scope,
        confirmation: AnyConfirmation,
        ticket_id: bytes,
        now: datetime,
        lifetime_seconds: int,
        not_after: datetime,
        cnonce: bytes | None = None,
        exi: int | None = None,
        secret: SharedSecret | None = None,
    ) -> Ticket:
        """Issue a ticket and return it with its claims; the bytes to hand out are its ``encoded``.

        Args:
            subject: identity URI of the holder.
            audience: identity URI of the publisher.
            scope: what is granted, not empty.
            confirmation: the key that the holder proved; or a symmetric one that is made for it.
            ticket_id: the ``cti``, never given before: :func:`twoway.tickets.ticket_ids.ticket_id`.
            now: the time of issue, aware.
            lifetime_seconds: how long policy lets it live.
            not_after: end of the holder's certificate, beyond which no ticket of it reaches.
            cnonce: what the publisher asked to see again (RFC 9200 section 5.3.1), copied as it is.
            exi: for a publisher without a clock: the seconds for which it lives from when that first sees
                it, instead of a point in time (RFC 9200 section 5.10.3). The other two limits hold too, as
                seconds. The ``expires_at`` of the result is then reckoned from ``now``.
            secret: what the AC shares with the publisher, if it does; then the ticket is encrypted.

        Raises:
            HolderExpired: ``not_after`` has passed.
            CallerError: another audience's ``ticket_id``, a symmetric key without ``secret``, empty scope, no
                lifetime, naive times, or a ticket that would be too large.
        """
        if not scope:
            raise CallerError("a ticket that permits nothing is not issued")
        try:
            sequence = sequence_of(ticket_id, audience)
        except TicketRejected:
            raise CallerError("the ticket_id is not one of this audience") from None
        if isinstance(confirmation, SymmetricConfirmation) and secret is None:
            raise CallerError("a symmetric key cannot be confirmed without a secret to encrypt with")
        lifetime_seconds = lifetime_seconds if exi is None else min(lifetime_seconds, exi)
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
            expires_at=datetime.fromtimestamp(expires_at, UTC) if exi is None else None,
            exi=None if exi is None else expires_at - issued_at,
            ticket_id=ticket_id,
            scope=scope.encode(),
            confirmation=confirmation.claim(self._numbers),
            cnonce=cnonce,
        )
        encoded = self._protected(strict_cbor.encode(claims.to_map()), sequence, secret)
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
            confirmation=with_derived_key(confirmation, secret, encoded),
            cnonce=cnonce,
            exi=claims.exi,
            encoded=encoded,
        )

    def _protected(self, payload: bytes, sequence: int, secret: SharedSecret | None) -> bytes:
        """Sign, or encrypt where the publisher shares a secret.

        A nonce must never come twice under one key. The AC never gives a sequence number twice for an
        audience, and a key is one audience's; so the number makes the nonce. The random bytes before it
        matter only if the AC's database was restored from an old copy and numbers do come again: then the
        chance that a nonce does is 2^-40 (2^-32 with GCM) for each ticket. Neither needs a bound on how
        many tickets a key may encrypt that 2^64 numbers do not set.
        """
        if secret is None:
            return cose.sign1(payload, private_key=self._private_key, key_id=self._key_id)
        random_bytes = IV_BYTES[secret.algorithm] - SEQUENCE_BYTES
        return encrypt0(
            payload,
            key=secret.token_key(),
            key_id=secret.key_id(),
            iv=self._entropy(random_bytes) + sequence.to_bytes(SEQUENCE_BYTES),
            algorithm=secret.algorithm,
        )
