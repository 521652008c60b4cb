"""What a subscriber believes, and whom: the rules, without network, clock or disk.

Each rule raises when it is broken. In the order in which one read meets them:

1. :func:`require_publisher`: the certificate names the host of the URI, or is the identity that the
   caller expects. Nothing is sent before.
2. :func:`require_hints`: a publisher's hint (4.01) is untrusted. It is followed only if it names the
   AC that this subscriber is configured with, and as audience nobody but the publisher itself; else
   any node could send us to an AC of its own, or have us fetch tickets for others.
3. :func:`require_ac`: the AC proves the configured identity. Nothing is sent before.
4. :func:`take_grant_untrusted`: a ticket is taken only if its lifetime is known, the profile is DTLS's,
   its key is ours, and the key that the AC knows for the publisher is the one that the publisher proved.
   A ticket for another publisher, mixed up or replayed, fails here. Where the publisher has no certificate,
   the ticket has to come with a symmetric key.
5. :func:`refusal_untrusted`: what the AC says when it refuses is passed on as text that cannot do harm,
   with the command by which its operator sees why.
6. :func:`revoked_untrusted`: of our own tickets, those are given up that the AC lists as revoked.
"""

from __future__ import annotations

import hmac
import shlex
from dataclasses import dataclass
from datetime import timedelta
from urllib.parse import urlsplit

from twoway.errors import ConfigurationError, PeerError, RefusedError, TwowayError
from twoway.identity import Identity, PSKIdentity, X509Identity
from twoway.subscriber.audience import Audience, KeyedPublisher
from twoway.subscriber.instant import Instant
from twoway.subscriber.reference import ACReference, host_form, uri_form
from twoway.subscriber.wallet import HeldTicket, TicketKey
from twoway.terminal import printable
from twoway.tickets import (
    CONTENT_FORMAT_ACE,
    CONTENT_FORMAT_TRL,
    Confirmation,
    CreationHints,
    ErrorCode,
    FullSet,
    KeyReference,
    Method,
    Profile,
    RequestedKey,
    Scope,
    SymmetricConfirmation,
    TokenError,
    TokenResponse,
    WrongKey,
)

_TEXT_CHARACTERS = 200
"""As much of a peer's own words as is worth showing."""

_A_MATTER_OF_RIGHTS = (ErrorCode.INVALID_CLIENT, ErrorCode.UNAUTHORIZED_CLIENT, ErrorCode.INVALID_SCOPE)
"""Refusals that the AC's registry and policies explain; the others are about the request itself."""


class KeyNotKnown(RefusedError):
    """The AC makes no ticket for the key that the request names."""


@dataclass(frozen=True, slots=True)
class Ask:
    """What a token request asked for, to hold the answer against."""

    audience: Audience
    """The publisher."""
    target: str
    """The path and query to be read."""
    scope: Scope
    """The scope that was asked for; it covers :attr:`target`."""
    own: X509Identity
    """Who asked; the ticket shall be bound to this key."""
    asked_at: Instant
    """When the request was made."""
    kid: bytes | None = None
    """The name of the key of a running association, where its rights shall change and the key stay."""

    @property
    def requested_key(self) -> RequestedKey | None:
        """What ``req_cnf`` says: our certified key; at a publisher without certificates the key that we have
        already, or none, which asks for a new one (RFC 9201 section 3.1, RFC 9202 sections 3.3.1 and 4)."""
        if self.audience.spki is not None:
            return Confirmation.of_key(self.own.spki)
        return None if self.kid is None else KeyReference(self.kid)

    @property
    def check_command(self) -> str:
        """The command by which the AC's operator sees what decides about this request."""
        return check_command(self.own.uri, self.audience.uri, self.target)


def require_publisher(peer: Identity, *, uri: str, expected: str | None) -> X509Identity:
    """Check that the peer is the publisher meant by ``uri``.

    Args:
        peer: who the peer proved to be.
        uri: the resource's URI; without ``expected`` the peer's certificate must name its host.
        expected: the identity URI that the caller knows the publisher by.

    Raises:
        RefusedError: it is somebody else.
    """
    certified = _require_certificate(peer, where=uri)
    if expected is not None:
        if not _equal(certified.uri, expected):
            raise RefusedError(
                f"the peer proved to be {certified.uri}, not {expected}",
                where=uri,
                remedy="check the URI and the identity that you expect",
            )
        return certified
    host = host_form(urlsplit(uri).hostname or "")
    if host not in {host_form(named) for named in certified.hosts}:
        raise RefusedError(
            f"the certificate of {certified.uri} does not name the host {host}",
            where=uri,
            remedy="use a host that it names, or say which identity you expect there",
        )
    return certified


def require_keyed_publisher(publisher: KeyedPublisher, *, uri: str, expected: str | None) -> None:
    """Check that the publisher without a certificate that is configured for ``uri`` is the expected one.

    Raises:
        RefusedError: it is another.
    """
    if expected is not None and not _equal(publisher.identity, expected):
        raise RefusedError(
            f"the publisher that is configured there is {publisher.identity}, not {expected}",
            where=uri,
            remedy="correct ac.toml in the identity folder, or the identity that you expect",
        )


def require_ac(peer: Identity, *, ac: ACReference) -> X509Identity:
    """Check that the peer is the configured AC.

    Raises:
        RefusedError: it is somebody else.
    """
    certified = _require_certificate(peer, where=ac.uri)
    if not _equal(certified.uri, ac.identity):
        raise RefusedError(
            f"the peer proved to be {certified.uri}, not the AC {ac.identity}",
            where=ac.uri,
            remedy="correct ac.toml in the identity folder, or do not use this network",
        )
    return certified


def require_hints(hints: CreationHints | None, *, ac: ACReference | None, publisher: Audience) -> ACReference:
    """Check where a publisher sends us for a ticket, and return the AC to ask.

    Args:
        hints: what came with 4.01; None where nothing did.
        ac: the AC that this subscriber is configured with.
        publisher: who gave it.

    Raises:
        RefusedError: there is no AC to ask, or it is not the one that we trust.
    """
    where = publisher.uri
    if ac is None:
        raise RefusedError(
            "the publisher wants a ticket, and this identity has no AC to get one from",
            where=where,
            remedy="write an ac.toml with uri and identity of the AC into the identity folder",
        )
    if hints is None or hints.as_uri is None:
        raise RefusedError("the publisher wants a ticket and does not say from which AC", where=where)
    if not _same_uri(hints.as_uri, ac.uri):
        raise RefusedError(
            f"the publisher sends us to the AC {excerpt(hints.as_uri)}, but the configured one is {ac.uri}",
            where=where,
            remedy="do not follow it; if the AC has moved, correct ac.toml",
        )
    if hints.audience is not None and not _equal(hints.audience, publisher.uri):
        raise RefusedError(
            f"the publisher asks for a ticket for somebody else ({excerpt(hints.audience)})", where=where
        )
    return ac


def take_grant_untrusted(
    payload: bytes, content_format: int | None, *, ask: Ask, ac: ACReference
) -> HeldTicket:
    """Check the AC's answer to ``ask`` and return the ticket in it.

    Raises:
        PeerError: the answer is malformed, or the ticket in it is not the one that was asked for.
        RefusedError: the AC grants something, but not what is to be read.
    """
    where = ac.uri
    if content_format != CONTENT_FORMAT_ACE:
        raise PeerError(f"the AC answered with content format {content_format}, not 19", where=where)
    response = TokenResponse.parse_untrusted(payload)
    if response.ace_profile != Profile.COAP_DTLS:
        raise PeerError("the AC's ticket is not for the DTLS profile of RFC 9202", where=where)
    key = None
    if ask.audience.spki is None:
        key = _ticket_key(response, ask, where=where)
    else:
        _require_publisher_key(response.rs_cnf_spki, ask.audience.uri, ask.audience.spki, where=where)
        response.require_holder(ask.own.spki)
    scope = ask.scope if response.scope is None else Scope.parse_untrusted(response.scope)
    if not scope.permits(ask.target, Method.GET):
        raise RefusedError(
            f"the AC grants other rights, but not to read {ask.target}",
            where=ask.audience.uri,
            remedy=ask_the_operator(ask.check_command),
        )
    return HeldTicket(
        response.access_token,
        scope=scope,
        asked_at=ask.asked_at,
        lifetime=timedelta(seconds=response.expires_in),
        key=key,
    )


def refusal_untrusted(
    payload: bytes, content_format: int | None, code: str, *, ask: Ask, ac: ACReference
) -> TwowayError:
    """Turn the AC's unsuccessful answer into the error to raise.

    Args:
        payload: the answer's payload, anything at all.
        content_format: its content format.
        code: the response code as text, ``4.00 Bad Request``.
        ask: what was asked for.
        ac: who answered.
    """
    if content_format == CONTENT_FORMAT_ACE:
        try:
            error = TokenError.parse_untrusted(payload)
        except PeerError:
            return PeerError(f"the AC answered {code} and an error that cannot be read", where=ac.uri)
        words = f": {excerpt(error.description)}" if error.description else ""
        explained = error.code in _A_MATTER_OF_RIGHTS
        kind = KeyNotKnown if error.code is ErrorCode.UNSUPPORTED_POP_KEY else RefusedError
        return kind(
            f"the AC refuses a ticket ({error.code.label}){words}",
            where=ac.identity,
            remedy=ask_the_operator(ask.check_command) if explained else None,
        )
    return PeerError(f"the AC answered {code}{_diagnostic(payload, content_format)}", where=ac.uri)


def revoked_untrusted(
    payload: bytes, content_format: int | None, code: str, *, ac: ACReference
) -> frozenset[bytes]:
    """Read the AC's list of our revoked tickets (RFC 9770 section 7) and return their token hashes.

    Args:
        payload: the answer's payload, anything at all.
        content_format: its content format.
        code: the response code as text, ``2.05 Content``.
        ac: who answered.

    Raises:
        PeerError: it is no such list.
    """
    if content_format != CONTENT_FORMAT_TRL:
        raise PeerError(
            f"the AC answered {code} and no list of revoked tickets{_diagnostic(payload, content_format)}",
            where=ac.trl_uri,
        )
    return FullSet.parse_untrusted(payload).hashes


def unsuccessful_untrusted(
    payload: bytes,
    content_format: int | None,
    code: str,
    *,
    uri: str,
    forbidden: bool,
    check: str | None = None,
) -> TwowayError:
    """Turn a publisher's unsuccessful answer into the error to raise.

    Args:
        payload: the answer's payload, anything at all.
        content_format: its content format.
        code: the response code as text, ``4.04 Not Found``.
        uri: what was asked for.
        forbidden: whether the code says that we may not, rather than that something went wrong.
        check: the command by which the AC's operator sees what we may do there.
    """
    what = f"the publisher answered {code}{_diagnostic(payload, content_format)}"
    if not forbidden:
        return PeerError(what, where=uri)
    return RefusedError(what, where=uri, remedy=None if check is None else ask_the_operator(check))


def check_command(subscriber: str, publisher: str, target: str) -> str:
    """Return the command by which the AC's operator sees what decides whether somebody may read something.

    Args:
        subscriber: identity URI.
        publisher: identity URI.
        target: path and query.
    """
    named = {"--subscriber": subscriber, "--publisher": publisher, "--resource": target, "--action": "GET"}
    words = [word for name, value in named.items() for word in (name, value)]
    return shlex.join(["twoway", "ac", "check", "CONFIG", *words])


def ask_the_operator(command: str) -> str:
    """Say what to do about a refusal that the AC can explain."""
    return f"ask the operator of the AC to run: {command}"


def excerpt(text: str) -> str:
    """Make a peer's text safe to show: one line, printable characters, bounded."""
    shown = printable(text[:_TEXT_CHARACTERS])
    return shown if len(text) <= _TEXT_CHARACTERS else f"{shown}..."


def _require_certificate(peer: Identity, *, where: str) -> X509Identity:
    if isinstance(peer, X509Identity):
        return peer
    proof = "a pre-shared key" if isinstance(peer, PSKIdentity) else "no certificate"
    raise RefusedError(f"the peer proved {proof}, where a certificate is needed", where=where)


def _require_publisher_key(known: bytes | None, publisher: str, proved: bytes, *, where: str) -> None:
    """Check that the publisher proved the key that the AC knows for it: another node with a good certificate
    cannot pose as it."""
    if known is None:
        raise PeerError(f"the AC does not say with which key {publisher} proves itself", where=where)
    try:
        Confirmation.of_key(known).require_key(proved)
    except WrongKey:
        raise PeerError(
            f"the key that the AC knows for {publisher} is not the one that this publisher proved",
            where=where,
            remedy="do not use this publisher; if its key was renewed, let the AC know the new certificate",
        ) from None


def _ticket_key(response: TokenResponse, ask: Ask, *, where: str) -> TicketKey:
    """Return the key that the AC made for us and the publisher (RFC 9202 section 3.3.2)."""
    cnf = response.cnf
    if not isinstance(cnf, SymmetricConfirmation) or cnf.key is None:
        raise PeerError(f"the AC sends no key to meet {ask.audience.uri} with", where=where)
    if 0 in cnf.kid:
        raise PeerError("the name of the AC's key holds a zero byte, where many stacks end it", where=where)
    if ask.kid is not None and not hmac.compare_digest(cnf.kid, ask.kid):
        raise PeerError("the AC's ticket is for another key than that of the association", where=where)
    return TicketKey(cnf.kid, cnf.key)


def _diagnostic(payload: bytes, content_format: int | None) -> str:
    """Return a diagnostic payload (RFC 7252 section 5.5.2: UTF-8 text without a format) as ``: text``."""
    if not payload or content_format not in (None, 0):
        return ""
    return f": {excerpt(payload.decode('utf-8', errors='replace'))}"


def _same_uri(untrusted: str, own: str) -> bool:
    try:
        # urlsplit passes over control characters; what holds any is no URI.
        return untrusted.isprintable() and uri_form(untrusted) == uri_form(own)
    except ConfigurationError:
        return False


def _equal(untrusted: str, own: str) -> bool:
    return hmac.compare_digest(untrusted.encode("utf-8", "surrogatepass"), own.encode())
