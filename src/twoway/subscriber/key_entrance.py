"""The entrance to publishers without a certificate: by the key of a ticket (RFC 9202 section 3.3).

It owns the order in which that is done. There is nothing to ask such a publisher before the handshake, so the
ticket comes first:

    AC          POST /token without a key of our own: a ticket, and the key that it is bound to
    publisher   where it is so configured: POST of the ticket, plain, to its authz-info
                handshake by pre-shared key: psk_identity names the ticket's key, or is the ticket
                GET

Whoever completes the handshake knows the key. That are the AC, which made it, the publisher, which alone can
read or derive it from the ticket, and we. Another subscriber of the same publisher has another key.
"""

from __future__ import annotations

from twoway.clock import Clock
from twoway.dtls import PSKCredential
from twoway.errors import PeerError, RefusedError
from twoway.net import Connection
from twoway.subscriber.ac import ACClient
from twoway.subscriber.admission import Admission
from twoway.subscriber.audience import KeyedPublisher
from twoway.subscriber.exchange import Exchange, Session
from twoway.subscriber.grant import KeyNotKnown
from twoway.subscriber.instant import Instant
from twoway.subscriber.places import Places
from twoway.subscriber.plain import upload
from twoway.subscriber.steps import Steps, TicketPresented
from twoway.subscriber.wallet import HeldTicket, TicketKey
from twoway.tickets import KeyName


class KeyEntrance:
    """Opens sessions with publishers that have no certificate.

    Args:
        exchange: how to ask.
        admission: holds the tickets, and presents new ones on running associations.
        ac: whom to ask for tickets.
        places: where the keys are put for the handshake.
        answer_timeout: seconds that the answer to an upload may take.
        clock: what lifetimes are counted by.
        tell: takes the steps.
    """

    def __init__(
        self,
        exchange: Exchange,
        admission: Admission,
        ac: ACClient,
        places: Places,
        *,
        answer_timeout: float,
        clock: Clock,
        tell: Steps,
    ) -> None:
        self._exchange = exchange
        self._admission = admission
        self._ac = ac
        self._places = places
        self._answer_timeout = answer_timeout
        self._clock = clock
        self._tell = tell
        self._sessions: dict[KeyedPublisher, Session] = {}

    async def session(self, publisher: KeyedPublisher, target: str) -> Session:
        """Return a session with ``publisher`` on which ``target`` may be read.

        Raises:
            RefusedError: the AC or the publisher says no.
            PeerError: one of them, or an answer, is not what it has to be.
            NetworkError: the AC or the publisher does not answer.
        """
        async with self._admission.alone_with(publisher.audience):
            running = self._running(publisher)
            if running is not None and await self._permits(running, target):
                return running
            held = self._admission.held(publisher.audience)
            if held is not None and held.permits(target):
                try:
                    return await self._enter(publisher, held)
                except (PeerError, RefusedError):
                    # It does not take this ticket; it may take a new one.
                    self._admission.give_up(publisher.audience, held)
            return await self._enter(
                publisher, await self._admission.obtain(publisher.audience, target, self._ac)
            )

    def _running(self, publisher: KeyedPublisher) -> Session | None:
        session = self._sessions.get(publisher)
        if session is None or session.connection.closed is not None:
            return None
        if not session.lasts(Instant.now(self._clock)):
            session.connection.close()
            return None
        return session

    async def _permits(self, running: Session, target: str) -> bool:
        """Say whether the ticket of a running session permits to read ``target``, or does now.

        Its rights are widened by a ticket for the same key (RFC 9202 section 4); an AC that does not do that
        gets us a new key, and a new handshake.
        """
        ticket = self._admission.presented(running)
        if ticket is not None and ticket.permits(target):
            return True
        try:
            await self._admission.widen(running, target, self._ac)
        except KeyNotKnown:
            running.connection.close()
            return False
        return True

    async def _enter(self, publisher: KeyedPublisher, ticket: HeldTicket) -> Session:
        if ticket.key is None:
            raise PeerError(
                "the AC's ticket comes without a key to meet the publisher with", where=publisher.uri
            )
        if publisher.upload is not None:
            code = await upload(publisher.upload, ticket.encoded, timeout=self._answer_timeout)
            self._tell(TicketPresented(publisher.identity, True, code))
        credential = _credential(publisher, ticket, ticket.key)
        with self._places.meeting(publisher, credential):
            session = await self._exchange.connect_by_key(
                publisher.uri,
                audience=publisher.audience,
                psk_identity=credential.identity,
                lasts=self._lasts,
            )
        self._admission.accepted(session, ticket)
        self._sessions[publisher] = session
        return session

    def _lasts(self, connection: Connection, now: Instant) -> bool:
        """A key counts as long as the ticket that it came with (RFC 9200 section 5.10.4)."""
        ticket = self._admission.presented_on(connection)
        return ticket is not None and ticket.lasts(now)


def _credential(publisher: KeyedPublisher, ticket: HeldTicket, key: TicketKey) -> PSKCredential:
    """Name the ticket in one of the two forms of RFC 9202 section 3.3.2."""
    if publisher.upload is None:
        return PSKCredential(identity=ticket.encoded, key=key.key)
    return PSKCredential(identity=KeyName(key.kid).encode(), key=key.key)
