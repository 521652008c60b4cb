"""Negotiation: only what both sides want is spoken, and neither can be talked into something else."""

from __future__ import annotations

from dataclasses import replace

import pytest
from dtls_cases import assert_refused, run
from dtls_pair import Pair, client_config, psk_client_config, psk_server_config, server_config
from dtls_rogue import (
    changed,
    client_hello,
    rogue_client,
    rogue_server,
    server_hello,
    with_extension,
    without,
)
from dtls_worlds import ANONYMOUS_ALONE, kinds, one_sided_client, one_sided_server, raw_key_configs
from small_pki import small_pki

from twoway.dtls import (
    AlertDescription,
    DTLSConfig,
    HandshakeKind,
    NamedGroup,
    RawKeyCredential,
    SignatureScheme,
    suites,
)
from twoway.dtls.messages.certificates import CertificateRequest, CertificateType
from twoway.dtls.messages.handshake import HandshakeType
from twoway.dtls.messages.hello import RENEGOTIATION_SCSV, ExtensionType, ServerHello
from twoway.dtls.negotiation import Choice
from twoway.dtls.record import DTLS_1_0
from twoway.dtls.wire import integers, vector
from twoway.identity import RawPublicKeyIdentity

HANDSHAKE_FAILURE = AlertDescription.HANDSHAKE_FAILURE
ILLEGAL_PARAMETER = AlertDescription.ILLEGAL_PARAMETER
DECODE_ERROR = AlertDescription.DECODE_ERROR
PROTOCOL_VERSION = AlertDescription.PROTOCOL_VERSION
IN_COMMON = "in common"


def with_client_hello(**changes) -> Pair:
    return run(Pair(client_handshake=rogue_client(**client_hello(**changes))))


def with_server_hello(**changes) -> Pair:
    return run(Pair(server_handshake=rogue_server(server_hello(**changes))))


def said_hello(pair: Pair) -> ServerHello:
    """The ServerHello as it went over the wire."""
    record = next(sent for sent in pair.sent if not sent.to_server and len(sent.data) > 60).records[0]
    return ServerHello.parse_untrusted(record.fragment[12 : 12 + int.from_bytes(record.fragment[1:4], "big")])


# --- nothing in common ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("client", "server"),
    [
        ({"suites": (suites.ECDHE_ECDSA_AES_128_GCM,)}, {"suites": (suites.ECDHE_ECDSA_AES_128_CCM,)}),
        ({"groups": (NamedGroup.X25519,)}, {"groups": (NamedGroup.SECP256R1,)}),
        ({"signature_schemes": (SignatureScheme.RSA_PSS_RSAE_SHA256,)}, {}),
        ({"suites": (suites.ECDHE_RSA_AES_128_GCM,)}, {}),
    ],
    ids=["suites", "groups", "schemes", "kind of key"],
)
def test_a_server_refuses_a_client_with_nothing_in_common(client, server):
    pair = run(Pair(client_config(**client), server_config(**server)))
    assert_refused(pair, by="server", alert=HANDSHAKE_FAILURE, why=IN_COMMON)


@pytest.mark.parametrize("offered", [(), (0x0000,), (0x1301, 0x002F, 0xC024), (RENEGOTIATION_SCSV,)])
def test_suites_that_we_do_not_speak_are_passed_over(offered):
    ours = suites.ECDHE_ECDSA_AES_128_CCM_8
    if offered:
        pair = with_client_hello(suites=offered)
        assert_refused(pair, by="server", alert=HANDSHAKE_FAILURE, why=IN_COMMON)
    pair = with_client_hello(suites=(*offered, ours.code))
    assert pair.works()
    assert pair.server.connected.suite == ours.name


def test_the_curve_of_a_servers_certificate_must_be_among_the_groups_too():
    """RFC 8422 section 5.1: x25519 alone is enough for the exchange, but not for a P-256 certificate."""
    client = client_config(groups=(NamedGroup.X25519,))
    assert_refused(run(Pair(client)), by="server", alert=HANDSHAKE_FAILURE, why=IN_COMMON)
    rsa = Pair(client, server_config(small_pki().publisher_rsa)).connect()
    assert rsa.server.connected.group == "x25519"


def test_the_servers_preference_decides():
    pair = Pair(
        client_config(suites=suites.DEFAULT_SUITES[::-1], groups=tuple(NamedGroup)),
        server_config(groups=tuple(NamedGroup)[::-1]),
    ).connect()
    assert pair.client.connected.suite == suites.ECDHE_ECDSA_AES_128_GCM.name
    assert pair.client.connected.group == "x25519"


def test_a_server_with_both_credentials_takes_the_certificate_where_it_can():
    server = server_config(psk_lookup=psk_server_config().psk_lookup)
    assert Pair(client_config(), server).connect().server.connected.kind == HandshakeKind.FULL
    assert Pair(psk_client_config(), server).connect().server.connected.kind == HandshakeKind.FULL


def test_a_client_that_cannot_sign_what_the_server_takes_refuses():
    server = server_config(signature_schemes=(SignatureScheme.ECDSA_SECP256R1_SHA256,))
    pair = run(Pair(client_config(small_pki().publisher_rsa), server))
    assert_refused(pair, by="client", alert=HANDSHAKE_FAILURE, why="no signature that our key can make")


def test_a_request_for_schemes_that_we_did_not_offer_is_no_reason_to_use_them():
    say = changed(
        HandshakeType.CERTIFICATE_REQUEST, lambda body: CertificateRequest((64,), (0x0203, 0x0503)).encode()
    )
    pair = run(Pair(server_handshake=rogue_server(say)))
    assert_refused(pair, by="client", alert=HANDSHAKE_FAILURE, why="no signature that our key can make")


# --- version and compression ------------------------------------------------------------------------------


@pytest.mark.parametrize("version", [DTLS_1_0, 0xFDFF, 0x0303, 0x0100, 0x0000])
def test_a_client_of_an_older_version_or_of_another_protocol_is_refused(version):
    pair = with_client_hello(version=version)
    assert_refused(pair, by="server", alert=PROTOCOL_VERSION, why="does not speak DTLS 1.2")


@pytest.mark.parametrize("version", [DTLS_1_0, 0xFEFC, 0x0303])
def test_a_server_that_answers_with_another_version_is_refused(version):
    pair = with_server_hello(version=version)
    assert_refused(pair, by="client", alert=PROTOCOL_VERSION, why="does not speak DTLS 1.2")


def test_a_client_of_a_later_version_is_answered_with_1_2():
    pair = with_client_hello(version=0xFEFC)
    assert pair.works()
    assert said_hello(pair).version == 0xFEFD


def test_a_client_without_null_compression_is_refused():
    pair = with_client_hello(compressions=b"\x01")
    assert_refused(pair, by="server", alert=ILLEGAL_PARAMETER, why="null compression")
    assert with_client_hello(compressions=b"\x01\x00").works()


# --- a server that chooses what was not offered -----------------------------------------------------------


@pytest.mark.parametrize("suite", [0x0000, 0x00A8, 0xC024, 0x1301, RENEGOTIATION_SCSV])
def test_a_suite_that_was_not_offered_is_refused(suite):
    pair = with_server_hello(suite=suite)
    assert_refused(pair, by="client", alert=ILLEGAL_PARAMETER, why="not offered")


def test_a_suite_that_we_know_but_did_not_offer_is_refused():
    pair = Pair(
        client_config(suites=(suites.ECDHE_ECDSA_AES_128_CCM,)),
        server_handshake=rogue_server(server_hello(suite=suites.ECDHE_ECDSA_AES_128_GCM.code)),
    )
    assert_refused(run(pair), by="client", alert=ILLEGAL_PARAMETER, why="not offered")


def test_compression_is_refused():
    assert_refused(with_server_hello(compression=1), by="client", alert=ILLEGAL_PARAMETER, why="not offered")


@pytest.mark.parametrize("extension", [0, 16, 22, 35, 54])
def test_an_extension_that_was_not_offered_is_refused(extension):
    pair = with_server_hello(extensions=with_extension(extension, b""))
    assert_refused(pair, by="client", alert=AlertDescription.UNSUPPORTED_EXTENSION, why="not offered")


def test_a_group_that_was_not_offered_is_refused():
    """The server would rather have a group that it knows; the signature over it is good."""
    rogue = rogue_server(_choose=lambda self, offer: _CHOICE)
    pair = run(Pair(client_config(groups=(NamedGroup.X25519,)), server_handshake=rogue))
    assert_refused(pair, by="client", alert=ILLEGAL_PARAMETER, why="group")


_CHOICE = Choice(
    suite=suites.ECDHE_ECDSA_AES_128_GCM,
    group=NamedGroup.SECP256R1,
    credential=server_config().certificate,
    scheme=SignatureScheme.ECDSA_SECP256R1_SHA256,
    requested_type=CertificateType.X509,
    encrypt_then_mac=False,
)


# --- what hellos may and may not leave out ----------------------------------------------------------------


def test_without_groups_the_one_that_everybody_has_is_taken():
    pair = with_client_hello(extensions=without(ExtensionType.SUPPORTED_GROUPS))
    assert pair.works()
    assert pair.server.connected.group == "secp256r1"


def test_without_signature_algorithms_only_sha_1_would_be_left_so_it_is_refused():
    pair = with_client_hello(extensions=without(ExtensionType.SIGNATURE_ALGORITHMS))
    assert_refused(pair, by="server", alert=HANDSHAKE_FAILURE, why=IN_COMMON)


def test_unknown_extensions_are_passed_over():
    assert with_client_hello(extensions=with_extension(0x4A4A, b"grease")).works()


@pytest.mark.parametrize(
    "kind", [ExtensionType.SUPPORTED_GROUPS, ExtensionType.SIGNATURE_ALGORITHMS], ids=lambda kind: kind.name
)
@pytest.mark.parametrize(
    "data", [b"", b"\x00", b"\x00\x00", b"\x00\x03\x00\x17\x00", b"\x00\x02\x00\x17\x00"]
)
def test_a_malformed_list_in_a_hello_is_refused(kind, data):
    pair = with_client_hello(extensions=with_extension(kind, data))
    assert_refused(pair, by="server", alert=DECODE_ERROR, why=kind.name.lower())


def test_groups_and_schemes_that_we_do_not_know_are_passed_over():
    extra = {
        ExtensionType.SUPPORTED_GROUPS: integers(2, 2, (0x6399, 24, 23)),
        ExtensionType.SIGNATURE_ALGORITHMS: integers(2, 2, (0x0203, 0x0807, 0x0403)),
    }
    pair = with_client_hello(extensions=lambda extensions: {**extensions, **extra})
    assert pair.works()
    assert pair.server.connected.group == "secp256r1"


def test_a_client_that_takes_compressed_points_only_is_refused():
    pair = with_client_hello(extensions=with_extension(ExtensionType.EC_POINT_FORMATS, vector(1, b"\x01")))
    assert_refused(pair, by="server", alert=HANDSHAKE_FAILURE, why=IN_COMMON)


def test_a_server_that_takes_compressed_points_only_is_refused():
    pair = with_server_hello(extensions=with_extension(ExtensionType.EC_POINT_FORMATS, vector(1, b"\x01")))
    assert_refused(pair, by="client", alert=ILLEGAL_PARAMETER, why="uncompressed")


@pytest.mark.parametrize("data", [b"", b"\x00", b"\x01\x00\x00", b"\x02\x00"])
def test_malformed_point_formats_are_refused_by_both_roles(data):
    change = with_extension(ExtensionType.EC_POINT_FORMATS, data)
    assert_refused(with_client_hello(extensions=change), by="server", alert=DECODE_ERROR, why="point_formats")
    assert_refused(with_server_hello(extensions=change), by="client", alert=DECODE_ERROR, why="point_formats")


def test_an_answer_holds_only_extensions_that_were_offered():
    offered = without(ExtensionType.EC_POINT_FORMATS)
    pair = with_client_hello(extensions=offered)
    assert pair.works()
    assert set(said_hello(pair).extensions) == {
        ExtensionType.EXTENDED_MASTER_SECRET,
        ExtensionType.RENEGOTIATION_INFO,
    }


def test_without_a_group_in_common_no_ephemeral_suite_is_spoken():
    """Whatever proves the server; a suite without such an exchange does not ask for groups."""
    x25519, secp384r1 = {"groups": (NamedGroup.X25519,)}, {"groups": (NamedGroup.SECP384R1,)}
    rsa = small_pki().publisher_rsa
    ecdhe_psk = {"suites": (suites.ECDHE_PSK_AES_128_GCM,)}
    for pair in (
        Pair(client_config(**x25519), server_config(rsa, **secp384r1)),
        Pair(client_config(**x25519), server_config(small_pki().publisher_ed25519, **secp384r1)),
        Pair(psk_client_config(**x25519, **ecdhe_psk), psk_server_config(**secp384r1, **ecdhe_psk)),
        Pair(replace(ANONYMOUS_ALONE, **x25519), replace(ANONYMOUS_ALONE, **secp384r1)),
    ):
        assert_refused(run(pair), by="server", alert=HANDSHAKE_FAILURE, why=IN_COMMON)
    pair = Pair(psk_client_config(**x25519), psk_server_config(**secp384r1)).connect()
    assert pair.client.connected.suite == suites.PSK_AES_128_GCM.name


def test_of_two_keys_the_one_that_fits_the_suite_is_shown():
    """A certificate with an RSA key and a raw P-256 key: a client that takes certificates alone gets the RSA
    suite, whatever it would rather have."""
    raw = RawKeyCredential.of(small_pki().publisher_p256.private_key)
    server = server_config(small_pki().publisher_rsa, raw_key=raw)
    pair = Pair(client_config(), server).connect()
    assert pair.client.connected.suite == suites.ECDHE_RSA_AES_128_GCM.name
    assert pair.client.connected.peer == small_pki().publisher_rsa.identity
    pair = Pair(client_config(raw_key_pins=frozenset({raw.pin})), server).connect()
    assert pair.client.connected.suite == suites.ECDHE_ECDSA_AES_128_GCM.name
    assert pair.client.connected.peer == RawPublicKeyIdentity(raw.spki)


def test_a_server_that_asks_for_no_type_of_certificate_blames_none():
    """unsupported_certificate is for those whose types do not meet (RFC 7250 section 4.2)."""
    other = {"suites": (suites.ECDHE_ECDSA_AES_128_CCM,)}
    pair = run(Pair(one_sided_client(**other), one_sided_server(suites=(suites.ECDHE_ECDSA_AES_128_GCM,))))
    assert_refused(pair, by="server", alert=HANDSHAKE_FAILURE, why=IN_COMMON)
    judging_alone = psk_server_config(
        trust=small_pki().trust, admit=kinds(HandshakeKind.FULL, HandshakeKind.SERVER_AUTHENTICATED)
    )
    pair = run(Pair(client_config(), judging_alone))
    assert_refused(pair, by="server", alert=HANDSHAKE_FAILURE, why=IN_COMMON)


ALWAYS = {ExtensionType.EXTENDED_MASTER_SECRET, ExtensionType.RENEGOTIATION_INFO}
OF_CURVES = {ExtensionType.SUPPORTED_GROUPS, ExtensionType.EC_POINT_FORMATS}


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        (psk_client_config(suites=(suites.PSK_AES_128_CCM_8,)), ALWAYS),
        (psk_client_config(suites=(suites.ECDHE_PSK_AES_128_GCM,)), ALWAYS | OF_CURVES),
        (
            psk_client_config(suites=(suites.ECDHE_PSK_AES_128_CBC_SHA256,)),
            ALWAYS | OF_CURVES | {ExtensionType.ENCRYPT_THEN_MAC},
        ),
        (client_config(), ALWAYS | OF_CURVES | {ExtensionType.SIGNATURE_ALGORITHMS}),
    ],
    ids=["psk", "ecdhe_psk", "cbc", "certificates"],
)
def test_a_hello_offers_what_its_suites_need_and_nothing_else(config, expected):
    """A hello that is small is one datagram on a small link."""
    pair = Pair(config, psk_server_config())
    pair.start()
    assert set(pair.client.handshake._hello.extensions) == expected


RAW_CLIENT, RAW_SERVER = raw_key_configs()
TYPES = {ExtensionType.CLIENT_CERTIFICATE_TYPE, ExtensionType.SERVER_CERTIFICATE_TYPE}
BOTH_KINDS = kinds(HandshakeKind.FULL, HandshakeKind.SERVER_AUTHENTICATED)
POINTS = {ExtensionType.EC_POINT_FORMATS}


@pytest.mark.parametrize(
    ("client", "server", "expected"),
    [
        (client_config(), server_config(), ALWAYS | POINTS),
        (psk_client_config(), psk_server_config(suites=(suites.PSK_AES_128_GCM,)), ALWAYS),
        (psk_client_config(), psk_server_config(), ALWAYS | POINTS),
        (RAW_CLIENT, RAW_SERVER, ALWAYS | POINTS | TYPES),
        (
            replace(RAW_CLIENT, psk=psk_client_config().psk),
            psk_server_config(suites=(suites.PSK_AES_128_GCM,)),
            ALWAYS,
        ),
        (
            replace(RAW_CLIENT, admit=BOTH_KINDS),
            DTLSConfig(raw_key=RAW_SERVER.raw_key, admit=kinds(HandshakeKind.SERVER_AUTHENTICATED)),
            ALWAYS | POINTS | {ExtensionType.SERVER_CERTIFICATE_TYPE},
        ),
    ],
    ids=["certificates", "psk", "ecdhe_psk", "raw keys", "raw keys and psk", "raw keys, one-sided"],
)
def test_an_answer_holds_what_was_negotiated_and_nothing_else(client, server, expected):
    assert set(said_hello(Pair(client, server).connect()).extensions) == expected


# --- extended master secret (RFC 7627) --------------------------------------------------------------------

EMS = ExtensionType.EXTENDED_MASTER_SECRET
UNSAFE = {"unsafe_allow_missing_extended_master_secret": True}


def test_a_client_without_extended_master_secret_is_refused():
    pair = with_client_hello(extensions=without(EMS))
    assert_refused(pair, by="server", alert=HANDSHAKE_FAILURE, why="extended master secret")


def test_a_server_without_extended_master_secret_is_refused():
    pair = with_server_hello(extensions=without(EMS))
    assert_refused(pair, by="client", alert=HANDSHAKE_FAILURE, why="extended master secret")


def test_allowed_by_name_both_sides_can_do_without_it():
    rogue = rogue_client(**client_hello(extensions=without(EMS)))
    pair = Pair(client_config(**UNSAFE), server_config(**UNSAFE), client_handshake=rogue).connect()
    assert pair.works()
    assert EMS not in said_hello(pair).extensions


def test_allowing_to_do_without_it_is_no_reason_to_do_without_it():
    pair = Pair(client_config(**UNSAFE), server_config(**UNSAFE)).connect()
    assert EMS in said_hello(pair).extensions


@pytest.mark.parametrize("role", ["client", "server"])
def test_an_extended_master_secret_extension_is_empty(role):
    change = with_extension(EMS, b"\x00")
    pair = with_client_hello(extensions=change) if role == "client" else with_server_hello(extensions=change)
    by = "server" if role == "client" else "client"
    assert_refused(pair, by=by, alert=DECODE_ERROR, why="extended_master_secret")
