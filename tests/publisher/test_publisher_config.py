"""publisher.toml: what may stand in it, and the one sentence for what may not."""

from __future__ import annotations

from pathlib import Path

import pytest

from twoway.errors import ConfigurationError
from twoway.identity import identity_uri
from twoway.publisher import load_config
from twoway.readings import recorded_file

METER = """
identity = "identities/meter"
listen = "127.0.0.1:0"
default_subscribers = ["sink"]
[ac]
uri = "coaps://127.0.0.1:5684/token"
certificate = "identities/ac/cert.pem"
[[resource]]
path = "/power"
source = "p1"
files = ["recorded:p1/kaifa-v4.2.txt", "own.txt"]
"""

HOST = """
name = "urn:dev:org:32473-host"
listen = ":0"
default_subscribers = ["psk:sink"]
psk = [{ identity = "sink", key_file = "psk-sink.hex" }]
[[resource]]
path = "/host"
source = "host"
interval = 0.5
"""


def written(folder: Path, text: str) -> Path:
    path = folder / "publisher.toml"
    path.write_text(text)
    return path


def complaint(folder: Path, text: str) -> str:
    with pytest.raises(ConfigurationError) as error:
        load_config(written(folder, text))
    assert "\n" not in str(error.value)
    assert str(error.value).startswith(str(folder / "publisher.toml"))
    return str(error.value)


def key_file(folder: Path, content: str, mode: int = 0o600) -> None:
    path = folder / "psk-sink.hex"
    path.write_text(content)
    path.chmod(mode)


def test_a_publisher_with_a_certificate_is_read_with_paths_from_the_files_folder(tmp_path):
    config = load_config(written(tmp_path, METER))
    assert config.identity == tmp_path / "identities/meter"
    assert config.default_subscribers == (identity_uri("sink"),)
    assert config.ac is not None
    assert config.ac.certificate == tmp_path / "identities/ac/cert.pem"
    assert config.resource[0].files == (recorded_file("p1/kaifa-v4.2.txt"), tmp_path / "own.txt")


def test_a_publisher_with_a_pre_shared_key_only_names_itself(tmp_path):
    config = load_config(written(tmp_path, HOST))
    assert (config.identity, config.name) == (None, identity_uri("host"))
    assert config.default_subscribers == ("psk:sink",)
    assert config.resource[0].interval == 0.5


def test_a_csv_resource_names_its_figure(tmp_path):
    text = (
        METER + '[[resource]]\npath = "/flow"\nsource = "csv"\nfile = "f.csv"\nname = "flow"\nunit = "l/s"\n'
    )
    section = load_config(written(tmp_path, text)).resource[1]
    assert (section.file, section.name, section.unit) == (tmp_path / "f.csv", "flow", "l/s")


def test_a_default_subscriber_may_be_named_by_its_host(tmp_path):
    text = METER.replace('["sink"]', '["dns:sink.example"]')
    assert load_config(written(tmp_path, text)).default_subscribers == ("dns:sink.example",)


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ('identity = "identities/meter"\n', "", "give 'identity' (a folder), or 'name'"),
        ('listen = "127.0.0.1:0"\n', "", "'listen' is missing"),
        ("listen =", "lisen =", "did you mean 'listen'?"),
        ('"127.0.0.1:0"', '"127.0.0.1"', "not an address to listen on"),
        ('identity = "identities/meter"\n', 'identity = "i"\nname = "meter"\n', "leave 'name' out"),
        ('["sink"]', '["psk:sink"]', "'psk:sink' has no [[psk]]"),
        ('["sink"]', '["sink 1"]', "default_subscribers"),
        ('uri = "coaps://127.0.0.1:5684/token"', 'uri = "http://x"', "not a coaps URI"),
        ('path = "/power"', 'path = "power"', "not the path of a resource"),
        ('path = "/power"', 'path = "/authz-info"', "has a meaning of its own"),
        ('path = "/power"', 'path = "/.well-known/core"', "has a meaning of its own"),
        ('path = "/power"', 'path = "/x/../power"', "has a meaning of its own"),
        ('path = "/power"', 'path = "/pöwer"', "cannot be part of a reading's name"),
        ('source = "p1"', 'source = "p2"', "source"),
        ('source = "p1"\n', 'source = "p1"\ninterval = 0\n', "interval"),
        ('source = "p1"\n', 'source = "p1"\ninterval = "1"\n', "give a number"),
        ('source = "p1"\n', 'source = "p1"\nunit = "W"\n', "'p1' has no use for the key 'unit'"),
        ('source = "p1"', 'source = "csv"', "'csv' needs the key 'file'"),
        ('"recorded:p1/kaifa-v4.2.txt"', '"recorded:nothing"', "no recorded file 'nothing'"),
        ('path = "/power"', 'path = "/power"\ntype = "with space"', "type"),
        (
            "[[resource]]",
            '[[resource]]\npath = "/power"\nsource = "host"\n[[resource]]',
            "'/power' stands there twice",
        ),
        ('default_subscribers = ["sink"]', 'psk = [{ identity = "", key_file = "k" }]', "psk#1.identity"),
        (
            'default_subscribers = ["sink"]',
            'psk = [{ identity = "a", key_file = "k" }, { identity = "a", key_file = "l" }]',
            "'a' stands there twice",
        ),
        (
            'default_subscribers = ["sink"]',
            f'psk = [{{ identity = "{"a" * 129}", key_file = "k" }}]',
            "longer than 128 bytes",
        ),
    ],
)
def test_what_is_wrong_gets_one_sentence_that_says_where(tmp_path, old, new, words):
    assert old in METER
    assert words in complaint(tmp_path, METER.replace(old, new, 1))


def test_a_publisher_that_nobody_could_read_is_refused(tmp_path):
    text = METER[: METER.index("[ac]")].replace('default_subscribers = ["sink"]\n', "")
    text += METER[METER.index("[[resource]]") :]
    assert "nobody could read" in complaint(tmp_path, text)


def test_a_publisher_without_resources_is_refused(tmp_path):
    assert "resource" in complaint(tmp_path, METER[: METER.index("[[resource]]")])


def test_a_publisher_with_neither_certificate_nor_key_is_refused(tmp_path):
    text = HOST.replace('psk = [{ identity = "sink", key_file = "psk-sink.hex" }]\n', "")
    assert "at least one [[psk]]" in complaint(tmp_path, text)


def test_without_a_certificate_no_certified_peer_can_be_a_default_subscriber(tmp_path):
    assert "needs a certificate on our side" in complaint(tmp_path, HOST.replace("psk:sink", "sink"))


SHARING = """
name = "urn:dev:org:32473-host"
listen = ":0"
[ac]
uri = "coaps://127.0.0.1:5684/token"
identity = "ac"
shared_secret_file = "host.secret"
[[resource]]
path = "/host"
source = "host"
"""


class TestWithNothingButASharedSecret:
    def test_a_publisher_follows_its_ac_unless_told_otherwise(self, tmp_path):
        section = load_config(written(tmp_path, SHARING)).ac
        assert section is not None
        assert section.follow
        assert section.revoked_file == tmp_path / "publisher.revoked"

    def test_it_may_insist_on_a_fresh_list(self, tmp_path):
        text = SHARING.replace('identity = "ac"\n', 'identity = "ac"\nrequire_fresh_trl = 300\n')
        section = load_config(written(tmp_path, text)).ac
        assert section is not None
        assert section.require_fresh_trl == 300

    @pytest.mark.parametrize("key", ["introspect", "raw_public_keys"])
    def test_what_a_certificate_is_needed_for_is_refused(self, tmp_path, key):
        text = SHARING.replace('identity = "ac"\n', f'identity = "ac"\n{key} = true\n')
        assert f"'{key}' needs a certificate of ours" in complaint(tmp_path, text)

    def test_who_has_not_even_that_cannot_insist_on_a_fresh_list(self, tmp_path):
        text = HOST.replace(
            "[[resource]]",
            '[ac]\nuri = "coaps://127.0.0.1:5684/token"\ncertificate = "cert.pem"\nrequire_fresh_trl = 300\n'
            "[[resource]]",
        )
        assert "a certificate of ours, or 'shared_secret_file'" in complaint(tmp_path, text)

    def test_a_name_that_does_not_fit_the_handshake_is_refused(self, tmp_path):
        longest = "urn:dev:org:32473-".ljust(111, "x")
        assert load_config(written(tmp_path, SHARING.replace("urn:dev:org:32473-host", longest)))
        text = SHARING.replace("urn:dev:org:32473-host", longest + "x")
        assert "'name' is longer than 111 bytes" in complaint(tmp_path, text)


class TestKeyFiles:
    def read(self, folder: Path) -> bytes:
        return load_config(written(folder, HOST)).psk[0].read_key()

    @pytest.mark.parametrize("length", [16, 64])
    def test_a_key_is_read_from_hexadecimal_digits(self, tmp_path, length):
        key_file(tmp_path, "ab" * length + "\n")
        assert self.read(tmp_path) == b"\xab" * length

    @pytest.mark.parametrize(
        ("content", "mode", "words"),
        [
            ("ab" * 16, 0o640, "other users"),
            ("ab" * 16, 0o604, "other users"),
            ("ab" * 15, 0o600, "at least 16 bytes"),
            ("ab" * 65, 0o600, "longer than 64 bytes"),
            ("correct horse battery staple", 0o600, "hexadecimal"),
            ("", 0o600, "at least 16 bytes"),
        ],
    )
    def test_what_is_no_key_is_refused_without_being_shown(self, tmp_path, content, mode, words):
        key_file(tmp_path, content, mode)
        with pytest.raises(ConfigurationError, match=words) as error:
            self.read(tmp_path)
        assert str(tmp_path / "psk-sink.hex") in str(error.value)
        assert not content or content not in str(error.value)

    def test_a_missing_file_is_named(self, tmp_path):
        with pytest.raises(ConfigurationError, match="no such file"):
            self.read(tmp_path)
