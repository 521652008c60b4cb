"""The AC that an identity folder names."""

from __future__ import annotations

from pathlib import Path

import pytest

from twoway.errors import ConfigurationError
from twoway.subscriber import ACReference


def test_the_folders_ac_is_read(tmp_path: Path):
    (tmp_path / "ac.toml").write_text('uri = "coaps://127.0.0.1:5684/token"\nidentity = "ac"\n')
    assert ACReference.load(tmp_path) == ACReference("coaps://127.0.0.1:5684/token", "urn:dev:org:32473-ac")


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
    ],
)
def test_a_file_that_is_wrong_gives_one_sentence(tmp_path: Path, text: str, complaint: str):
    (tmp_path / "ac.toml").write_text(text)
    with pytest.raises(ConfigurationError, match=complaint) as raised:
        ACReference.load(tmp_path)
    assert str(tmp_path / "ac.toml") in str(raised.value)
