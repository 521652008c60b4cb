"""What the AC says of a ticket to a publisher that asks: RFC 9200 section 5.9, pure.

It owns who may ask and when a ticket is active. It must never tell one publisher anything of a ticket for
another, not even that there is one: whatever it does not vouch for is inactive, without a reason.
"""

from __future__ import annotations

from datetime import datetime

from twoway.ac.entity import Entity
from twoway.ac.picture import Picture
from twoway.ac.requester import NotAdmitted, identify
from twoway.ac.ticket_record import TicketRecord
from twoway.errors import RefusedError
from twoway.identity import Identity
from twoway.tickets import (
    Claims,
    ExiLedger,
    IntrospectionRequest,
    IntrospectionResponse,
    TicketRejected,
    TicketVerifier,
    TrustedIssuer,
)

INACTIVE = IntrospectionResponse()
"""The answer for tickets that are unknown, expired, revoked or another's (RFC 9200 section 5.9.2)."""


class NotEntitled(RefusedError):
    """Whoever asks is no publisher of this AC, and learns nothing."""


def require_publisher(identity: Identity, picture: Picture) -> Entity:
    """Return the publisher that asks.

    Raises:
        NotEntitled: it is none that this AC issues tickets for.
    """
    try:
        requester = identify(identity, picture.directory)
    except NotAdmitted as refused:
        raise NotEntitled(refused.what) from None
    if picture.directory.publisher(requester.uri) is None:
        raise NotEntitled("only publishers may ask about tickets")
    return requester.entity


def introspect(
    request: IntrospectionRequest,
    record: TicketRecord | None,
    *,
    publisher: Entity,
    picture: Picture,
    now: datetime,
) -> IntrospectionResponse:
    """Answer a question about a ticket.

    Args:
        request: the question.
        record: the row of the ticket with this token hash, None if there is none.
        publisher: who asks.
        picture: what is known.
        now: wall-clock time, aware.
    """
    if record is None or record.audience != publisher.uri or record.revoked_at is not None:
        return INACTIVE
    if record.expires_at <= now:
        return INACTIVE
    keys = tuple(key.public.public_key for key in picture.signing_keys.announced_at(now))
    issuer = TrustedIssuer(picture.issuer, keys, picture.secrets.get(publisher.uri))
    # The seconds of a ticket for a publisher without a clock are counted there, and by nobody here.
    verifier = TicketVerifier(
        audience=publisher.uri, issuers=[issuer], exi_ledger=ExiLedger(), numbers=picture.numbers
    )
    try:
        ticket = verifier.verify_untrusted(request.token, now=now)
    except TicketRejected:
        return INACTIVE
    return IntrospectionResponse(
        Claims(
            issuer=ticket.issuer,
            subject=ticket.subject,
            audience=ticket.audience,
            issued_at=ticket.issued_at,
            ticket_id=ticket.ticket_id,
            expires_at=None if ticket.exi is not None else ticket.expires_at,
            exi=ticket.exi,
            not_before=ticket.not_before,
            scope=ticket.scope.encode(),
            confirmation=ticket.confirmation.claim(picture.numbers),
            cnonce=ticket.cnonce,
        )
    )
