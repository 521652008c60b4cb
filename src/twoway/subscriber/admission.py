"""Admission to a publisher: the way from its refusal to a ticket that it has accepted.

It owns when a ticket is asked for, presented and renewed. What may be believed of an answer is decided in
:mod:`twoway.subscriber.rules`.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from functools import partial
from weakref import WeakKeyDictionary

import aiocoap

from twoway.clock import Clock
from twoway.errors import RefusedError, TwowayError
from twoway.identity import X509Identity
from twoway.net import Connection
from twoway.subscriber.exchange import Answer, Exchange, Session
from twoway.subscriber.reference import ACReference
from twoway.subscriber.rules import Ask, refusal_untrusted, require_ac, require_hints, take_grant_untrusted
from twoway.subscriber.steps import Hint, Steps, TicketObtained, TicketPresented
from twoway.subscriber.wallet import HeldTicket, Wallet
from twoway.tickets import (
    CONTENT_FORMAT_ACE,
    CONTENT_FORMAT_CWT,
    Confirmation,
    CreationHints,
    TokenRequest,
)
from twoway.trace import Trace, TraceEvent

_INSUFFICIENT = (aiocoap.FORBIDDEN, aiocoap.METHOD_NOT_ALLOWED)
"""What a publisher answers where a valid ticket does not cover the request: RFC 9200 section 5.10.2."""


class Admission:
    """Gets tickets from the AC and presents them.

    Args:
        exchange: how to ask.
        ac: the AC that is trusted; without one every publisher that wants a ticket stays closed.
        own_spki: the key that this subscriber proves, DER.
        clock: what lifetimes are counted by.
        tell: takes the steps.
        trace: told of renewals that failed.
    """

    def __init__(
        self,
        exchange: Exchange,
        *,
        ac: ACReference | None,
        own_spki: bytes,
        clock: Clock,
        tell: Steps,
        trace: Trace,
    ) -> None:
        self._exchange = exchange
        self._ac = ac
        self._own_spki = own_spki
        self._clock = clock
        self._tell = tell
        self._trace = trace
        self._wallet = Wallet()
        self._locks: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._presented: WeakKeyDictionary[Connection, HeldTicket] = WeakKeyDictionary()

    def presented(self, session: Session) -> HeldTicket | None:
        """Return the ticket that was last accepted on this connection."""
        return self._presented.get(session.connection)

    async def overcome(
        self, session: Session, target: str, refusal: Answer, *, tried: HeldTicket | None
    ) -> bool:
        """Get past a publisher's refusal with a ticket, if a ticket is what it wants.

        Args:
            session: the connection to the publisher.
            target: path and query that were asked for.
            refusal: its answer.
            tried: what :meth:`presented` returned before it was asked.

        Returns:
            Whether to ask again: a ticket for ``target`` was accepted.

        Raises:
            RefusedError: the hint is not to be followed, or the AC or the publisher says no.
            PeerError: one of them, or an answer, is not what it has to be.
            NetworkError: the AC or the publisher does not answer.
        """
        wants_ticket = refusal.code == aiocoap.UNAUTHORIZED
        wants_another = refusal.code in _INSUFFICIENT and tried is not None
        if not (wants_ticket or wants_another):
            return False
        publisher = session.peer
        hints = self._hints_untrusted(refusal)
        async with self._locks[publisher.uri]:
            held = self._wallet.held(publisher, self._clock.now())
            # A publisher that let us in before need not repeat where the AC is; if it does, it is checked.
            if hints is not None or held is None or self._ac is None:
                ac = require_hints(hints, ac=self._ac, publisher=publisher)
                self._tell(Hint(publisher, ac.uri, publisher.uri))
            else:
                ac = self._ac
            if await self._present_held(session, target, held, tried=tried):
                return True
            cnonce = None if hints is None else hints.cnonce
            await self._present_new(session, target, ac, cnonce=cnonce, renewal=False)
            return True

    async def keep_fresh(self, session: Session, target: str) -> None:
        """Replace the ticket in use on ``session`` ahead of its expiry, again and again, until cancelled.

        It returns where no ticket is in use, and when a renewal has failed until it was too late: the
        publisher will then end what runs on the connection.
        """
        while (held := self.presented(session)) is not None and self._ac is not None:
            await asyncio.sleep(max((held.renew_at - self._clock.now()).total_seconds(), 0.0))
            if not await self._replace(session, target, held, self._ac):
                return

    async def _replace(self, session: Session, target: str, held: HeldTicket, ac: ACReference) -> bool:
        """Have a new ticket accepted in place of ``held``; try again for as long as that lasts."""
        while True:
            try:
                async with self._locks[session.peer.uri]:
                    # Another observation on this connection may have been quicker.
                    if self.presented(session) is held:
                        await self._present_new(session, target, ac, cnonce=None, renewal=True)
            except TwowayError as error:
                data = {"publisher": session.peer.uri, "reason": str(error)}
                self._trace(TraceEvent("renewal failed", "subscriber", data))
            else:
                return True
            pause = held.retry_after(self._clock.now())
            if pause is None:
                return False
            await asyncio.sleep(pause.total_seconds())

    async def _present_held(
        self, session: Session, target: str, held: HeldTicket | None, *, tried: HeldTicket | None
    ) -> bool:
        """Use a ticket that is there already: one that another task has just presented, or that this
        connection has not seen, since the publisher restarted or the connection is new."""
        if held is None or held is tried or not held.is_usable(target, self._clock.now()):
            return False
        if self.presented(session) is held:
            return True
        return await self._present(session, held)

    async def _present_new(
        self, session: Session, target: str, ac: ACReference, *, cnonce: bytes | None, renewal: bool
    ) -> None:
        ticket = await self._obtain(session.peer, target, ac, cnonce=cnonce, renewal=renewal)
        if not await self._present(session, ticket):
            raise RefusedError(
                "the publisher does not accept the ticket that the AC issued for it",
                where=session.peer.uri,
                remedy="check that it trusts this AC, and the clocks of both",
            )

    async def _present(self, session: Session, ticket: HeldTicket) -> bool:
        """Upload a ticket on the connection that it shall count for (RFC 9200 section 5.10.1)."""
        answer = await self._exchange.post(
            session,
            f"{session.remote.uri_base}/authz-info",
            ticket.encoded,
            content_format=CONTENT_FORMAT_CWT,
        )
        self._tell(TicketPresented(session.peer, answer.is_success, answer.code_text))
        if answer.is_success:
            self._presented[session.connection] = ticket
        else:
            self._wallet.drop(session.peer, ticket)
        return answer.is_success

    async def _obtain(
        self, publisher: X509Identity, target: str, ac: ACReference, *, cnonce: bytes | None, renewal: bool
    ) -> HeldTicket:
        """Ask the AC for a ticket (RFC 9200 section 5.8, RFC 9201 section 3.1)."""
        session = await self._exchange.connect(ac.uri, require=partial(require_ac, ac=ac))
        now = self._clock.now()
        ask = Ask(
            publisher, target, self._wallet.wanted(publisher, target, now), self._own_spki, asked_at=now
        )
        request = TokenRequest(
            audience=publisher.uri,
            scope=ask.scope.encode(),
            req_cnf=Confirmation.of_key(self._own_spki),
            ace_profile_asked=True,
            cnonce=cnonce,
        )
        answer = await self._exchange.post(
            session, ac.uri, request.encode(), content_format=CONTENT_FORMAT_ACE
        )
        if not answer.is_success:
            raise refusal_untrusted(answer.payload, answer.content_format, answer.code_text, ac=ac)
        ticket = take_grant_untrusted(answer.payload, answer.content_format, ask=ask, ac=ac)
        self._wallet.put(publisher, ticket)
        lifetime = (ticket.expires_at - ticket.asked_at).total_seconds()
        self._tell(
            TicketObtained(session.peer, publisher.uri, ticket.scope, lifetime, len(ticket.encoded), renewal)
        )
        return ticket

    def _hints_untrusted(self, refusal: Answer) -> CreationHints | None:
        """Read the hints of a refusal; what is no hint is none (RFC 9200 section 5.3)."""
        if refusal.content_format != CONTENT_FORMAT_ACE:
            return None
        return CreationHints.parse_untrusted(refusal.payload)
