"""``ac.toml``: what it may say, and what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy import make_url

from twoway.ac import load_config, parse_address
from twoway.configuration import Address
from twoway.errors import ConfigurationError

GOOD = """
identity = "identities/ac"
listen = "127.0.0.1:5684"
database = "ac.sqlite"
policies = "policies"
ledgers = ["ca/issued.jsonl"]
[[publisher]]
identity = "meter"
resources = [{ path = "/power", methods = ["GET"] }]
[[subscriber]]
identity = "urn:dev:org:32473-tenant"
organisation = "Tenant"
region = "north"
purposes = ["billing"]
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "ac.toml"
    path.write_text(GOOD)
    return path


def test_the_documented_file_loads(file: Path) -> None:
    config = load_config(file)
    assert config.listen == Address("127.0.0.1", 5684)
    assert config.uri is None
    assert config.ticket_lifetime == 600
    assert config.identity == file.parent / "identities/ac"
    assert config.ledgers == (file.parent / "ca/issued.jsonl",)
    assert config.publishers[0].identity == "urn:dev:org:32473-meter"
    assert config.publishers[0].resources[0].methods == ("GET",)
    assert config.subscribers[0].purposes == ("billing",)


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("policies", "polices", "did you mean 'policies'"),
        ('"GET"', '"OBSERVE"', "'publisher#1.resources#1.methods#1'"),
        ('["GET"]', "[]", "'publisher#1.resources#1.methods'"),
        ("[[subscriber]]", "[[subscribers]]", "did you mean 'subscriber'"),
        ("[[publisher]]", "[publisher]", "give a list"),
        ("[[publisher]]", "ticket_lifetime = 5\n[[publisher]]", "greater than or equal to 10"),
        ("[[publisher]]", "ticket_lifetime = 86401\n[[publisher]]", "less than or equal to 86400"),
        ("[[publisher]]", 'ticket_lifetime = "600"\n[[publisher]]', "give a whole number"),
        ("[[publisher]]", 'uri = "coap://x"\n[[publisher]]', "not a coaps URI"),
        ('organisation = "Tenant"', 'organisation = ""', "'subscriber#1.organisation'"),
        ('identity = "identities/ac"', "", "the key 'identity' is missing"),
    ],
)
def test_each_fault_is_one_sentence_with_file_and_key(file: Path, old: str, new: str, words: str) -> None:
    assert old in GOOD
    file.write_text(GOOD.replace(old, new, 1))
    with pytest.raises(ConfigurationError) as caught:
        load_config(file)
    assert words in str(caught.value)
    assert str(caught.value).startswith(f"{file}: ")
    assert "\n" not in str(caught.value)


def test_two_tables_for_one_identity_are_refused_even_if_written_differently(file: Path) -> None:
    file.write_text(
        GOOD + '[[publisher]]\nidentity = "urn:dev:org:32473-meter"\nresources = [{ path = "/x" }]\n'
    )
    with pytest.raises(ConfigurationError, match="stands in two"):
        load_config(file)


def test_a_missing_file_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="there is no such file"):
        load_config(tmp_path / "ac.toml")


def test_a_binary_file_is_one_sentence(file: Path) -> None:
    file.write_bytes(b"SQLite format 3\x00\xff\xfe")
    with pytest.raises(ConfigurationError, match="not text"):
        load_config(file)


@pytest.mark.parametrize(
    "text",
    ["mysql://u:s3cret@h/d", "postgresql://u:s3cret@h", "postgresql://u:s3cret@h:port/d", "sqlite:///s3cret"],
)
def test_a_database_that_is_not_known_is_refused_without_its_password(text):
    with pytest.raises(ConfigurationError) as caught:
        parse_address(text)
    assert "s3cret" not in str(caught.value)


def test_a_database_is_a_file_beside_the_configuration_or_a_server(tmp_path):
    path = tmp_path / "ac.toml"
    for written in ("ac.sqlite", "postgresql://ac:s3cret@db.example/rights"):
        path.write_text(f'identity = "x"\nlisten = ":0"\ndatabase = "{written}"\npolicies = "x"\n')
        config = load_config(path)
        if written == "ac.sqlite":
            assert config.database == tmp_path / "ac.sqlite"
        else:
            assert config.database == make_url(written)
            assert "s3cret" not in repr(config)
            assert "s3cret" not in str(config)
