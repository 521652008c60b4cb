"""Who may do what with this publisher, and what an uploaded ticket changes: decisions, nothing else.

It owns the rules of RFC 9200 section 5.10 and RFC 9202 section 3.4 as functions of an identity that was
*proved*, a target, a method and the time. It must never see a CoAP message, a socket, a clock or a
disk, and it must never let a name stand for a key: a ticket counts for the key that the peer proved in
its handshake, whoever brought it.

Three kinds of peers come:

- a *default subscriber*, configured by identity, may use every resource and needs no ticket;
- any other peer with a certificate may do what the scope of the ticket for its key says, while it lasts;
- any other holder of a pre-shared key may do nothing: a ticket names a public key, and it proved none.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from datetime import datetime

from twoway.errors import CallerError
from twoway.identity import Identity, PSKIdentity, RawPublicKeyIdentity, X509Identity
from twoway.publisher.authority import Authority
from twoway.publisher.refusal import AccessReason, AccessRefused
from twoway.publisher.revocation import RevokedTickets
from twoway.publisher.target import Target, wanted_scope
from twoway.tickets import (
    CreationHints,
    Method,
    Ticket,
    TicketReason,
    TicketRejected,
    TicketStore,
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
        audience: the publisher's own identity URI, which tickets must name.
        default_subscribers: identity URIs: of certificates, or ``psk:NAME`` of pre-shared keys.
        authority: whose tickets count; None where no tickets are taken at all.
        tickets: the bounded store.
        revoked: which tickets the AC has taken back; None where that is not followed.
        vouches_for: whether the AC has said yes to a ticket lately; None where it is not asked.
        raw_public_keys: whether a key without a certificate may stand for a ticket's holder.
    """

    def __init__(
        self,
        *,
        audience: str,
        default_subscribers: Iterable[str] = (),
        authority: Authority | None = None,
        tickets: TicketStore | None = None,
        revoked: RevokedTickets | None = None,
        vouches_for: Callable[[Ticket], bool] | None = None,
        raw_public_keys: bool = False,
    ) -> None:
        defaults = frozenset(default_subscribers)
        self.audience = audience
        self.authority = authority
        # A certificate that somehow carries the URI "psk:sink" is not the holder of that key.
        self._psk_defaults = frozenset(uri for uri in defaults if uri.startswith("psk:"))
        self._x509_defaults = defaults - self._psk_defaults
        self._tickets = tickets if tickets is not None else TicketStore()
        self._revoked = revoked
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
                refusal.hints = self._hints(target, method)
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

        Raises:
            AccessRefused: the peer has no rights at all (4.01).
        """
        match peer:
            case PSKIdentity() if peer.uri in self._psk_defaults:
                return Permit(ticket=None)
            case X509Identity() if now >= peer.not_after:
                raise AccessRefused(AccessReason.CERTIFICATE_EXPIRED, peer)
            case X509Identity() if peer.uri in self._x509_defaults:
                return Permit(ticket=None)
            case X509Identity():
                pass
            case RawPublicKeyIdentity() if self._raw_public_keys:
                pass
            case _:
                raise AccessRefused(AccessReason.NO_RIGHTS, peer)
        ticket = self._ticket_of(peer, now)
        if ticket is None:
            raise AccessRefused(AccessReason.NO_TICKET, peer)
        if isinstance(peer, X509Identity) and ticket.subject != peer.uri:
            raise AccessRefused(AccessReason.OTHER_SUBJECT, peer)
        self._require_in_force(ticket, peer)
        return Permit(ticket)

    def _ticket_of(self, peer: Identity, now: datetime) -> Ticket | None:
        """Find the valid ticket for what a peer proved."""
        match peer:
            case X509Identity() | RawPublicKeyIdentity():
                return self._tickets.for_holder(peer.spki, now)
            case _:
                return None

    def _stands_on(self, ticket: Ticket, peer: Identity, now: datetime) -> bool:
        try:
            return self.require_standing(peer, now=now).ticket == ticket
        except AccessRefused:
            return False

    def _require_in_force(self, ticket: Ticket, peer: Identity) -> None:
        """Check what the AC says of a valid ticket, where its word is wanted."""
        if self._revoked is not None and not self._revoked.is_fresh:
            raise AccessRefused(AccessReason.REVOCATIONS_UNKNOWN, peer)
        if self._vouches_for is not None and not self._vouches_for(ticket):
            raise AccessRefused(AccessReason.UNCONFIRMED, peer)

    def believes(self, key: RawPublicKeyIdentity, *, now: datetime) -> bool:
        """Whether a ticket in force is bound to a raw public key, whose holder may shake hands then."""
        try:
            self.require_standing(key, now=now)
        except AccessRefused:
            return False
        return True

    def verify_untrusted(self, encoded: bytes, *, now: datetime) -> Ticket:
        """Verify a ticket without keeping it (RFC 9200 section 5.10.1.1).

        Raises:
            TicketRejected: the ticket is not one for us; the reason says which response code that means.
            CallerError: this publisher has no authority, and hence no place to upload to.
        """
        if self.authority is None:
            raise CallerError("this publisher takes no tickets")
        if now >= self.authority.valid_until:
            raise TicketRejected(TicketReason.UNKNOWN_ISSUER)
        ticket = self.authority.verifier.verify_untrusted(encoded, now=now)
        if self._revoked is not None and ticket.token_hash in self._revoked:
            raise TicketRejected(TicketReason.REVOKED)
        return ticket

    def keep(self, ticket: Ticket, peer: Identity, *, now: datetime) -> Upload:
        """Keep a verified ticket (RFC 9200 section 5.10.1).

        A ticket works for the holder of its key alone. So one that is bound to another key than the
        bringer's is kept as RFC 9202 section 3.4 wants, and gives the bringer nothing. That costs no more
        than one place a key in a bounded store, and only the authority can make tickets; an older one never
        replaces a newer one, so nobody can put a peer's former rights back.

        Raises:
            TicketRejected: a newer one is here, it has been revoked meanwhile, or there is no room.
        """
        if self._revoked is not None and ticket.token_hash in self._revoked:
            raise TicketRejected(TicketReason.REVOKED)
        self._tickets.put(ticket, now)
        return Upload(ticket, is_bringers=self._stands_on(ticket, peer, now))

    def upload_untrusted(self, encoded: bytes, peer: Identity, *, now: datetime) -> Upload:
        """Verify a ticket and keep it.

        Raises:
            TicketRejected: as :meth:`verify_untrusted` and :meth:`keep`.
        """
        return self.keep(self.verify_untrusted(encoded, now=now), peer, now=now)

    @property
    def tickets(self) -> Iterable[Ticket]:
        """The tickets that are kept."""
        return self._tickets

    def expunge(self, hashes: Collection[bytes]) -> None:
        """Forget the tickets with these token hashes: they have been revoked (RFC 9770 section 10)."""
        self._tickets.drop_revoked(hashes)

    def expunge_unsigned(self) -> None:
        """Forget the tickets whose signing key the AC has withdrawn."""
        authority = self.authority
        if authority is not None:
            self.expunge({ticket.token_hash for ticket in self._tickets if not authority.signed(ticket)})

    def drop_expired(self, now: datetime) -> None:
        """Forget the tickets whose time is over."""
        self._tickets.drop_expired(now)

    def hints_for_strangers(self) -> CreationHints | None:
        """Say where tickets come from to somebody who proved nothing, and no more than that.

        RFC 9200 section 5.3 wants little to be said over an insecure channel: not who we are, nor which
        scope would help.
        """
        return None if self.authority is None else CreationHints(as_uri=self.authority.token_uri)

    def _hints(self, target: Target, method: Method) -> CreationHints | None:
        """Say where a ticket is to be had, for what audience, and with which scope (RFC 9200 section 5.3)."""
        if self.authority is None:
            return None
        return CreationHints(
            as_uri=self.authority.token_uri, audience=self.audience, scope=wanted_scope(target, method)
        )
