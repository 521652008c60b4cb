"""The cells of the interop matrix: which stacks there are, what is tried with each, what each cannot do.

A new ability of the engine becomes cells by lines here.
"""

from __future__ import annotations

from collections.abc import Iterator
from types import MappingProxyType
from typing import Any, Final

from foreign_cases import OUR_SUITES, Case, Extra, Limit, Proof, Refused, Resumes, We, short
from foreign_gnutls import GnuTLS
from foreign_libcoap import LibCoAPOnGnuTLS, LibCoAPOnOpenSSL
from foreign_openssl import OpenSSL
from foreign_packages import MbedTLS, TinyDTLS
from foreign_stack import Stack

from twoway.dtls import AlertDescription, CipherSuite, ClosedBy, HandshakeKind, suites
from twoway.dtls.config import MIN_MTU_BYTES
from twoway.dtls.groups import DEFAULT_GROUPS, NamedGroup
from twoway.dtls.suites import KeyExchange

STACKS: Final[dict[str, Stack]] = {
    stack.title: stack
    for stack in (OpenSSL(), GnuTLS(), LibCoAPOnOpenSSL(), LibCoAPOnGnuTLS(), MbedTLS(), TinyDTLS())
}

_SERVER_PROOFS: Final = {
    KeyExchange.ECDHE_ECDSA: Proof.P256,
    KeyExchange.ECDHE_RSA: Proof.RSA,
    KeyExchange.RSA: Proof.RSA,
    KeyExchange.ECDH_ANON: Proof.NOTHING,
    KeyExchange.ECDHE_PSK: Proof.PSK,
    KeyExchange.PSK: Proof.PSK,
}
"""What the server of an exchange proves itself with."""


_SERVERS_LACK: Final = {("libcoap on OpenSSL", suites.ECDHE_PSK_AES_128_CBC_SHA256.code)}
"""What a stack's clients offer and its servers do not take."""


def _each_suite(peer: str) -> Iterator[Case]:
    """Every suite that both have, in both roles; clients show certificates of both kinds of key."""
    for suite in OUR_SUITES:
        if suite.code not in STACKS[peer].suites:
            continue
        server = _SERVER_PROOFS[suite.key_exchange]
        kind = HandshakeKind.ANONYMOUS if server is Proof.NOTHING else HandshakeKind.FULL
        clients = (Proof.P256, Proof.RSA) if suite.key_exchange.uses_certificates else (server,)
        lacks = (peer, suite.code) in _SERVERS_LACK
        ends = Refused(ClosedBy.PEER, AlertDescription.HANDSHAKE_FAILURE) if lacks else None
        dies = (peer, suite.key_exchange) == ("GnuTLS", KeyExchange.ECDHE_PSK)
        for client in clients:
            yield Case(peer, We.CLIENT, short(suite), client, server, suite, kind=kind, ends=ends)
            yield Case(peer, We.SERVER, short(suite), server, client, suite, kind=kind, peer_dies=dies)


def _each_group(peer: str, lacks: tuple[NamedGroup, ...] = ()) -> Iterator[Case]:
    """Each group alone. With RSA, since the groups of a hello bind certificates of elliptic curves, too."""
    suite = suites.ECDHE_RSA_AES_128_GCM
    for group in DEFAULT_GROUPS:
        for we in We:
            by = ClosedBy.US if we is We.SERVER else ClosedBy.PEER
            ends = Refused(by, AlertDescription.HANDSHAKE_FAILURE) if group in lacks else None
            tried = f"{group.label}, which it lacks" if ends else f"{group.label} alone"
            yield Case(peer, we, tried, Proof.RSA, Proof.RSA, suite, groups=(group,), ends=ends)


_NO_ED25519_SERVER: Final = ("OpenSSL", "libcoap on OpenSSL")
"""OpenSSL 3.0 finds no suite for a server's Ed25519 certificate in DTLS, even for itself; in TLS it does."""


def _other_keys(peer: str, lacks: tuple[Proof, ...] = ()) -> Iterator[Case]:
    """Certificates with keys of the other curves, ours and theirs."""
    suite, alert = suites.ECDHE_ECDSA_AES_128_GCM, AlertDescription.HANDSHAKE_FAILURE
    for proof in (Proof.P384, Proof.ED25519):
        for we in We:
            if proof in lacks:
                ends = Refused(ClosedBy.US, alert)
                yield Case(peer, we, "our other key, which it lacks", proof, Proof.P256, suite, ends=ends)
                continue
            yield Case(peer, we, "our other key", proof, Proof.P256, suite)
            unused = proof is Proof.ED25519 and we is We.CLIENT and peer in _NO_ED25519_SERVER
            tried = "their other key, which it cannot use" if unused else "their other key"
            ends = Refused(ClosedBy.PEER, alert) if unused else None
            yield Case(peer, we, tried, Proof.P256, proof, suite, ends=ends)


def _raw_keys(peer: str) -> Iterator[Case]:
    """Raw public keys on both sides (RFC 7250), known and unknown."""
    suite = suites.ECDHE_ECDSA_AES_128_GCM
    unknown = Refused(ClosedBy.US, AlertDescription.CERTIFICATE_UNKNOWN)
    for we in We:
        yield Case(peer, we, "raw public keys", Proof.RAW, Proof.RAW, suite)
        yield Case(peer, we, "we refuse", Proof.RAW, Proof.STRANGER, suite, ends=unknown)


def _server_authenticated(peer: str) -> Iterator[Case]:
    """Where the server alone proves itself: admitted by name, refused by default."""
    suite = suites.ECDHE_ECDSA_AES_128_GCM
    one = HandshakeKind.SERVER_AUTHENTICATED
    no_demand = frozenset({Extra.ASKS_FOR_NO_CERTIFICATE})
    nobody = Refused(ClosedBy.US, AlertDescription.HANDSHAKE_FAILURE)
    yield Case(peer, We.SERVER, "admitted by name", Proof.P256, Proof.NOTHING, suite, kind=one)
    yield Case(
        peer, We.CLIENT, "admitted by name", Proof.NOTHING, Proof.P256, suite, kind=one, extras=no_demand
    )
    tried = "we refuse: it asks for no certificate"
    yield Case(peer, We.CLIENT, tried, Proof.P256, Proof.P256, suite, extras=no_demand, ends=nobody)


def _mac_then_encrypt(peer: str) -> Iterator[Case]:
    """CBC with a peer that lacks RFC 7366."""
    for we in We:
        suite = suites.ECDHE_ECDSA_AES_128_CBC_SHA256
        extras = frozenset({Extra.MAC_THEN_ENCRYPT})
        yield Case(peer, we, f"{short(suite)}, no EtM", Proof.P256, Proof.P256, suite, extras=extras)


def _short_records() -> Iterator[Case]:
    """Bounds of a record's length, asked for by either side."""
    both = (Proof.P256, Proof.P256, suites.ECDHE_ECDSA_AES_128_GCM)
    ours, theirs = "we ask for 512-byte records", "they ask for 512-byte records"
    limit = MappingProxyType({"record_size_limit": 512})
    fragments = MappingProxyType({"max_fragment_length": 512})
    extras = frozenset({Extra.LIMITS_RECORDS})
    yield Case("GnuTLS", We.CLIENT, ours, *both, config=limit)
    yield Case("GnuTLS", We.SERVER, theirs, *both, extras=extras)
    yield Case("OpenSSL", We.CLIENT, ours, *both, config=fragments)
    yield Case("OpenSSL", We.SERVER, theirs, *both, extras=extras)
    yield Case("Mbed TLS", We.CLIENT, "512-byte records, ignored", *both, config=fragments)


def _resumption(peer: str) -> Iterator[Case]:
    """A second handshake with the session of the first (RFC 5246 section 7.3, RFC 5077)."""
    kinds = {
        Proof.P256: suites.ECDHE_ECDSA_AES_128_GCM,
        Proof.RSA: suites.ECDHE_RSA_AES_128_GCM,
        Proof.PSK: suites.PSK_AES_128_GCM,
    }
    for resumes in Resumes:
        for proof, suite in kinds.items():
            for we in We:
                yield Case(peer, we, f"again by {resumes}", proof, proof, suite, resumes=resumes)


def _connection_ids(peer: str) -> Iterator[Case]:
    """We offer and want connection IDs (RFC 9146); none of these peers knows them."""
    suite = suites.PSK_AES_128_CCM_8 if peer == "tinydtls" else suites.PSK_AES_128_GCM
    config = MappingProxyType({"connection_id_bytes": 8})
    for we in We:
        tried = "we offer CIDs, it takes none" if we is We.CLIENT else "we want CIDs, it offers none"
        yield Case(peer, we, tried, Proof.PSK, Proof.PSK, suite, config=config)


_SMALL_SUITES: Final = {
    Proof.P256: suites.ECDHE_ECDSA_AES_128_GCM,
    Proof.RSA: suites.ECDHE_RSA_AES_128_GCM,
    Proof.PSK: suites.PSK_AES_128_GCM,
}
_SMALLEST: Final = {"OpenSSL": 228, "GnuTLS": 100}
"""The smallest datagrams that the peers can be told to send, in bytes; the others cannot be told."""
_WHOLE_HELLO: Final = 128
"""Our hello with one suite fits in as many bytes. A server that keeps nothing before it has seen a cookie
drops one that comes in pieces; only some take pieces at all."""


def _datagrams(ours: int) -> MappingProxyType[str, Any]:
    return MappingProxyType({"mtu_bytes": ours})


def _small_datagrams(peer: str) -> Iterator[Case]:
    """The smallest datagrams of both sides, in flights that prove with every kind of key."""
    theirs = _SMALLEST.get(peer)
    said = f", {theirs} from them" if theirs else ""
    least = MIN_MTU_BYTES if peer == "Mbed TLS" else _WHOLE_HELLO
    for proof, suite in _SMALL_SUITES.items():
        for we, ours in ((We.SERVER, MIN_MTU_BYTES), (We.CLIENT, least)):
            tried = f"datagrams of {ours} from us{said}"
            config = _datagrams(ours)
            yield Case(peer, we, tried, proof, proof, suite, their_datagram_bytes=theirs, config=config)


def _tiny() -> Iterator[Case]:
    """tinydtls puts no fragments together: what we send has to come whole."""
    both = (Proof.PSK, Proof.PSK, suites.PSK_AES_128_CCM_8)
    refused = Refused(ClosedBy.PEER, AlertDescription.HANDSHAKE_FAILURE)
    yield from _hello_in_pieces("tinydtls", Proof.PSK, suites.PSK_AES_128_CCM_8)
    yield Case("tinydtls", We.CLIENT, "datagrams of 128 from us", *both, config=_datagrams(128))
    yield Case("tinydtls", We.SERVER, "datagrams of 128 from us", *both, config=_datagrams(128))
    yield Case(
        "tinydtls", We.SERVER, "our flight in pieces", *both, config=_datagrams(MIN_MTU_BYTES), ends=refused
    )


def _hello_in_pieces(peer: str, proof: Proof, suite: CipherSuite) -> Iterator[Case]:
    """A hello that does not fit one datagram, to a server that asks for a cookie without memory."""
    config, silent = _datagrams(MIN_MTU_BYTES), Refused(ClosedBy.TIMEOUT)
    yield Case(peer, We.CLIENT, "our hello in pieces", proof, proof, suite, config=config, ends=silent)


def _memory_before_cookies() -> Iterator[Case]:
    """Servers that spend memory on an address before they know it: hellos in pieces are nothing to them."""
    both = (Proof.P256, Proof.P256, suites.ECDHE_ECDSA_AES_128_GCM)
    small = _datagrams(MIN_MTU_BYTES)
    for peer, extra in (("OpenSSL", Extra.KEEPS_HELLOS), ("GnuTLS", Extra.NO_COOKIE)):
        extras = frozenset({extra})
        yield Case(peer, We.CLIENT, extra, *both, extras=extras)
        yield Case(peer, We.CLIENT, f"our hello in pieces, {extra}", *both, extras=extras, config=small)


_OUR_ALERTS: Final = {
    Proof.OTHER_CA: AlertDescription.UNKNOWN_CA,
    Proof.EXPIRED: AlertDescription.CERTIFICATE_EXPIRED,
    Proof.WRONG_USAGE: AlertDescription.UNSUPPORTED_CERTIFICATE,
}
"""What we answer to a certificate that is no good."""
_BAD, _DENIED = AlertDescription.BAD_CERTIFICATE, AlertDescription.ACCESS_DENIED
_THEIR_ALERTS: Final[dict[tuple[str, We], dict[Proof, AlertDescription | None]]] = {
    ("GnuTLS", We.CLIENT): {Proof.OTHER_CA: _DENIED, Proof.EXPIRED: _DENIED, Proof.WRONG_USAGE: None},
    ("GnuTLS", We.SERVER): {Proof.OTHER_CA: _BAD, Proof.EXPIRED: _BAD, Proof.WRONG_USAGE: _BAD},
    ("libcoap on OpenSSL", We.CLIENT): {Proof.EXPIRED: None},
    ("libcoap on OpenSSL", We.SERVER): {Proof.EXPIRED: None},
    ("libcoap on GnuTLS", We.CLIENT): {Proof.EXPIRED: None, Proof.WRONG_USAGE: None},
    ("libcoap on GnuTLS", We.SERVER): {Proof.EXPIRED: None, Proof.WRONG_USAGE: None},
}
"""What each answers to one of ours, where that is another alert; None: it takes the certificate."""

_NOT_SHOWN: Final = {("Mbed TLS", We.CLIENT, Proof.WRONG_USAGE)}
"""Certificates of their own that they know better than to show: none is left for the suite."""


def _bad_certificates(peer: str) -> Iterator[Case]:
    """Certificates that must not be taken: theirs by us, ours by them."""
    suite = suites.ECDHE_ECDSA_AES_128_GCM
    for proof, alert in _OUR_ALERTS.items():
        for we in We:
            if (peer, we, proof) in _NOT_SHOWN:
                ends = Refused(ClosedBy.PEER, AlertDescription.HANDSHAKE_FAILURE)
                yield Case(peer, we, "they do not show it", Proof.P256, proof, suite, ends=ends)
            else:
                ends = Refused(ClosedBy.US, alert)
                yield Case(peer, we, "we refuse", Proof.P256, proof, suite, ends=ends)
            theirs = _THEIR_ALERTS.get((peer, we), {}).get(proof, alert)
            tried = "they refuse" if theirs else "they take it"
            ends = Refused(ClosedBy.PEER, theirs) if theirs else None
            yield Case(peer, we, tried, proof, Proof.P256, suite, ends=ends)
    nobody = Refused(ClosedBy.US, AlertDescription.HANDSHAKE_FAILURE)
    yield Case(peer, We.SERVER, "we refuse", Proof.P256, Proof.NOTHING, suite, ends=nobody)


_KNOWS_NO_NAMES: Final = ("OpenSSL", "libcoap on OpenSSL", "libcoap on GnuTLS")
"""Their programs' servers take any name with the key that they were given."""
_NAMED_REFUSALS: Final = {
    "Mbed TLS": AlertDescription.UNKNOWN_PSK_IDENTITY,
    "tinydtls": AlertDescription.INTERNAL_ERROR,
}
"""Who answers an unknown name by an alert of its own; the rest stays silent, as for a wrong key."""


def _bad_keys(peer: str, suite: CipherSuite) -> Iterator[Case]:
    """Wrong keys and unknown names; with both, we answer the same."""
    ours = Refused(ClosedBy.US, AlertDescription.DECRYPT_ERROR)
    for proof in (Proof.WRONG_KEY, Proof.UNKNOWN_NAME):
        waits = peer == "libcoap on GnuTLS"
        yield Case(peer, We.SERVER, "we refuse", Proof.PSK, proof, suite, ends=ours, says_nothing=waits)
    silent = Refused(ClosedBy.TIMEOUT)
    yield Case(peer, We.CLIENT, "they refuse", Proof.WRONG_KEY, Proof.PSK, suite, ends=silent)
    alert = _NAMED_REFUSALS.get(peer)
    named = Refused(ClosedBy.PEER, alert) if alert else silent
    takes = peer in _KNOWS_NO_NAMES
    tried, ends = ("they take it", None) if takes else ("they refuse", named)
    yield Case(peer, We.CLIENT, tried, Proof.UNKNOWN_NAME, Proof.PSK, suite, ends=ends)


def _all() -> Iterator[Case]:
    for peer in STACKS:
        yield from _each_suite(peer)
    for peer in ("OpenSSL", "GnuTLS", "libcoap on OpenSSL", "libcoap on GnuTLS", "Mbed TLS"):
        yield from _each_group(peer, lacks=(NamedGroup.X25519,) if peer == "Mbed TLS" else ())
        yield from _other_keys(peer, lacks=(Proof.ED25519,) if peer == "Mbed TLS" else ())
        yield from _server_authenticated(peer)
        yield from _bad_certificates(peer)
        yield from _bad_keys(peer, suites.PSK_AES_128_GCM)
    yield from _bad_keys("tinydtls", suites.PSK_AES_128_CCM_8)
    for peer in ("GnuTLS", "libcoap on GnuTLS"):
        yield from _raw_keys(peer)
    for peer in ("OpenSSL", "GnuTLS"):
        yield from _mac_then_encrypt(peer)
        yield from _resumption(peer)
    yield from _short_records()
    yield from _memory_before_cookies()
    for peer in STACKS:
        yield from _connection_ids(peer)
        if peer == "tinydtls":
            continue
        yield from _small_datagrams(peer)
        if peer != "Mbed TLS":
            yield from _hello_in_pieces(peer, Proof.P256, suites.ECDHE_ECDSA_AES_128_GCM)
    yield from _tiny()


CASES: Final = tuple(_all())

_MBED_CONTEXT: Final = ("micropython", "-c", "import tls; print(dir(tls.SSLContext))")
LIMITS: Final = (
    Limit("OpenSSL", "raw public keys", ("openssl", "s_client", "-help"), lacks="server_rpk"),
    Limit("libcoap on OpenSSL", "raw public keys", ("coap-client-openssl", "-h"), says="no RPK support"),
    Limit("Mbed TLS", "resumption", _MBED_CONTEXT, lacks="session"),
    Limit("Mbed TLS", "raw public keys", _MBED_CONTEXT, lacks="raw"),
)
