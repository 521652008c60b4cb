"""Keys that a token keeps, met through PKCS#11: SoftHSM stands in for a TPM or an HSM."""

from __future__ import annotations

import asyncio
import copy
import os
from datetime import UTC, datetime, timedelta

import hsm
import pytest
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from twoway.dtls import DTLSConfig
from twoway.errors import ConfigurationError
from twoway.net import Connection, Endpoint, credential_of
from twoway.pki import CertificateAuthority, HardwareKey, KeyURI, Role, StoredIdentity, open_key, request_of
from twoway.tickets import cose

pytestmark = pytest.mark.peers
NOW = datetime.now(UTC)
WHERE = "key.uri"


@pytest.fixture(scope="module")
def token(tmp_path_factory):
    folder = tmp_path_factory.mktemp("hsm")
    hsm.module_path()
    os.environ["SOFTHSM2_CONF"] = str(hsm.configuration(folder))
    return hsm.token(folder, "meter", "unused")


def key_of(token, name: str) -> HardwareKey:
    return open_key(KeyURI.parse(token.uri(name), where=WHERE), where=WHERE)


def certified(token, name: str, home, folder, *, role: Role = Role.PUBLISHER) -> StoredIdentity:
    """An identity folder whose key is in the token."""
    if not home.exists():
        CertificateAuthority.init(home, name="Test", now=NOW)
    CertificateAuthority.open(home).sign_request(
        request_of(key_of(token, name)),
        folder.name,
        role,
        now=NOW,
        out=folder,
        lifetime=timedelta(days=1),
    )
    (folder / "key.uri").write_text(token.uri(name) + "\n")
    return StoredIdentity.load(folder)


@pytest.mark.parametrize(("name", "algorithm"), [("p-256", hashes.SHA256()), ("p-384", hashes.SHA384())])
def test_a_signature_of_a_curve_key_verifies(token, name, algorithm):
    key = key_of(token, name)
    signature = key.sign(b"what is signed", ec.ECDSA(algorithm))
    key.public_key().verify(signature, b"what is signed", ec.ECDSA(algorithm))


@pytest.mark.parametrize("algorithm", [hashes.SHA256(), hashes.SHA384()])
@pytest.mark.parametrize("scheme", ["pkcs1", "pss"])
def test_a_signature_of_an_rsa_key_verifies(token, scheme, algorithm):
    key = key_of(token, "rsa")
    form = (
        padding.PKCS1v15()
        if scheme == "pkcs1"
        else padding.PSS(padding.MGF1(algorithm), algorithm.digest_size)
    )
    signature = key.sign(b"what is signed", form, algorithm)
    key.public_key().verify(signature, b"what is signed", form, algorithm)


def test_the_key_does_nothing_but_sign(token):
    curve, rsa = key_of(token, "p-256"), key_of(token, "rsa")
    for refused in (
        curve.private_numbers,
        lambda: curve.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()),
        lambda: curve.exchange(ec.ECDH(), curve.public_key()),
        lambda: curve.sign(b"", ec.ECDSA(hashes.SHA512())),
        lambda: curve.sign(bytes(32), ec.ECDSA(Prehashed(hashes.SHA256()))),
        lambda: rsa.decrypt(bytes(256), padding.PKCS1v15()),
        rsa.private_numbers,
        lambda: copy.copy(curve),
        lambda: copy.deepcopy(rsa),
    ):
        with pytest.raises(UnsupportedAlgorithm):
            refused()


def test_a_ticket_can_be_signed_in_a_token(token):
    key = key_of(token, "p-256")
    message = cose.sign1(b"claims", private_key=key, key_id=b"k")
    assert cose.verify1_untrusted(message, public_key=key.public_key()) == b"claims"


async def test_both_sides_of_a_handshake_may_have_their_keys_in_a_token(token, tmp_path):
    meter = certified(token, "rsa", tmp_path / "ca", tmp_path / "meter")
    reader = certified(token, "p-256", tmp_path / "ca", tmp_path / "reader", role=Role.SUBSCRIBER)
    accepted: asyncio.Future[Connection] = asyncio.get_running_loop().create_future()
    server = await Endpoint.open(
        host="127.0.0.1",
        accept=DTLSConfig(certificate=credential_of(meter), trust=meter.trust),
        on_connection=accepted.set_result,
    )
    client = await Endpoint.open(host="127.0.0.1")
    try:
        config = DTLSConfig(certificate=credential_of(reader), trust=reader.trust)
        connection = await client.connect(*server.address[:2], config)
        assert connection.peer.uri == "urn:dev:org:32473-meter"
        assert (await accepted).peer.uri == "urn:dev:org:32473-reader"
    finally:
        await client.close()
        await server.close()


def test_a_folder_whose_certificate_is_of_another_key_is_refused(token, tmp_path):
    certified(token, "p-256", tmp_path / "ca", tmp_path / "meter")
    (tmp_path / "meter" / "key.uri").write_text(token.uri("p-384"))
    with pytest.raises(ConfigurationError, match="not the one of cert.pem"):
        StoredIdentity.load(tmp_path / "meter")


def test_a_folder_with_both_kinds_of_key_is_refused(token, tmp_path):
    certified(token, "p-256", tmp_path / "ca", tmp_path / "meter")
    (tmp_path / "meter" / "key.pem").write_text("whatever")
    with pytest.raises(ConfigurationError, match="both key.pem and key.uri"):
        StoredIdentity.load(tmp_path / "meter")


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda token: token.uri("nothing"), "NoSuchKey"),
        (lambda token: token.uri("p-256").replace("token=meter", "token=other"), "NoSuchToken"),
        (lambda token: token.uri("p-256").replace(token.module, "/nowhere.so"), "cannot be used"),
    ],
)
def test_what_is_not_there_is_said_in_one_sentence(token, change, sentence):
    with pytest.raises(ConfigurationError, match=sentence):
        open_key(KeyURI.parse(change(token), where=WHERE), where=WHERE)


def test_a_wrong_pin_is_not_repeated(token, tmp_path):
    wrong = tmp_path / "pin"
    wrong.write_text("424242")
    wrong.chmod(0o600)
    uri = token.uri("p-256").replace(str(token.pin_file), str(wrong)).replace("token=meter", "token=unused")
    with pytest.raises(ConfigurationError, match="PinIncorrect") as raised:
        open_key(KeyURI.parse(uri, where=WHERE), where=WHERE)
    assert "424242" not in str(raised.value)


def test_a_pin_that_others_may_read_is_refused(token, tmp_path):
    shared = tmp_path / "pin"
    shared.write_text(hsm.PIN)
    shared.chmod(0o644)
    uri = token.uri("p-256").replace(str(token.pin_file), str(shared))
    with pytest.raises(ConfigurationError, match="others on this machine"):
        open_key(KeyURI.parse(uri, where=WHERE), where=WHERE)


def test_the_key_does_not_show_itself(token):
    assert repr(key_of(token, "rsa")) == repr(key_of(token, "p-256")) == "<key in a token>"


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("file:key.pem", "is not a PKCS#11 URI"),
        ("pkcs11:object=k?module-path=/m&pin-source=/p", "does not name 'token'"),
        ("pkcs11:token=t;object=k?pin-source=/p", "does not name 'module-path'"),
        ("pkcs11:token=t;object=k?module-path=/m", "does not name 'pin-source'"),
        ("pkcs11:token=t?module-path=/m&pin-source=/p", "neither 'object' nor 'id'"),
        ("pkcs11:token=t;object=k?module-path=/m&pin-value=1", "'pin-value', which is not used here"),
        ("pkcs11:token=t;token=u;object=k?module-path=/m&pin-source=/p", "'token' twice"),
    ],
)
def test_a_uri_that_is_not_whole_is_refused(text, sentence):
    with pytest.raises(ConfigurationError, match=sentence):
        KeyURI.parse(text, where=WHERE)


def test_the_parts_of_a_uri_are_decoded():
    uri = KeyURI.parse("pkcs11:token=a%20b;id=%01%ff?module-path=/m.so&pin-source=file:/p", where=WHERE)
    assert (uri.token, uri.key_id, str(uri.module), str(uri.pin_file)) == ("a b", b"\x01\xff", "/m.so", "/p")
    assert uri.label is None
