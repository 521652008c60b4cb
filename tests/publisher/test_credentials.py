"""What the publisher proves itself with and whom it believes, read from files or refused in one sentence."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path

import pytest
from publisher_world import IssuingAC
from small_pki import Credential, Flaw, small_pki

from twoway.errors import ConfigurationError
from twoway.identity import identity_uri
from twoway.publisher import load_config
from twoway.publisher.authority import Authority
from twoway.publisher.credentials import Credentials, load_authority, load_credentials
from twoway.tickets import TicketReason, TicketRejected

PKI = small_pki()
NOW = datetime(2026, 6, 1, tzinfo=UTC)

RESOURCE = '[[resource]]\npath = "/host"\nsource = "host"\n'
WITH_CERTIFICATE = f'identity = "meter"\nlisten = ":0"\ndefault_subscribers = ["sink"]\n{RESOURCE}'
WITH_KEY = (
    'name = "host"\nlisten = ":0"\ndefault_subscribers = ["psk:sink"]\n'
    f'psk = [{{ identity = "sink", key_file = "psk.hex" }}]\n{RESOURCE}'
)
AC = '[ac]\nuri = "coaps://ac.example/token"\ncertificate = "ac.pem"\n'


def credentials(folder: Path, text: str) -> Credentials:
    (folder / "publisher.toml").write_text(text)
    return load_credentials(load_config(folder / "publisher.toml"), now=NOW)


def authority(folder: Path, text: str, ac: Credential) -> Authority:
    (folder / "ac.pem").write_bytes(ac.cert_pem)
    (folder / "publisher.toml").write_text(text + AC)
    config = load_config(folder / "publisher.toml")
    assert config.ac is not None
    return load_authority(
        config.ac, load_credentials(config, now=NOW), exi_ledger=None, entropy=os.urandom, now=NOW
    )


def psk(folder: Path) -> None:
    (folder / "psk.hex").write_text("ab" * 32)
    (folder / "psk.hex").chmod(0o600)


@pytest.mark.parametrize("credential", [PKI.publisher_p256, PKI.publisher_rsa], ids=["p-256", "rsa-2048"])
def test_a_certificate_says_who_the_publisher_is(tmp_path, credential):
    PKI.folder(credential, tmp_path / "meter")
    loaded = credentials(tmp_path, WITH_CERTIFICATE)
    assert loaded.name == credential.uri
    assert loaded.dtls.psk_lookup is None


def test_a_publisher_with_keys_only_says_itself_who_it_is(tmp_path):
    psk(tmp_path)
    loaded = credentials(tmp_path, WITH_KEY)
    assert (loaded.name, loaded.trust) == (identity_uri("host"), None)
    assert loaded.dtls.psk_lookup is not None
    assert loaded.dtls.psk_lookup(b"sink") == b"\xab" * 32
    assert loaded.dtls.psk_lookup(b"other") is None


def test_no_key_is_shown_when_the_credentials_are_printed(tmp_path):
    psk(tmp_path)
    loaded = credentials(tmp_path, WITH_KEY)
    assert "ab" * 4 not in repr(loaded)
    assert r"\xab" not in repr(loaded)


def test_a_missing_identity_folder_is_named(tmp_path):
    with pytest.raises(ConfigurationError, match="no such identity folder") as error:
        credentials(tmp_path, WITH_CERTIFICATE)
    assert str(tmp_path / "meter") in str(error.value)


def test_a_private_key_that_others_can_read_is_refused(tmp_path):
    (PKI.folder(PKI.publisher_p256, tmp_path / "meter") / "key.pem").chmod(0o644)
    with pytest.raises(ConfigurationError, match="chmod 600"):
        credentials(tmp_path, WITH_CERTIFICATE)


@pytest.mark.parametrize("flaw", [Flaw.EXPIRED, Flaw.NOT_YET_VALID])
def test_a_certificate_that_peers_would_refuse_today_is_refused_at_the_start(tmp_path, flaw):
    PKI.folder(PKI.flawed(flaw), tmp_path / "meter")
    with pytest.raises(ConfigurationError, match=r"expired|not valid until"):
        credentials(tmp_path, WITH_CERTIFICATE)


def test_the_authority_is_whom_the_acs_certificate_names_with_its_key(tmp_path):
    PKI.folder(PKI.publisher_p256, tmp_path / "meter")
    loaded = authority(tmp_path, WITH_CERTIFICATE, PKI.ac)
    assert loaded.token_uri == "coaps://ac.example/token"
    assert loaded.valid_until == PKI.ac.identity.not_after
    holder = PKI.subscriber.identity
    good = IssuingAC(uri=PKI.ac.uri, key=PKI.ac.private_key)
    ticket = good.ticket(holder, audience=PKI.publisher_p256.uri, at=NOW)
    assert loaded.verifier.verify_untrusted(ticket, now=NOW).issuer == PKI.ac.uri
    other_name = IssuingAC(uri=identity_uri("other-ac"), key=PKI.ac.private_key)
    ticket = other_name.ticket(holder, audience=PKI.publisher_p256.uri, at=NOW)
    with pytest.raises(TicketRejected) as rejected:
        loaded.verifier.verify_untrusted(ticket, now=NOW)
    assert rejected.value.reason is TicketReason.UNKNOWN_ISSUER


@pytest.mark.parametrize(
    "flaw", [Flaw.EXPIRED, Flaw.OTHER_CA, Flaw.SELF_SIGNED, Flaw.FORGED, Flaw.CLIENT_ONLY, Flaw.NO_SAN]
)
def test_an_ac_whose_certificate_cannot_be_believed_is_refused(tmp_path, flaw):
    PKI.folder(PKI.publisher_p256, tmp_path / "meter")
    with pytest.raises(ConfigurationError, match="this is no AC to believe") as error:
        authority(tmp_path, WITH_CERTIFICATE, PKI.flawed(flaw))
    assert str(error.value).startswith(str(tmp_path / "ac.pem"))


@pytest.mark.parametrize("credential", [PKI.publisher_p384, PKI.publisher_ed25519, PKI.publisher_rsa])
def test_an_ac_whose_key_cannot_sign_tickets_is_refused(tmp_path, credential):
    PKI.folder(PKI.publisher_p256, tmp_path / "meter")
    with pytest.raises(ConfigurationError, match="cannot sign tickets") as error:
        authority(tmp_path, WITH_CERTIFICATE, credential)
    assert str(error.value).startswith(str(tmp_path / "ac.pem"))


def test_a_publisher_with_keys_only_takes_the_operators_word_for_the_ac(tmp_path):
    psk(tmp_path)
    assert authority(tmp_path, WITH_KEY, PKI.ac).valid_until == PKI.ac.identity.not_after


def test_a_missing_certificate_of_the_ac_is_named(tmp_path):
    PKI.folder(PKI.publisher_p256, tmp_path / "meter")
    (tmp_path / "publisher.toml").write_text(WITH_CERTIFICATE + AC)
    config = load_config(tmp_path / "publisher.toml")
    assert config.ac is not None
    with pytest.raises(ConfigurationError, match=r"ac\.pem"):
        load_authority(
            config.ac, load_credentials(config, now=NOW), exi_ledger=None, entropy=os.urandom, now=NOW
        )
