"""The CA: what it issues is what peers accept, and nothing valid exists that its ledger does not know."""

import fcntl
import json
import os
import stat
import subprocess
import sys
import threading
from datetime import timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from small_pki import NOW, ed25519_key, p256_key, p384_key, rsa_key

from twoway.errors import CallerError, ConfigurationError, StorageError
from twoway.pki import (
    CertificateAuthority,
    CertificateReason,
    CertificateRejected,
    KeyKind,
    Purpose,
    Role,
    StoredIdentity,
    TrustStore,
    files,
    read_ledger,
)
from twoway.pki.keys import private_key_to_pem

CLIENT, SERVER = ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.SERVER_AUTH


@pytest.fixture
def home(tmp_path):
    return tmp_path / "ca"


@pytest.fixture
def ca(home):
    return CertificateAuthority.init(home, name="Test", now=NOW)


def leaf_of(folder) -> x509.Certificate:
    return x509.load_pem_x509_certificate((folder / "cert.pem").read_bytes())


def extension(certificate, kind):
    return certificate.extensions.get_extension_for_class(kind)


def refusal(call) -> str:
    with pytest.raises(ConfigurationError) as caught:
        call()
    sentence = str(caught.value)
    assert "\n" not in sentence
    assert caught.value.remedy
    return sentence


def request(key, *, names=(), signed_by=None) -> bytes:
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "the one in the request")])
    builder = x509.CertificateSigningRequestBuilder().subject_name(subject)
    if names:
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
    algorithm = None if isinstance(key, ed25519.Ed25519PrivateKey) else hashes.SHA256()
    der = builder.sign(key, algorithm).public_bytes(Encoding.DER)
    return x509.load_der_x509_csr(der).public_bytes(Encoding.PEM)


def modes(folder):
    return {path.name: stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir() if path.is_file()}


class TestInit:
    def test_makes_the_files_of_an_authority_with_private_keys_private(self, ca, home):
        assert modes(home) == {
            "root-key.pem": 0o600,
            "issuing-key.pem": 0o600,
            "ca.pem": 0o644,
            "issuing.pem": 0o644,
            "issued.jsonl": 0o644,
        }
        assert read_ledger(ca.ledger_path) == []

    def test_modes_are_private_whatever_the_umask(self, home):
        before = os.umask(0)
        try:
            ca = CertificateAuthority.init(home, name="Test", now=NOW)
            folder = ca.issue("meter", Role.PUBLISHER, now=NOW)
        finally:
            os.umask(before)
        assert modes(home)["root-key.pem"] == modes(home)["issuing-key.pem"] == 0o600
        assert modes(folder)["key.pem"] == 0o600

    def test_the_root_may_have_one_authority_below_it_and_that_one_none(self, ca, home):
        root = x509.load_pem_x509_certificate((home / "ca.pem").read_bytes())
        issuing = x509.load_pem_x509_certificate((home / "issuing.pem").read_bytes())
        assert extension(root, x509.BasicConstraints).value == x509.BasicConstraints(ca=True, path_length=1)
        assert extension(issuing, x509.BasicConstraints).value == x509.BasicConstraints(True, 0)
        assert extension(issuing, x509.BasicConstraints).critical
        issuing.verify_directly_issued_by(root)
        assert isinstance(root.signature_hash_algorithm, hashes.SHA256)

    def test_the_root_key_is_needed_no_more(self, ca, home):
        (home / "root-key.pem").unlink()
        CertificateAuthority.open(home).issue("meter", Role.PUBLISHER, now=NOW)

    def test_an_authority_is_never_overwritten(self, ca, home):
        before = {path.name: path.read_bytes() for path in home.iterdir()}
        assert "an authority here already" in refusal(
            lambda: CertificateAuthority.init(home, name="Again", now=NOW)
        )
        assert {path.name: path.read_bytes() for path in home.iterdir()} == before

    def test_an_authority_whose_making_was_cut_short_is_made_again(self, home):
        home.mkdir()
        (home / "root-key.pem").write_bytes(b"half a key")
        CertificateAuthority.init(home, name="Test", now=NOW).issue("meter", Role.PUBLISHER, now=NOW)
        assert modes(home)["root-key.pem"] == 0o600

    @pytest.mark.parametrize("name", ["", " ", "x" * 49, "a\nb"])
    def test_a_name_that_cannot_stand_in_a_certificate_is_refused(self, name, home):
        assert "name of an authority" in refusal(lambda: CertificateAuthority.init(home, name=name, now=NOW))
        assert not home.exists()

    def test_a_file_in_place_of_the_home_is_refused(self, home):
        home.write_bytes(b"")
        assert "folder cannot be made" in refusal(
            lambda: CertificateAuthority.init(home, name="Test", now=NOW)
        )

    def test_a_naive_time_is_the_callers_mistake(self, home):
        with pytest.raises(CallerError):
            CertificateAuthority.init(home, name="Test", now=NOW.replace(tzinfo=None))


class TestOpen:
    def test_a_home_without_authority_is_refused(self, tmp_path):
        assert "twoway ca init" in refusal(lambda: CertificateAuthority.open(tmp_path / "absent"))

    @pytest.mark.parametrize("name", ["issuing.pem", "issuing-key.pem"])
    @pytest.mark.parametrize("damage", ["missing", "junk"])
    def test_each_damaged_file_is_named(self, name, damage, ca, home):
        if damage == "missing":
            (home / name).unlink()
        else:
            (home / name).write_bytes(b"junk")
        assert name in refusal(lambda: CertificateAuthority.open(home))

    def test_a_key_that_others_may_open_is_refused(self, ca, home):
        (home / "issuing-key.pem").chmod(0o640)
        assert "chmod 600" in refusal(lambda: CertificateAuthority.open(home))

    def test_a_key_of_another_authority_is_refused(self, ca, home, tmp_path):
        CertificateAuthority.init(tmp_path / "other", name="Other", now=NOW)
        (home / "issuing-key.pem").write_bytes((tmp_path / "other" / "issuing-key.pem").read_bytes())
        assert "not the private key of issuing.pem" in refusal(lambda: CertificateAuthority.open(home))


class TestIssue:
    @pytest.mark.parametrize("kind", KeyKind)
    @pytest.mark.parametrize("role", Role)
    def test_an_identity_is_accepted_on_the_sides_of_its_role_and_no_other(self, role, kind, ca, home):
        folder = ca.issue("node", role, key=kind, now=NOW)
        assert folder == home / "identities" / "node"
        stored = StoredIdentity.load(folder)
        sides = {Purpose.CLIENT} if role is Role.SUBSCRIBER else set(Purpose)
        for purpose in Purpose:
            if purpose in sides:
                seen = ca.trust.verify_untrusted(stored.chain, purpose=purpose, at=NOW)
                assert seen == stored.identity
                assert seen.uri == "urn:dev:org:32473-node"
            else:
                with pytest.raises(CertificateRejected) as caught:
                    ca.trust.verify_untrusted(stored.chain, purpose=purpose, at=NOW)
                assert caught.value.reason is CertificateReason.WRONG_USAGE

    def test_the_leaf_keeps_to_the_profile(self, ca):
        leaf = leaf_of(
            ca.issue("meter", Role.PUBLISHER, hosts=["Meter.Example", "192.0.2.7", "::1"], now=NOW)
        )
        assert leaf.version is x509.Version.v3
        assert isinstance(leaf.public_key(), ec.EllipticCurvePublicKey)
        assert leaf.serial_number.bit_length() == 127
        usage = extension(leaf, x509.KeyUsage)
        assert usage.critical
        assert usage.value.digital_signature
        assert not usage.value.key_cert_sign
        assert list(extension(leaf, x509.ExtendedKeyUsage).value) == [SERVER, CLIENT]
        names = extension(leaf, x509.SubjectAlternativeName).value
        assert [str(name.value) for name in names] == [
            "urn:dev:org:32473-meter",
            "meter.example",
            "192.0.2.7",
            "::1",
        ]
        assert {each.oid for each in leaf.extensions} == {
            x509.KeyUsage.oid,
            x509.ExtendedKeyUsage.oid,
            x509.SubjectAlternativeName.oid,
            x509.AuthorityKeyIdentifier.oid,
        }
        assert "example" not in leaf.subject.rfc4514_string()

    def test_rsa_keys_have_2048_bits(self, ca):
        key = leaf_of(ca.issue("meter", Role.PUBLISHER, key=KeyKind.RSA2048, now=NOW)).public_key()
        assert isinstance(key, rsa.RSAPublicKey)
        assert key.key_size == 2048

    def test_a_folder_holds_just_its_three_files_and_a_private_key(self, ca):
        assert modes(ca.issue("meter", Role.PUBLISHER, now=NOW)) == {
            "key.pem": 0o600,
            "cert.pem": 0o644,
            "ca.pem": 0o644,
        }

    def test_the_chain_is_the_leaf_and_then_its_issuer(self, ca, home):
        folder = ca.issue("meter", Role.PUBLISHER, now=NOW)
        assert (folder / "cert.pem").read_bytes().endswith((home / "issuing.pem").read_bytes())
        assert (folder / "ca.pem").read_bytes() == (home / "ca.pem").read_bytes()

    def test_serial_numbers_come_from_the_entropy_handed_in(self, home):
        ca = CertificateAuthority.init(home, name="Test", now=NOW, entropy=lambda size: b"\xff" * size)
        assert leaf_of(ca.issue("meter", Role.PUBLISHER, now=NOW)).serial_number == (1 << 127) - 1

    def test_it_is_in_force_from_shortly_before_now_for_its_lifetime(self, ca):
        leaf = leaf_of(ca.issue("meter", Role.PUBLISHER, now=NOW, lifetime=timedelta(hours=1)))
        assert leaf.not_valid_before_utc == NOW - timedelta(minutes=5)
        assert leaf.not_valid_after_utc == NOW + timedelta(hours=1)

    @pytest.mark.parametrize("days", [3651, 999_999_999])
    def test_it_never_outlives_its_authority(self, days, ca, home):
        leaf = leaf_of(ca.issue("meter", Role.PUBLISHER, now=NOW, lifetime=timedelta(days=days)))
        issuing = x509.load_pem_x509_certificate((home / "issuing.pem").read_bytes())
        assert leaf.not_valid_after_utc == issuing.not_valid_after_utc

    @pytest.mark.parametrize("days", [-1, 3651])
    def test_an_authority_that_is_not_in_force_issues_nothing(self, days, ca):
        moment = NOW + timedelta(days=days)
        assert "in force from" in refusal(lambda: ca.issue("meter", Role.PUBLISHER, now=moment))
        assert read_ledger(ca.ledger_path) == []

    @pytest.mark.parametrize("seconds", [0, -1])
    def test_a_certificate_without_a_life_is_refused(self, seconds, ca):
        life = timedelta(seconds=seconds)
        assert "lifetime" in refusal(lambda: ca.issue("meter", Role.PUBLISHER, now=NOW, lifetime=life))

    def test_a_whole_urn_is_an_identity_too(self, ca, home):
        folder = ca.issue("urn:dev:mac:0024befffe804ff1", Role.PUBLISHER, now=NOW)
        assert folder == home / "identities" / "urn_dev_mac_0024befffe804ff1"
        assert StoredIdentity.load(folder).identity.uri == "urn:dev:mac:0024befffe804ff1"

    @pytest.mark.parametrize("name", [".", "..", "...", ".hidden", "urn:dev:a/../../b"])
    def test_no_name_leaves_the_identities_folder(self, name, ca, home):
        folder = ca.issue(name, Role.PUBLISHER, now=NOW)
        assert folder.resolve().parent == home / "identities"
        assert StoredIdentity.load(folder).identity.uri.endswith(name)

    @pytest.mark.parametrize(
        "name", ["", "a b", "a/b", "ü", "a\n", "urn:", "urn:DEV:a", "urn:dev:a b", "x" * 60]
    )
    def test_a_name_that_no_peer_would_accept_is_refused(self, name, ca, home):
        refusal(lambda: ca.issue(name, Role.PUBLISHER, now=NOW))
        assert read_ledger(ca.ledger_path) == []
        assert not (home / "identities").exists()

    @pytest.mark.parametrize(
        "host",
        ["", "*.example", "a b", "a/b", "[::1]", "fe80::1%eth0", "meter.example:5684", "-a", "ü.example"],
    )
    def test_a_host_that_cannot_stand_in_a_certificate_is_refused(self, host, ca):
        assert "neither a host name" in refusal(
            lambda: ca.issue("meter", Role.PUBLISHER, hosts=[host], now=NOW)
        )
        assert read_ledger(ca.ledger_path) == []

    @pytest.mark.parametrize(
        "attributes", [{"a b": "x"}, {"": "x"}, {"1a": "x"}, {"a": ""}, {"a": "x\ny"}, {"a": "x" * 257}]
    )
    def test_an_attribute_that_cannot_be_recorded_is_refused(self, attributes, ca):
        assert "attribute" in refusal(
            lambda: ca.issue("meter", Role.PUBLISHER, attributes=attributes, now=NOW)
        )
        assert read_ledger(ca.ledger_path) == []

    def test_the_folder_may_be_named(self, ca, tmp_path):
        folder = tmp_path / "elsewhere" / "meter"
        assert ca.issue("meter", Role.PUBLISHER, out=folder, now=NOW) == folder
        assert StoredIdentity.load(folder).identity.uri.endswith("meter")

    def test_an_empty_folder_may_be_named(self, ca, tmp_path):
        (tmp_path / "empty").mkdir()
        assert StoredIdentity.load(ca.issue("meter", Role.PUBLISHER, out=tmp_path / "empty", now=NOW))

    def test_a_folder_with_anything_in_it_is_left_alone(self, ca, tmp_path):
        (tmp_path / "full").mkdir()
        (tmp_path / "full" / "letter.txt").write_text("dear")
        assert "something in this folder already" in refusal(
            lambda: ca.issue("meter", Role.PUBLISHER, out=tmp_path / "full", now=NOW)
        )
        assert read_ledger(ca.ledger_path) == []

    def test_a_file_in_place_of_the_folder_is_refused(self, ca, tmp_path):
        (tmp_path / "file").touch()
        assert "cannot be used as a folder" in refusal(
            lambda: ca.issue("meter", Role.PUBLISHER, out=tmp_path / "file", now=NOW)
        )

    def test_authorities_of_one_name_do_not_vouch_for_each_other(self, ca, tmp_path):
        other = CertificateAuthority.init(tmp_path / "other", name="Test", now=NOW)
        chain = StoredIdentity.load(other.issue("meter", Role.PUBLISHER, now=NOW)).chain
        with pytest.raises(CertificateRejected) as caught:
            ca.trust.verify_untrusted(chain, purpose=Purpose.CLIENT, at=NOW)
        assert caught.value.reason is CertificateReason.UNKNOWN_CA


class TestReplacing:
    def test_a_name_that_was_issued_is_refused_in_one_sentence(self, ca, tmp_path):
        folder = ca.issue("meter", Role.PUBLISHER, now=NOW)
        before = (folder / "cert.pem").read_bytes()
        for out in (None, tmp_path / "elsewhere"):
            sentence = refusal(lambda out=out: ca.issue("meter", Role.SUBSCRIBER, out=out, now=NOW))
            assert sentence == (
                "urn:dev:org:32473-meter was issued before; choose another name, or replace it (--replace)"
            )
        assert (folder / "cert.pem").read_bytes() == before
        assert len(read_ledger(ca.ledger_path)) == 1

    def test_a_replaced_identity_has_a_new_key_and_keeps_its_other_files(self, ca):
        folder = ca.issue("meter", Role.PUBLISHER, now=NOW)
        (folder / "ac.toml").write_text("uri = 'coaps://ac'")
        before = StoredIdentity.load(folder)
        assert ca.issue("meter", Role.PUBLISHER, now=NOW, replace=True) == folder
        after = StoredIdentity.load(folder)
        assert after.identity.spki != before.identity.spki
        assert (folder / "ac.toml").exists()
        assert modes(folder)["key.pem"] == 0o600
        assert len(read_ledger(ca.ledger_path)) == 2

    def test_replacing_a_name_that_is_new_is_issuing_it(self, ca):
        assert StoredIdentity.load(ca.issue("meter", Role.PUBLISHER, now=NOW, replace=True))

    def test_a_folder_of_another_identity_is_never_replaced(self, ca):
        folder = ca.issue("meter", Role.PUBLISHER, now=NOW)
        assert "belongs to urn:dev:org:32473-meter" in refusal(
            lambda: ca.issue("gauge", Role.PUBLISHER, out=folder, now=NOW, replace=True)
        )
        assert len(read_ledger(ca.ledger_path)) == 1


class TestRequests:
    @pytest.mark.parametrize(
        "key",
        [p256_key("device"), p384_key("device"), ed25519_key("device"), rsa_key()],
        ids=list(KeyKind),
    )
    def test_only_the_key_is_taken_from_a_request(self, key, ca):
        wanted = [x509.UniformResourceIdentifier("urn:dev:org:32473-ac"), x509.DNSName("bank.example")]
        folder = ca.sign_request(request(key, names=wanted), "meter", Role.SUBSCRIBER, now=NOW)
        assert sorted(path.name for path in folder.iterdir()) == ["ca.pem", "cert.pem"]
        leaf = leaf_of(folder)
        assert leaf.public_key() == key.public_key()
        assert list(extension(leaf, x509.ExtendedKeyUsage).value) == [CLIENT]
        names = extension(leaf, x509.SubjectAlternativeName).value
        assert [name.value for name in names] == ["urn:dev:org:32473-meter"]
        assert "request" not in leaf.subject.rfc4514_string()
        assert read_ledger(ca.ledger_path)[0].uri == "urn:dev:org:32473-meter"

    def test_the_folder_is_complete_once_the_device_puts_its_key_there(self, ca):
        key = p256_key("device")
        folder = ca.sign_request(request(key), "meter", Role.PUBLISHER, now=NOW)
        files.write_file(folder / "key.pem", private_key_to_pem(key), mode=0o600)
        assert StoredIdentity.load(folder).identity.uri.endswith("meter")

    def test_a_request_that_is_not_signed_by_its_key_is_refused(self, ca):
        der = bytearray(x509.load_pem_x509_csr(request(p256_key("device"))).public_bytes(Encoding.DER))
        der[-1] ^= 1
        pem = x509.load_der_x509_csr(bytes(der)).public_bytes(Encoding.PEM)
        assert "not signed by the key" in refusal(
            lambda: ca.sign_request(pem, "meter", Role.PUBLISHER, now=NOW)
        )
        assert read_ledger(ca.ledger_path) == []

    def test_a_request_for_a_key_of_another_kind_is_refused(self, ca):
        for key in (ec.generate_private_key(ec.SECP521R1()), rsa_key("small", 1024)):
            pem = request(key)
            assert "none of P-256, P-384, Ed25519 and RSA-2048" in refusal(
                lambda pem=pem: ca.sign_request(pem, "meter", Role.PUBLISHER, now=NOW)
            )

    @pytest.mark.parametrize("pem", [b"", b"junk", b"\xff\x00"])
    def test_junk_is_no_request(self, pem, ca):
        assert "not a certificate request" in refusal(
            lambda: ca.sign_request(pem, "meter", Role.PUBLISHER, now=NOW)
        )

    def test_a_name_that_was_issued_is_refused(self, ca):
        ca.issue("meter", Role.PUBLISHER, now=NOW)
        assert "was issued before" in refusal(
            lambda: ca.sign_request(request(p256_key("device")), "meter", Role.PUBLISHER, now=NOW)
        )

    def test_a_private_key_of_another_leaf_does_not_stay_beside_a_replaced_one(self, ca):
        ca.issue("meter", Role.PUBLISHER, now=NOW)
        assert "not the key of the request" in refusal(
            lambda: ca.sign_request(
                request(p256_key("device")), "meter", Role.PUBLISHER, now=NOW, replace=True
            )
        )

    def test_a_leaf_is_renewed_for_the_same_key(self, ca):
        folder = ca.issue("meter", Role.PUBLISHER, now=NOW)
        before = StoredIdentity.load(folder)
        ca.sign_request(request(before.private_key), "meter", Role.PUBLISHER, now=NOW, replace=True)
        after = StoredIdentity.load(folder)
        assert after.identity.spki == before.identity.spki
        assert after.chain != before.chain


class TestCrashes:
    def test_the_ledger_is_on_the_disk_before_the_folder_appears(self, ca, home, monkeypatch):
        order = []
        sync, rename = os.fsync, files.Path.rename

        def spy_sync(descriptor):
            order.append(("synced", os.path.realpath(f"/proc/self/fd/{descriptor}")))
            sync(descriptor)

        def spy_rename(self, target):
            order.append(("appeared", str(target)))
            return rename(self, target)

        monkeypatch.setattr(os, "fsync", spy_sync)
        monkeypatch.setattr(files.Path, "rename", spy_rename)
        folder = ca.issue("meter", Role.PUBLISHER, now=NOW)
        assert order[0] == ("synced", str(home / "issued.jsonl"))
        appeared = order.index(("appeared", str(folder)))
        key_synced = next(n for n, (what, path) in enumerate(order) if path.endswith("/key.pem"))
        assert 0 < key_synced < appeared
        assert order[-1] == ("synced", str(folder.parent))

    def test_when_the_ledger_cannot_be_written_nothing_is_handed_out(self, ca, home, monkeypatch):
        def full(descriptor):
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(os, "fsync", full)
        with pytest.raises(StorageError, match="no space left on device"):
            ca.issue("meter", Role.PUBLISHER, now=NOW)
        assert not (home / "identities").exists()

    def test_when_the_folder_cannot_be_written_nothing_is_left_of_it_but_the_line(
        self, ca, home, monkeypatch
    ):
        def refuse(self, target):
            raise OSError(30, "Read-only file system")

        with monkeypatch.context() as patch:
            patch.setattr(files.Path, "rename", refuse)
            with pytest.raises(StorageError, match="read-only file system"):
                ca.issue("meter", Role.PUBLISHER, now=NOW)
        assert list((home / "identities").iterdir()) == []
        assert [entry.name for entry in read_ledger(ca.ledger_path)] == ["meter"]
        assert StoredIdentity.load(ca.issue("meter", Role.PUBLISHER, now=NOW, replace=True))

    def test_no_temporary_files_are_left(self, ca, home):
        folder = ca.issue("meter", Role.PUBLISHER, now=NOW)
        ca.issue("meter", Role.PUBLISHER, now=NOW, replace=True)
        assert not list(home.rglob(".*"))
        assert len(list(folder.iterdir())) == 3

    def test_a_line_cut_off_by_a_crash_is_passed_over_and_then_removed(self, ca):
        ca.issue("meter", Role.PUBLISHER, now=NOW)
        with ca.ledger_path.open("ab") as ledger:
            ledger.write(b'{"name":"gau')
        assert [entry.name for entry in read_ledger(ca.ledger_path)] == ["meter"]
        ca.issue("gauge", Role.PUBLISHER, now=NOW)
        assert [entry.name for entry in read_ledger(ca.ledger_path)] == ["meter", "gauge"]

    def test_whoever_issues_waits_for_the_one_before(self, ca):
        issuing = threading.Thread(target=ca.issue, args=("meter", Role.PUBLISHER), kwargs={"now": NOW})
        with ca.ledger_path.open("rb") as ledger:
            fcntl.flock(ledger, fcntl.LOCK_EX)
            issuing.start()
            issuing.join(timeout=0.3)
            assert issuing.is_alive()
            assert read_ledger(ca.ledger_path) == []
        issuing.join(timeout=30)
        assert [entry.name for entry in read_ledger(ca.ledger_path)] == ["meter"]

    def test_two_processes_cannot_issue_one_name(self, ca, home):
        command = [sys.executable, "-m", "twoway", "ca", "issue", str(home), "meter", "--role", "publisher"]
        rivals = [
            subprocess.Popen([*command, "--out", str(home / f"out-{number}")], stderr=subprocess.PIPE)
            for number in range(4)
        ]
        refusals = [rival.communicate(timeout=60)[1] for rival in rivals]
        assert sorted(rival.returncode for rival in rivals) == [0, 2, 2, 2]
        assert sum(b"was issued before" in refusal for refusal in refusals) == 3
        assert len(read_ledger(ca.ledger_path)) == 1


@pytest.mark.peers
@pytest.mark.parametrize("kind", KeyKind)
def test_openssl_agrees_under_its_strict_rules(kind, ca):
    folder = ca.issue("meter", Role.PUBLISHER, key=kind, hosts=["localhost"], now=NOW)
    for purpose in ("sslclient", "sslserver"):
        subprocess.run(
            [
                *("openssl", "verify", "-x509_strict", "-purpose", purpose),
                *("-attime", str(int(NOW.timestamp())), "-CAfile", folder / "ca.pem"),
                *("-untrusted", folder / "cert.pem", folder / "cert.pem"),
            ],
            check=True,
            capture_output=True,
            timeout=20,
        )


def test_the_trust_of_an_authority_is_its_root(ca, home):
    assert ca.trust.subjects == TrustStore.from_file(home / "ca.pem").subjects
    assert b"Test root" in ca.trust.subjects[0]


def test_lines_of_the_ledger_say_what_the_certificate_says(ca):
    folder = ca.issue(
        "meter",
        Role.PUBLISHER,
        hosts=["::1"],
        attributes={"organisation": "Stadtwerke Österreich", "region": "eu"},
        now=NOW,
    )
    identity = StoredIdentity.load(folder).identity
    leaf = leaf_of(folder)
    assert json.loads(ca.ledger_path.read_text()) == {
        "name": "meter",
        "uri": "urn:dev:org:32473-meter",
        "role": "publisher",
        "serial": f"{leaf.serial_number:x}",
        "not_before": "2025-12-31T23:55:00Z",
        "not_after": "2027-01-01T00:00:00Z",
        "spki_sha256": identity.spki_sha256.hex(),
        "attributes": {"organisation": "Stadtwerke Österreich", "region": "eu"},
        "hosts": ["::1"],
        "certificate": leaf.public_bytes(Encoding.PEM).decode(),
    }
