"""The abbreviated handshake: which session may be resumed, and what a full handshake leaves behind.

RFC 5246 section 7.3 figure 2, with the cookie exchange in front as ever, and tickets (RFC 5077)::

    Client                                          Server
    ClientHello                 -------->                       flight 1
                                <--------  HelloVerifyRequest   flight 2
    ClientHello (with cookie)   -------->                       flight 3
                                                  ServerHello
                                           [NewSessionTicket]
                                           (ChangeCipherSpec)
                                <--------             Finished  flight 4
    (ChangeCipherSpec)
    Finished                    -------->                       flight 5

Nobody signs anything and no certificate is shown: both prove that they know the master secret of a full
handshake, in which everything had been proved. So a session is resumed only where each of these holds, and
otherwise the handshake goes on in full, as if no session had been offered:

- it has not ended: not the caller's deadline, not the policy's lifetime, not the peer's certificate;
- its suite and its kind would be taken in a full handshake, too, and its suite is offered;
- we still believe whom we believed, are still who we were, and share the same key, if we shared one
  (:func:`session_context`);
- the peer has not been revoked since;
- encrypt-then-MAC would be negotiated again as it was.

One thing ends the handshake instead: a client that offers a session without the extended master secret that
it was made with (RFC 7627 section 5.3).
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final

from cryptography.hazmat.primitives import constant_time

from twoway.dtls.alerts import AlertDescription, HandshakeFailure
from twoway.dtls.config import DTLSConfig
from twoway.dtls.messages.handshake import HEADER_BYTES as MESSAGE_HEADER_BYTES
from twoway.dtls.messages.hello import ClientHello, ExtensionType
from twoway.dtls.messages.tickets import NewSessionTicket
from twoway.dtls.negotiation import Offer
from twoway.dtls.record import HEADER_BYTES as RECORD_HEADER_BYTES
from twoway.dtls.resumption import Resumption
from twoway.dtls.session import CONTEXT_BYTES, HeldSession, Session, SessionUnusable
from twoway.dtls.suites import CipherSuite
from twoway.dtls.wire import vector
from twoway.identity import Identity, PSKIdentity, RawPublicKeyIdentity, Unauthenticated, X509Identity

SESSION_ID_BYTES: Final = 32
HELLO_OVERHEAD_BYTES: Final = RECORD_HEADER_BYTES + MESSAGE_HEADER_BYTES + 32
"""What a datagram holds beside a hello without a cookie; cookies of 32 bytes are usual."""


# --- both sides -------------------------------------------------------------------------------------


def session_end(config: DTLSConfig, peer: Identity, at: datetime) -> datetime:
    """Return when a session that begins at a time has to end.

    Raises:
        SessionUnusable: that is now, or the caller's deadline could not be found out.
    """
    assert config.resumption is not None
    ends = [at + timedelta(seconds=config.resumption.lifetime), *_caller_deadline(config, peer)]
    if isinstance(peer, X509Identity):
        ends.append(peer.not_after)
    if (end := min(ends)) <= at:
        raise SessionUnusable("the session would end before it begins")
    return end


def session_context(config: DTLSConfig, peer: Identity, *, is_client: bool) -> bytes:
    """Digest whom we believe and what we prove ourselves with, 16 bytes: SHA-256 of the role, the trust
    anchors, the pins, our certificate, our raw key, the key that is shared with this peer, and the length of
    records that we ask for.

    Raises:
        SessionUnusable: we share no key with this peer any more.
    """
    own, raw = config.certificate, config.raw_key
    parts = (
        b"client" if is_client else b"server",
        b"" if config.trust is None else config.trust.fingerprint,
        b"".join(sorted(config.raw_key_pins)),
        b"" if own is None else own.chain[0],
        b"" if raw is None else raw.spki,
        _shared_key(config, peer, is_client=is_client),
        (config.max_fragment_length or 0).to_bytes(2, "big"),
    )
    return hashlib.sha256(b"".join(vector(4, part) for part in parts)).digest()[:CONTEXT_BYTES]


def require_resumable(
    config: DTLSConfig,
    session: Session,
    *,
    is_client: bool,
    is_revoked: Callable[[Identity], bool],
    at: datetime,
) -> CipherSuite:
    """Check what does not depend on the other side's hello, and return the session's suite.

    Args:
        config: ours, as it is today.
        session: from our own hands, or out of a seal of ours.
        is_client: our role.
        is_revoked: tells whether a peer has been revoked by now; does not raise.
        at: the wall-clock time, aware.

    Raises:
        SessionUnusable: with the reason.
    """
    if at >= min([session.not_after, *_caller_deadline(config, session.peer)]):
        raise SessionUnusable("the session has ended")
    if session.kind not in config.admit:
        raise SessionUnusable("the session's kind of handshake is not admitted any more")
    if not isinstance(session.peer, Unauthenticated) and is_revoked(session.peer):
        raise SessionUnusable("the session's peer was revoked")
    if isinstance(session.peer, RawPublicKeyIdentity) and not config.believes_raw_key(session.peer):
        raise SessionUnusable("the session's raw public key is not pinned any more")
    suites = config.usable_suites(is_client=is_client)
    suite = next((suite for suite in suites if suite.code == session.suite), None)
    if suite is None:
        raise SessionUnusable("the session's suite is not spoken any more")
    if suite.is_cbc and not (session.encrypt_then_mac or config.admits_mac_then_encrypt):
        raise SessionUnusable("the session lacks encrypt-then-MAC")
    context = session_context(config, session.peer, is_client=is_client)
    if not constant_time.bytes_eq(context, session.context):
        raise SessionUnusable("the session was made with other credentials or trust")
    return suite


# --- the server -------------------------------------------------------------------------------------


def find_session_untrusted(config: DTLSConfig, hello: ClientHello, at: datetime) -> Session | None:
    """Find the session that a ClientHello names, without judging it.

    Returns:
        The session, or None if the hello names none.

    Raises:
        SessionUnusable: it names one that we do not know.
    """
    if config.resumption is None:
        return None
    ticket = hello.extensions.get(ExtensionType.SESSION_TICKET)
    if ticket and config.resumption.tickets is not None:
        # RFC 5077 section 3.4: beside a ticket the session ID names nothing.
        return config.resumption.tickets.accept_untrusted(ticket, at=at)
    if not hello.session_id or config.resumption.store is None or ticket:
        return None
    session = config.resumption.store.find(hello.session_id, at)
    if session is None:
        raise SessionUnusable("the session ID is not known")
    return session


def require_offered(session: Session, suite: CipherSuite, hello: ClientHello, offer: Offer) -> None:
    """Check that a hello offers what the session was made with.

    Raises:
        SessionUnusable: it offers something else.
        HandshakeFailure: it lacks the extended master secret (RFC 7627 section 5.3).
    """
    if suite.code not in offer.suites:
        raise SessionUnusable("the session's suite is not offered")
    if session.encrypt_then_mac != (suite.is_cbc and offer.encrypt_then_mac):
        raise SessionUnusable("encrypt-then-MAC is offered otherwise than in the session")
    if ExtensionType.EXTENDED_MASTER_SECRET not in hello.extensions:
        raise HandshakeFailure(
            AlertDescription.HANDSHAKE_FAILURE,
            "the client offers a session without the extended master secret that it was made with",
        )


def make_ticket(
    resumption: Resumption, session: Session, at: datetime, entropy: Callable[[int], bytes]
) -> NewSessionTicket:
    """Seal a session into the message that gives it to the client."""
    assert resumption.tickets is not None
    seconds = int((session.not_after - at).total_seconds())
    # 0 would mean that we do not say (RFC 5077 section 3.3).
    return NewSessionTicket(max(seconds, 1), resumption.tickets.issue(session, at=at, entropy=entropy))


# --- the client -------------------------------------------------------------------------------------


def name_session(
    hello: ClientHello, held: HeldSession, mtu_bytes: int, entropy: Callable[[int], bytes]
) -> ClientHello:
    """Return a hello that names a session.

    Raises:
        SessionUnusable: with the ticket in it, it would not fit a datagram. It has to: a server that keeps
            nothing for an unverified address does not put a hello together (RFC 6347 section 4.2.1).
    """
    if not held.ticket:
        return replace(hello, session_id=held.session_id)
    extensions = {**hello.extensions, ExtensionType.SESSION_TICKET: held.ticket}
    # RFC 5077 section 3.4: a server that takes the ticket repeats this ID, and so tells that it does.
    naming = replace(hello, session_id=entropy(SESSION_ID_BYTES), extensions=extensions)
    if len(naming.encode()) + HELLO_OVERHEAD_BYTES > mtu_bytes:
        raise SessionUnusable("the hello would not fit a datagram with the ticket in it")
    return naming


def with_ticket(held: HeldSession, given: NewSessionTicket, at: datetime) -> HeldSession:
    """Return a session by the name of a ticket that was just given, ending no later than the server says."""
    session = held.session
    if given.lifetime_hint:
        end = min(session.not_after, at + timedelta(seconds=given.lifetime_hint))
        session = replace(session, not_after=end)
    return HeldSession(session, ticket=given.ticket)


# --- what has to be asked ---------------------------------------------------------------------------


def _caller_deadline(config: DTLSConfig, peer: Identity) -> list[datetime]:
    assert config.resumption is not None
    if config.resumption.deadline is None:
        return []
    try:
        deadline = config.resumption.deadline(peer)
    except Exception:  # noqa: BLE001 whatever kept the caller from answering, nobody comes in by it
        raise SessionUnusable("the caller's deadline could not be found out") from None
    if deadline is not None and deadline.tzinfo is None:
        raise SessionUnusable("the caller's deadline is a naive time")
    return [] if deadline is None else [deadline]


def _shared_key(config: DTLSConfig, peer: Identity, *, is_client: bool) -> bytes:
    if not isinstance(peer, PSKIdentity):
        return b""
    if is_client:
        ours = config.psk
        key = ours.key if ours is not None and ours.identity == peer.psk_identity else None
    else:
        key = config.psk_lookup(peer.psk_identity) if config.psk_lookup is not None else None
    if key is None:
        raise SessionUnusable("the session's pre-shared key is not known any more")
    return key
