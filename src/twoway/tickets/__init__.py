"""Tickets: CBOR Web Tokens bound to a proved key, with an AIF scope, and the ACE messages around them.

Owns what a ticket is, how it is written, judged and kept (RFC 8392, RFC 8747, RFC 9052, RFC 9237), and the
words of the token endpoint (RFC 9200 to 9202). Pure: bytes, keys and the time come in, values or an error
go out. Must never decide who is entitled to what; that is policy.
"""

from twoway.tickets.ace import (
    MAX_MESSAGE_BYTES,
    CreationHints,
    MalformedACE,
    TokenError,
    TokenRequest,
    TokenRequestRejected,
    TokenResponse,
)
from twoway.tickets.aif import MalformedScope, Method, Scope, target_from_options
from twoway.tickets.confirmation import Confirmation, WrongKey
from twoway.tickets.cose import COSEFault, COSERejected
from twoway.tickets.cose_key import KeyFault, UnusableKey, thumbprint
from twoway.tickets.iana import CONTENT_FORMAT_ACE, CONTENT_FORMAT_CWT, ErrorCode, GrantType, Profile
from twoway.tickets.issuing import HolderExpired, TicketIssuer
from twoway.tickets.store import TicketStore
from twoway.tickets.ticket import MAX_TICKET_BYTES, Ticket, TicketReason, TicketRejected
from twoway.tickets.verification import TicketVerifier, TrustedIssuer

__all__ = [
    "CONTENT_FORMAT_ACE",
    "CONTENT_FORMAT_CWT",
    "MAX_MESSAGE_BYTES",
    "MAX_TICKET_BYTES",
    "COSEFault",
    "COSERejected",
    "Confirmation",
    "CreationHints",
    "ErrorCode",
    "GrantType",
    "HolderExpired",
    "KeyFault",
    "MalformedACE",
    "MalformedScope",
    "Method",
    "Profile",
    "Scope",
    "Ticket",
    "TicketIssuer",
    "TicketReason",
    "TicketRejected",
    "TicketStore",
    "TicketVerifier",
    "TokenError",
    "TokenRequest",
    "TokenRequestRejected",
    "TokenResponse",
    "TrustedIssuer",
    "UnusableKey",
    "WrongKey",
    "target_from_options",
    "thumbprint",
]
