"""The control socket: for its owner alone, one command, one sentence."""

from __future__ import annotations

import asyncio
import os
import pwd
import socket
from pathlib import Path

import pytest

from twoway.ac.control import ask, control_socket
from twoway.ac.operators import this_user
from twoway.errors import ConfigurationError, NetworkError


async def done(operator: str) -> str:
    return "taken"


async def refused(operator: str) -> str:
    raise ConfigurationError("a policy does not parse", where="a.cedar", remedy="correct it")


COMMANDS = {"reload": done, "break": refused}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "ac.sock"


async def test_nobody_but_the_owner_may_ask(path: Path):
    async with control_socket(path, COMMANDS):
        assert path.stat().st_mode & 0o777 == 0o600


async def test_a_command_that_is_not_known_is_refused(path: Path):
    async with control_socket(path, COMMANDS):
        for command in ("stop", "", "reload reload", "\xff", "r" * 5000):
            with pytest.raises(ConfigurationError, match="command"):
                await asyncio.to_thread(ask, path, command)


async def test_a_refusal_arrives_as_its_sentence(path: Path):
    async with control_socket(path, COMMANDS):
        with pytest.raises(ConfigurationError, match="^a.cedar: a policy does not parse; correct it$"):
            await asyncio.to_thread(ask, path, "break")


async def test_what_was_done_is_said(path: Path):
    async with control_socket(path, COMMANDS):
        assert await asyncio.to_thread(ask, path, "reload") == "taken"


async def test_without_an_ac_the_asker_is_told(path: Path):
    with pytest.raises(NetworkError, match="no AC answers"):
        ask(path, "reload")


async def test_it_is_gone_afterwards(path: Path):
    async with control_socket(path, COMMANDS):
        pass
    assert not path.exists()


async def test_the_place_of_a_running_ac_is_not_taken(path: Path):
    async with control_socket(path, COMMANDS):
        with pytest.raises(ConfigurationError, match="another AC"):
            async with control_socket(path, COMMANDS):
                pass
        assert await asyncio.to_thread(ask, path, "reload") == "taken"


async def test_what_a_killed_ac_left_is_removed(path: Path):
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as left:
        left.bind(str(path))
    async with control_socket(path, COMMANDS):
        assert await asyncio.to_thread(ask, path, "reload") == "taken"


async def test_a_path_that_cannot_be_one_is_refused_in_a_sentence(tmp_path: Path):
    for bad in (tmp_path / "missing" / "ac.sock", tmp_path / ("x" * 120), tmp_path):
        with pytest.raises(ConfigurationError, match="control socket"):
            async with control_socket(bad, COMMANDS):
                pass


async def test_the_command_is_told_which_user_asks_by_the_kernel(path: Path, monkeypatch):
    """What the environment says, anybody can set."""
    for name in ("USER", "LOGNAME", "SUDO_USER"):
        monkeypatch.setenv(name, "mallory")

    async def who(operator: str) -> str:
        return operator

    async with control_socket(path, {"who": who}):
        assert await asyncio.to_thread(ask, path, "who") == pwd.getpwuid(os.geteuid()).pw_name
    assert this_user() == pwd.getpwuid(os.geteuid()).pw_name


def test_a_user_without_a_name_is_known_by_the_number(monkeypatch):
    def nobody(user: int) -> None:
        raise KeyError(user)

    monkeypatch.setattr(pwd, "getpwuid", nobody)
    assert this_user() == f"user {os.geteuid()}"
