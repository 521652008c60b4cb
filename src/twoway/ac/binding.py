"""What a ticket is bound to: the key that the requester proved, or one that the AC makes for it. Pure.

It owns the answer to ``req_cnf`` (RFC 9201 section 3.1, RFC 9202 sections 3.2.1, 3.3.1 and 4), for each
kind of publisher. It must never bind a ticket to a key that the requester merely mentions, nor to one that
was made for somebody else.

    req_cnf in the request          the publisher                         the ticket is bound to
    a key, or a certificate         has a certificate                     that key, if it was proved
    nothing                         shares a secret with the AC           a new symmetric key
    the name of a key               shares a secret with the AC           that key, if it is the requester's
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from twoway.ac.entity import Entity
from twoway.ac.requester import Requester
from twoway.ac.ticket_record import TicketRecord
from twoway.tickets import (
    AnyConfirmation,
    Confirmation,
    ErrorCode,
    KeyReference,
    SymmetricConfirmation,
    TokenRequest,
    TokenRequestRejected,
    UnusableKey,
    fresh_kid,
)


def bind(
    request: TokenRequest,
    requester: Requester,
    publisher: Entity,
    *,
    shares_secret: bool,
    earlier: TicketRecord | None,
    now: datetime,
    entropy: Callable[[int], bytes],
) -> AnyConfirmation:
    """Return the key that the ticket shall be bound to.

    Args:
        request: what is asked.
        requester: who asks.
        publisher: for which publisher.
        shares_secret: whether the AC shares a secret with it.
        earlier: the requester's newest ticket there with the key that the request names, if it names one.
        now: wall-clock time, aware.
        entropy: returns that many random bytes.

    Raises:
        TokenRequestRejected: ``invalid_request`` for a key that was not proved or for none where one is
            needed, ``unsupported_pop_key`` for one that does not serve there, ``incompatible_ace_profiles``
            for a publisher that takes no tickets.
    """
    match request.req_cnf:
        case None:
            if not shares_secret:
                raise TokenRequestRejected(
                    ErrorCode.INVALID_REQUEST, "req_cnf is required: the publisher takes no symmetric keys"
                )
            return SymmetricConfirmation(fresh_kid(entropy), derived=True)
        case KeyReference(kid):
            if not shares_secret or not _is_in_force(kid, earlier, requester, publisher, now):
                raise TokenRequestRejected(
                    ErrorCode.UNSUPPORTED_POP_KEY, "no key of this name is in force for the requester there"
                )
            return SymmetricConfirmation(kid, derived=True)
        case _:
            return _proved_key(requester, publisher, shares_secret=shares_secret)


def require_proved(request: TokenRequest, requester: Requester) -> None:
    """Check that a key that the request brings is the one of the handshake.

    Raises:
        TokenRequestRejected: ``invalid_request``, it is another.
    """
    if request.req_cnf is not None and not isinstance(request.req_cnf, KeyReference):
        request.require_holder(requester.proved.spki, requester.certificate)


def _is_in_force(
    kid: bytes, earlier: TicketRecord | None, requester: Requester, publisher: Entity, now: datetime
) -> bool:
    """Whether a key of this name was made for the requester, for this publisher, and serves still.

    Anybody may know the name; it is the record that counts.
    """
    return (
        earlier is not None
        and earlier.kid == kid
        and (earlier.requester, earlier.audience) == (requester.uri, publisher.uri)
        and earlier.revoked_at is None
        and now < earlier.expires_at
    )


def _proved_key(requester: Requester, publisher: Entity, *, shares_secret: bool) -> Confirmation:
    """Confirm the key of the handshake in the form that the publisher is registered with."""
    if publisher.spki is None:
        if shares_secret:
            raise TokenRequestRejected(
                ErrorCode.UNSUPPORTED_POP_KEY, "the publisher takes symmetric keys alone; leave req_cnf out"
            )
        raise TokenRequestRejected(
            ErrorCode.INCOMPATIBLE_ACE_PROFILES, "the publisher has no certificate, hence takes no tickets"
        )
    pin = requester.certificate_sha256 if publisher.pins_certificates else None
    if publisher.pins_certificates and pin is None:
        raise TokenRequestRejected(
            ErrorCode.UNSUPPORTED_POP_KEY, "the publisher takes certified keys alone; ask with a certificate"
        )
    try:
        return Confirmation.of_key(
            requester.proved.spki, compact=publisher.compact_tickets, certificate_sha256=pin
        )
    except UnusableKey:
        raise TokenRequestRejected(
            ErrorCode.UNSUPPORTED_POP_KEY, "no ticket can be bound to this kind of key"
        ) from None
