"""Whoever shows a certificate must prove its key, with a scheme that was offered, over this handshake."""

from __future__ import annotations

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, padding
from dtls_cases import assert_refused, run
from dtls_pair import Pair, client_config, server_config
from dtls_rogue import changed, rogue_client, rogue_server
from small_pki import p256_key, small_pki

from twoway.dtls import AlertDescription, HandshakeFailure, KeyExchange, SignatureScheme
from twoway.dtls.messages.certificates import Certificate, CertificateVerify
from twoway.dtls.messages.handshake import HandshakeType
from twoway.dtls.messages.key_exchange import ServerECDHE
from twoway.dtls.signatures import DEFAULT_SCHEMES, choose_scheme, sign, verify_untrusted

DECRYPT_ERROR = AlertDescription.DECRYPT_ERROR
ILLEGAL_PARAMETER = AlertDescription.ILLEGAL_PARAMETER
ECDSA, PSS, PKCS1 = (
    SignatureScheme.ECDSA_SECP256R1_SHA256,
    SignatureScheme.RSA_PSS_RSAE_SHA256,
    SignatureScheme.RSA_PKCS1_SHA256,
)
ECDSA_384 = SignatureScheme.ECDSA_SECP384R1_SHA384
PKCS1_384 = SignatureScheme.RSA_PKCS1_SHA384
ED25519 = SignatureScheme.ED25519
WRONG_SIGNATURE = "not by the key of its certificate"


def signs_with(key, change=lambda data: data):
    """A `_sign` that uses another key, or signs other data."""

    def _sign(self, credential, scheme, data, then):
        then(sign(key, scheme, change(data)))

    return {"_sign": _sign}


def test_a_client_with_the_certificate_of_another_is_refused():
    thief = rogue_client(**signs_with(p256_key("thief")))
    assert_refused(run(Pair(client_handshake=thief)), by="server", alert=DECRYPT_ERROR, why=WRONG_SIGNATURE)


def test_a_server_with_the_certificate_of_another_is_refused():
    thief = rogue_server(**signs_with(p256_key("thief")))
    assert_refused(run(Pair(server_handshake=thief)), by="client", alert=DECRYPT_ERROR, why=WRONG_SIGNATURE)


def test_a_client_that_shows_a_stolen_chain_but_signs_with_its_own_key_is_refused():
    pki = small_pki()
    stolen = changed(HandshakeType.CERTIFICATE, lambda body: Certificate(pki.sink.chain).encode())
    pair = run(Pair(client_handshake=rogue_client(stolen)))
    assert_refused(pair, by="server", alert=DECRYPT_ERROR, why=WRONG_SIGNATURE)


@pytest.mark.parametrize("recorded", [b"", b"x" * 500])
def test_a_signature_over_another_handshake_is_refused_by_both_roles(recorded):
    pki = small_pki()
    client = rogue_client(**signs_with(pki.subscriber.private_key, lambda data: recorded))
    assert_refused(run(Pair(client_handshake=client)), by="server", alert=DECRYPT_ERROR, why=WRONG_SIGNATURE)
    server = rogue_server(**signs_with(pki.publisher_p256.private_key, lambda data: recorded))
    assert_refused(run(Pair(server_handshake=server)), by="client", alert=DECRYPT_ERROR, why=WRONG_SIGNATURE)


def test_a_servers_signature_covers_both_randoms_and_the_point():
    """Each part in turn is another one: the signature would be good for a handshake that is not this one."""
    pki = small_pki()
    for start, stop in ((0, 32), (32, 64), (64, 67), (67, None)):

        def change(data, start=start, stop=stop):
            part = data[start:stop]
            return data[:start] + bytes(byte ^ 1 for byte in part) + (data[stop:] if stop else b"")

        server = rogue_server(**signs_with(pki.publisher_p256.private_key, change))
        pair = run(Pair(server_handshake=server))
        assert_refused(pair, by="client", alert=DECRYPT_ERROR, why=WRONG_SIGNATURE)


@pytest.mark.parametrize("signature", [b"", b"\x30\x00", bytes(72), b"\xff" * 300])
def test_what_is_no_signature_is_refused_by_both_roles(signature):
    verify = changed(HandshakeType.CERTIFICATE_VERIFY, lambda b: CertificateVerify(ECDSA, signature).encode())
    pair = run(Pair(client_handshake=rogue_client(verify)))
    assert_refused(pair, by="server", alert=DECRYPT_ERROR, why=WRONG_SIGNATURE)

    def reshare(body):
        share = ServerECDHE.parse_untrusted(body)
        return ServerECDHE(share.parameters, share.scheme, signature).encode()

    pair = run(Pair(server_handshake=rogue_server(changed(HandshakeType.SERVER_KEY_EXCHANGE, reshare))))
    assert_refused(pair, by="client", alert=DECRYPT_ERROR, why=WRONG_SIGNATURE)


@pytest.mark.parametrize("scheme", [0x0203, 0x0401, 0x0403 ^ 0xFFFF, 0x0804, 0x0501, 0x0603, 0x0807, 0])
def test_a_scheme_that_was_not_offered_or_does_not_fit_the_key_is_refused_by_both_roles(scheme):
    verify = changed(
        HandshakeType.CERTIFICATE_VERIFY,
        lambda body: CertificateVerify(scheme, CertificateVerify.parse_untrusted(body).signature).encode(),
    )
    pair = run(Pair(client_handshake=rogue_client(verify)))
    assert_refused(pair, by="server", alert=ILLEGAL_PARAMETER, why="not offered or does not fit")

    def reshare(body):
        share = ServerECDHE.parse_untrusted(body)
        return ServerECDHE(share.parameters, scheme, share.signature).encode()

    pair = run(Pair(server_handshake=rogue_server(changed(HandshakeType.SERVER_KEY_EXCHANGE, reshare))))
    assert_refused(pair, by="client", alert=ILLEGAL_PARAMETER, why="not offered or does not fit")


@pytest.mark.parametrize(("offered", "used"), [(PSS, PKCS1), (PKCS1, PSS)])
def test_a_good_signature_by_a_scheme_that_this_peer_did_not_offer_is_refused(offered, used):
    """Both are signatures of the right RSA key; only one of the two was offered."""
    rsa = small_pki().publisher_rsa

    def _sign(self, credential, scheme, data, then):
        then(sign(rsa.private_key, used, data))

    verify = changed(
        HandshakeType.CERTIFICATE_VERIFY,
        lambda body: CertificateVerify(used, CertificateVerify.parse_untrusted(body).signature).encode(),
    )
    pair = Pair(
        client=client_config(rsa),
        server=server_config(rsa, signature_schemes=(offered,)),
        client_handshake=rogue_client(verify, _sign=_sign),
    )
    assert_refused(run(pair), by="server", alert=ILLEGAL_PARAMETER, why="not offered")


# --- the rules by themselves ------------------------------------------------------------------------------


def keys():
    pki = small_pki()
    return {
        "p-256": pki.publisher_p256.private_key,
        "rsa": pki.publisher_rsa.private_key,
        "p-384": ec.derive_private_key(12345, ec.SECP384R1()),
        "p-521": ec.derive_private_key(12345, ec.SECP521R1()),
        "ed25519": ed25519.Ed25519PrivateKey.from_private_bytes(bytes(range(32))),
        "ed448": ed448.Ed448PrivateKey.from_private_bytes(bytes(57)),
    }


@pytest.mark.parametrize(
    ("key", "fitting", "suiting"),
    [
        ("p-256", {ECDSA, ECDSA_384}, {ECDSA}),
        ("p-384", {ECDSA, ECDSA_384}, {ECDSA_384}),
        ("p-521", set(), set()),
        ("ed25519", {ED25519}, {ED25519}),
        ("ed448", set(), set()),
        ("rsa", {PSS, PKCS1, PKCS1_384}, {PSS, PKCS1, PKCS1_384}),
    ],
)
def test_which_key_may_make_which_signature_and_which_we_make_with_ours(key, fitting, suiting):
    public_key = keys()[key].public_key()
    assert {scheme for scheme in SignatureScheme if scheme.fits(public_key)} == fitting
    assert {scheme for scheme in SignatureScheme if scheme.suits(public_key)} == suiting


@pytest.mark.parametrize(
    ("key", "exchanges"),
    [
        ("p-256", {KeyExchange.ECDHE_ECDSA}),
        ("p-384", {KeyExchange.ECDHE_ECDSA}),
        ("p-521", set()),
        ("ed25519", {KeyExchange.ECDHE_ECDSA}),
        ("ed448", set()),
        ("rsa", {KeyExchange.ECDHE_RSA, KeyExchange.RSA}),
    ],
)
def test_which_key_serves_which_exchange(key, exchanges):
    """RFC 8422 section 5.10: Ed25519 signs in the ECDHE_ECDSA exchange."""
    public_key = keys()[key].public_key()
    assert {exchange for exchange in KeyExchange if exchange.fits(public_key)} == exchanges


def test_the_scheme_is_our_most_preferred_one_that_the_peer_takes():
    rsa = keys()["rsa"].public_key()
    assert choose_scheme((PKCS1, PSS), [0x0203, PSS, PKCS1], rsa) is PKCS1
    assert choose_scheme((PKCS1, PSS), [PSS], rsa) is PSS
    assert choose_scheme(DEFAULT_SCHEMES, [ECDSA, 0x0503], rsa) is None
    for key, scheme in (("p-256", ECDSA), ("p-384", ECDSA_384), ("ed25519", ED25519)):
        public_key = keys()[key].public_key()
        assert choose_scheme(DEFAULT_SCHEMES, DEFAULT_SCHEMES, public_key) is scheme
        others = [other for other in DEFAULT_SCHEMES if other is not scheme]
        assert choose_scheme(DEFAULT_SCHEMES, others, public_key) is None


def alert_of(public_key, scheme, signature, offered=DEFAULT_SCHEMES):
    with pytest.raises(HandshakeFailure) as caught:
        verify_untrusted(public_key, offered, scheme, signature, b"data")
    return caught.value.alert


@pytest.mark.parametrize("scheme", DEFAULT_SCHEMES)
@pytest.mark.parametrize("name", ["p-256", "p-384", "ed25519", "rsa"])
def test_a_signature_verifies_for_its_key_data_and_scheme_only(name, scheme):
    key = keys()[name]
    if not scheme.fits(key.public_key()):
        return
    signature = sign(key, scheme, b"data")
    verify_untrusted(key.public_key(), DEFAULT_SCHEMES, scheme, signature, b"data")
    assert alert_of(key.public_key(), scheme, signature[:-1] + bytes([signature[-1] ^ 1])) is DECRYPT_ERROR
    assert alert_of(key.public_key(), scheme, sign(key, scheme, b"other")) is DECRYPT_ERROR
    others = tuple(other for other in DEFAULT_SCHEMES if other is not scheme)
    assert alert_of(key.public_key(), scheme, signature, offered=others) is ILLEGAL_PARAMETER
    for other in others:
        expected = DECRYPT_ERROR if other.fits(key.public_key()) else ILLEGAL_PARAMETER
        assert alert_of(key.public_key(), other, signature) is expected


def test_each_scheme_is_the_algorithm_and_hash_of_its_name():
    """Signed with `cryptography` directly, as another stack would."""
    signatures = {
        (ECDSA, "p-384"): (ec.ECDSA(hashes.SHA256()),),
        (ECDSA_384, "p-256"): (ec.ECDSA(hashes.SHA384()),),
        (ECDSA_384, "p-384"): (ec.ECDSA(hashes.SHA384()),),
        (PKCS1_384, "rsa"): (padding.PKCS1v15(), hashes.SHA384()),
        (ED25519, "ed25519"): (),
    }
    for (scheme, name), how in signatures.items():
        key = keys()[name]
        verify_untrusted(key.public_key(), DEFAULT_SCHEMES, scheme, key.sign(b"data", *how), b"data")


def test_ed25519_signatures_are_those_of_rfc_8032():
    """Section 7.1, test 2; signed is the data itself, not its hash (RFC 8422 section 5.10)."""
    secret = "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb"
    key = ed25519.Ed25519PrivateKey.from_private_bytes(bytes.fromhex(secret))
    assert sign(key, ED25519, b"\x72").hex() == (
        "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da"
        "085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00"
    )


def test_pss_signatures_have_a_salt_as_long_as_the_digest():
    key = keys()["rsa"]
    other_salt = key.sign(b"data", padding.PSS(padding.MGF1(hashes.SHA256()), 20), hashes.SHA256())
    assert alert_of(key.public_key(), PSS, other_salt) is DECRYPT_ERROR


def test_sha_1_and_sha_384_signatures_do_not_pass_as_sha_256():
    for key, scheme, how in (
        (keys()["p-256"], ECDSA, (ec.ECDSA(hashes.SHA384()),)),
        (keys()["rsa"], PKCS1, (padding.PKCS1v15(), hashes.SHA1())),
    ):
        assert alert_of(key.public_key(), scheme, key.sign(b"data", *how)) is DECRYPT_ERROR
