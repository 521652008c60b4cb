"""Raw public keys (RFC 7250): only the pin vouches for them, so it must hold and the key be proved."""

from __future__ import annotations

import pytest
from dtls_cases import assert_never_connected, assert_refused, run
from dtls_pair import Pair, certificate_of, client_config, server_config
from dtls_rogue import changed, client_hello, rogue_client, rogue_server, server_hello, with_extension
from small_pki import p256_key, small_pki

from twoway.dtls import AlertDescription, DTLSConfig, HandshakeKind, RawKeyCredential
from twoway.dtls.messages.certificates import Certificate, CertificateType, RawPublicKey
from twoway.dtls.messages.handshake import HandshakeType
from twoway.dtls.messages.hello import ExtensionType
from twoway.identity import RawPublicKeyIdentity

CLIENT, SERVER, THIEF = (
    RawKeyCredential.of(p256_key(f"raw {name}")) for name in ("client", "server", "thief")
)
CERTIFICATE = HandshakeType.CERTIFICATE
DECRYPT_ERROR = AlertDescription.DECRYPT_ERROR
NOT_PINNED = AlertDescription.CERTIFICATE_UNKNOWN


def client(raw_key: RawKeyCredential = CLIENT, pin: bytes = SERVER.pin, **changes) -> DTLSConfig:
    return DTLSConfig(raw_key=raw_key, raw_key_pins=frozenset({pin}), **changes)


def server(raw_key: RawKeyCredential = SERVER, pin: bytes = CLIENT.pin, **changes) -> DTLSConfig:
    return client(raw_key, pin, **changes)


def test_two_pinned_keys_connect():
    """The tests below would be content with keys that nobody ever takes."""
    pair = Pair(client(), server()).connect()
    assert pair.works()
    assert pair.client.connected.peer == RawPublicKeyIdentity(SERVER.spki)
    assert pair.server.connected.peer == RawPublicKeyIdentity(CLIENT.spki)
    assert pair.client.connected.kind is pair.server.connected.kind is HandshakeKind.FULL


def test_a_key_that_is_not_pinned_is_refused_by_both_roles():
    pair = run(Pair(client(THIEF), server()))
    assert_refused(pair, by="server", alert=NOT_PINNED, why="not pinned")
    pair = run(Pair(client(), server(THIEF)))
    assert_refused(pair, by="client", alert=NOT_PINNED, why="not pinned")


@pytest.mark.parametrize("bit", range(0, 256, 37))
def test_every_bit_of_a_pin_counts(bit):
    pin = bytearray(CLIENT.pin)
    pin[bit // 8] ^= 1 << bit % 8
    pair = run(Pair(client(), server(pin=bytes(pin))))
    assert_refused(pair, by="server", alert=NOT_PINNED, why="not pinned")


def test_a_key_that_was_swapped_for_a_pinned_one_must_be_proved():
    """The thief shows the key that is pinned, which anybody can copy, and signs with their own."""
    shows_client = changed(CERTIFICATE, lambda body: CLIENT.message)
    pair = run(Pair(client(THIEF), server(), client_handshake=rogue_client(shows_client)))
    assert_refused(pair, by="server", alert=DECRYPT_ERROR, why="not by the key")
    shows_server = changed(CERTIFICATE, lambda body: SERVER.message)
    pair = run(Pair(client(), server(THIEF), server_handshake=rogue_server(shows_server)))
    assert_refused(pair, by="client", alert=DECRYPT_ERROR, why="not by the key")


def test_a_key_that_was_swapped_on_the_way_is_refused():
    """Somebody on the path puts their own key in place of the client's."""

    def swapped(sent):
        data = sent.data.replace(CLIENT.spki, THIEF.spki)
        return [(0.0, data)]

    pair = run(Pair(client(), server(), wire=swapped))
    assert_refused(pair, by="server", alert=NOT_PINNED, why="not pinned")


def test_the_servers_own_key_does_not_pass_for_the_clients():
    """Reflection: what a server shows is good for itself alone."""
    reflects = changed(CERTIFICATE, lambda body: SERVER.message)
    pair = run(Pair(client(), server(), client_handshake=rogue_client(reflects)))
    assert_refused(pair, by="server", alert=NOT_PINNED, why="not pinned")


@pytest.mark.parametrize(
    ("spki", "why"),
    [(b"", "not pinned"), (b"\x30\x00", "not pinned"), (SERVER.spki + b"\x00", "not pinned")],
    ids=["nothing", "an empty sequence", "a byte too many"],
)
def test_what_is_no_key_is_refused_by_both_roles(spki, why):
    shows = changed(CERTIFICATE, lambda body: RawPublicKey(spki).encode())
    pair = run(Pair(client(), server(), client_handshake=rogue_client(shows)))
    assert_refused(pair, by="server", alert=NOT_PINNED, why=why)
    pair = run(Pair(client(), server(), server_handshake=rogue_server(shows)))
    assert_refused(pair, by="client", alert=NOT_PINNED, why=why)


# --- certificate and raw key mistaken for one another -----------------------------------------------------


def both(raw_key: RawKeyCredential, credential, pin: bytes) -> DTLSConfig:
    """Somebody who has a raw key and a certificate and takes either."""
    return DTLSConfig(
        raw_key=raw_key,
        raw_key_pins=frozenset({pin}),
        certificate=certificate_of(credential),
        trust=small_pki().trust,
    )


def test_a_certificate_where_a_raw_key_was_agreed_is_refused_by_both_roles():
    """Even one whose key is pinned: what was agreed is what is read."""
    chain = changed(CERTIFICATE, lambda body: Certificate(small_pki().subscriber.chain).encode())
    pair = run(Pair(client(), server(), client_handshake=rogue_client(chain)))
    assert not pair.server.connected
    assert pair.server.closed.alert in (NOT_PINNED, AlertDescription.DECODE_ERROR)
    pair = run(Pair(client(), server(), server_handshake=rogue_server(chain)))
    assert not pair.client.connected
    assert pair.client.closed.alert in (NOT_PINNED, AlertDescription.DECODE_ERROR)


def test_a_raw_key_where_a_certificate_was_agreed_is_refused_by_both_roles():
    shows = changed(CERTIFICATE, lambda body: CLIENT.message)
    pair = run(Pair(client_handshake=rogue_client(shows)))
    assert not pair.server.connected
    assert pair.server.closed.alert
    pair = run(Pair(server_handshake=rogue_server(shows)))
    assert not pair.client.connected
    assert pair.client.closed.alert


@pytest.mark.parametrize(
    "extension", [ExtensionType.CLIENT_CERTIFICATE_TYPE, ExtensionType.SERVER_CERTIFICATE_TYPE]
)
def test_the_type_cannot_be_changed_on_the_way(extension):
    """Both could do with certificates as well; but one of them offered raw keys first, and it knows."""
    client_side = both(CLIENT, small_pki().subscriber, SERVER.pin)
    server_side = both(SERVER, small_pki().publisher_p256, CLIENT.pin)
    assert Pair(client_side, server_side).connect().works()
    x509_alone = bytes([1, CertificateType.X509])
    offered = bytes([2, CertificateType.RAW_PUBLIC_KEY, CertificateType.X509])
    header = extension.to_bytes(2, "big")

    def weaker(sent):
        # The list keeps its length, so the record does too: X.509 is named twice.
        old = header + b"\x00\x03" + offered
        new = header + b"\x00\x03" + b"\x02" + x509_alone[1:] * 2
        return [(0.0, sent.data.replace(old, new))]

    assert_never_connected(run(Pair(client_side, server_side, wire=weaker)))


@pytest.mark.parametrize("kind", [1, 3, 255])
def test_a_server_that_answers_with_a_type_that_was_not_offered_is_refused(kind):
    for extension in (ExtensionType.CLIENT_CERTIFICATE_TYPE, ExtensionType.SERVER_CERTIFICATE_TYPE):
        answer = server_hello(extensions=with_extension(extension, bytes([kind])))
        pair = run(Pair(client(), server(), server_handshake=rogue_server(answer)))
        assert not pair.client.connected
        assert pair.client.closed.alert in (
            AlertDescription.ILLEGAL_PARAMETER,
            AlertDescription.UNSUPPORTED_CERTIFICATE,
        )


def test_a_server_that_judges_certificates_alone_takes_no_raw_key():
    pair = run(Pair(client(), server_config()))
    alert = AlertDescription.UNSUPPORTED_CERTIFICATE
    assert_refused(pair, by="server", alert=alert, why="no certificate type in common")
    offers = client_hello(
        extensions=with_extension(
            ExtensionType.CLIENT_CERTIFICATE_TYPE, bytes([1, CertificateType.RAW_PUBLIC_KEY])
        )
    )
    pair = run(Pair(client_config(), server_config(), client_handshake=rogue_client(**offers)))
    assert_refused(pair, by="server", alert=alert, why="no certificate type in common")


# --- revocation -------------------------------------------------------------------------------------------


def refuses_to_say(identity) -> bool:
    raise OSError("the list cannot be read")


@pytest.mark.parametrize("is_revoked", [lambda identity: True, refuses_to_say], ids=["revoked", "unknown"])
@pytest.mark.parametrize("kind", ["raw key", "certificate"])
def test_a_revoked_identity_is_refused_and_so_is_one_that_cannot_be_asked_about(kind, is_revoked):
    if kind == "raw key":
        sides = [(client(is_revoked=is_revoked), server()), (client(), server(is_revoked=is_revoked))]
    else:
        sides = [
            (client_config(is_revoked=is_revoked), server_config()),
            (client_config(), server_config(is_revoked=is_revoked)),
        ]
    for by, (client_side, server_side) in zip(("client", "server"), sides, strict=True):
        pair = run(Pair(client_side, server_side))
        assert_refused(pair, by=by, alert=AlertDescription.CERTIFICATE_REVOKED, why="revoked")
