"""The AC that an identity folder names."""

from __future__ import annotations

from pathlib import Path

import pytest

from twoway.errors import ConfigurationError
from twoway.subscriber import ACReference, KeyedPublisher
from twoway.tickets import ProvisionalNumbers

AC = 'uri = "coaps://h/token"\nidentity = "ac"\n'
TWIN = 'identity = "host"\nuri = "coaps://h:5685"\n'
HOST = "[[keyed_publisher]]\n" + TWIN


def test_the_folders_ac_is_read(tmp_path: Path):
    (tmp_path / "ac.toml").write_text('uri = "coaps://127.0.0.1:5684/token"\nidentity = "ac"\n')
    assert ACReference.load(tmp_path) == ACReference("coaps://127.0.0.1:5684/token", "urn:dev:org:32473-ac")


def test_the_numbers_of_drafts_are_read(tmp_path: Path):
    (tmp_path / "ac.toml").write_text(f"{AC}[provisional]\nx5t = 8\n")
    ac = ACReference.load(tmp_path)
    assert ac is not None
    assert ac.numbers == ProvisionalNumbers(x5t=8)


def test_publishers_without_a_certificate_and_the_list_of_revoked_tickets_are_read(tmp_path: Path):
    (tmp_path / "ac.toml").write_text(
        """
uri = "coaps://127.0.0.1:5684/token"
identity = "ac"
trl = "coaps://127.0.0.1:5684/revoked"

[[keyed_publisher]]
identity = "host"
uri = "coaps://Host.example:5685"

[[keyed_publisher]]
identity = "valve"
uri = "coaps://valve.example"
upload = "coap://valve.example/authz-info"
"""
    )
    ac = ACReference.load(tmp_path)
    assert ac is not None
    assert ac.trl_uri == "coaps://127.0.0.1:5684/revoked"
    host = KeyedPublisher("urn:dev:org:32473-host", "coaps://Host.example:5685")
    valve = KeyedPublisher(
        "urn:dev:org:32473-valve", "coaps://valve.example", "coap://valve.example/authz-info"
    )
    assert ac.keyed_publishers == (host, valve)
    assert ac.keyed_publisher("coaps://host.example.:5685/count?x=1") == host
    assert ac.keyed_publisher("coaps://valve.example:5684/count") == valve
    assert ac.keyed_publisher("coaps://host.example/count") is None


def test_a_folder_without_the_file_names_no_ac(tmp_path: Path):
    assert ACReference.load(tmp_path) is None


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ('identity = "ac"', "the key 'uri' is missing"),
        ('uri = "coaps://h/token"', "the key 'identity' is missing"),
        ('uri = "http://h/token"\nidentity = "ac"', "is not a coaps URI"),
        ('uri = "coaps://h/token"\nidentity = "ac"\nkey = 1', "unknown key 'key'"),
        ("uri = coaps", "not TOML"),
        (AC + 'trl = "/revoke/trl"', "is not a coaps URI"),
        (AC + '[[keyed_publisher]]\nuri = "coaps://h"', "the key 'keyed_publisher#1.identity' is missing"),
        (AC + HOST + 'upload = "coaps://h/authz-info"', "is not a coap URI"),
        (AC + HOST + 'upload = "coap:///authz-info"', "is not a coap URI"),
        (AC + HOST + 'upload = "authz-info"', "is not a coap URI"),
        (AC + HOST + "[[keyed_publisher]]\n" + TWIN, "two publishers at one place"),
    ],
)
def test_a_file_that_is_wrong_gives_one_sentence(tmp_path: Path, text: str, complaint: str):
    (tmp_path / "ac.toml").write_text(text)
    with pytest.raises(ConfigurationError, match=complaint) as raised:
        ACReference.load(tmp_path)
    assert str(tmp_path / "ac.toml") in str(raised.value)
