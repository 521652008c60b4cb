"""RSA key transport (RFC 5246 section 7.4.7.1): whatever is wrong with a premaster, nothing tells.

Bleichenbacher's attacker asks the server about ciphertexts of their own and learns from anything that
differs: an alert, a size, a count, a moment. So all that is compared here is one handshake with another.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, replace

import pytest
from cryptography.hazmat.primitives.asymmetric import padding
from dtls_cases import assert_refused, run
from dtls_pair import Pair, Side, certificate_of, client_config, psk_client_config, server_config
from dtls_rogue import changed, client_hello, inserted, rogue_client, rogue_server, with_extension
from dtls_worlds import kinds, legacy, raw_key_configs, rsa_transport_configs
from hypothesis import given
from hypothesis import strategies as st
from small_pki import key_usage, rsa_key, small_pki

from twoway.dtls import (
    AlertDescription,
    CertificateCredential,
    ClosedBy,
    DecryptionRequest,
    HandshakeKind,
    Legacy2013Profile,
    RawKeyCredential,
    suites,
)
from twoway.dtls.messages.handshake import HandshakeType
from twoway.dtls.messages.hello import ExtensionType
from twoway.dtls.messages.key_exchange import ClientRSA
from twoway.dtls.record import DTLS_1_2
from twoway.dtls.rsa_transport import PREMASTER_BYTES, choose_premaster, decrypt_untrusted, make_premaster
from twoway.errors import CallerError

PKI = small_pki()
KEY = rsa_key()
MODULUS_BYTES = 256
VERSION = DTLS_1_2.to_bytes(2, "big")
PREMASTER = VERSION + bytes(range(46))
"""What the rogue makes its own keys from."""
STRANGER = VERSION + bytes(46)


def encrypted(plaintext: bytes) -> bytes:
    return KEY.public_key().encrypt(plaintext, padding.PKCS1v15())


def raw(block: bytes) -> bytes:
    """A ciphertext that decrypts to just this block, whatever padding that is."""
    numbers = KEY.public_key().public_numbers()
    return pow(int.from_bytes(block, "big"), numbers.e, numbers.n).to_bytes(MODULUS_BYTES, "big")


def padded(plaintext: bytes, *, start: bytes = b"\x00\x02", end: bytes = b"\x00") -> bytes:
    filler = b"\x5a" * (MODULUS_BYTES - len(start) - len(end) - len(plaintext))
    return raw(start + filler + end + plaintext)


CIPHERTEXTS = {
    "good, of another premaster": encrypted(STRANGER),
    "block type 1": padded(PREMASTER, start=b"\x00\x01"),
    "first byte not 0": padded(PREMASTER, start=b"\x01\x02"),
    "no 0 after the filler": padded(PREMASTER, end=b"\x5a"),
    "a 0 in the first 8 bytes of filler": padded(PREMASTER, start=b"\x00\x02\x11\x00"),
    "47 bytes": encrypted(PREMASTER[:-1]),
    "49 bytes": encrypted(PREMASTER + b"\x00"),
    "nothing": encrypted(b""),
    "as long as it can be": encrypted(bytes(MODULUS_BYTES - 11)),
    "version 0xfeff": encrypted(b"\xfe\xff" + PREMASTER[2:]),
    "version of TLS": encrypted(b"\x03\x03" + PREMASTER[2:]),
    "version 0": encrypted(b"\x00\x00" + PREMASTER[2:]),
    "all zero": encrypted(bytes(48)),
    "zero ciphertext": bytes(MODULUS_BYTES),
    "one ciphertext": bytes(MODULUS_BYTES - 1) + b"\x01",
    "beyond the modulus": b"\xff" * MODULUS_BYTES,
    "the modulus": KEY.public_key().public_numbers().n.to_bytes(MODULUS_BYTES, "big"),
    "random": bytes([7]) + bytes(range(255)),
    "empty ciphertext": b"",
    "ciphertext too short": encrypted(PREMASTER)[:-1],
    "ciphertext too long": b"\x00" + encrypted(PREMASTER),
}


def sends(ciphertext: bytes):
    """A client that sends this, and goes on with keys that it made itself."""

    def say_rsa_key_exchange(self):
        self._say(HandshakeType.CLIENT_KEY_EXCHANGE, ClientRSA(ciphertext).encode())
        self._derive_keys(PREMASTER)

    return rogue_client(_say_rsa_key_exchange=say_rsa_key_exchange)


@dataclass
class View:
    """Everything that may not depend on a premaster."""

    said: list[tuple[float, list[tuple[int, int, int]]]]
    """When the server sent which records, of what kind, epoch and size."""
    closed: object
    ended: float
    states: list[str]
    counters: dict[str, int]
    randomness: list[int]
    """How much the server asked for, and when in the order."""


def view(pair: Pair) -> View:
    said, randomness = [], []
    entropy = pair.entropy

    def watched(size: int) -> bytes:
        randomness.append(size)
        return entropy(size)

    def wire(sent):
        if not sent.to_server:
            said.append((pair.now, [(each.type, each.epoch, len(each.fragment)) for each in sent.records]))
        return [(0.0, sent.data)]

    pair.entropy, pair.wire = watched, wire
    run(pair)
    server: Side = pair.server
    return View(
        said,
        (server.closed, pair.client.closed, server.connected, pair.client.connected),
        pair.now,
        [event.data["state"] for event in server.traced("state entered")],
        # How many records a client makes of its own longer or shorter message is its own affair.
        {what: times for what, times in server.counters.items() if what != "records received"},
        randomness,
    )


def one_sided(config: Legacy2013Profile) -> Legacy2013Profile:
    return replace(config, admit=kinds(HandshakeKind.SERVER_AUTHENTICATED))


@pytest.fixture(scope="module", params=["two-way", "one-sided"])
def baseline(request) -> tuple[tuple[Legacy2013Profile, Legacy2013Profile], View]:
    """What a good premaster looks like that is not the one the client's keys are made of."""
    configs = rsa_transport_configs()
    if request.param == "one-sided":
        configs = one_sided(configs[0]), one_sided(configs[1])
    seen = view(Pair(*configs, client_handshake=sends(encrypted(STRANGER))))
    assert seen.said
    assert "CHANGE_CIPHER_SPEC" in seen.states
    assert "CONNECTED" not in seen.states
    return configs, seen


@pytest.mark.parametrize("name", CIPHERTEXTS)
def test_what_is_wrong_with_a_premaster_does_not_show(name, baseline):
    configs, seen = baseline
    assert view(Pair(*configs, client_handshake=sends(CIPHERTEXTS[name]))) == seen


def test_the_comparison_would_see_a_difference(baseline):
    """A right premaster looks different, and so would an alert."""
    configs, seen = baseline
    assert view(Pair(*configs, client_handshake=sends(encrypted(PREMASTER)))) != seen
    malformed = rogue_client(changed(HandshakeType.CLIENT_KEY_EXCHANGE, lambda body: body[:-1]))
    assert view(Pair(*configs, client_handshake=malformed)) != seen


def test_nobody_comes_in_with_a_premaster_that_is_wrong(baseline):
    configs, _ = baseline
    for ciphertext in CIPHERTEXTS.values():
        pair = run(Pair(*configs, client_handshake=sends(ciphertext)))
        assert not pair.server.connected
        assert pair.server.closed.by is ClosedBy.TIMEOUT


# --- a key elsewhere --------------------------------------------------------------------------------------


class Elsewhere:
    """An RSA key that answers as it is told to."""

    def __init__(self, answer) -> None:
        self.answer = answer
        self.asked: list[bytes] = []

    def decrypt(self, ciphertext: bytes) -> bytes | None:
        self.asked.append(ciphertext)
        return self.answer(ciphertext)


def honest(ciphertext: bytes) -> bytes | None:
    return decrypt_untrusted(KEY, ciphertext)


def pair_with_key_elsewhere(answer, **rogue) -> Pair:
    """The server's key signs nothing here and decrypts elsewhere."""
    client, server = rsa_transport_configs()
    key = Elsewhere(answer)
    server = replace(server, certificate=CertificateCredential(PKI.publisher_2013.chain, decrypter=key))
    pair = Pair(client, server, **rogue)
    pair.signer = lambda request: request.credential.decrypter.decrypt(request.ciphertext)
    return pair


def test_a_key_elsewhere_decrypts_when_it_is_asked():
    pair = pair_with_key_elsewhere(honest).connect()
    (request,) = [event for event in pair.server.events if isinstance(event, DecryptionRequest)]
    assert request.credential.decrypter.asked == [request.ciphertext]
    assert len(request.ciphertext) == MODULUS_BYTES
    assert pair.works()


@pytest.mark.parametrize(
    "answer",
    [
        None,
        b"",
        PREMASTER[:-1],
        PREMASTER + b"\x00",
        b"\xfe\xff" + PREMASTER[2:],
        bytes(48),
        os.urandom(256),
        STRANGER,
    ],
    ids=["none", "empty", "47 bytes", "49 bytes", "version", "zero", "256 bytes", "another"],
)
def test_whatever_a_key_elsewhere_answers_looks_the_same(answer):
    seen = view(pair_with_key_elsewhere(lambda ciphertext: STRANGER))
    assert seen.states[-1] == "FINISHED"
    assert view(pair_with_key_elsewhere(lambda ciphertext: answer)) == seen


@pytest.mark.parametrize("name", CIPHERTEXTS)
def test_a_key_elsewhere_is_asked_about_every_ciphertext_alike(name):
    seen = view(pair_with_key_elsewhere(honest, client_handshake=sends(encrypted(STRANGER))))
    assert seen.states[-1] == "FINISHED"
    assert view(pair_with_key_elsewhere(honest, client_handshake=sends(CIPHERTEXTS[name]))) == seen


def test_a_decryption_is_answered_once():
    pair = pair_with_key_elsewhere(honest)
    pair.signer = None
    pair.start()
    pair.run(until=0.2)
    (request,) = [event for event in pair.server.events if isinstance(event, DecryptionRequest)]
    again = DecryptionRequest(request.ciphertext, request.credential)
    with pytest.raises(CallerError, match="not asked"):
        pair.server.association.answer(again, PREMASTER, pair.now)
    pair.server.association.answer(request, honest(request.ciphertext), pair.now)
    with pytest.raises(CallerError, match="not asked"):
        pair.server.association.answer(request, honest(request.ciphertext), pair.now)
    pair.run()
    assert pair.works()


def test_a_key_elsewhere_decrypts_only_where_that_was_asked_for():
    _, server = rsa_transport_configs()
    signing_alone = CertificateCredential(PKI.publisher_2013.chain)
    everything = Legacy2013Profile(certificate=signing_alone, trust=PKI.trust)
    assert suites.RSA_AES_128_CBC_SHA256 in server.usable_suites(is_client=False)
    assert suites.RSA_AES_128_CBC_SHA256 not in everything.usable_suites(is_client=False)
    assert suites.ECDHE_RSA_AES_128_GCM in everything.usable_suites(is_client=False)


def test_a_raw_key_that_lives_elsewhere_decrypts_if_it_was_asked_to():
    client, server = (
        replace(legacy(config), suites=(suites.RSA_AES_128_CBC_SHA256,))
        for config in raw_key_configs(server=KEY)
    )
    elsewhere = RawKeyCredential(KEY.public_key(), decrypter=Elsewhere(honest))
    pair = Pair(client, replace(server, raw_key=elsewhere))
    pair.signer = lambda request: request.credential.decrypter.decrypt(request.ciphertext)
    assert pair.connect().works()
    assert replace(server, raw_key=RawKeyCredential(KEY.public_key())).usable_suites(is_client=False) == ()


@pytest.mark.parametrize("decrypting", ["certificate", "raw key"])
def test_of_two_keys_the_one_that_decrypts_is_shown(decrypting):
    """Cause: which key decrypts was asked of the configuration as a whole; the first that fitted was shown,
    and if that was the other one, its decryption was asked of nobody and the handshake hung."""
    client, server = rsa_transport_configs()
    own, other = RawKeyCredential.of(PKI.subscriber.private_key), rsa_key("other")
    raw_key = RawKeyCredential.of(other) if decrypting == "raw key" else RawKeyCredential(other.public_key())
    certificate = server.certificate
    if decrypting == "raw key":
        certificate = CertificateCredential(certificate.chain)
    for first in (b"\x02\x00\x02", b"\x02\x02\x00"):
        client = replace(client, raw_key_pins=frozenset({raw_key.pin}))
        both = replace(server, certificate=certificate, raw_key=raw_key, raw_key_pins=frozenset({own.pin}))
        pair = Pair(client, both, client_handshake=_preferring(first)).connect()
        kind = "X509Identity" if decrypting == "certificate" else "RawPublicKeyIdentity"
        assert type(pair.client.connected.peer).__name__ == kind


def _preferring(types: bytes):
    change = with_extension(ExtensionType.SERVER_CERTIFICATE_TYPE, types)
    return rogue_client(**client_hello(extensions=change))


# --- what may take part -----------------------------------------------------------------------------------


def test_a_certificate_that_is_not_for_key_transport_is_refused():
    client, server = rsa_transport_configs()
    server = replace(server, certificate=certificate_of(PKI.publisher_rsa))
    pair = run(Pair(client, server))
    assert_refused(pair, by="client", alert=AlertDescription.UNSUPPORTED_CERTIFICATE, why="key transport")


def test_a_certificate_for_key_transport_that_may_not_sign_is_refused():
    """The peer's certificate must be able to sign in any case: the same key proves it in other suites."""
    client, server = rsa_transport_configs()
    credential = PKI.ca.mint("transport-alone", key=KEY, usage=key_usage("key_encipherment"))
    pair = run(Pair(client, replace(server, certificate=certificate_of(credential))))
    assert_refused(pair, by="client", alert=AlertDescription.UNSUPPORTED_CERTIFICATE, why="may not sign")


def test_a_certificate_that_is_for_key_transport_serves_the_other_suites_too():
    assert Pair(client_config(), server_config(PKI.publisher_2013)).connect().works()


def test_a_raw_key_takes_part_in_key_transport():
    client, server = (
        replace(legacy(config), suites=(suites.RSA_AES_128_CBC_SHA256,))
        for config in raw_key_configs(server=KEY)
    )
    pair = Pair(client, server).connect()
    assert pair.client.connected.suite == suites.RSA_AES_128_CBC_SHA256.name
    assert pair.works()


def test_a_server_key_exchange_has_no_place_in_key_transport():
    say = inserted(HandshakeType.CERTIFICATE_REQUEST, HandshakeType.SERVER_KEY_EXCHANGE, bytes(8))
    pair = run(Pair(*rsa_transport_configs(), server_handshake=rogue_server(say)))
    assert_refused(
        pair, by="client", alert=AlertDescription.UNEXPECTED_MESSAGE, why="the peer sent ServerKeyExchange"
    )


def test_key_transport_is_not_spoken_outside_the_legacy_profile():
    client, server = rsa_transport_configs()
    for pair in (Pair(client, server_config(PKI.publisher_2013)), Pair(client_config(), server)):
        assert_refused(run(pair), by="server", alert=AlertDescription.HANDSHAKE_FAILURE, why="in common")


def test_a_two_way_handshake_by_key_transport_proves_the_client_by_its_signature():
    rogue = rogue_client(
        changed(HandshakeType.CERTIFICATE_VERIFY, lambda body: body[:-1] + bytes([body[-1] ^ 1]))
    )
    pair = run(Pair(*rsa_transport_configs(), client_handshake=rogue))
    assert_refused(pair, by="server", alert=AlertDescription.DECRYPT_ERROR, why="not by the key")


def test_the_premaster_carries_the_version_that_was_offered():
    """RFC 5246 section 7.4.7.1: a version that was rolled back on the way is found out by it."""
    asked = []

    def answer(ciphertext):
        asked.append(honest(ciphertext))
        return asked[-1]

    pair_with_key_elsewhere(answer).connect()
    assert [(premaster[:2], len(premaster)) for premaster in asked] == [(VERSION, 48)]


# --- the choice itself ------------------------------------------------------------------------------------

STAND_IN = b"\xa5" * PREMASTER_BYTES


@given(
    st.none()
    | st.binary(max_size=100)
    | st.binary(min_size=48, max_size=48).map(lambda tail: VERSION + tail[2:])
)
def test_only_a_premaster_of_this_handshake_is_taken(decrypted):
    chosen = choose_premaster(decrypted, DTLS_1_2, STAND_IN)
    is_right = decrypted is not None and len(decrypted) == 48 and decrypted[:2] == VERSION
    assert chosen == (decrypted if is_right else STAND_IN)


def test_a_fresh_premaster_is_random_behind_its_version():
    sizes = []

    def entropy(size: int) -> bytes:
        sizes.append(size)
        return b"\x11" * size

    assert make_premaster(entropy) == VERSION + b"\x11" * 46
    assert sizes == [46]


def test_decrypting_never_raises():
    for ciphertext in CIPHERTEXTS.values():
        assert decrypt_untrusted(KEY, ciphertext) != PREMASTER


def test_a_client_with_a_pre_shared_key_says_nothing_of_key_transport():
    config = legacy(psk_client_config())
    exchanges = {suite.key_exchange for suite in config.usable_suites(is_client=True)}
    assert not any(exchange.uses_certificates for exchange in exchanges)
