"""The one door to every resource: each request, and each notification, is checked here.

It owns the order in which a request is judged. It must never let a resource see a request that has
not passed, and it never decides itself: :class:`~twoway.publisher.service.AccessControl` does.

A request meets, in this order: its options (what we do not understand we do not answer), the two
resources that anybody who finished a handshake may use (``/authz-info`` and ``/.well-known/core``, matched
as whole segment lists), the access check, and only then the question whether such a resource exists. So
a peer without rights gets the same 4.01 for every other path.

An observation is a request that goes on: every notification passes the same check again at the moment
it is sent, and the first that does not pass becomes the last, with the refusal in its place.
"""

from __future__ import annotations

from collections.abc import Callable

import aiocoap
from aiocoap.error import NotFound
from aiocoap.pipe import Pipe
from aiocoap.resource import Resource

from twoway.clock import Clock
from twoway.coap import connection_of, peer_of
from twoway.identity import Identity
from twoway.publisher.refusal import AccessRefused
from twoway.publisher.requests import method_of, require_understood, target_of
from twoway.publisher.service import AccessControl, Permit
from twoway.publisher.sessions import Sessions
from twoway.publisher.target import Target
from twoway.tickets import CONTENT_FORMAT_ACE, Method
from twoway.trace import Trace, TraceEvent, ignore

OBSERVATIONS_PER_CONNECTION = 16
"""A peer that asks for more is answered once and not notified (RFC 7641 section 4.1)."""


def refusal_message(refusal: AccessRefused) -> aiocoap.Message:
    """Say a refusal in CoAP: the code, and for 4.01 where a ticket is to be had (RFC 9200 section 5.3)."""
    major, minor = refusal.reason.response_code
    code = aiocoap.Code((major << 5) | minor)
    if refusal.hints is None:
        return aiocoap.Message(code=code)
    return aiocoap.Message(code=code, payload=refusal.hints.encode(), content_format=CONTENT_FORMAT_ACE)


class GuardedPipe:
    """What an observed resource answers into; each answer is checked before it goes out."""

    def __init__(self, pipe: Pipe, check: Callable[[], object]) -> None:
        self._pipe = pipe
        self._check = check

    @property
    def request(self) -> aiocoap.Message:
        """The request that started the observation."""
        return self._pipe.request

    def add_response(self, response: aiocoap.Message, is_last: bool = False) -> None:
        """Send ``response`` if the peer may still have it, and the refusal otherwise."""
        try:
            self._check()
        except AccessRefused as refusal:
            self.refuse(refusal)
        else:
            self._pipe.add_response(response, is_last=is_last)

    def refuse(self, refusal: AccessRefused) -> None:
        """End the observation with ``refusal``: the last answer, confirmed, without an Observe option."""
        last = refusal_message(refusal)
        last.transport_tuning = aiocoap.Reliable()
        self._pipe.add_response(last, is_last=True)


class GuardedSite(Resource):  # type: ignore[misc]  # aiocoap ships no types
    """Resources by path, each behind the access check.

    Args:
        access: decides.
        sessions: is told who used rights, so that these end when they end.
        clock: says when a request was made.
        trace: hears each decision: who, what, why; never a payload or a ticket.
    """

    def __init__(
        self, access: AccessControl, sessions: Sessions, *, clock: Clock, trace: Trace = ignore
    ) -> None:
        super().__init__()
        self._access = access
        self._sessions = sessions
        self._clock = clock
        self._trace = trace
        self._guarded: dict[tuple[str, ...], Resource] = {}
        self._open: dict[tuple[str, ...], Resource] = {}

    def add(self, path: tuple[str, ...], resource: Resource) -> None:
        """Put ``resource`` at ``path`` behind the check."""
        self._guarded[path] = resource

    def add_open(self, path: tuple[str, ...], resource: Resource) -> None:
        """Put ``resource`` at ``path`` for everybody who finished a handshake."""
        self._open[path] = resource

    def links(self, peer: Identity) -> list[tuple[tuple[str, ...], Resource]]:
        """Return the resources that ``peer`` may read now, with their paths."""
        readable = [
            (path, resource) for path, resource in self._guarded.items() if self._may_read(peer, Target(path))
        ]
        return readable + list(self._open.items())

    async def render_to_pipe(self, pipe: Pipe) -> None:
        """Check a request, find its resource and let that answer. The only way in.

        Raises:
            RenderableError: 4.02 or 5.05 for its options, 4.04 where there is nothing.
        """
        request = pipe.request
        require_understood(request)
        target = target_of(request)
        if target.path in self._open:
            await self._open[target.path].render_to_pipe(pipe)
            return
        try:
            self._require_access(request, target)
        except AccessRefused as refusal:
            pipe.add_response(refusal_message(refusal), is_last=True)
            return
        if target.path not in self._guarded or target.queries:
            raise NotFound
        await self._render(self._guarded[target.path], pipe, target)

    async def render(self, request: aiocoap.Message) -> aiocoap.Message:
        """Refuse: whoever calls this has gone round the check."""
        raise NotFound

    async def needs_blockwise_assembly(self, request: aiocoap.Message) -> bool:
        """Say no: blocks are cut behind the check, so that each single one of them has passed it."""
        return False

    async def _render(self, resource: Resource, pipe: Pipe, target: Target) -> None:
        request = pipe.request
        connection = connection_of(request)
        if request.opt.observe != 0 or self._sessions.observations(connection) >= OBSERVATIONS_PER_CONNECTION:
            request.opt.observe = None
            await resource.render_to_pipe(pipe)
            return
        peer, method = peer_of(request), method_of(request)
        guarded = GuardedPipe(
            pipe, lambda: self._access.require_access(peer, target, method, now=self._clock.now())
        )
        with self._sessions.observing(connection, guarded):
            await resource.render_to_pipe(guarded)

    def _require_access(self, request: aiocoap.Message, target: Target) -> None:
        peer, method = peer_of(request), method_of(request)
        try:
            permit = self._access.require_access(peer, target, method, now=self._clock.now())
        except AccessRefused as refusal:
            self._tell("request refused", request, target, because=refusal.reason.name.lower())
            raise
        self._sessions.note(connection_of(request))
        self._tell("request permitted", request, target, because=_ground(permit))

    def _may_read(self, peer: Identity, target: Target) -> bool:
        try:
            self._access.require_access(peer, target, Method.GET, now=self._clock.now())
        except AccessRefused:
            return False
        return True

    def _tell(self, name: str, request: aiocoap.Message, target: Target, *, because: str) -> None:
        data = {
            "peer": str(peer_of(request)),
            "method": str(request.code),
            "target": str(target),
            "because": because,
        }
        self._trace(TraceEvent(name, "publisher", data))


def _ground(permit: Permit) -> str:
    return f"ticket {permit.ticket.ticket_id.hex()}" if permit.ticket else "default subscriber"
