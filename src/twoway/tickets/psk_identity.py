"""What a client with a symmetric key writes into ``psk_identity`` (RFC 9202 section 3.3.2).

    {8: {1: {1: 4, 2: kid}}}        the name of the key of a ticket that was uploaded before
    the ticket itself               byte for byte as the AC gave it

Owns telling the two apart. Must never judge the ticket. Whoever finds neither ends the handshake with
``illegal_parameter``.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from twoway import strict_cbor
from twoway.errors import PeerError
from twoway.tickets.confirmation import SymmetricConfirmation, symmetric_claim
from twoway.tickets.cose_key import UnusableKey
from twoway.tickets.iana import TAG_CWT, Parameter
from twoway.tickets.ticket import MAX_TICKET_BYTES

_CWT_PREFIX = bytes((0xD8, TAG_CWT))


class MalformedPSKIdentity(PeerError):
    """A ``psk_identity`` that is neither of the two forms."""


@dataclass(frozen=True)
class KeyName:
    """The name of a key whose ticket the publisher has already."""

    kid: bytes
    """As it stands in the ticket."""

    def encode(self) -> bytes:
        """Return the ``psk_identity``, 17 bytes for a name of 8."""
        return strict_cbor.encode({Parameter.CNF: symmetric_claim(self.kid, None)})


@dataclass(frozen=True)
class PresentedTicket:
    """A ticket in the place of a name."""

    encoded: bytes = field(repr=False)
    """Its bytes, to be verified."""

    def encode(self) -> bytes:
        """Return the ``psk_identity``."""
        return self.encoded


def parse_psk_identity_untrusted(psk_identity: bytes) -> KeyName | PresentedTicket:
    """Tell what a ``psk_identity`` holds.

    RFC 9202 calls the name's key ``cnf`` in its figures and ``rs_cnf`` in its text; both are taken.

    Raises:
        MalformedPSKIdentity: it is neither form, or too long.
    """
    if len(psk_identity) > MAX_TICKET_BYTES:
        raise MalformedPSKIdentity("the psk_identity is longer than a ticket")
    if psk_identity.startswith(_CWT_PREFIX):
        return PresentedTicket(psk_identity)
    try:
        match strict_cbor.decode_untrusted(psk_identity):
            case {Parameter.CNF: value, **rest} | {Parameter.RS_CNF: value, **rest} if not rest:
                named = SymmetricConfirmation.parse_untrusted(value)
            case _:
                raise MalformedPSKIdentity("the psk_identity names no key")
    except (strict_cbor.MalformedCBOR, UnusableKey):
        raise MalformedPSKIdentity("the psk_identity names no key") from None
    if named.key is not None:
        raise MalformedPSKIdentity("the psk_identity holds a key in the clear")
    return KeyName(named.kid)
