"""Admission to a publisher: the way from its refusal to a ticket that it has accepted.

It owns when a ticket is asked for, presented, renewed and given up. What may be believed of an answer is
decided in :mod:`twoway.subscriber.rules`.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Set
from weakref import WeakKeyDictionary, WeakSet

import aiocoap

from twoway.clock import Clock
from twoway.errors import RefusedError, TwowayError
from twoway.net import Connection
from twoway.subscriber.ac import ACClient
from twoway.subscriber.audience import Audience
from twoway.subscriber.exchange import Answer, ConnectionLost, Exchange, Session
from twoway.subscriber.instant import Instant
from twoway.subscriber.rules import require_hints
from twoway.subscriber.steps import Hint, Steps, TicketPresented, TicketRevoked
from twoway.subscriber.wallet import HeldTicket, Wallet
from twoway.tickets import CONTENT_FORMAT_ACE, CONTENT_FORMAT_CWT, CreationHints, token_hash
from twoway.trace import Trace, TraceEvent

_INSUFFICIENT = (aiocoap.FORBIDDEN, aiocoap.METHOD_NOT_ALLOWED)
"""What a publisher answers where a valid ticket does not cover the request: RFC 9200 section 5.10.2."""


class Admission:
    """Gets tickets from the AC and presents them.

    Args:
        exchange: how to ask.
        ac: the AC that is trusted; without one every publisher that wants a ticket stays closed.
        clock: what lifetimes are counted by.
        tell: takes the steps.
        trace: told of renewals that failed.
    """

    def __init__(
        self, exchange: Exchange, *, ac: ACClient | None, clock: Clock, tell: Steps, trace: Trace
    ) -> None:
        self._exchange = exchange
        self._ac = ac
        self._clock = clock
        self._tell = tell
        self._trace = trace
        self._wallet = Wallet()
        self._locks: defaultdict[Audience, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._refused_once: WeakSet[HeldTicket] = WeakSet()
        self._presented: WeakKeyDictionary[Connection, HeldTicket] = WeakKeyDictionary()

    def presented(self, session: Session) -> HeldTicket | None:
        """Return the ticket that was last accepted on this session's connection."""
        return self.presented_on(session.connection)

    def presented_on(self, connection: Connection) -> HeldTicket | None:
        """Return the ticket that was last accepted on this connection."""
        return self._presented.get(connection)

    def accepted(self, session: Session, ticket: HeldTicket) -> None:
        """Put down that the publisher has accepted ``ticket`` on this session."""
        self._presented[session.connection] = ticket

    def alone_with(self, audience: Audience) -> asyncio.Lock:
        """Return what to hold while a ticket for ``audience`` is chosen, obtained or presented."""
        return self._locks[audience]

    def held(self, audience: Audience) -> HeldTicket | None:
        """Return the ticket for ``audience`` that has not expired, if there is one."""
        return self._wallet.held(audience, Instant.now(self._clock))

    def give_up(self, audience: Audience, ticket: HeldTicket) -> None:
        """Forget a ticket that its publisher does not take."""
        self._wallet.drop(audience, ticket)

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
        if session.audience.spki is None:
            return await self._overcome_by_key(session, refusal, tried=tried)
        wants_ticket = refusal.code == aiocoap.UNAUTHORIZED
        # Where we have shown none, the publisher keeps one that was shown before, by another run of ours.
        wants_another = refusal.code in _INSUFFICIENT and (tried is not None or self._ac is not None)
        if not (wants_ticket or wants_another):
            return False
        audience = session.audience
        hints = self._hints_untrusted(refusal)
        async with self._locks[audience]:
            held = self._wallet.held(audience, Instant.now(self._clock))
            # A publisher that let us in before need not repeat where the AC is; if it does, it is checked.
            if hints is not None or self._ac is None or (held is None and wants_ticket):
                ac = self._checked(hints, session)
            else:
                ac = self._ac
            may_serve = held is not None and held.permits(target) and (wants_ticket or held is not tried)
            if held is not None and may_serve and await self._present_held(session, ac, held, tried=tried):
                return True
            cnonce = None if hints is None else hints.cnonce
            await self._present_new(session, target, ac, cnonce=cnonce, replaces=None)
            return True

    async def _overcome_by_key(self, session: Session, refusal: Answer, *, tried: HeldTicket | None) -> bool:
        """Get past the refusal of a publisher whose handshake needed a ticket already.

        It is met anew, with the same ticket unless the AC lists that as revoked; one that is refused a second
        time is given up, and the refusal stands.

        Raises:
            ConnectionLost: the connection was closed; on a new one the publisher may well answer.
        """
        if refusal.code != aiocoap.UNAUTHORIZED or tried is None or self._ac is None:
            return False
        if tried in self._refused_once:
            self.give_up(session.audience, tried)
            return False
        self._refused_once.add(tried)
        await self._is_revoked(self._ac, tried)
        session.connection.close()
        raise ConnectionLost("the publisher refuses our ticket", where=session.audience.uri)

    async def keep_fresh(self, session: Session, target: str) -> None:
        """Replace the ticket in use on ``session`` ahead of its expiry, again and again, until cancelled.

        It returns where no ticket is in use, and when a renewal has failed until it was too late: the
        publisher will then end what runs on the connection.
        """
        while (held := self.presented(session)) is not None and self._ac is not None:
            await asyncio.sleep(held.renewal_in(Instant.now(self._clock)).total_seconds())
            if not await self._replace(session, target, held, self._ac):
                return

    async def obtain(
        self,
        audience: Audience,
        target: str,
        ac: ACClient,
        *,
        cnonce: bytes | None = None,
        replaces: HeldTicket | None = None,
    ) -> HeldTicket:
        """Ask the AC for a ticket to read ``target`` and all that the held one permits, and keep it.

        Raises:
            TwowayError: as :meth:`overcome`.
        """
        scope = self._wallet.wanted(audience, target, Instant.now(self._clock))
        ticket = await ac.ticket(audience, target, scope, cnonce=cnonce, replaces=replaces)
        self._wallet.put(audience, ticket)
        return ticket

    async def widen(self, session: Session, target: str, ac: ACClient) -> None:
        """Have a ticket that permits ``target`` as well accepted on a running session.

        Raises:
            TwowayError: as :meth:`overcome`.
        """
        await self._present_new(session, target, ac, cnonce=None, replaces=self.presented(session))

    def expunge(self, revoked: Set[bytes]) -> None:
        """Give up the tickets that the AC lists as revoked, and the connections that they are in use on.

        Args:
            revoked: token hashes (RFC 9770 section 4).
        """
        for audience, _ in self._wallet.expunge(revoked):
            self._tell(TicketRevoked(audience.uri))
        for connection, ticket in list(self._presented.items()):
            if token_hash(ticket.encoded) in revoked:
                del self._presented[connection]
                connection.close()

    def _checked(self, hints: CreationHints | None, session: Session) -> ACClient:
        """Check a hint and return the AC to ask."""
        configured = None if self._ac is None else self._ac.reference
        reference = require_hints(hints, ac=configured, publisher=session.audience)
        assert self._ac is not None  # or it has raised
        self._tell(Hint(session.peer, reference.uri, session.audience.uri))
        return self._ac

    async def _present_held(
        self, session: Session, ac: ACClient, held: HeldTicket, *, tried: HeldTicket | None
    ) -> bool:
        """Use a ticket that is there already, and should be good."""
        if held is tried:
            return not await self._is_revoked(ac, held) and await self._present(session, held)
        # Another task has just presented it, or this connection has not seen it: the publisher restarted, or
        # the connection is new.
        return self.presented(session) is held or await self._present(session, held)

    async def _is_revoked(self, ac: ACClient, held: HeldTicket) -> bool:
        """Ask the AC whether a ticket that was refused is revoked (RFC 9770 section 14.4).

        A refusal can be forged, or come from a publisher that ran out of room: that is no reason to burden
        the AC with a new ticket, and the publisher may be shown the same one again. An AC that cannot say
        leaves that open too; the publisher decides.
        """
        try:
            self.expunge(await ac.revoked())
        except TwowayError as error:
            self._trace(TraceEvent("list of revoked tickets not read", "subscriber", {"reason": str(error)}))
        return not self._wallet.holds(held)

    async def _replace(self, session: Session, target: str, held: HeldTicket, ac: ACClient) -> bool:
        """Have a new ticket accepted in place of ``held``; try again for as long as that lasts."""
        while True:
            try:
                async with self._locks[session.audience]:
                    # Another observation on this connection may have been quicker.
                    if self.presented(session) is held:
                        await self._present_new(session, target, ac, cnonce=None, replaces=held)
            except TwowayError as error:
                data = {"publisher": session.audience.uri, "reason": str(error)}
                self._trace(TraceEvent("renewal failed", "subscriber", data))
            else:
                return True
            pause = held.retry_after(Instant.now(self._clock))
            if pause is None:
                return False
            await asyncio.sleep(pause.total_seconds())

    async def _present_new(
        self,
        session: Session,
        target: str,
        ac: ACClient,
        *,
        cnonce: bytes | None,
        replaces: HeldTicket | None,
    ) -> None:
        ticket = await self.obtain(session.audience, target, ac, cnonce=cnonce, replaces=replaces)
        if not await self._present(session, ticket):
            raise RefusedError(
                "the publisher does not accept the ticket that the AC issued for it",
                where=session.audience.uri,
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
        self._tell(TicketPresented(session.audience.uri, answer.is_success, answer.code_text))
        if answer.is_success:
            self.accepted(session, ticket)
        else:
            self._wallet.drop(session.audience, ticket)
        return answer.is_success

    def _hints_untrusted(self, refusal: Answer) -> CreationHints | None:
        """Read the hints of a refusal; what is no hint is none (RFC 9200 section 5.3)."""
        if refusal.content_format != CONTENT_FORMAT_ACE:
            return None
        return CreationHints.parse_untrusted(refusal.payload)
