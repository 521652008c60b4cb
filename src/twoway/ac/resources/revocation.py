"""``/revoke/trl``: the list of revoked tickets (RFC 9770), to be asked for and observed."""

from __future__ import annotations

from collections.abc import Callable, Set

import aiocoap
from aiocoap import Code, Message
from aiocoap.protocol import ServerObservation
from aiocoap.resource import ObservableResource

from twoway.ac.keyed_publisher import keyed_publisher
from twoway.ac.picture import Picture
from twoway.ac.requester import NotAdmitted, identify
from twoway.ac.revocation import Party, RevocationList
from twoway.coap import peer_of
from twoway.identity import Identity, PSKIdentity, X509Identity
from twoway.tickets import (
    CONTENT_FORMAT_PROBLEM_DETAILS,
    CONTENT_FORMAT_TRL,
    TRLQuery,
    TRLQueryRejected,
)
from twoway.trace import Trace, TraceEvent, ignore


class RevocationResource(ObservableResource):  # type: ignore[misc]  # aiocoap ships no types
    """``/revoke/trl``: GET, with ``diff`` and ``cursor``, and with Observe.

    Args:
        revocation: the list.
        picture: returns what is known now.
        trace: hears which queries were refused, and why.
    """

    ct = str(CONTENT_FORMAT_TRL)
    """Shown in ``.well-known/core``."""

    def __init__(
        self, revocation: RevocationList, picture: Callable[[], Picture], *, trace: Trace = ignore
    ) -> None:
        super().__init__()
        self._trace = trace
        self._revocation = revocation
        self._picture = picture
        self._observers: dict[ServerObservation, str] = {}

    async def render_get(self, request: Message) -> Message:
        """Answer a query, or notify an observer: each time anew with what pertains to it now.

        4.03 goes to whom the AC does not know, and ends the observation of one that it knew
        (RFC 9770 section 6 asks for that); 4.00 with problem details to what cannot be asked.
        """
        if request.opt.accept not in (None, CONTENT_FORMAT_TRL):
            return Message(code=Code.NOT_ACCEPTABLE)
        try:
            requester = self._requester(peer_of(request))
        except NotAdmitted:
            return Message(code=Code.FORBIDDEN)
        try:
            answer = self._revocation.answer(requester, TRLQuery.parse_untrusted(request.opt.uri_query))
        except TRLQueryRejected as rejected:
            # RFC 9770 section 6.1: the AC is to log what it tells.
            told = {"requester": requester, "reason": rejected.what}
            self._trace(TraceEvent("query for revoked tickets refused", "ac", told))
            error = rejected.error(self._revocation.last_index(requester))
            return Message(
                code=Code.BAD_REQUEST,
                payload=error.encode(),
                content_format=CONTENT_FORMAT_PROBLEM_DETAILS,
            )
        response = Message(
            code=Code.CONTENT,
            payload=answer.encode(),
            content_format=CONTENT_FORMAT_TRL,
            max_age=0,  # a revocation may come at any moment: nobody may answer from a cache
        )
        if request.opt.observe == 0:
            response.transport_tuning = aiocoap.Reliable()  # a lost notification would be a lost revocation
        return response

    async def add_observation(self, request: Message, serverobservation: ServerObservation) -> None:
        """Begin an observation; whom it concerns is decided again at each notification."""
        try:
            requester = self._requester(peer_of(request))
        except NotAdmitted:
            requester = ""  # the answer is an error, which ends it at once
        await super().add_observation(request, serverobservation)
        self._observers[serverobservation] = requester

    def update_observation_count(self, newcount: int) -> None:
        """Forget the observers that are gone."""
        self._observers = {
            observation: requester
            for observation, requester in self._observers.items()
            if observation in self._observations
        }

    def changed(self, parties: Set[Party]) -> None:
        """Notify those whose subset of the list has changed, and nobody else (RFC 9770 section 11)."""
        for observation, requester in self._observers.items():
            if self._revocation.party_of(requester) in parties:
                observation.trigger()

    def _requester(self, identity: Identity) -> str:
        """Return whose subset is asked for.

        Raises:
            NotAdmitted: nobody's.
        """
        if isinstance(identity, PSKIdentity):
            return keyed_publisher(identity, self._picture())
        if isinstance(identity, X509Identity) and identity.uri in self._revocation.administrators:
            return identity.uri
        return identify(identity, self._picture().directory).uri
