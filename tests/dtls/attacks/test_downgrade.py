"""Somebody on the path rewrites hellos, so that each side believes that the other wants something weaker.

The attacker changes every copy of a hello in the same way, so the cookie is good for what the server sees;
only the two transcripts differ. That is found by whatever is checked first: the client's signature, the keys
(which RFC 7627 binds to the transcript), or Finished.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from dtls_cases import KINDS, assert_never_connected, configs, run
from dtls_pair import Datagram, Pair, Wire
from dtls_rogue import with_extension, without

from twoway.dtls import NamedGroup, SignatureScheme, suites
from twoway.dtls.messages.handshake import HEADER_BYTES, HandshakeMessage, HandshakeType
from twoway.dtls.messages.hello import RENEGOTIATION_SCSV, ClientHello, ExtensionType, ServerHello
from twoway.dtls.record import DTLS_1_0, DTLS_1_2, encode_record
from twoway.dtls.wire import integers

EVERY_KIND = pytest.mark.parametrize("kind", KINDS)
Change = Callable[[Any], Any]
HELLOS = {HandshakeType.CLIENT_HELLO: ClientHello, HandshakeType.SERVER_HELLO: ServerHello}


def rewriting(client_hello: Change | None = None, server_hello: Change | None = None) -> Wire:
    """A path that rewrites hellos; the other records of a datagram pass as they are."""
    changes = {HandshakeType.CLIENT_HELLO: client_hello, HandshakeType.SERVER_HELLO: server_hello}

    def wire(sent: Datagram) -> list[tuple[float, bytes]]:
        rewritten = b""
        for record in sent.records:
            fragment = record.fragment
            change = changes.get(fragment[0]) if record.type == 22 and not record.epoch else None
            if change is not None:
                kind, seq = HandshakeType(fragment[0]), int.from_bytes(fragment[4:6], "big")
                hello = change(HELLOS[kind].parse_untrusted(fragment[HEADER_BYTES:]))
                fragment = HandshakeMessage(kind, seq, hello.encode()).encode()
            rewritten += encode_record(record.type, record.version, record.epoch, record.sequence, fragment)
        return [(0.0, rewritten)]

    return wire


def fields(**changes: Any) -> Change:
    """Other fields of a hello; a function is given the old one."""

    def change(hello: Any) -> Any:
        new = {name: to(getattr(hello, name)) if callable(to) else to for name, to in changes.items()}
        return replace(hello, **new)

    return change


def extension(kind: int, data: bytes | None) -> Change:
    """One extension more, another, or (None) one less."""
    return fields(extensions=without(kind) if data is None else with_extension(kind, data))


def through(kind: str, wire: Wire, **unsafe: bool) -> Pair:
    return run(Pair(*configs(kind, **unsafe), wire=wire))


LAST_SUITES = {
    "p-256": suites.ECDHE_ECDSA_AES_128_CCM_8,
    "rsa": suites.ECDHE_RSA_AES_128_GCM,
    "psk": suites.PSK_AES_128_CCM_8,
}


@EVERY_KIND
def test_a_client_hello_stripped_of_the_better_suites_connects_nobody(kind):
    weakest = fields(suites=(LAST_SUITES[kind].code,))
    pair = through(kind, rewriting(client_hello=weakest))
    assert_never_connected(pair)


@pytest.mark.parametrize("kind", ["p-256", "psk"])
def test_a_server_hello_that_names_another_suite_that_was_offered_connects_nobody(kind):
    weakest = fields(suite=LAST_SUITES[kind].code)
    assert_never_connected(through(kind, rewriting(server_hello=weakest)))


@pytest.mark.parametrize("kind", ["p-256", "rsa"])
@pytest.mark.parametrize(
    ("extension_type", "left"),
    [
        (ExtensionType.SUPPORTED_GROUPS, [NamedGroup.SECP256R1]),
        (
            ExtensionType.SIGNATURE_ALGORITHMS,
            [SignatureScheme.ECDSA_SECP256R1_SHA256, SignatureScheme.RSA_PKCS1_SHA256],
        ),
    ],
)
def test_a_client_hello_stripped_of_groups_or_schemes_connects_nobody(kind, extension_type, left):
    stripped = extension(extension_type, integers(2, 2, left))
    assert_never_connected(through(kind, rewriting(client_hello=stripped)))


@EVERY_KIND
def test_the_extended_master_secret_cannot_be_stripped_even_where_it_may_be_missing(kind):
    """Both would do without it. But both offered it, and Finished shows that one did not hear that."""
    stripped = extension(ExtensionType.EXTENDED_MASTER_SECRET, None)
    wire = rewriting(client_hello=stripped)
    assert_never_connected(through(kind, wire, unsafe_allow_missing_extended_master_secret=True))
    pair = through(kind, wire)
    assert "RFC 7627" in pair.server.closed.reason, "where it may not be missing it is refused at once"


@EVERY_KIND
def test_stripped_from_both_hellos_it_is_missed_as_well(kind):
    stripped = extension(ExtensionType.EXTENDED_MASTER_SECRET, None)
    pair = through(kind, rewriting(stripped, stripped), unsafe_allow_missing_extended_master_secret=True)
    assert_never_connected(pair)


@EVERY_KIND
@pytest.mark.parametrize("version", [DTLS_1_0, 0x0303, 0x0100])
def test_a_version_that_was_lowered_on_the_way_connects_nobody(kind, version):
    assert_never_connected(through(kind, rewriting(client_hello=fields(version=version))))
    assert_never_connected(through(kind, rewriting(server_hello=fields(version=version))))


@EVERY_KIND
def test_a_version_that_was_raised_on_the_way_connects_nobody(kind):
    """The server answers a hello of DTLS 1.3 with 1.2, as it should; the transcripts still differ."""
    assert_never_connected(through(kind, rewriting(client_hello=fields(version=DTLS_1_2 - 1))))


@EVERY_KIND
def test_renegotiation_info_moved_to_the_signalling_suite_connects_nobody(kind):
    """To the server both mean the same, so it does not object; the client's transcript does."""

    def moved(hello: ClientHello) -> ClientHello:
        hello = extension(ExtensionType.RENEGOTIATION_INFO, None)(hello)
        return replace(hello, suites=(*hello.suites, RENEGOTIATION_SCSV))

    assert_never_connected(through(kind, rewriting(client_hello=moved)))


@EVERY_KIND
@pytest.mark.parametrize("to_server", [True, False])
def test_what_nobody_acts_upon_is_covered_as_well(kind, to_server):
    """An unknown extension, a random, a session ID: each bit of both hellos counts."""
    flip = fields(random=lambda old: old[:-1] + bytes([old[-1] ^ 1]))
    session = fields(session_id=b"elsewhere")
    unknown = extension(0x5A5A, b"grease")
    for change in (flip, session, unknown):
        wire = rewriting(client_hello=change) if to_server else rewriting(server_hello=change)
        assert_never_connected(through(kind, wire))


@EVERY_KIND
def test_a_path_that_rewrites_nothing_connects_both(kind):
    """The tests above would be content with a path that lets nothing through."""

    def same(hello: Any) -> Any:
        return hello

    assert through(kind, rewriting(same, same)).works()
