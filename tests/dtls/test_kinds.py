"""Kinds of handshake: what completes is what both sides admit, and nobody passes for more than was proved."""

from __future__ import annotations

from dataclasses import replace

import pytest
from dtls_cases import assert_never_connected, assert_refused, run
from dtls_pair import PSK_NAME, Pair, client_config, psk_client_config, psk_server_config, server_config
from dtls_rogue import changed, client_hello, missing, rogue_client, rogue_server, server_hello
from dtls_worlds import ANONYMOUS_ALONE, kinds, one_sided_client, one_sided_server
from small_pki import Flaw, small_pki

from twoway.dtls import AlertDescription, DTLSConfig, HandshakeKind, suites
from twoway.dtls.client import ClientHandshake
from twoway.dtls.messages.certificates import Certificate, CertificateRequest
from twoway.dtls.messages.handshake import HandshakeType
from twoway.dtls.server import ServerHandshake
from twoway.errors import ConfigurationError
from twoway.identity import PSKIdentity, Unauthenticated

HANDSHAKE_FAILURE = AlertDescription.HANDSHAKE_FAILURE
LETTERS = {
    "A": HandshakeKind.ANONYMOUS,
    "S": HandshakeKind.SERVER_AUTHENTICATED,
    "F": HandshakeKind.FULL,
}
OUTCOMES = """
client  F  S  A  FS FA SA FSA
F       F  -  -  F  F  -  F
S       -  S  -  S  -  S  S
A       -  -  A  -  A  A  A
FS      F  S  -  F  F  S  F
FA      F  -  A  F  F  -  F
SA      -  S  A  S  -  S  S
FSA     F  S  A  F  F  S  F
"""
"""What the client admits, down; what the server admits, across; both have certificates and trust anchors. A
server with a certificate begins with it, whatever else would do: where that leads to no kind that both admit,
nothing completes, even if both admit a lesser one."""


def policies() -> list[tuple[str, str, str]]:
    head, *rows = (line.split() for line in OUTCOMES.split("\n") if line)
    return [(row[0], server, cell) for row in rows for server, cell in zip(head[1:], row[1:], strict=True)]


def policy(letters: str) -> dict[str, frozenset[HandshakeKind]]:
    return {"admit": kinds(*(LETTERS[letter] for letter in letters))}


@pytest.mark.parametrize(("client", "server", "outcome"), policies())
def test_what_completes_is_what_both_admit(client, server, outcome):
    pair = run(Pair(client_config(**policy(client)), server_config(**policy(server))))
    if outcome == "-":
        assert_never_connected(pair)
        return
    kind = LETTERS[outcome]
    pki = small_pki()
    nobody = Unauthenticated()
    assert pair.client.connected.kind is pair.server.connected.kind is kind
    assert pair.client.connected.peer == (
        nobody if kind is HandshakeKind.ANONYMOUS else pki.publisher_p256.identity
    )
    assert pair.server.connected.peer == (pki.subscriber.identity if kind is HandshakeKind.FULL else nobody)
    assert pair.works()


@pytest.mark.parametrize("server", ["F", "A", "FS", "FA", "SA", "FSA"])
@pytest.mark.parametrize("client", ["F", "A", "FS", "FA", "SA", "FSA"])
def test_a_pre_shared_key_proves_both_sides_or_is_not_used(client, server):
    pair = run(Pair(psk_client_config(**policy(client)), psk_server_config(**policy(server))))
    common = set(client) & set(server)
    if "F" in common:
        assert pair.client.connected.kind is pair.server.connected.kind is HandshakeKind.FULL
        assert pair.client.connected.peer == pair.server.connected.peer == PSKIdentity(PSK_NAME)
    elif "A" in common:
        assert pair.client.connected.kind is pair.server.connected.kind is HandshakeKind.ANONYMOUS
        assert pair.client.connected.peer == pair.server.connected.peer == Unauthenticated()
    else:
        assert_never_connected(pair)


@pytest.mark.parametrize("config", [psk_client_config, psk_server_config])
def test_a_pre_shared_key_cannot_prove_one_side_alone(config):
    with pytest.raises(ConfigurationError, match="no cipher suite is left"):
        config(**policy("S"))


# --- nobody passes for more than was proved ---------------------------------------------------------------


def shows_nothing(saying):
    """An empty certificate list, and hence no CertificateVerify."""
    kind, _, epoch = saying
    if kind == HandshakeType.CERTIFICATE:
        return [(kind, Certificate(()).encode(), epoch)]
    return [] if kind == HandshakeType.CERTIFICATE_VERIFY else [saying]


def test_a_client_that_shows_nothing_is_refused_where_both_must_prove_themselves():
    pair = run(Pair(client_handshake=rogue_client(shows_nothing)))
    assert_refused(pair, by="server", alert=HANDSHAKE_FAILURE, why="certificate")


def test_a_client_that_shows_nothing_is_nobody_where_that_is_admitted():
    both = kinds(HandshakeKind.FULL, HandshakeKind.SERVER_AUTHENTICATED)
    pair = Pair(one_sided_client(), server_config(admit=both)).connect()
    assert pair.server.connected.kind is HandshakeKind.SERVER_AUTHENTICATED
    assert pair.server.connected.peer == Unauthenticated()
    assert pair.works()


@pytest.mark.parametrize("admit", ["F", "FS", "FSA"])
def test_a_certificate_without_the_proof_of_its_key_is_not_passed_over(admit):
    """Shown and not proved: a one-sided handshake is not what the client asked for either."""
    rogue = rogue_client(missing(HandshakeType.CERTIFICATE_VERIFY))
    pair = run(Pair(server=server_config(**policy(admit)), client_handshake=rogue))
    assert not pair.server.connected
    assert not pair.client.connected


@pytest.mark.parametrize("flaw", [Flaw.OTHER_CA, Flaw.EXPIRED, Flaw.SERVER_ONLY], ids=lambda flaw: flaw.name)
def test_a_flawed_certificate_is_refused_and_not_taken_for_none(flaw):
    both = kinds(HandshakeKind.FULL, HandshakeKind.SERVER_AUTHENTICATED)
    pair = run(Pair(client_config(small_pki().flawed(flaw)), server_config(admit=both)))
    assert not pair.server.connected
    assert not pair.client.connected
    assert pair.server.closed.alert is not HANDSHAKE_FAILURE


def test_a_server_that_does_not_ask_is_refused_by_a_client_that_wants_to_be_known():
    pair = run(Pair(server_handshake=rogue_server(missing(HandshakeType.CERTIFICATE_REQUEST))))
    assert_refused(pair, by="client", alert=HANDSHAKE_FAILURE, why="does not ask for our certificate")


def test_a_client_shows_its_certificate_to_nobody_unless_it_admits_that():
    """Admitting the one-sided kind alone, it stays nobody even for a server that asks."""
    config = client_config(admit=kinds(HandshakeKind.SERVER_AUTHENTICATED))
    both = kinds(HandshakeKind.FULL, HandshakeKind.SERVER_AUTHENTICATED)
    pair = Pair(config, server_config(admit=both)).connect()
    assert small_pki().subscriber.chain[0] not in b"".join(sent.data for sent in pair.sent)
    assert pair.server.connected.peer == Unauthenticated()


@pytest.mark.parametrize("wanted", [{"schemes": (0x0401,)}, {"types": (1,)}], ids=["scheme", "type"])
def test_a_client_whose_key_is_not_taken_goes_on_as_nobody_only_where_that_is_admitted(wanted):
    def asks(body):
        return replace(CertificateRequest.parse_untrusted(body), **wanted).encode()

    both = kinds(HandshakeKind.FULL, HandshakeKind.SERVER_AUTHENTICATED)
    rogue = rogue_server(changed(HandshakeType.CERTIFICATE_REQUEST, asks))
    pair = run(Pair(server=server_config(admit=both), server_handshake=rogue))
    assert_refused(pair, by="client", alert=HANDSHAKE_FAILURE, why="no signature that our key can make")
    pair = Pair(client_config(admit=both), server_config(admit=both), server_handshake=rogue).connect()
    assert pair.client.connected.kind is pair.server.connected.kind is HandshakeKind.SERVER_AUTHENTICATED


def test_a_server_is_judged_in_a_one_sided_handshake_too():
    for flaw in (Flaw.OTHER_CA, Flaw.EXPIRED, Flaw.CLIENT_ONLY):
        pair = run(Pair(one_sided_client(), one_sided_server(small_pki().flawed(flaw))))
        assert not pair.client.connected
        assert not pair.server.connected


# --- anonymous handshakes ---------------------------------------------------------------------------------

ANON = suites.ECDH_ANON_AES_128_CBC_SHA


def test_an_anonymous_suite_is_not_offered_unless_admitted():
    pair = Pair().connect()
    assert ANON.code not in pair.client.handshake._hello.suites
    assert ANON in pair.client.association._config.suites


@pytest.mark.parametrize("admit", ["F", "S", "FS"])
def test_an_anonymous_suite_is_not_taken_from_a_server_unless_admitted(admit):
    """The server chooses it although nobody offered it."""
    rogue = rogue_server(server_hello(suite=ANON.code))
    both = kinds(HandshakeKind.FULL, HandshakeKind.SERVER_AUTHENTICATED)
    pair = run(Pair(client_config(**policy(admit)), server_config(admit=both), server_handshake=rogue))
    assert_refused(pair, by="client", alert=AlertDescription.ILLEGAL_PARAMETER, why="not offered")


@pytest.mark.parametrize("admit", ["F", "S", "FS"])
def test_an_anonymous_suite_is_not_taken_from_a_client_unless_admitted(admit):
    rogue = rogue_client(**client_hello(suites=(ANON.code,)))
    pair = run(Pair(server=server_config(**policy(admit)), client_handshake=rogue))
    assert_refused(pair, by="server", alert=HANDSHAKE_FAILURE, why="in common")


def test_an_anonymous_handshake_names_nobody():
    pair = Pair(ANONYMOUS_ALONE, ANONYMOUS_ALONE).connect()
    assert pair.client.connected.peer == pair.server.connected.peer == Unauthenticated()
    assert pair.client.connected.kind is pair.server.connected.kind is HandshakeKind.ANONYMOUS


@pytest.mark.parametrize("config", [ANONYMOUS_ALONE, psk_server_config()], ids=["anonymous", "psk"])
def test_a_server_without_a_certificate_may_not_ask_for_one(config):
    """RFC 5246 section 7.4.4: only a server that is not anonymous may ask; RFC 4279 section 2 forbids it."""

    def asks(saying):
        request = CertificateRequest((64,), (0x0403,)).encode()
        is_done = saying[0] == HandshakeType.SERVER_HELLO_DONE
        return [(HandshakeType.CERTIFICATE_REQUEST, request, 0), saying] if is_done else [saying]

    client = ANONYMOUS_ALONE if config is ANONYMOUS_ALONE else psk_client_config()
    pair = run(Pair(client, config, server_handshake=rogue_server(asks)))
    assert_refused(pair, by="client", alert=AlertDescription.UNEXPECTED_MESSAGE, why="CertificateRequest")


def test_an_anonymous_server_that_shows_a_certificate_is_refused():
    chain = Certificate(small_pki().publisher_p256.chain).encode()

    def shows(saying):
        is_share = saying[0] == HandshakeType.SERVER_KEY_EXCHANGE
        return [(HandshakeType.CERTIFICATE, chain, 0), saying] if is_share else [saying]

    pair = run(Pair(ANONYMOUS_ALONE, ANONYMOUS_ALONE, server_handshake=rogue_server(shows)))
    assert_refused(pair, by="client", alert=AlertDescription.UNEXPECTED_MESSAGE, why="Certificate")


def test_a_signature_on_an_anonymous_share_is_refused():
    """It would be believed by nobody, and so it is not read."""
    say = changed(HandshakeType.SERVER_KEY_EXCHANGE, lambda body: body + b"\x04\x03\x00\x02\x30\x00")
    pair = run(Pair(ANONYMOUS_ALONE, ANONYMOUS_ALONE, server_handshake=rogue_server(say)))
    assert_refused(pair, by="client", alert=AlertDescription.DECODE_ERROR, why="ServerKeyExchange")


def test_no_configuration_admits_less_than_full_by_itself():
    assert client_config().admit == server_config().admit == psk_client_config().admit == {HandshakeKind.FULL}
    assert DTLSConfig.__dataclass_fields__["admit"].default == {HandshakeKind.FULL}


@pytest.mark.parametrize("side", ["client", "server"])
def test_what_is_not_admitted_is_not_handed_up_though_everything_before_let_it_pass(side):
    """The last look before a peer is called connected: here a fault of ours forgets what was proved."""
    engine = ClientHandshake if side == "client" else ServerHandshake

    class Forgetful(engine):
        def _complete(self, held):
            self._kind = HandshakeKind.ANONYMOUS
            super()._complete(held)

    pair = run(Pair(**{f"{side}_handshake": Forgetful}))
    closed = getattr(pair, side).closed
    assert not getattr(pair, side).connected
    assert closed.alert is HANDSHAKE_FAILURE
    assert "unauthenticated is not admitted" in closed.reason
