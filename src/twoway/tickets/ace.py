"""The messages of ACE (RFC 9200, RFC 9201) between a subscriber, the AC and a publisher.

Owns the CBOR maps of the token endpoint and of the creation hints: dataclasses out of bytes and back.
Everything about a token request that can be judged without knowing anybody is judged while it is read, with
the error code that the AC has to answer. Must never decide who gets what, and never follow a hint.

All maps travel with content format 19. The AC answers a request with 2.01 and Max-Age of at most
``expires_in``, or with the ``response_code`` of the error.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar, Self

from twoway import strict_cbor
from twoway.errors import PeerError
from twoway.tickets.ace_map import ACEMap, MalformedACE, map_untrusted, nonce, optional, present
from twoway.tickets.aif import MalformedScope, Scope
from twoway.tickets.confirmation import (
    AnyConfirmation,
    Confirmation,
    SymmetricConfirmation,
    WrongKey,
    parse_confirmation_untrusted,
    symmetric_claim,
)
from twoway.tickets.cose_key import KeyFault, UnusableKey, cose_key_from_spki
from twoway.tickets.iana import (
    CONTENT_FORMAT_ACE,
    ConfirmationMethod,
    ErrorCode,
    GrantType,
    Hint,
    Parameter,
    Profile,
    TokenType,
)
from twoway.tickets.provisional import DEFAULT_NUMBERS, ProvisionalNumbers
from twoway.tickets.requested_key import KeyReference, RequestedKey, parse_requested_key_untrusted
from twoway.tickets.ticket import MAX_TICKET_BYTES

MAX_LIFETIME_SECONDS = 10 * 365 * 86400
"""Of a ticket, as told to its holder: ten years are more than any certificate lasts."""


class TokenRequestRejected(PeerError):
    """A token request that gets an error; :attr:`error` is the answer."""

    def __init__(self, code: ErrorCode, description: str) -> None:
        super().__init__(f"the token request is refused ({code.label}): {description}")
        self.error = TokenError(code, description)


@dataclass(frozen=True)
class TokenRequest:
    """What a subscriber asks of the AC (RFC 9200 section 5.8.1)."""

    audience: str | None
    """Identity URI of the publisher; None leaves it to the AC to know one, or to refuse."""
    scope: bytes | None
    """The AIF scope asked for, encoded; None leaves it to the AC."""
    req_cnf: RequestedKey | None
    """The key that the ticket shall be bound to. None asks the AC for a symmetric one (RFC 9201 section 3.1),
    which only a publisher without certificates takes; whoever has a certificate always names its key."""
    grant_type: int = GrantType.CLIENT_CREDENTIALS
    """Only client credentials are supported."""
    ace_profile_asked: bool = False
    """Whether the response has to name the profile."""
    cnonce: bytes | None = None
    """The publisher's nonce from its hints, to be copied into the ticket."""
    client_id: str | None = None
    """Who the subscriber says it is; has to be whom it proved to be, where it is sent at all."""

    def encode(self, numbers: ProvisionalNumbers = DEFAULT_NUMBERS) -> bytes:
        """Return the payload of the POST to the token endpoint."""
        message = present(
            {
                Parameter.REQ_CNF: None if self.req_cnf is None else self.req_cnf.claim(numbers),
                Parameter.AUDIENCE: self.audience,
                Parameter.SCOPE: self.scope,
                Parameter.CLIENT_ID: self.client_id,
                Parameter.GRANT_TYPE: self.grant_type,
                Parameter.CNONCE: self.cnonce,
            }
        )
        if self.ace_profile_asked:
            message[Parameter.ACE_PROFILE] = None
        return strict_cbor.encode(message)

    @classmethod
    def parse_untrusted(cls, payload: bytes, numbers: ProvisionalNumbers = DEFAULT_NUMBERS) -> Self:
        """Read the payload of a POST to the token endpoint.

        Raises:
            TokenRequestRejected: with the :class:`TokenError` to answer.
        """
        try:
            return cls._parse_untrusted(payload, numbers)
        except MalformedACE as fault:
            raise TokenRequestRejected(ErrorCode.INVALID_REQUEST, fault.what) from None

    @classmethod
    def _parse_untrusted(cls, payload: bytes, numbers: ProvisionalNumbers) -> Self:
        message = map_untrusted(payload)
        grant_type = optional(message, Parameter.GRANT_TYPE, int)
        if grant_type not in (None, GrantType.CLIENT_CREDENTIALS):
            raise TokenRequestRejected(
                ErrorCode.UNSUPPORTED_GRANT_TYPE, "only client credentials are accepted"
            )
        if isinstance(message.get(Parameter.SCOPE), str):
            raise TokenRequestRejected(ErrorCode.INVALID_SCOPE, "a scope is AIF in a byte string")
        return cls(
            audience=optional(message, Parameter.AUDIENCE, str),
            scope=optional(message, Parameter.SCOPE, bytes),
            req_cnf=_requested_key(message, numbers),
            ace_profile_asked=_asks_for_profile(message),
            cnonce=nonce(message, Parameter.CNONCE),
            client_id=optional(message, Parameter.CLIENT_ID, str),
        )

    def requested_scope(self) -> Scope | None:
        """Return the scope asked for, read, or None if there is none.

        Raises:
            TokenRequestRejected: with ``invalid_scope``.
        """
        if self.scope is None:
            return None
        try:
            return Scope.parse_untrusted(self.scope)
        except MalformedScope as fault:
            raise TokenRequestRejected(ErrorCode.INVALID_SCOPE, fault.what) from None

    def require_holder(self, spki: bytes, certificate: bytes | None = None) -> None:
        """Check that the key asked for is ``spki`` (DER), the one that the client proved in its handshake.

        Without this check, somebody could have a ticket bound to another's key (RFC 9202 section 3.2).

        Args:
            spki: DER SubjectPublicKeyInfo.
            certificate: the DER certificate that the client showed with it.

        Raises:
            TokenRequestRejected: with ``invalid_request`` for another key or none, with
                ``unsupported_pop_key`` for the name of a key, which has to be looked up instead.
        """
        if self.req_cnf is None:
            raise TokenRequestRejected(
                ErrorCode.INVALID_REQUEST, "req_cnf is missing, and no symmetric key is made here"
            )
        if isinstance(self.req_cnf, KeyReference):
            raise TokenRequestRejected(
                ErrorCode.UNSUPPORTED_POP_KEY, "no key of this name was made for the requester"
            )
        try:
            self.req_cnf.require_key(spki, certificate)
        except WrongKey:
            raise TokenRequestRejected(
                ErrorCode.INVALID_REQUEST, "req_cnf is not the key that the handshake proved"
            ) from None


@dataclass(frozen=True)
class TokenResponse:
    """A ticket on its way to its holder (RFC 9200 section 5.8.2)."""

    access_token: bytes = field(repr=False)
    """The encoded ticket, to be passed on as it is."""
    expires_in: int
    """Seconds for which it is valid. A ticket of unknown lifetime may not be used."""
    scope: bytes | None = None
    """The AIF scope that was granted, encoded, where it is not what was asked for."""
    rs_cnf_spki: bytes | None = field(default=None, repr=False)
    """DER SubjectPublicKeyInfo of the key with which the publisher has to prove itself."""
    ace_profile: int | None = None
    """The profile, where the request asked for it."""
    cnf: AnyConfirmation | None = None
    """The key that the ticket is bound to: a symmetric one, which the AC made, or ours, where it says so."""

    def encode(self, numbers: ProvisionalNumbers = DEFAULT_NUMBERS) -> bytes:
        """Return the payload of the 2.01 response."""
        return strict_cbor.encode(
            present(
                {
                    Parameter.ACCESS_TOKEN: self.access_token,
                    Parameter.EXPIRES_IN: self.expires_in,
                    Parameter.CNF: None if self.cnf is None else _told(self.cnf, numbers),
                    Parameter.SCOPE: self.scope,
                    Parameter.TOKEN_TYPE: TokenType.POP,
                    Parameter.ACE_PROFILE: self.ace_profile,
                    Parameter.RS_CNF: None if self.rs_cnf_spki is None else _by_value(self.rs_cnf_spki),
                }
            )
        )

    @classmethod
    def parse_untrusted(cls, payload: bytes, numbers: ProvisionalNumbers = DEFAULT_NUMBERS) -> Self:
        """Read the payload of a success response of the token endpoint.

        Raises:
            MalformedACE: no ticket, no lifetime, another token type or profile, or an unusable key.
        """
        message = map_untrusted(payload)
        token = optional(message, Parameter.ACCESS_TOKEN, bytes)
        expires_in = optional(message, Parameter.EXPIRES_IN, int)
        if not token or len(token) > MAX_TICKET_BYTES:
            raise MalformedACE("the AC's response holds no usable ticket")
        if expires_in is None or not 0 < expires_in <= MAX_LIFETIME_SECONDS:
            raise MalformedACE("the AC's response does not say for how long the ticket is valid")
        if optional(message, Parameter.TOKEN_TYPE, int) not in (None, TokenType.POP):
            raise MalformedACE("the AC's ticket is not bound to a key")
        profile = optional(message, Parameter.ACE_PROFILE, int)
        if profile not in (None, Profile.COAP_DTLS):
            raise MalformedACE("the AC's ticket is for another profile than DTLS")
        try:
            cnf = (
                parse_confirmation_untrusted(message[Parameter.CNF], numbers)
                if Parameter.CNF in message
                else None
            )
            rs_cnf = _spki_untrusted(message[Parameter.RS_CNF]) if Parameter.RS_CNF in message else None
        except UnusableKey as fault:
            raise MalformedACE(f"a key in the AC's response is of no use: {fault.what}") from None
        if isinstance(cnf, SymmetricConfirmation) and rs_cnf is not None:
            # RFC 9201 section 3.2: whoever knows the symmetric key is the publisher.
            raise MalformedACE("the AC names a key of the publisher beside a symmetric one")
        return cls(
            access_token=token,
            expires_in=expires_in,
            scope=optional(message, Parameter.SCOPE, bytes),
            rs_cnf_spki=rs_cnf,
            ace_profile=profile,
            cnf=cnf,
        )

    def require_holder(self, spki: bytes, certificate: bytes | None = None) -> None:
        """Check that the ticket is for our own key ``spki``, as far as the response says whose it is.

        Args:
            spki: DER SubjectPublicKeyInfo.
            certificate: our DER certificate, where the response may name it beside the key.

        Raises:
            MalformedACE: it is bound to another key, or to another certificate of ours.
        """
        if isinstance(self.cnf, SymmetricConfirmation):
            raise MalformedACE("the AC bound the ticket to a symmetric key instead of ours")
        try:
            if self.cnf is not None:
                self.cnf.require_key(spki, certificate)
        except WrongKey:
            raise MalformedACE("the AC bound the ticket to another key than ours") from None


@dataclass(frozen=True)
class TokenError:
    """Why the AC issues no ticket (RFC 9200 section 5.8.3).

    This class alone knows how an error is written: drafts are about to put it into problem details.
    """

    content_format: ClassVar[int] = CONTENT_FORMAT_ACE
    """Of what :meth:`encode` returns."""

    code: ErrorCode
    """The registered reason; its ``response_code`` is the CoAP code."""
    description: str | None = None
    """The reason in words, printable."""

    def encode(self) -> bytes:
        """Return the payload of the error response."""
        return strict_cbor.encode(
            present({Parameter.ERROR: self.code, Parameter.ERROR_DESCRIPTION: self.description})
        )

    @classmethod
    def parse_untrusted(cls, payload: bytes) -> Self:
        """Read the payload of an error response of the token endpoint.

        Raises:
            MalformedACE: no error code, or one that nobody registered.
        """
        message = map_untrusted(payload)
        try:
            code = ErrorCode(optional(message, Parameter.ERROR, int) or 0)  # 0 is not registered
        except ValueError:
            raise MalformedACE("the AC's error carries no known error code") from None
        return cls(code, optional(message, Parameter.ERROR_DESCRIPTION, str))


@dataclass(frozen=True)
class CreationHints:
    """Where a publisher says that tickets for it come from (RFC 9200 section 5.3).

    Nothing of it is true because it says so: a client asks only an AC that it is configured to trust.
    """

    as_uri: str | None = None
    """URI of the token endpoint."""
    audience: str | None = None
    """Identity URI of the publisher."""
    scope: bytes | None = None
    """The AIF scope, encoded, that the refused request would have needed."""
    cnonce: bytes | None = None
    """A nonce to copy into the token request."""
    kid: bytes | None = None
    """Name of a key that the ticket may be bound to."""

    def encode(self) -> bytes:
        """Return the payload of the 4.01 response."""
        return strict_cbor.encode(
            present(
                {
                    Hint.AS: self.as_uri,
                    Hint.KID: self.kid,
                    Hint.AUDIENCE: self.audience,
                    Hint.SCOPE: self.scope,
                    Hint.CNONCE: self.cnonce,
                }
            )
        )

    @classmethod
    def parse_untrusted(cls, payload: bytes) -> Self:
        """Read the payload of a 4.01 response; a scope in text, which we cannot use, is passed over.

        Raises:
            MalformedACE: not a map, or a hint of the wrong type.
        """
        message = map_untrusted(payload)
        scope = message.get(Hint.SCOPE)
        return cls(
            as_uri=optional(message, Hint.AS, str),
            audience=optional(message, Hint.AUDIENCE, str),
            scope=None if isinstance(scope, str) else optional(message, Hint.SCOPE, bytes),
            cnonce=nonce(message, Hint.CNONCE),
            kid=nonce(message, Hint.KID),
        )


def _by_value(spki: bytes) -> dict[int, object]:
    return {ConfirmationMethod.COSE_KEY: cose_key_from_spki(spki)}


def _spki_untrusted(confirmation: object) -> bytes:
    """The key of a confirmation that has to hold it by value."""
    parsed = Confirmation.parse_untrusted(confirmation)
    if parsed.spki is None:
        raise UnusableKey(KeyFault.UNSUPPORTED)
    return parsed.spki


def _requested_key(message: ACEMap, numbers: ProvisionalNumbers) -> RequestedKey | None:
    if Parameter.REQ_CNF not in message:
        return None
    try:
        return parse_requested_key_untrusted(message[Parameter.REQ_CNF], numbers)
    except UnusableKey as unusable:
        if unusable.fault is KeyFault.UNSUPPORTED:
            raise TokenRequestRejected(ErrorCode.UNSUPPORTED_POP_KEY, unusable.what) from None
        raise MalformedACE(unusable.what) from None


def _told(cnf: AnyConfirmation, numbers: ProvisionalNumbers) -> dict[int, object]:
    """What the holder is told of its key: the AC made a symmetric one, so the holder has to learn it."""
    if isinstance(cnf, SymmetricConfirmation):
        return symmetric_claim(cnf.kid, cnf.key)
    return cnf.claim(numbers)


def _asks_for_profile(message: ACEMap) -> bool:
    """Null asks for the profile (RFC 9200 section 5.8.1); a number says which one the client has."""
    if message.get(Parameter.ACE_PROFILE, Profile.COAP_DTLS) is None:
        return True
    profile = optional(message, Parameter.ACE_PROFILE, int)
    if profile not in (None, Profile.COAP_DTLS):
        raise TokenRequestRejected(
            ErrorCode.INCOMPATIBLE_ACE_PROFILES, "only the DTLS profile is spoken here"
        )
    return profile is not None
