"""The key log: a line an association where a program asks for it by name, and nothing where it does not."""

from __future__ import annotations

import os
import re
import stat
from dataclasses import replace

import pytest
from dtls_pair import Pair, client_config, psk_client_config, psk_server_config, server_config

from twoway.errors import ConfigurationError
from twoway.net import unsafe_key_log_file

LINE = re.compile(r"CLIENT_RANDOM [0-9a-f]{64} [0-9a-f]{96}")


def pairs():
    return (client_config(), server_config()), (psk_client_config(), psk_server_config())


def test_each_association_is_one_line_that_both_sides_agree_on(tmp_path):
    for number, (client, server) in enumerate(pairs()):
        logs = tmp_path / f"client-{number}", tmp_path / f"server-{number}"
        Pair(
            replace(client, unsafe_key_log=unsafe_key_log_file(logs[0])),
            replace(server, unsafe_key_log=unsafe_key_log_file(logs[1])),
        ).connect()
        assert logs[0].read_text() == logs[1].read_text()
        (line,) = logs[0].read_text().splitlines()
        assert LINE.fullmatch(line)


def test_lines_are_appended_and_earlier_ones_stay(tmp_path):
    path = tmp_path / "keys.log"
    unsafe_key_log_file(path)("one")
    unsafe_key_log_file(path)("two")
    assert path.read_text() == "one\ntwo\n"


def test_without_the_switch_nothing_is_written_whatever_the_environment_says(tmp_path, monkeypatch):
    monkeypatch.setenv("SSLKEYLOGFILE", str(tmp_path / "keys.log"))
    for client, server in pairs():
        assert client.unsafe_key_log is server.unsafe_key_log is None
        Pair(client, server).connect()
    assert list(tmp_path.iterdir()) == []


def test_nobody_else_can_open_the_file(tmp_path):
    path = tmp_path / "keys.log"
    mask = os.umask(0)
    try:
        unsafe_key_log_file(path)
    finally:
        os.umask(mask)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o666])
def test_a_file_that_others_can_open_is_refused(tmp_path, mode):
    path = tmp_path / "keys.log"
    path.touch()
    path.chmod(mode)
    with pytest.raises(ConfigurationError, match="others on this machine may open the key log") as error:
        unsafe_key_log_file(path)
    assert f"chmod 600 {path}" in str(error.value)


@pytest.mark.parametrize("name", ["missing/keys.log", "."])
def test_a_file_that_cannot_be_written_is_named(tmp_path, name):
    with pytest.raises(ConfigurationError, match="cannot be written") as error:
        unsafe_key_log_file(tmp_path / name)
    assert str(tmp_path) in str(error.value)
