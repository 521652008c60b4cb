"""What a subscriber believes, and whom: the rules, without network, clock or disk.

Each rule raises when it is broken. In the order in which one read meets them:

1. :func:`require_publisher`: the certificate names the host of the URI, or is the identity that the
   caller expects. Nothing is sent before.
2. :func:`require_hints`: a publisher's hint (4.01) is untrusted. It is followed only if it names the
   AC that this subscriber is configured with, and as audience nobody but the publisher itself; else
   any node could send us to an AC of its own, or have us fetch tickets for others.
3. :func:`require_ac`: the AC proves the configured identity. Nothing is sent before.

What of the AC's answers is believed stands in :mod:`twoway.subscriber.grant`.
"""

from __future__ import annotations

import hmac
from urllib.parse import urlsplit

from twoway.errors import ConfigurationError, PeerError, RefusedError, TwowayError
from twoway.identity import Identity, PSKIdentity, X509Identity
from twoway.subscriber.audience import Audience, KeyedPublisher
from twoway.subscriber.reference import ACReference, host_form, uri_form
from twoway.subscriber.wording import ask_the_operator, diagnostic, excerpt
from twoway.tickets import CreationHints


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
    what = f"the publisher answered {code}{diagnostic(payload, content_format)}"
    if not forbidden:
        return PeerError(what, where=uri)
    return RefusedError(what, where=uri, remedy=None if check is None else ask_the_operator(check))


def _require_certificate(peer: Identity, *, where: str) -> X509Identity:
    if isinstance(peer, X509Identity):
        return peer
    proof = "a pre-shared key" if isinstance(peer, PSKIdentity) else "no certificate"
    raise RefusedError(f"the peer proved {proof}, where a certificate is needed", where=where)


def _same_uri(untrusted: str, own: str) -> bool:
    try:
        # urlsplit passes over control characters; what holds any is no URI.
        return untrusted.isprintable() and uri_form(untrusted) == uri_form(own)
    except ConfigurationError:
        return False


def _equal(untrusted: str, own: str) -> bool:
    return hmac.compare_digest(untrusted.encode("utf-8", "surrogatepass"), own.encode())
