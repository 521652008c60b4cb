"""What is sealed comes back to whom it belongs, with the right key, unchanged, or not at all."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from twoway.ac.sealing import SealingKey, make_sealing_key
from twoway.errors import ConfigurationError

SECRET = b"sixteen bytes or"


@pytest.fixture
def key() -> SealingKey:
    return SealingKey(bytes(32), where="key")


@pytest.fixture
def sealed(key: SealingKey) -> bytes:
    return key.seal("publisher secret", "urn:meter", SECRET, entropy=os.urandom)


def test_another_owner_purpose_or_key_does_not_open_it(key: SealingKey, sealed: bytes):
    for opener, purpose, owner in (
        (key, "publisher secret", "urn:other"),
        (key, "signing key", "urn:meter"),
        (key, "publisher secreturn:", "meter"),
        (SealingKey(bytes(31) + b"\x01", where="key"), "publisher secret", "urn:meter"),
    ):
        with pytest.raises(ConfigurationError, match="cannot be opened"):
            opener.open(purpose, owner, sealed)


def test_no_changed_and_no_shorter_value_opens(key: SealingKey, sealed: bytes):
    for place in range(len(sealed)):
        changed = bytearray(sealed)
        changed[place] ^= 1
        for damaged in (bytes(changed), sealed[:place]):
            with pytest.raises(ConfigurationError):
                key.open("publisher secret", "urn:meter", damaged)


def test_it_comes_back_as_it_was(key: SealingKey, sealed: bytes):
    assert key.open("publisher secret", "urn:meter", sealed) == SECRET
    assert SECRET not in sealed


def test_one_secret_sealed_twice_looks_different(key: SealingKey, sealed: bytes):
    assert key.seal("publisher secret", "urn:meter", SECRET, entropy=os.urandom) != sealed


def test_a_key_that_others_may_read_is_refused(tmp_path: Path):
    path = tmp_path / "sealing.key"
    make_sealing_key(path, entropy=os.urandom)
    assert path.stat().st_mode & 0o777 == 0o600
    sealed = SealingKey.load(path).seal("a", "b", SECRET, entropy=os.urandom)
    assert SealingKey.load(path).open("a", "b", sealed) == SECRET
    path.chmod(0o640)
    with pytest.raises(ConfigurationError, match="other users"):
        SealingKey.load(path)


def test_a_key_of_another_length_is_refused_without_being_shown(tmp_path: Path):
    path = tmp_path / "sealing.key"
    path.write_text("ab" * 16)
    path.chmod(0o600)
    with pytest.raises(ConfigurationError, match="32 bytes, not 16") as caught:
        SealingKey.load(path)
    assert "abab" not in str(caught.value)
    assert "abab" not in repr(SealingKey(b"\xab" * 32, where="x"))
