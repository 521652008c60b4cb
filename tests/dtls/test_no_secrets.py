"""No secret is ever shown: not by repr, not by str, not in a trace, not in an error."""

from __future__ import annotations

import gc
import random
import weakref

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from dtls_cases import KINDS, configs, pair_of, run
from dtls_pair import PSK, Pair, psk_client_config, psk_server_config
from dtls_wires import lossy
from resuming import WAYS, Meeting
from small_pki import small_pki

from twoway.dtls import CertificateCredential, HelloGate, PSKCredential, keys, suites
from twoway.dtls.groups import EphemeralKey, NamedGroup
from twoway.dtls.handshaking import Handshaking
from twoway.dtls.record_layer import RecordLayer


@pytest.fixture
def secrets(monkeypatch):
    """Every secret of every handshake of the test, taken where it is made."""
    taken: list[bytes] = [PSK, keys.psk_premaster(PSK)]
    for credential in (small_pki().subscriber, small_pki().publisher_p256, small_pki().publisher_rsa):
        private = credential.private_key.private_numbers()
        number = private.private_value if hasattr(private, "private_value") else private.d
        taken.append(number.to_bytes((number.bit_length() + 7) // 8, "big"))
        taken.append(credential.private_key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption()))
    prf, agree = keys.prf, EphemeralKey.agree_untrusted

    def spying_prf(prf_hash, secret, label, seed, length):
        output = prf(prf_hash, secret, label, seed, length)
        taken.append(secret)
        if label == b"key expansion":
            taken.extend([output, output[:16], output[16:32]])
        elif label.endswith(b"master secret"):
            taken.append(output)
        return output

    def spying_agree(self, point):
        taken.append(agree(self, point))
        return taken[-1]

    monkeypatch.setattr(keys, "prf", spying_prf)
    monkeypatch.setattr(EphemeralKey, "agree_untrusted", spying_agree)
    return taken


def shown(pair: Pair) -> str:
    """Whatever a log could show of a pair."""
    parts = []
    for side in (pair.client, pair.server):
        association = side.association
        parts += [repr(event) + str(event) for event in (*side.events, *side.trace)]
        parts += [repr(association), str(association), repr(association.counters)]
        inner = [getattr(association, name) for name in RecordLayer.__slots__]
        if association._handshaking is not None:
            inner += [getattr(association._handshaking, name) for name in Handshaking.__slots__]
            inner += vars(association._handshaking.handshake).values()
        parts += [
            repr(value) + str(value)
            for value in (*inner, *association._sender._epochs)
            if not isinstance(value, bytes)
        ]
    return "".join(parts)


def assert_shows_none(text: str, secrets: list[bytes]) -> None:
    for secret in secrets:
        assert len(secret) >= 12
        for form in (secret.hex(), secret.hex().upper(), repr(secret)[2:-1], str(list(secret))[1:-1]):
            assert form not in text


@pytest.mark.parametrize("kind", KINDS)
def test_a_handshake_shows_no_secret(kind, secrets):
    pair = pair_of(kind).connect()
    pair.works()
    known = len(secrets)
    assert known > 10
    assert_shows_none(shown(pair), secrets)


@pytest.mark.parametrize("kind", KINDS)
def test_a_handshake_that_fails_at_any_point_shows_no_secret(kind, secrets):
    for until in range(1, 9):
        pair = pair_of(kind)
        pair.start()
        pair.run(until=until * 0.01 + 0.005)
        if pair.server.association is not None:
            assert_shows_none(shown(pair), secrets)
    pair = Pair(*configs(kind), wire=lossy(0.4, 3))
    run(pair)
    assert_shows_none(shown(pair), secrets)


def test_a_refused_key_is_not_shown(secrets):
    wrong = bytes(range(200, 216))
    pair = run(Pair(psk_client_config(key=wrong), psk_server_config()))
    assert_shows_none(shown(pair), [*secrets, wrong])


def test_after_the_handshake_its_secrets_are_forgotten():
    """With the handshake go master secret, transcript and ephemeral key: nothing refers to it any more."""
    for kind in KINDS:
        pair = pair_of(kind)
        pair.start()
        handshakes = [weakref.ref(pair.client.association._handshaking.handshake)]
        pair.run(until=0.035)
        handshakes.append(weakref.ref(pair.server.association._handshaking.handshake))
        pair.run()
        assert pair.works()
        pair.client.handshake = pair.server.handshake = None  # What the pair itself keeps for its tests.
        gc.collect()
        assert [handshake() for handshake in handshakes] == [None, None]


@pytest.mark.parametrize("by", WAYS)
@pytest.mark.parametrize("kind", KINDS)
def test_a_session_shows_no_secret(by, kind, secrets):
    first = Meeting(by, kind)
    pair = first.again().connect()
    assert pair.client.connected.resumed
    tickets = [first.held.ticket] if by == "ticket" else []
    kept = (first.held, first.held.session, first.server, first.client, first.server.resumption)
    assert_shows_none("".join(repr(value) + str(value) for value in kept), [*secrets, *tickets])
    assert_shows_none(shown(pair), secrets)


def test_after_the_handshake_only_the_association_keeps_the_session():
    pair = Meeting("ticket").again().connect()
    for side in (pair.client, pair.server):
        assert side.association._handshaking is None


def test_data_is_not_shown():
    pair = pair_of("psk").connect()
    pair.client.send(b"seventeen kilowatts")
    pair.run()
    assert pair.server.received == [b"seventeen kilowatts"]
    assert "kilowatts" not in shown(pair)


def test_credentials_configurations_and_key_blocks_do_not_show_their_keys(secrets):
    pki = small_pki()
    block = keys.key_block(suites.ECDHE_RSA_AES_128_CBC_SHA256, bytes(range(48)), bytes(32), bytes(32))
    text = "".join(
        repr(value) + str(value)
        for value in (
            block,
            *block,
            PSKCredential(b"name", PSK),
            CertificateCredential(pki.subscriber.chain, pki.subscriber.private_key),
            *configs("p-256"),
            *configs("psk"),
            EphemeralKey(NamedGroup.X25519),
            HelloGate(entropy=random.Random(1).randbytes),
        )
    )
    assert_shows_none(text, [*secrets, *(part for part in (*block.client, *block.server) if part)])
