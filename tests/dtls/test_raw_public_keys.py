"""Raw public keys (RFC 7250): only a pinned key is believed, of a type that both sides wanted, and proved."""

from __future__ import annotations

from dataclasses import replace
from hashlib import sha256

import pytest
from cryptography.hazmat.primitives.asymmetric import ed448
from dtls_cases import assert_refused, run
from dtls_pair import Pair, certificate_of, client_config, server_config
from dtls_rogue import (
    changed,
    client_hello,
    rogue_client,
    rogue_server,
    server_hello,
    with_extension,
    without,
)
from dtls_worlds import kinds, raw_key_configs
from small_pki import ed25519_key, p256_key, rsa_key, small_pki

from twoway.dtls import AlertDescription, DTLSConfig, HandshakeKind, RawKeyCredential, SignatureScheme
from twoway.dtls.messages.certificates import Certificate, RawPublicKey
from twoway.dtls.messages.handshake import HandshakeType
from twoway.dtls.messages.hello import ExtensionType
from twoway.dtls.signatures import sign
from twoway.errors import ConfigurationError
from twoway.identity import RawPublicKeyIdentity, Unauthenticated

PKI = small_pki()
UNKNOWN = AlertDescription.CERTIFICATE_UNKNOWN
UNSUPPORTED = AlertDescription.UNSUPPORTED_CERTIFICATE
CLIENT_TYPE, SERVER_TYPE = ExtensionType.CLIENT_CERTIFICATE_TYPE, ExtensionType.SERVER_CERTIFICATE_TYPE
OWN_KEY, PEER_KEY = PKI.subscriber.private_key, PKI.publisher_p256.private_key
OWN, PEER = RawKeyCredential.of(OWN_KEY), RawKeyCredential.of(PEER_KEY)


def shows_key(spki: bytes):
    return changed(HandshakeType.CERTIFICATE, lambda body: RawPublicKey(spki).encode())


def pair_of_keys(**changes) -> Pair:
    return Pair(*raw_key_configs(), **changes)


# --- pins -------------------------------------------------------------------------------------------------


def test_a_key_that_is_not_pinned_is_refused_by_either_side():
    client, server = raw_key_configs()
    stranger = RawKeyCredential.of(p256_key("stranger"))
    pair = run(Pair(replace(client, raw_key=stranger), server))
    assert_refused(pair, by="server", alert=UNKNOWN, why="not pinned")
    pair = run(Pair(client, replace(server, raw_key=stranger)))
    assert_refused(pair, by="client", alert=UNKNOWN, why="not pinned")


def test_a_pinned_key_that_is_shown_without_being_held_is_refused():
    """Everybody may know a public key; the signature is what counts."""
    for by, rogue in (
        ("server", {"client_handshake": rogue_client(shows_key(OWN.spki))}),
        ("client", {"server_handshake": rogue_server(shows_key(PEER.spki))}),
    ):
        client, server = raw_key_configs()
        thief = RawKeyCredential.of(p256_key("thief"))
        if by == "server":
            client = replace(client, raw_key=thief)
        else:
            server = replace(server, raw_key=thief)
        pair = run(Pair(client, server, **rogue))
        assert_refused(pair, by=by, alert=AlertDescription.DECRYPT_ERROR, why="not by the key")


def test_a_pin_is_of_the_whole_key():
    """An unused bit, a byte after the end: another encoding is another key."""
    for spki in (PEER.spki + b"\x00", PEER.spki[:-1], bytes([PEER.spki[0] ^ 1]) + PEER.spki[1:]):
        pair = run(pair_of_keys(server_handshake=rogue_server(shows_key(spki))))
        assert_refused(pair, by="client", alert=UNKNOWN, why="not pinned")


def test_a_pinned_key_that_nothing_can_be_verified_with_is_refused():
    junk = b"\x30\x03\x02\x01\x00"
    pins = frozenset({sha256(junk).digest()})
    client, server = raw_key_configs()
    rogue = rogue_client(shows_key(junk))
    pair = run(Pair(client, replace(server, raw_key_pins=pins), client_handshake=rogue))
    assert_refused(pair, by="server", alert=UNSUPPORTED, why="cannot be read")
    rogue = rogue_server(shows_key(junk))
    pair = run(Pair(replace(client, raw_key_pins=pins), server, server_handshake=rogue))
    assert_refused(pair, by="client", alert=UNSUPPORTED, why="cannot be read")


def test_a_pinned_key_of_a_kind_that_no_signature_of_ours_is_made_with_is_refused():
    other = ed448.Ed448PrivateKey.generate()
    credential = RawKeyCredential(other.public_key())
    client, server = raw_key_configs()
    pins = frozenset({credential.pin})
    rogue = rogue_client(shows_key(credential.spki))
    pair = run(Pair(client, replace(server, raw_key_pins=pins), client_handshake=rogue))
    assert_refused(pair, by="server", alert=AlertDescription.ILLEGAL_PARAMETER, why="does not fit its key")
    rogue = rogue_server(shows_key(credential.spki))
    pair = run(Pair(replace(client, raw_key_pins=pins), server, server_handshake=rogue))
    assert_refused(pair, by="client", alert=UNSUPPORTED, why="another kind than its suite")


def test_a_pinned_key_must_fit_the_suite():
    rsa = RawKeyCredential.of(rsa_key())
    client, server = raw_key_configs()
    client = replace(client, raw_key_pins=frozenset({PEER.pin, rsa.pin}))
    pair = run(Pair(client, server, server_handshake=rogue_server(shows_key(rsa.spki))))
    assert_refused(pair, by="client", alert=UNSUPPORTED, why="another kind than its suite")


def looked_up(answer) -> DTLSConfig:
    """A server that has no pins and asks for each key."""
    _, server = raw_key_configs()
    return replace(server, raw_key_pins=frozenset(), raw_key_lookup=answer)


def test_a_key_that_the_lookup_knows_is_believed():
    client, _ = raw_key_configs()
    pair = Pair(client, looked_up(lambda peer: peer == RawPublicKeyIdentity(OWN.spki))).connect()
    assert pair.server.connected.peer == RawPublicKeyIdentity(OWN.spki)


def raising(peer: RawPublicKeyIdentity) -> bool:
    raise LookupError


@pytest.mark.parametrize("answer", [lambda peer: False, lambda peer: None, lambda peer: 1, raising])
def test_whatever_the_lookup_answers_but_true_is_no(answer):
    client, _ = raw_key_configs()
    pair = run(Pair(client, looked_up(answer)))
    assert_refused(pair, by="server", alert=UNKNOWN, why="not pinned")


@pytest.mark.parametrize("size", [0, 20, 31, 33, 64])
def test_a_pin_has_32_bytes(size):
    with pytest.raises(ConfigurationError, match="32 bytes"):
        DTLSConfig(raw_key=OWN, raw_key_pins=frozenset({PEER.pin, bytes(size)}))


def test_a_raw_key_that_is_not_the_public_key_is_refused():
    with pytest.raises(ConfigurationError, match="does not belong"):
        RawKeyCredential(PEER_KEY.public_key(), OWN_KEY)


def test_the_key_itself_is_never_printed():
    assert PEER.spki.hex() not in repr(PEER)
    assert repr(PEER) == "RawKeyCredential()"


# --- an empty key -----------------------------------------------------------------------------------------


def shows_nothing(saying):
    kind, _, epoch = saying
    if kind == HandshakeType.CERTIFICATE:
        return [(kind, RawPublicKey(b"").encode(), epoch)]
    return [] if kind == HandshakeType.CERTIFICATE_VERIFY else [saying]


def test_an_empty_key_is_refused_where_both_must_prove_themselves():
    pair = run(pair_of_keys(client_handshake=rogue_client(shows_nothing)))
    assert_refused(pair, by="server", alert=UNKNOWN, why="not pinned")


def test_an_empty_key_of_a_server_is_refused():
    pair = run(pair_of_keys(server_handshake=rogue_server(shows_key(b""))))
    assert_refused(pair, by="client", alert=UNKNOWN, why="not pinned")


def test_an_empty_key_is_nobody_where_that_is_admitted():
    client, server = raw_key_configs()
    client = replace(client, admit=kinds(HandshakeKind.SERVER_AUTHENTICATED))
    server = replace(server, admit=kinds(HandshakeKind.SERVER_AUTHENTICATED, HandshakeKind.FULL))
    pair = Pair(client, server).connect()
    assert pair.server.connected.peer == Unauthenticated()
    assert pair.server.connected.kind is HandshakeKind.SERVER_AUTHENTICATED


# --- one type for another ---------------------------------------------------------------------------------


def shows_chain(saying):
    kind, _, epoch = saying
    body = Certificate(PKI.publisher_p256.chain).encode()
    return [(kind, body, epoch)] if kind == HandshakeType.CERTIFICATE else [saying]


def test_a_certificate_in_the_place_of_a_raw_key_is_refused_by_both_roles():
    pair = run(pair_of_keys(server_handshake=rogue_server(shows_chain)))
    assert_refused(pair, by="client", alert=UNKNOWN, why="not pinned")
    pair = run(pair_of_keys(client_handshake=rogue_client(shows_chain)))
    assert_refused(pair, by="server", alert=UNKNOWN, why="not pinned")


def test_a_raw_key_in_the_place_of_a_certificate_is_refused_by_both_roles():
    """Pinned or not: the type that was negotiated decides how the message is read."""
    client = client_config(raw_key_pins=frozenset({PEER.pin}))
    server = server_config(raw_key_pins=frozenset({OWN.pin}))
    x509_alone = client_hello(extensions=without(SERVER_TYPE))
    pair = run(
        Pair(
            client,
            server_config(),
            client_handshake=rogue_client(**x509_alone),
            server_handshake=rogue_server(shows_key(PEER.spki)),
        )
    )
    assert_refused(pair, by="client", alert=AlertDescription.DECODE_ERROR, why="Certificate")
    pair = run(Pair(client_config(), server, client_handshake=rogue_client(shows_key(OWN.spki))))
    assert_refused(pair, by="server", alert=AlertDescription.DECODE_ERROR, why="Certificate")


@pytest.mark.parametrize("server_is_raw", [True, False])
@pytest.mark.parametrize("client_is_raw", [True, False])
def test_each_side_may_show_another_type(client_is_raw, server_is_raw):
    client = DTLSConfig(
        raw_key=OWN if client_is_raw else None,
        certificate=None if client_is_raw else certificate_of(PKI.subscriber),
        raw_key_pins=frozenset({PEER.pin}) if server_is_raw else frozenset(),
        trust=None if server_is_raw else PKI.trust,
    )
    server = DTLSConfig(
        raw_key=PEER if server_is_raw else None,
        certificate=None if server_is_raw else certificate_of(PKI.publisher_p256),
        raw_key_pins=frozenset({OWN.pin}) if client_is_raw else frozenset(),
        trust=None if client_is_raw else PKI.trust,
    )
    pair = Pair(client, server).connect()
    raw_client, raw_server = RawPublicKeyIdentity(OWN.spki), RawPublicKeyIdentity(PEER.spki)
    assert pair.server.connected.peer == (raw_client if client_is_raw else PKI.subscriber.identity)
    assert pair.client.connected.peer == (raw_server if server_is_raw else PKI.publisher_p256.identity)
    assert pair.client.connected.kind is pair.server.connected.kind is HandshakeKind.FULL
    assert pair.works()


def both(own: RawKeyCredential, pin: bytes, config: DTLSConfig) -> DTLSConfig:
    """A configuration with certificates, and raw keys beside them."""
    return replace(config, raw_key=own, raw_key_pins=frozenset({pin}))


def test_of_two_types_in_common_the_clients_first_is_taken():
    everything = both(OWN, PEER.pin, client_config()), both(PEER, OWN.pin, server_config())
    pair = Pair(*everything).connect()
    assert pair.client.connected.peer == RawPublicKeyIdentity(PEER.spki)
    assert pair.server.connected.peer == RawPublicKeyIdentity(OWN.spki)
    x509_first = {CLIENT_TYPE: b"\x02\x00\x02", SERVER_TYPE: b"\x02\x00\x02"}
    rogue = rogue_client(**client_hello(extensions=lambda extensions: {**extensions, **x509_first}))
    pair = Pair(*everything, client_handshake=rogue).connect()
    assert pair.client.connected.peer == PKI.publisher_p256.identity
    assert pair.server.connected.peer == PKI.subscriber.identity


def test_an_endpoint_with_certificates_alone_does_not_speak_of_types():
    """RFC 7250 section 4.1: a list of X.509 alone is left out."""
    hello = Pair().connect().client.handshake._hello
    assert not {CLIENT_TYPE, SERVER_TYPE} & set(hello.extensions)


# --- types that were not offered --------------------------------------------------------------------------


def test_a_server_that_does_not_speak_of_types_has_a_certificate_to_show():
    """The client takes raw keys alone; what comes is not even read."""
    rogue = rogue_server(server_hello(extensions=without(SERVER_TYPE)))
    pair = run(pair_of_keys(server_handshake=rogue))
    assert_refused(pair, by="client", alert=UNSUPPORTED, why="type not offered")


@pytest.mark.parametrize("kind", [0, 1, 3, 255])
def test_a_type_that_the_client_cannot_judge_is_refused(kind):
    rogue = rogue_server(server_hello(extensions=with_extension(SERVER_TYPE, bytes([kind]))))
    pair = run(pair_of_keys(server_handshake=rogue))
    assert_refused(pair, by="client", alert=UNSUPPORTED, why="type not offered")


@pytest.mark.parametrize("kind", [0, 1, 3, 255])
def test_a_type_that_the_client_cannot_show_is_refused(kind):
    rogue = rogue_server(server_hello(extensions=with_extension(CLIENT_TYPE, bytes([kind]))))
    pair = run(pair_of_keys(server_handshake=rogue))
    assert_refused(pair, by="client", alert=AlertDescription.ILLEGAL_PARAMETER, why="not offered")


def test_a_client_with_a_raw_key_alone_shows_nothing_to_a_server_that_wants_a_certificate():
    rogue = rogue_server(server_hello(extensions=without(CLIENT_TYPE)))
    pair = run(pair_of_keys(server_handshake=rogue))
    assert_refused(pair, by="client", alert=AlertDescription.HANDSHAKE_FAILURE, why="our key")


@pytest.mark.parametrize("extension", [CLIENT_TYPE, SERVER_TYPE], ids=lambda extension: extension.name)
def test_an_answer_about_types_that_nobody_asked_for_is_refused(extension):
    rogue = rogue_server(server_hello(extensions=with_extension(extension, b"\x02")))
    pair = run(Pair(server_handshake=rogue))
    assert_refused(pair, by="client", alert=AlertDescription.UNSUPPORTED_EXTENSION, why="not offered")


@pytest.mark.parametrize("extension", [CLIENT_TYPE, SERVER_TYPE], ids=lambda extension: extension.name)
@pytest.mark.parametrize("data", [b"", b"\x02\x00", b"\x01\x02"])
def test_a_malformed_answer_is_refused(extension, data):
    rogue = rogue_server(server_hello(extensions=with_extension(extension, data)))
    pair = run(pair_of_keys(server_handshake=rogue))
    assert_refused(pair, by="client", alert=AlertDescription.DECODE_ERROR, why=extension.name.lower())


@pytest.mark.parametrize("extension", [CLIENT_TYPE, SERVER_TYPE], ids=lambda extension: extension.name)
@pytest.mark.parametrize("data", [b"", b"\x00", b"\x02\x02", b"\x01\x02\x00"])
def test_a_malformed_offer_is_refused(extension, data):
    rogue = rogue_client(**client_hello(extensions=with_extension(extension, data)))
    pair = run(pair_of_keys(client_handshake=rogue))
    assert_refused(pair, by="server", alert=AlertDescription.DECODE_ERROR, why=extension.name.lower())


@pytest.mark.parametrize("extension", [CLIENT_TYPE, SERVER_TYPE], ids=lambda extension: extension.name)
def test_a_server_refuses_an_offer_without_a_type_in_common(extension):
    """RFC 7250 section 4.2: with unsupported_certificate."""
    rogue = rogue_client(**client_hello(extensions=with_extension(extension, b"\x02\x00\x01")))
    pair = run(pair_of_keys(client_handshake=rogue))
    assert_refused(pair, by="server", alert=UNSUPPORTED, why="no certificate type in common")


@pytest.mark.parametrize("kind", [1, 3, 255])
@pytest.mark.parametrize("extension", [CLIENT_TYPE, SERVER_TYPE], ids=lambda extension: extension.name)
def test_a_certificate_is_no_answer_to_a_type_that_nobody_knows(extension, kind):
    rogue = rogue_client(**client_hello(extensions=with_extension(extension, bytes([1, kind]))))
    pair = run(Pair(client_handshake=rogue))
    assert_refused(pair, by="server", alert=UNSUPPORTED, why="no certificate type in common")
    everything = both(OWN, PEER.pin, client_config()), both(PEER, OWN.pin, server_config())
    rogue = rogue_server(server_hello(extensions=with_extension(extension, bytes([kind]))))
    alert = UNSUPPORTED if extension is SERVER_TYPE else AlertDescription.ILLEGAL_PARAMETER
    pair = run(Pair(*everything, server_handshake=rogue))
    assert_refused(pair, by="client", alert=alert, why="type")


def test_certificates_and_raw_keys_have_nothing_in_common():
    client, server = raw_key_configs()
    for pair in (Pair(client, server_config()), Pair(client_config(), server)):
        assert_refused(run(pair), by="server", alert=UNSUPPORTED, why="no certificate type in common")


def test_types_that_nobody_knows_are_passed_over():
    offer = {CLIENT_TYPE: b"\x03\x01\x63\x02", SERVER_TYPE: b"\x03\x01\x63\x02"}
    rogue = rogue_client(**client_hello(extensions=lambda extensions: {**extensions, **offer}))
    assert pair_of_keys(client_handshake=rogue).connect().works()


def test_a_raw_key_that_lives_elsewhere_signs_by_a_request():
    key = ed25519_key("hardware")
    client, server = raw_key_configs(key)
    pair = Pair(replace(client, raw_key=RawKeyCredential(key.public_key())), server)
    pair.signer = lambda request: sign(key, SignatureScheme(request.scheme), request.data)
    assert pair.connect().works()
    assert pair.server.connected.peer == RawPublicKeyIdentity(RawKeyCredential.of(key).spki)
