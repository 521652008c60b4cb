"""What operators do to an AC while it runs, by the commands they type."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from pathlib import Path

import aiocoap
import pytest
from ac_world import METER, ACWorld, request_for, scope
from running_ac import TIMEOUT, ask, client_of, write_config
from typer.testing import CliRunner

import twoway
from twoway.ac import Database, load_config
from twoway.ac.sealed_rows import read_secrets
from twoway.cli.app import app
from twoway.errors import CallerError, ConfigurationError, NetworkError
from twoway.tickets import CONTENT_FORMAT_ACE, Method


@pytest.fixture
def config(tmp_path: Path) -> Path:
    world = ACWorld.make(tmp_path / "world")
    path = write_config(world, top='sealing_key = "sealing.key"')
    Database(load_config(path).database).close()
    return path


def run(*words: str) -> dict[str, object]:
    result = CliRunner().invoke(app, [*words, "--json"])
    if result.exception is not None:
        raise result.exception
    return json.loads(result.output)


def test_a_rotation_says_when_the_key_signs_and_a_second_one_waits(config: Path) -> None:
    told = run("ac", "rotate", str(config))
    assert len(str(told["key_id"])) == 16
    with pytest.raises(ConfigurationError, match=f"the key {told['key_id']} is announced"):
        run("ac", "rotate", str(config))
    assert (config.parent / "sealing.key").stat().st_mode & 0o777 == 0o600


def test_a_secret_is_made_for_the_publisher_and_stored_sealed(config: Path, tmp_path: Path) -> None:
    file = tmp_path / "meter.secret"
    words = ("ac", "secret", "add", str(config), "--publisher", METER, "--file", str(file))
    assert run(*words) == {"publisher": METER, "made": True}
    assert file.stat().st_mode & 0o777 == 0o600
    secret = bytes.fromhex(file.read_text())
    assert run(*words) == {"publisher": METER, "made": False}
    database = Database.existing(load_config(config).database)
    sealed = database.read(read_secrets)
    database.close()
    assert list(sealed) == [METER]
    assert secret not in sealed[METER]
    stored = b"".join(path.read_bytes() for path in config.parent.glob("ac.sqlite*"))
    assert secret not in stored
    assert file.read_text().strip().encode() not in stored


def test_a_secret_that_is_removed_is_gone(config: Path, tmp_path: Path) -> None:
    run("ac", "secret", "add", str(config), "--publisher", "meter", "--file", str(tmp_path / "s"))
    run("ac", "secret", "remove", str(config), "--publisher", "meter")
    with pytest.raises(CallerError, match="has no secret"):
        run("ac", "secret", "remove", str(config), "--publisher", "meter")


def test_a_short_secret_is_refused_and_not_shown(config: Path, tmp_path: Path) -> None:
    file = tmp_path / "s"
    file.write_text("ab" * 15)
    file.chmod(0o600)
    with pytest.raises(ConfigurationError) as caught:
        run("ac", "secret", "add", str(config), "--publisher", "meter", "--file", str(file))
    assert "abab" not in str(caught.value)


def test_without_a_sealing_key_nothing_is_stored(tmp_path: Path) -> None:
    path = write_config(ACWorld.make(tmp_path / "world"))
    Database(load_config(path).database).close()
    with pytest.raises(ConfigurationError, match="sealing_key"):
        run("ac", "rotate", str(path))
    with pytest.raises(ConfigurationError, match="sealing_key"):
        run("ac", "secret", "add", str(path), "--publisher", "meter", "--file", str(tmp_path / "s"))
    assert not (tmp_path / "s").exists()


def test_nobody_to_reload_is_one_sentence(config: Path) -> None:
    with pytest.raises(NetworkError, match="no AC answers"):
        run("ac", "reload", str(config))


async def test_a_hangup_takes_the_files_anew_and_says_so(tmp_path: Path) -> None:
    world = ACWorld.make(tmp_path / "world")
    path = write_config(world)
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "twoway", "ac", "serve", str(path),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env=os.environ | {"PYTHONPATH": str(Path(twoway.__file__).parents[1])},
    )  # fmt: skip
    assert process.stdout is not None
    assert process.stderr is not None
    try:
        uri = (await asyncio.wait_for(process.stdout.readline(), TIMEOUT)).decode().split()[1]
        message = {
            "code": aiocoap.POST,
            "uri": f"{uri}/token",
            "payload": request_for(world.distant, scope=scope(("/power", Method.GET))).encode(),
            "content_format": CONTENT_FORMAT_ACE,
        }
        async with client_of(world.distant) as client:
            assert (await ask(client, aiocoap.Message(**message))).code == aiocoap.BAD_REQUEST
            (world.policies / "bad.cedar").write_text("permit (")
            process.send_signal(signal.SIGHUP)
            refused = await asyncio.wait_for(process.stderr.readline(), TIMEOUT)
            assert b"bad.cedar" in refused
            (world.policies / "bad.cedar").write_text('@id("all") permit (principal, action, resource);')
            process.send_signal(signal.SIGHUP)
            taken = await asyncio.wait_for(process.stderr.readline(), TIMEOUT)
            assert b"taken: 4 policies" in taken
            assert (await ask(client, aiocoap.Message(**message))).code == aiocoap.CREATED
    finally:
        process.terminate()
        await asyncio.wait_for(process.wait(), TIMEOUT)
    assert process.returncode == 0
