"""Tickets: CBOR Web Tokens bound to a proved key, with an AIF scope, and the ACE messages around them.

Owns what a ticket is, how it is written, judged and kept (RFC 8392, RFC 8747, RFC 9052, RFC 9237), and the
words of the token endpoint (RFC 9200 to 9202). Pure: bytes, keys and the time come in, values or an error
go out. Must never decide who is entitled to what; that is policy.
"""

from twoway.tickets.ace import (
    CreationHints,
    TokenError,
    TokenRequest,
    TokenRequestRejected,
    TokenResponse,
)
from twoway.tickets.ace_map import MAX_MESSAGE_BYTES, MalformedACE
from twoway.tickets.aif import MalformedScope, Method, Scope, target_from_options
from twoway.tickets.claims import Claims
from twoway.tickets.cnonce import FreshNonces
from twoway.tickets.confirmation import (
    AnyConfirmation,
    Confirmation,
    SymmetricConfirmation,
    WrongKey,
    fresh_kid,
)
from twoway.tickets.cose import COSEFault, COSERejected
from twoway.tickets.cose_key import KeyFault, UnusableKey, thumbprint
from twoway.tickets.exi import ExiLedger
from twoway.tickets.iana import (
    CONTENT_FORMAT_ACE,
    CONTENT_FORMAT_COSE_KEY_SET,
    CONTENT_FORMAT_CWT,
    CONTENT_FORMAT_PROBLEM_DETAILS,
    CONTENT_FORMAT_TRL,
    Algorithm,
    ErrorCode,
    GrantType,
    Profile,
    TRLErrorID,
)
from twoway.tickets.introspection import IntrospectionRequest, IntrospectionResponse
from twoway.tickets.issuing import HolderExpired, TicketIssuer
from twoway.tickets.key_set import MalformedKeySet, SigningKey, encode_key_set, parse_key_set_untrusted
from twoway.tickets.provisional import DEFAULT_NUMBERS, ProvisionalNumbers
from twoway.tickets.psk_identity import (
    KeyName,
    MalformedPSKIdentity,
    PresentedTicket,
    parse_psk_identity_untrusted,
)
from twoway.tickets.requested_key import CertificateReference, KeyReference, RequestedKey
from twoway.tickets.shared_secret import SharedSecret
from twoway.tickets.store import TicketStore
from twoway.tickets.ticket import MAX_TICKET_BYTES, Ticket, TicketReason, TicketRejected
from twoway.tickets.ticket_ids import sequence_of, ticket_id
from twoway.tickets.token_hash import token_hash
from twoway.tickets.trl import (
    DiffEntry,
    DiffSet,
    FullSet,
    MalformedTRL,
    TRLError,
    TRLQuery,
    TRLQueryRejected,
    parse_trl_untrusted,
)
from twoway.tickets.verification import TicketVerifier, TrustedIssuer

__all__ = [
    "CONTENT_FORMAT_ACE",
    "CONTENT_FORMAT_COSE_KEY_SET",
    "CONTENT_FORMAT_CWT",
    "CONTENT_FORMAT_PROBLEM_DETAILS",
    "CONTENT_FORMAT_TRL",
    "DEFAULT_NUMBERS",
    "MAX_MESSAGE_BYTES",
    "MAX_TICKET_BYTES",
    "Algorithm",
    "AnyConfirmation",
    "COSEFault",
    "COSERejected",
    "CertificateReference",
    "Claims",
    "Confirmation",
    "CreationHints",
    "DiffEntry",
    "DiffSet",
    "ErrorCode",
    "ExiLedger",
    "FreshNonces",
    "FullSet",
    "GrantType",
    "HolderExpired",
    "IntrospectionRequest",
    "IntrospectionResponse",
    "KeyFault",
    "KeyName",
    "KeyReference",
    "MalformedACE",
    "MalformedKeySet",
    "MalformedPSKIdentity",
    "MalformedScope",
    "MalformedTRL",
    "Method",
    "PresentedTicket",
    "Profile",
    "ProvisionalNumbers",
    "RequestedKey",
    "Scope",
    "SharedSecret",
    "SigningKey",
    "SymmetricConfirmation",
    "TRLError",
    "TRLErrorID",
    "TRLQuery",
    "TRLQueryRejected",
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
    "encode_key_set",
    "fresh_kid",
    "parse_key_set_untrusted",
    "parse_psk_identity_untrusted",
    "parse_trl_untrusted",
    "sequence_of",
    "target_from_options",
    "thumbprint",
    "ticket_id",
    "token_hash",
]
