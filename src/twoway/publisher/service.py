"""Who may do what with this publisher, and what an uploaded ticket changes: decisions, nothing else.

It owns the rules of RFC 9200 section 5.10 and RFC 9202 section 3.4 as functions of an identity that was
*proved*, a target, a method and the time. It must never see a CoAP message, a socket, a clock or a
disk, and it must never let a name stand for a key: a ticket counts for the key that the peer proved in
its handshake, whoever brought it.

Three kinds of peers come:

- a *default subscriber*, configured by identity, may use every resource and needs no ticket;
- any other peer with a certificate may do what the scope of the ticket for its key says, while it lasts;
- the holder of a pre-shared key, or of a raw public key where these are admitted, may do what the ticket for
  that key says; a pre-shared key that no ticket named gives no rights.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime

from twoway.identity import Identity, PSKIdentity, RawPublicKeyIdentity, Unauthenticated, X509Identity
from twoway.publisher.holdings import Holdings
from twoway.publisher.refusal import AccessReason, AccessRefused
from twoway.publisher.target import Target, wanted_scope
from twoway.tickets import (
    CreationHints,
    MalformedPSKIdentity,
    Method,
    PresentedTicket,
    SymmetricConfirmation,
    Ticket,
    parse_psk_identity_untrusted,
)

_HELPED_BY_A_TICKET = frozenset({AccessReason.NO_TICKET, AccessReason.OTHER_SUBJECT})
"""Only to these peers do hints say anything useful; the others are told as little as possible."""


@dataclass(frozen=True, slots=True)
class Permit:
    """Why a request was allowed."""

    ticket: Ticket | None
    """The ticket that allows it; None for a default subscriber."""


@dataclass(frozen=True, slots=True)
class Upload:
    """A ticket that was verified and kept."""

    ticket: Ticket
    is_bringers: bool
    """Whether it was issued to the bringer, by key and name; if not, it changes nothing for the bringer."""


class AccessControl:
    """Decides about requests, and keeps the tickets that the decisions rest on.

    Args:
        holdings: the tickets, and whose they are.
        audience: the publisher's own identity URI, which tickets must name.
        default_subscribers: identity URIs: of certificates, or ``psk:NAME`` of pre-shared keys.
        vouches_for: whether the AC has said yes to a ticket lately; None where it is not asked.
        raw_public_keys: whether a key without a certificate may stand for a ticket's holder.
    """

    def __init__(
        self,
        holdings: Holdings,
        *,
        audience: str,
        default_subscribers: Iterable[str] = (),
        vouches_for: Callable[[Ticket], bool] | None = None,
        raw_public_keys: bool = False,
    ) -> None:
        defaults = frozenset(default_subscribers)
        self.audience = audience
        self.holdings = holdings
        # A certificate that somehow carries the URI "psk:sink" is not the holder of that key.
        self._psk_defaults = frozenset(uri for uri in defaults if uri.startswith("psk:"))
        self._x509_defaults = defaults - self._psk_defaults
        self._vouches_for = vouches_for
        self._raw_public_keys = raw_public_keys

    def require_access(self, peer: Identity, target: Target, method: Method, *, now: datetime) -> Permit:
        """Let a request pass, or say why not (RFC 9200 section 5.10.2).

        Args:
            peer: whom the handshake proved.
            target: what is asked for; it need not exist.
            method: what is to be done with it; no method at all for one that no scope can name.
            now: the time that tickets and certificates are judged by.

        Raises:
            AccessRefused: with 4.01 before anything is said about the target, else 4.03 or 4.05.
        """
        try:
            permit = self.require_standing(peer, now=now)
        except AccessRefused as refusal:
            if refusal.reason in _HELPED_BY_A_TICKET:
                refusal.hints = self._hints(target, method, now)
            raise
        if permit.ticket is None:
            return permit
        if not permit.ticket.scope.covers(str(target)):
            raise AccessRefused(AccessReason.NOT_COVERED, peer)
        if not permit.ticket.scope.permits(str(target), method):
            raise AccessRefused(AccessReason.METHOD_NOT_COVERED, peer)
        return permit

    def require_standing(self, peer: Identity, *, now: datetime) -> Permit:
        """Find what a peer's rights rest on at ``now``, before any particular request.

        Args:
            peer: whom the handshake proved; its ticket is in use from now on.
            now: the time that tickets and certificates are judged by.

        Raises:
            AccessRefused: the peer has no rights at all (4.01).
        """
        permit = self._standing(peer, now)
        if permit.ticket is not None:
            self.holdings.note_use(permit.ticket)
        return permit

    def _standing(self, peer: Identity, now: datetime) -> Permit:
        """Find what a peer's rights rest on, if it is whom it claims to be."""
        match peer:
            case PSKIdentity() if peer.uri in self._psk_defaults:
                return Permit(ticket=None)
            case X509Identity() if now >= peer.not_after:
                raise AccessRefused(AccessReason.CERTIFICATE_EXPIRED, peer)
            case X509Identity() if peer.uri in self._x509_defaults:
                return Permit(ticket=None)
            case RawPublicKeyIdentity() if not self._raw_public_keys:
                raise AccessRefused(AccessReason.NO_RIGHTS, peer)
            case PSKIdentity() if self.holdings.kid_of(peer) is None:
                raise AccessRefused(AccessReason.NO_RIGHTS, peer)
            case Unauthenticated():
                raise AccessRefused(AccessReason.NO_RIGHTS, peer)
        ticket = self.holdings.ticket_of(peer, now)
        if ticket is None:
            raise AccessRefused(AccessReason.NO_TICKET, peer)
        if isinstance(peer, X509Identity) and ticket.subject != peer.uri:
            raise AccessRefused(AccessReason.OTHER_SUBJECT, peer)
        self._require_in_force(ticket, peer)
        return Permit(ticket)

    def shared_key_untrusted(self, peer: PSKIdentity, *, now: datetime) -> bytes | None:
        """Return the key that a ``psk_identity`` of RFC 9202 section 3.3.2 names, or None.

        A ticket that stands there itself is verified and kept as if it had been uploaded. Who shakes hands
        with the key has the rights of the ticket of that name, and of no other.

        Args:
            peer: what a handshake claims and has yet to prove.
            now: the time that tickets are judged by.

        Raises:
            TicketRejected: a ticket stands there, and is not one for us.
        """
        try:
            named = parse_psk_identity_untrusted(peer.psk_identity)
        except MalformedPSKIdentity:
            return None
        if isinstance(named, PresentedTicket):
            self.holdings.present_untrusted(named.encoded, now=now)
        try:
            ticket = self._standing(peer, now).ticket
        except AccessRefused:
            return None
        if ticket is None or not isinstance(ticket.confirmation, SymmetricConfirmation):
            return None
        return ticket.confirmation.key

    def _stands_on(self, ticket: Ticket, peer: Identity, now: datetime) -> bool:
        try:
            standing = self.require_standing(peer, now=now)
        except AccessRefused:
            return False
        return standing.ticket is not None and standing.ticket.encoded == ticket.encoded

    def _require_in_force(self, ticket: Ticket, peer: Identity) -> None:
        """Check what the AC says of a valid ticket, where its word is wanted."""
        if not self.holdings.is_current:
            raise AccessRefused(AccessReason.REVOCATIONS_UNKNOWN, peer)
        if self._vouches_for is not None and not self._vouches_for(ticket):
            raise AccessRefused(AccessReason.UNCONFIRMED, peer)

    def believes(self, key: RawPublicKeyIdentity, *, now: datetime) -> bool:
        """Whether a ticket in force is bound to a raw public key, whose holder may shake hands then."""
        try:
            self._standing(key, now)
        except AccessRefused:
            return False
        return True

    def upload_untrusted(self, encoded: bytes, peer: Identity, *, now: datetime) -> Upload:
        """Verify a ticket and keep it (RFC 9200 section 5.10.1).

        Raises:
            TicketRejected: it is not one for us, or cannot be kept.
        """
        return self.keep(self.holdings.verify_untrusted(encoded, now=now), peer, now=now)

    def keep(self, ticket: Ticket, peer: Identity, *, now: datetime) -> Upload:
        """Keep a verified ticket, and find out whether it is the bringer's own.

        Raises:
            TicketRejected: as :meth:`Holdings.keep`.
        """
        self.holdings.keep(ticket, now=now)
        return Upload(ticket, is_bringers=self._stands_on(ticket, peer, now))

    def hints_for_strangers(self, *, now: datetime) -> CreationHints | None:
        """Say where tickets come from to somebody who proved nothing, and no more than that.

        RFC 9200 section 5.3 wants little to be said over an insecure channel: not who we are, nor which
        scope would help.
        """
        authority = self.holdings.authority
        if authority is None:
            return None
        return CreationHints(as_uri=authority.token_uri, cnonce=authority.nonce(now))

    def _hints(self, target: Target, method: Method, now: datetime) -> CreationHints | None:
        """Say where a ticket is to be had, for what audience, and with which scope (RFC 9200 section 5.3)."""
        authority = self.holdings.authority
        if authority is None:
            return None
        return CreationHints(
            as_uri=authority.token_uri,
            audience=self.audience,
            scope=wanted_scope(target, method),
            cnonce=authority.nonce(now),
        )
