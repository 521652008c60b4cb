"""Why a request is refused, and the answer that says so.

It owns the reasons with their response codes. It must never say more to a peer than its reason allows:
hints travel only with those that a ticket would help.
"""

from __future__ import annotations

from enum import Enum

from twoway.errors import RefusedError
from twoway.identity import Identity
from twoway.tickets import CreationHints


class AccessReason(Enum):
    """Why a request was refused. The value: response code as (class, detail), and a sentence's end."""

    CERTIFICATE_EXPIRED = ((4, 1), "the peer's certificate has expired")
    """A handshake looks at the validity once; an association may outlive it."""
    NO_RIGHTS = ((4, 1), "this pre-shared key is no default subscriber's")
    """A pre-shared key that authenticates, yet was given no rights."""
    NO_TICKET = ((4, 1), "there is no valid ticket for the key that the peer proved")
    """None was uploaded, or it has expired, or it is bound to another key."""
    OTHER_SUBJECT = ((4, 1), "the ticket for this key was issued to another identity")
    """The key is right, the name is not: one key, certified twice."""
    REVOCATIONS_UNKNOWN = ((4, 1), "the AC has not been heard of for too long to honour a ticket")
    """The operator wants the list of revoked tickets to be fresh, and it is not."""
    UNCONFIRMED = ((4, 1), "the AC has not vouched for the ticket lately")
    """The AC is to be asked about tickets, and has not said yes to this one for too long."""
    NOT_COVERED = ((4, 3), "the ticket does not cover this resource")
    """Said for resources that do not exist as well."""
    METHOD_NOT_COVERED = ((4, 5), "the ticket does not cover this method")
    """The resource is covered, this method on it is not."""

    @property
    def response_code(self) -> tuple[int, int]:
        """The CoAP response code: RFC 9200 section 5.10.2."""
        return self.value[0]

    @property
    def sentence(self) -> str:
        """What is wrong, in words, without naming the peer."""
        return self.value[1]


class AccessRefused(RefusedError):
    """This peer may not do that now."""

    def __init__(self, reason: AccessReason, peer: Identity, hints: CreationHints | None = None) -> None:
        super().__init__(reason.sentence, where=str(peer))
        self.reason = reason
        self.hints = hints
        """Where to get a ticket, for a peer whom one would help; only with 4.01."""
