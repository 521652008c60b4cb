"""The tickets that a publisher holds: how one gets in, whose it is, and how it goes.

It owns verification, keeping and forgetting (RFC 9200 section 5.10.1, RFC 9770 section 11). It must never say
what a ticket permits, and never find one by anything but the key that a peer proved: a name in a
``psk_identity`` stands for the key that the handshake was made with.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Collection, Iterator
from datetime import datetime
from hashlib import sha256

from twoway.errors import CallerError
from twoway.identity import Identity, PSKIdentity, RawPublicKeyIdentity, X509Identity
from twoway.publisher.authority import Authority
from twoway.publisher.revocation import RevokedTickets
from twoway.tickets import (
    Confirmation,
    KeyName,
    MalformedPSKIdentity,
    SymmetricConfirmation,
    Ticket,
    TicketReason,
    TicketRejected,
    TicketStore,
    parse_psk_identity_untrusted,
)

MAX_PRESENTED = 1024
"""Tickets in the place of a ``psk_identity`` that are remembered, as many as are kept; an association whose
ticket is forgotten loses its rights."""


class Holdings:
    """What is held for those who may come.

    Args:
        authority: whose tickets count; None where no tickets are taken at all.
        tickets: the bounded store.
        revoked: which tickets the AC has taken back; None where that is not followed.
        wants_certificate_pin: whether a ticket has to name the holder's certificate, not its key alone.
        record: is called with a ticket that lives from first sight on before it is kept; returns when that
            is written down, or raises ``TicketRejected``.
    """

    def __init__(
        self,
        authority: Authority | None,
        *,
        tickets: TicketStore | None = None,
        revoked: RevokedTickets | None = None,
        wants_certificate_pin: bool = False,
        record: Callable[[Ticket], None] | None = None,
    ) -> None:
        self.authority = authority
        """The AC."""
        self._tickets = tickets if tickets is not None else TicketStore()
        self._revoked = revoked
        self._wants_certificate_pin = wants_certificate_pin
        self._record = record
        self._presented: OrderedDict[bytes, bytes] = OrderedDict()  # kid by SHA-256 of a psk_identity

    def __iter__(self) -> Iterator[Ticket]:
        return iter(self._tickets)

    @property
    def is_current(self) -> bool:
        """Whether the AC's list of revoked tickets is as fresh as the operator wants it."""
        return self._revoked is None or self._revoked.is_fresh

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
        if self._wants_certificate_pin and not _pins_certificate(ticket):
            raise TicketRejected(TicketReason.NO_CONFIRMATION)
        return ticket

    def keep(self, ticket: Ticket, *, now: datetime) -> None:
        """Keep a verified ticket (RFC 9200 section 5.10.1).

        A ticket works for the holder of its key alone. So one that is bound to another key than the
        bringer's is kept as RFC 9202 section 3.4 wants, and gives the bringer nothing. That costs no more
        than one place a key in a bounded store, and only the authority can make tickets; an older one never
        replaces a newer one, so nobody can put a peer's former rights back.

        Raises:
            TicketRejected: it has been revoked, a newer one is here, or there is no room.
        """
        if self._record is not None and ticket.exi is not None:
            self._record(ticket)  # a revoked one too: RFC 9770 section 11.1
        if self._revoked is not None and ticket.token_hash in self._revoked:
            raise TicketRejected(TicketReason.REVOKED)
        self._tickets.put(ticket, now)

    def present_untrusted(self, encoded: bytes, *, now: datetime) -> None:
        """Verify and keep a ticket that stands in the place of a ``psk_identity`` (RFC 9202 section 3.3.2).

        Raises:
            TicketRejected: it is not one for us, or not bound to a symmetric key.
        """
        ticket = self.verify_untrusted(encoded, now=now)
        if not isinstance(ticket.confirmation, SymmetricConfirmation):
            raise TicketRejected(TicketReason.NO_CONFIRMATION)
        self.keep(ticket, now=now)
        digest = sha256(encoded).digest()
        self._presented[digest] = ticket.confirmation.kid
        self._presented.move_to_end(digest)
        if len(self._presented) > MAX_PRESENTED:
            self._presented.popitem(last=False)

    def ticket_of(self, peer: Identity, now: datetime) -> Ticket | None:
        """Find the valid ticket for what a peer proved, or has yet to prove."""
        match peer:
            case X509Identity():
                certificate = peer.chain[0] if peer.chain else None
                return self._tickets.for_holder(peer.spki, now, certificate)
            case RawPublicKeyIdentity():
                return self._tickets.for_holder(peer.spki, now)
            case PSKIdentity():
                kid = self.kid_of(peer)
                return None if kid is None else self._tickets.for_kid(kid, now)
            case _:
                return None

    def note_use(self, ticket: Ticket) -> None:
        """Keep a ticket until it expires, now that its holder has proved its key."""
        self._tickets.note_use(ticket)

    def kid_of(self, peer: PSKIdentity) -> bytes | None:
        """Return the name of the ticket's key that a ``psk_identity`` stands for, or None."""
        try:
            named = parse_psk_identity_untrusted(peer.psk_identity)
        except MalformedPSKIdentity:
            return None
        if isinstance(named, KeyName):
            return named.kid
        return self._presented.get(sha256(named.encoded).digest())

    def expunge(self, hashes: Collection[bytes]) -> None:
        """Forget the tickets with these token hashes: they have been revoked (RFC 9770 section 11).

        Of those that live from first sight on, the numbers count as expired from now on (section 11.1): they
        stay refused when there is no room for their hashes any more.
        """
        for ticket in self._tickets.drop_revoked(hashes):
            if self.authority is not None:
                self.authority.note_revoked(ticket)

    def expunge_unsigned(self) -> None:
        """Forget the tickets whose signing key the AC has withdrawn."""
        authority = self.authority
        if authority is not None:
            unsigned = {ticket.token_hash for ticket in self._tickets if not authority.protected(ticket)}
            self._tickets.drop_revoked(unsigned)

    def drop_expired(self, now: datetime) -> None:
        """Forget the tickets whose time is over."""
        self._tickets.drop_expired(now)


def _pins_certificate(ticket: Ticket) -> bool:
    confirmation = ticket.confirmation
    return isinstance(confirmation, Confirmation) and confirmation.certificate_sha256 is not None
