"""How a ticket gets in: one way for all uploads, by whichever door they come.

It owns the rates, and the order: how often may this one try, does the ticket verify, does the AC know its
key or the ticket where it has to be asked, is it written down where it has to be. It must never grant
anything: what is kept counts only for a peer that proves the ticket's key.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from twoway.clock import Clock
from twoway.errors import RefusedError
from twoway.identity import Identity, Unauthenticated
from twoway.publisher.introspection import Introspection
from twoway.publisher.rate import AttemptRate
from twoway.publisher.service import AccessControl, Upload
from twoway.tickets import Ticket, TicketReason, TicketRejected
from twoway.trace import Trace, TraceEvent, ignore

ADDRESS_BURST = 20
"""Uploads that one host has at once, whoever they are: a gateway with a handful of subscribers behind it."""


class Throttled(RefusedError):
    """Too many uploads; the next one is looked at after :attr:`wait` seconds."""

    def __init__(self, where: str, wait: int) -> None:
        super().__init__(f"too many uploads, the next one in {wait} s", where=where)
        self.wait = wait


async def nothing_learnt() -> bool:
    """Say that there is nothing new, where the AC's keys are not followed."""
    return False


async def nothing_to_record(ticket: Ticket) -> None:
    """Do nothing, where no ticket has to be written down."""


class Admission:
    """Takes tickets in.

    Args:
        access: verifies and keeps.
        clock: says when.
        learn_keys: asks the AC for its signing keys where a ticket names one that is not known, and returns
            whether there is anything new.
        introspection: asks the AC about each ticket; None where its signature is enough.
        record: writes a verified ticket down where that is needed, while others are served.
        by_identity: how often one peer may try.
        by_host: how often one host may try; the only bound for those who proved nothing.
        trace: hears of each upload, by ticket identifier or reason.
    """

    def __init__(
        self,
        access: AccessControl,
        *,
        clock: Clock,
        learn_keys: Callable[[], Awaitable[bool]] = nothing_learnt,
        introspection: Introspection | None = None,
        record: Callable[[Ticket], Awaitable[None]] = nothing_to_record,
        by_identity: AttemptRate | None = None,
        by_host: AttemptRate | None = None,
        trace: Trace = ignore,
    ) -> None:
        self._access = access
        self._clock = clock
        self._learn_keys = learn_keys
        self._introspection = introspection
        self._record = record
        self._by_identity = by_identity or AttemptRate()
        self._by_host = by_host or AttemptRate(burst=ADDRESS_BURST)
        self._trace = trace

    async def take_untrusted(self, encoded: bytes, peer: Identity, *, host: str) -> Upload:
        """Verify a ticket and keep it.

        Args:
            encoded: the ticket, from the network.
            peer: whom the bringer's handshake proved; :class:`Unauthenticated` where there was none.
            host: the bringer's address.

        Raises:
            Throttled: too many uploads of this peer or host.
            TicketRejected: the reason says which response code that means.
        """
        try:
            self._require_patience(peer, host)
            ticket = await self._verified_untrusted(encoded)
            if self._introspection is not None:
                await self._introspection.require_active(ticket)
            await self._record(ticket)
            upload = self._access.keep(ticket, peer, now=self._clock.now())
        except TicketRejected as rejection:
            self._tell("ticket refused", peer, host, because=rejection.reason.name.lower())
            raise
        except Throttled:
            self._tell("ticket refused", peer, host, because="throttled")
            raise
        name = ticket.ticket_id.hex()
        self._tell("ticket stored", peer, host, ticket=name, is_bringers=upload.is_bringers)
        return upload

    def _require_patience(self, peer: Identity, host: str) -> None:
        now = self._clock.monotonic()
        wait = self._by_host.wait_for(host, now)
        if not wait and not isinstance(peer, Unauthenticated):
            wait = self._by_identity.wait_for(peer.uri, now)
        if wait:
            raise Throttled(host, wait)

    async def _verified_untrusted(self, encoded: bytes) -> Ticket:
        try:
            return self._access.holdings.verify_untrusted(encoded, now=self._clock.now())
        except TicketRejected as rejection:
            # The AC may sign with a key that it has made since we last asked.
            if rejection.reason is not TicketReason.UNKNOWN_ISSUER or not await self._learn_keys():
                raise
        return self._access.holdings.verify_untrusted(encoded, now=self._clock.now())

    def _tell(self, name: str, peer: Identity, host: str, **data: object) -> None:
        self._trace(TraceEvent(name, "publisher", {"peer": str(peer), "host": host, **data}))
