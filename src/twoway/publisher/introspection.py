"""Whether the AC still vouches for a ticket, asked of the AC itself (RFC 9200 section 5.9).

For a publisher whose operator wants the AC's word for every ticket, beside its signature. It owns the
questions, their rate and how long an answer holds. It must never take silence for a yes: while the AC cannot
be asked, a ticket counts as long as its last answer holds and no longer (RFC 9200 section 5.9).
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Iterable

from twoway.errors import TwowayError
from twoway.publisher.ac_link import ACLink
from twoway.publisher.rate import AttemptRate
from twoway.tickets import (
    CONTENT_FORMAT_ACE,
    IntrospectionRequest,
    IntrospectionResponse,
    Ticket,
    TicketReason,
    TicketRejected,
)
from twoway.trace import Fault, Trace

INTROSPECT_PATH = "/introspect"
"""RFC 9200 section 5.9."""
BURST = 20
"""Questions at once; then :data:`REFILL_INTERVAL`."""
REFILL_INTERVAL = 0.2
"""Seconds to the next question: uploads must not turn the publisher into a hammer on the AC."""
MAX_ANSWERS = 1024
"""Answers that are remembered, as many as tickets are kept."""


class Introspection:
    """Asks the AC about tickets.

    Args:
        link: the way to the AC.
        holds_for: seconds for which a yes holds.
        monotonic: monotonic seconds.
        trace: hears what fails, and what the AC denies.
    """

    def __init__(
        self, link: ACLink, *, holds_for: float, monotonic: Callable[[], float], trace: Trace
    ) -> None:
        self._link = link
        self._holds_for = holds_for
        self._monotonic = monotonic
        self._trace = trace
        self._rate = AttemptRate(burst=BURST, refill_interval=REFILL_INTERVAL, peers=1)
        self._asked_at: OrderedDict[bytes, float] = OrderedDict()  # of each ticket that is vouched for

    def vouches_for(self, ticket: Ticket) -> bool:
        """Whether the AC has said yes to a ticket lately enough."""
        asked_at = self._asked_at.get(ticket.token_hash)
        return asked_at is not None and self._monotonic() - asked_at < self._holds_for

    async def require_active(self, ticket: Ticket) -> None:
        """Ask about a verified ticket, unless an answer still holds.

        Raises:
            TicketRejected: the AC says no, or says nothing.
        """
        if not self.vouches_for(ticket):
            await self._ask(ticket)

    async def renew(self, tickets: Callable[[], Iterable[Ticket]], on_denial: Callable[[], None]) -> None:
        """Ask again about whatever is kept, twice while an answer holds, until cancelled.

        Args:
            tickets: returns what is kept.
            on_denial: is called after a round in which an answer was no.
        """
        while True:
            await asyncio.sleep(self._holds_for / 2)
            denied = False
            for ticket in list(tickets()):
                await asyncio.sleep(REFILL_INTERVAL)  # so that uploads find some of the rate left
                try:
                    await self._ask(ticket)
                except TicketRejected as rejection:
                    denied |= rejection.reason is TicketReason.NOT_ACTIVE
            if denied:
                on_denial()

    async def _ask(self, ticket: Ticket) -> None:
        # From here on the answer holds: the AC's word is as old as the question, not as its arrival.
        asked_at = self._monotonic()
        if self._rate.wait_for("", asked_at):
            raise TicketRejected(TicketReason.UNCONFIRMED)
        try:
            reply = await self._link.post(
                INTROSPECT_PATH,
                IntrospectionRequest(ticket.encoded).encode(),
                content_format=CONTENT_FORMAT_ACE,
            )
            answer = IntrospectionResponse.parse_untrusted(reply.payload)
        except TwowayError as error:
            self._trace(Fault("introspection failed", "publisher", {"because": str(error)}))
            raise TicketRejected(TicketReason.UNCONFIRMED) from None
        if answer.claims is None or answer.claims.ticket_id != ticket.ticket_id:
            self._asked_at.pop(ticket.token_hash, None)
            raise TicketRejected(TicketReason.NOT_ACTIVE)
        self._asked_at[ticket.token_hash] = asked_at
        self._asked_at.move_to_end(ticket.token_hash)
        if len(self._asked_at) > MAX_ANSWERS:
            self._asked_at.popitem(last=False)
