"""The AC as a subscriber asks it: for a ticket, and for the list of its revoked tickets.

It owns the two exchanges, each over the association on which the AC proved who it is. What may be believed of
an answer is decided in :mod:`twoway.subscriber.grant`.
"""

from __future__ import annotations

from functools import partial

from twoway.clock import Clock
from twoway.identity import X509Identity
from twoway.subscriber.audience import Audience
from twoway.subscriber.exchange import Exchange, Observation, Session
from twoway.subscriber.grant import Ask, refusal_untrusted, revoked_untrusted, take_grant_untrusted
from twoway.subscriber.instant import Instant
from twoway.subscriber.reference import ACReference
from twoway.subscriber.rules import require_ac
from twoway.subscriber.steps import Steps, TicketObtained
from twoway.subscriber.wallet import HeldTicket
from twoway.tickets import CONTENT_FORMAT_ACE, Scope, TokenRequest


class ACClient:
    """Asks one AC.

    Args:
        exchange: how to ask.
        reference: where the AC is, and who it must prove to be.
        own: who asks.
        clock: what lifetimes are counted by.
        tell: takes the steps.
    """

    def __init__(
        self, exchange: Exchange, reference: ACReference, *, own: X509Identity, clock: Clock, tell: Steps
    ) -> None:
        self._exchange = exchange
        self.reference = reference
        self._own = own
        self._clock = clock
        self._tell = tell

    async def ticket(
        self,
        audience: Audience,
        target: str,
        scope: Scope,
        *,
        cnonce: bytes | None = None,
        replaces: HeldTicket | None = None,
    ) -> HeldTicket:
        """Ask for a ticket (RFC 9200 section 5.8, RFC 9201 section 3.1).

        Args:
            audience: for which publisher.
            target: path and query that are to be read.
            scope: all that is asked for; it covers ``target``.
            cnonce: the nonce that the publisher handed out.
            replaces: the ticket whose rights it shall renew on a running association (RFC 9202 section 4).

        Raises:
            RefusedError: the AC, or who answers in its place, says no.
            PeerError: the answer is not what it has to be.
            NetworkError: the AC does not answer.
        """
        uri = self.reference.uri
        session = await self._connect(uri)
        key = None if replaces is None else replaces.key
        ask = Ask(
            audience,
            target,
            scope,
            self._own,
            asked_at=Instant.now(self._clock),
            kid=None if key is None else key.kid,
        )
        request = TokenRequest(
            audience=audience.uri,
            scope=scope.encode(),
            req_cnf=ask.requested_key,
            ace_profile_asked=True,
            cnonce=cnonce,
        )
        payload = request.encode(self.reference.numbers)
        answer = await self._exchange.post(session, uri, payload, content_format=CONTENT_FORMAT_ACE)
        if not answer.is_success:
            raise refusal_untrusted(
                answer.payload, answer.content_format, answer.code_text, ask=ask, ac=self.reference
            )
        ticket = take_grant_untrusted(answer.payload, answer.content_format, ask=ask, ac=self.reference)
        self._tell(
            TicketObtained(
                session.peer,
                audience.uri,
                ticket.scope,
                ticket.lifetime.total_seconds(),
                len(ticket.encoded),
                replaces is not None,
            )
        )
        return ticket

    async def revoked(self) -> frozenset[bytes]:
        """Ask for all of our tickets that are revoked and have not expired (RFC 9770 section 7).

        Returns:
            Their token hashes.

        Raises:
            TwowayError: as :meth:`ticket`.
        """
        uri = self.reference.trl_uri
        answer = await self._exchange.get(await self._connect(uri), uri)
        return revoked_untrusted(answer.payload, answer.content_format, answer.code_text, ac=self.reference)

    async def observe_revoked(self) -> Observation:
        """Ask the same, and to be told of changes (RFC 9770 section 11).

        Raises:
            TwowayError: as :meth:`ticket`.
        """
        uri = self.reference.trl_uri
        return await self._exchange.observe(await self._connect(uri), uri)

    async def _connect(self, uri: str) -> Session:
        return await self._exchange.connect(uri, require=partial(require_ac, ac=self.reference))
