"""What the publisher proves itself with and whom it believes, read from files or refused in one sentence."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from publisher_world import IssuingAC
from small_pki import Credential, Flaw, small_pki

from twoway.dtls import PSKCredential
from twoway.errors import ConfigurationError
from twoway.identity import identity_uri
from twoway.publisher import load_config
from twoway.publisher.authority import Authority
from twoway.publisher.credentials import Credentials, load_authority, load_credentials
from twoway.tickets import ExiLedger, ProvisionalNumbers, SharedSecret, TicketReason, TicketRejected

PKI = small_pki()
SECRET = SharedSecret(bytes(range(32)))
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


SHARING = AC.replace('certificate = "ac.pem"', 'identity = "ac"\nshared_secret_file = "secret.hex"')


def test_with_a_certificate_the_ac_is_met_by_that_and_not_by_the_shared_secret(tmp_path):
    PKI.folder(PKI.publisher_p256, tmp_path / "meter")
    share(tmp_path)
    loaded = credentials(tmp_path, WITH_CERTIFICATE + SHARING)
    assert loaded.client is not None
    assert loaded.client.certificate is not None
    assert (loaded.client.psk, loaded.client.psk_lookup) == (None, None)


def test_without_a_certificate_the_ac_is_met_by_the_shared_secret(tmp_path):
    psk(tmp_path)
    share(tmp_path)
    client = credentials(tmp_path, WITH_KEY + SHARING).client
    assert client is not None
    assert (client.certificate, client.trust, client.psk_lookup) == (None, None, None)
    secret = SharedSecret(bytes.fromhex("cd" * 32))
    assert client.psk == PSKCredential(
        secret.association_name(identity_uri("host")), secret.association_key()
    )


def test_with_neither_the_ac_is_not_met(tmp_path):
    psk(tmp_path)
    assert credentials(tmp_path, WITH_KEY + AC).client is None


def test_the_shared_secret_is_not_shown_when_the_credentials_are_printed(tmp_path):
    psk(tmp_path)
    share(tmp_path)
    loaded = credentials(tmp_path, WITH_KEY + SHARING)
    assert loaded.secret is not None
    for key in (loaded.secret.secret, loaded.secret.association_key()):
        assert repr(key)[2:10] not in repr(loaded)
        assert key.hex()[:8] not in repr(loaded)


def share(folder: Path) -> None:
    (folder / "secret.hex").write_text("cd" * 32)
    (folder / "secret.hex").chmod(0o600)


def test_a_missing_certificate_of_the_ac_is_named(tmp_path):
    PKI.folder(PKI.publisher_p256, tmp_path / "meter")
    (tmp_path / "publisher.toml").write_text(WITH_CERTIFICATE + AC)
    config = load_config(tmp_path / "publisher.toml")
    assert config.ac is not None
    with pytest.raises(ConfigurationError, match=r"ac\.pem"):
        load_authority(
            config.ac, load_credentials(config, now=NOW), exi_ledger=None, entropy=os.urandom, now=NOW
        )


class TestWhatTicketsAreJudgedBy:
    """What the file says of the AC is what its tickets are held against."""

    def load(
        self,
        folder: Path,
        more: str,
        *,
        certified: bool = True,
        exi_ledger: ExiLedger | None = None,
        **judged: object,
    ) -> Authority:
        PKI.folder(PKI.publisher_p256, folder / "meter")
        (folder / "ac.pem").write_bytes(PKI.ac.cert_pem)
        (folder / "secret.hex").write_text(SECRET.secret.hex())
        (folder / "secret.hex").chmod(0o600)
        whose = 'certificate = "ac.pem"' if certified else f'identity = "{PKI.ac.uri}"'
        section = f'[ac]\nuri = "coaps://ac.example/token"\n{whose}\n{more}\n'
        (folder / "publisher.toml").write_text(WITH_CERTIFICATE + section)
        config = load_config(folder / "publisher.toml")
        self.credentials = load_credentials(config, now=NOW)
        return load_authority(
            config.ac, self.credentials, exi_ledger=exi_ledger, entropy=os.urandom, now=NOW, **judged
        )

    def signed(self, **more: object) -> bytes:
        ac = IssuingAC(uri=PKI.ac.uri, key=PKI.ac.private_key)
        return ac.ticket(PKI.subscriber.identity, audience=PKI.publisher_p256.uri, at=NOW, **more)

    def shared(self, secret: SharedSecret) -> bytes:
        ac = IssuingAC(uri=PKI.ac.uri)
        return ac.shared_ticket(secret, b"nametag8", audience=PKI.publisher_p256.uri, at=NOW).encoded

    def reason(self, judge: Authority, encoded: bytes, now: datetime = NOW) -> TicketReason | None:
        try:
            judge.verifier.verify_untrusted(encoded, now=now)
        except TicketRejected as rejected:
            return rejected.reason
        return None

    def test_a_secret_alone_is_all_that_counts_and_has_no_end(self, tmp_path):
        loaded = self.load(tmp_path, 'shared_secret_file = "secret.hex"\nfollow = false', certified=False)
        assert (loaded.issuer, loaded.key_ids) == (PKI.ac.uri, frozenset())
        assert loaded.valid_until == datetime.max.replace(tzinfo=UTC)
        assert self.reason(loaded, self.shared(SECRET)) is None
        assert self.reason(loaded, self.shared(SharedSecret(bytes(32)))) is TicketReason.UNKNOWN_ISSUER
        assert self.reason(loaded, self.signed()) is TicketReason.UNKNOWN_ISSUER

    def test_a_secret_beside_a_certificate_counts_as_well(self, tmp_path):
        loaded = self.load(tmp_path, 'shared_secret_file = "secret.hex"\nfollow = false')
        assert self.reason(loaded, self.signed()) is None
        assert self.reason(loaded, self.shared(SECRET)) is None

    def test_without_a_secret_no_encrypted_ticket_counts(self, tmp_path):
        loaded = self.load(tmp_path, "")
        assert self.reason(loaded, self.shared(SECRET)) is TicketReason.UNKNOWN_ISSUER

    def test_a_nonce_is_asked_for_where_the_file_says_so_and_is_good_for_as_long_as_it_says(self, tmp_path):
        assert self.load(tmp_path / "without", "").nonce(NOW) is None
        loaded = self.load(tmp_path / "with", "cnonce = true\ncnonce_lifetime = 30")
        cnonce = loaded.nonce(NOW)
        assert cnonce is not None
        assert self.reason(loaded, self.signed()) is TicketReason.STALE_NONCE
        ticket = self.signed(cnonce=cnonce)
        assert self.reason(loaded, ticket, NOW + timedelta(seconds=30)) is None
        assert self.reason(loaded, ticket, NOW + timedelta(seconds=31)) is TicketReason.STALE_NONCE
        again = self.load(tmp_path / "again", "cnonce = true\ncnonce_lifetime = 30")
        assert self.reason(again, ticket) is TicketReason.STALE_NONCE  # another run, another key

    def test_certificates_are_pinned_by_the_number_that_is_handed_in(self, tmp_path):
        numbers = ProvisionalNumbers(x5t=8)
        pinned = self.signed(certificate=b"the leaf", numbers=numbers)
        loaded = self.load(tmp_path, "", numbers=numbers)
        ticket = loaded.verifier.verify_untrusted(pinned, now=NOW)
        ticket.require_holder(PKI.subscriber.spki, b"the leaf")
        with pytest.raises(TicketRejected):
            ticket.require_holder(PKI.subscriber.spki, b"another")

    def test_seconds_from_first_sight_are_counted_in_the_ledger_that_is_handed_in(self, tmp_path):
        ledger = ExiLedger()
        loaded = self.load(tmp_path, "", exi_ledger=ledger)
        assert self.reason(loaded, self.signed(exi=60, sequence=7)) is None
        assert ledger.to_bytes() == (8).to_bytes(9)

    def test_peers_with_a_symmetric_key_are_met_where_a_secret_is_shared(self, tmp_path):
        self.load(tmp_path / "without", "")
        assert self.credentials.dtls.psk_lookup is None
        self.load(tmp_path / "with", 'shared_secret_file = "secret.hex"\nfollow = false')
        assert self.credentials.dtls.psk_lookup is not None
        assert self.credentials.dtls.psk_lookup(b"anybody") is None
        assert self.credentials.client is not None
        assert self.credentials.client.psk_lookup is None
        assert self.credentials.dtls.trust is self.credentials.client.trust is self.credentials.trust
        assert self.credentials.trust is not None
        assert self.credentials.psk == {}
