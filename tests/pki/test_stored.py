"""An identity folder: loaded whole, or refused in one sentence that names the file and the remedy."""

import os

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed448
from cryptography.hazmat.primitives.serialization import Encoding, PrivateFormat
from small_pki import NOW, Flaw, p256_key, rsa_key, small_pki

from twoway.errors import ConfigurationError
from twoway.pki import Purpose, StoredIdentity, read_identity
from twoway.pki.keys import private_key_to_pem

PKI = small_pki()


@pytest.fixture
def folder(tmp_path):
    return PKI.folder(PKI.publisher_p256, tmp_path / "meter")


def refusal(folder) -> str:
    with pytest.raises(ConfigurationError) as caught:
        StoredIdentity.load(folder)
    sentence = str(caught.value)
    assert "\n" not in sentence
    assert str(folder) in sentence
    assert caught.value.remedy
    assert caught.value.__cause__ is None
    return sentence


def write_key(folder, key, encryption=None):
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption or serialization.NoEncryption())
    (folder / "key.pem").write_bytes(pem)


@pytest.mark.parametrize(
    "credential",
    [PKI.publisher_p256, PKI.publisher_p384, PKI.publisher_ed25519, PKI.publisher_rsa],
    ids=["p-256", "p-384", "ed25519", "rsa-2048"],
)
def test_a_folder_is_loaded_as_peers_will_see_it(credential, tmp_path):
    stored = PKI.stored(credential, tmp_path / "node")
    assert stored.identity == credential.identity
    assert stored.chain == credential.chain
    assert stored.hosts == ("localhost", "127.0.0.1", "::1")
    assert private_key_to_pem(stored.private_key) == credential.key_pem
    seen = PKI.trust.verify_untrusted(stored.chain, purpose=Purpose.SERVER, at=NOW)
    assert seen == stored.identity


def test_its_trust_judges_peers(folder):
    trust = StoredIdentity.load(folder).trust
    assert trust.verify_untrusted(PKI.sink.chain, purpose=Purpose.CLIENT, at=NOW).uri == PKI.sink.uri


def test_nothing_of_the_key_is_printed(folder):
    text = repr(StoredIdentity.load(folder))
    assert "private_key" not in text
    assert "PRIVATE" not in text


def test_a_key_in_the_traditional_form_is_read(folder):
    pem = PKI.publisher_p256.private_key.private_bytes(
        Encoding.PEM, PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
    )
    (folder / "key.pem").write_bytes(pem)
    assert StoredIdentity.load(folder).identity.uri == PKI.publisher_p256.uri


def test_a_missing_folder_is_named(tmp_path):
    assert "no such identity folder" in refusal(tmp_path / "absent")


def test_a_file_in_place_of_the_folder_is_named(tmp_path):
    path = tmp_path / "file"
    path.touch()
    assert "no such identity folder" in refusal(path)


@pytest.mark.parametrize("name", ["key.pem", "cert.pem", "ca.pem"])
def test_each_missing_file_is_named(name, folder):
    (folder / name).unlink()
    assert f"{name}: no such file" in refusal(folder)


@pytest.mark.parametrize("name", ["key.pem", "cert.pem", "ca.pem"])
@pytest.mark.parametrize("content", [b"", b"\xff\x00junk"], ids=["empty", "junk"])
def test_each_file_of_junk_is_named(name, content, folder):
    (folder / name).write_bytes(content)
    assert name in refusal(folder)


@pytest.mark.parametrize("name", ["key.pem", "cert.pem", "ca.pem"])
def test_a_folder_or_a_huge_file_in_place_of_a_file_is_named(name, folder):
    (folder / name).write_bytes(bytes(1_000_001))
    (folder / "key.pem").chmod(0o600)
    assert f"{name}: the file is far too large" in refusal(folder)
    (folder / name).unlink()
    (folder / name).mkdir()
    assert f"{name}: is a directory" in refusal(folder)


def test_a_named_pipe_in_place_of_a_file_is_refused_and_not_waited_for(folder):
    (folder / "ca.pem").unlink()
    os.mkfifo(folder / "ca.pem")
    assert "ca.pem: this is not a file" in refusal(folder)


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o644, 0o610, 0o602])
def test_a_key_that_others_may_open_is_refused(mode, folder):
    (folder / "key.pem").chmod(mode)
    assert "chmod 600" in refusal(folder)


def test_a_key_of_another_certificate_is_refused(folder):
    write_key(folder, p256_key("another"))
    assert "its private key is not the one of cert.pem" in refusal(folder)


def test_an_rsa_key_beside_a_p256_certificate_is_refused(folder):
    write_key(folder, rsa_key())
    assert "its private key is not the one of cert.pem" in refusal(folder)


@pytest.mark.parametrize(
    "key",
    [ec.generate_private_key(ec.SECP521R1()), ed448.Ed448PrivateKey.generate(), rsa_key("small", 1024)],
    ids=["p-521", "ed448", "rsa-1024"],
)
def test_a_key_of_another_kind_is_refused(key, folder):
    write_key(folder, key)
    assert "none of P-256, P-384, Ed25519 and RSA-2048" in refusal(folder)


def test_an_encrypted_key_is_refused_without_asking_for_a_passphrase(folder):
    write_key(folder, PKI.publisher_p256.private_key, serialization.BestAvailableEncryption(b"secret"))
    assert "encrypted" in refusal(folder)


@pytest.mark.parametrize("flaw", [Flaw.NO_SAN, Flaw.TWO_IDENTITIES, Flaw.UNSUPPORTED_CURVE])
def test_a_certificate_that_no_peer_would_accept_is_refused(flaw, tmp_path):
    folder = PKI.folder(PKI.flawed(flaw), tmp_path / "node")
    assert "no peer would accept this" in refusal(folder)


def test_whether_it_is_in_force_is_asked_with_the_time(tmp_path):
    expired = PKI.stored(PKI.flawed(Flaw.EXPIRED), tmp_path / "expired")
    with pytest.raises(ConfigurationError, match="expired on 2021-01-01 00:00 UTC; issue it again"):
        expired.require_valid_at(NOW)
    early = PKI.stored(PKI.flawed(Flaw.NOT_YET_VALID), tmp_path / "early")
    with pytest.raises(ConfigurationError, match="not valid until 2098-01-01 00:00 UTC"):
        early.require_valid_at(NOW)
    PKI.stored(PKI.sink, tmp_path / "sink").require_valid_at(NOW)


def test_an_identity_is_read_from_a_certificate_alone(folder):
    assert read_identity(folder / "cert.pem") == PKI.publisher_p256.identity
