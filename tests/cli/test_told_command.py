"""The command that a refused reader is told: run as it is told, it says why."""

from __future__ import annotations

import asyncio
import shlex
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from click.testing import Result
from deployment import Deployment
from typer.testing import CliRunner

from twoway.cli.app import app
from twoway.errors import ConfigurationError, RefusedError
from twoway.subscriber import Subscriber

TOLD = "ask the operator of the AC to run: "


@pytest.fixture
async def deployment(tmp_path: Path) -> AsyncIterator[Deployment]:
    async with Deployment(tmp_path) as deployment:
        yield deployment


async def told_command(deployment: Deployment, name: str, uri: str) -> list[str]:
    """Read as somebody who is refused, and take the words of the command from what they are told."""
    async with Subscriber(deployment.identity(name), ac=deployment.ac_reference) as reader:
        with pytest.raises(RefusedError) as refused:
            await reader.read(uri)
    before, told, command = str(refused.value).partition(TOLD)
    assert told, before
    words = shlex.split(command)
    assert words[:4] == ["twoway", "ac", "check", "CONFIG"]
    return words[1:]


async def run(deployment: Deployment, words: list[str]) -> Result:
    """Run it as the operator does, who knows where the AC's file is."""
    words = [str(deployment.ac_toml) if word == "CONFIG" else word for word in words]
    return await asyncio.to_thread(CliRunner().invoke, app, words)


async def test_a_reader_whom_the_policies_refuse(deployment: Deployment) -> None:
    await deployment.start_ac()
    uri = await deployment.start_publisher("meter")
    result = await run(deployment, await told_command(deployment, "distant", f"{uri}/count"))
    assert result.exit_code == 3, result.output
    assert result.output.startswith("denied")
    assert "same-region" in result.output
    assert '"south"' in result.output, "what it is"
    assert '"north"' in result.output, "and what it would have to be"


async def test_the_answer_is_that_of_the_reader_and_not_of_anybody(deployment: Deployment) -> None:
    await deployment.start_ac()
    uri = await deployment.start_publisher("meter")
    words = await told_command(deployment, "distant", f"{uri}/count")
    words[words.index("--subscriber") + 1] = "reader"
    result = await run(deployment, words)
    assert (result.exit_code, result.output.splitlines()[0]) == (0, "allowed by same-region")


@pytest.mark.parametrize("target", ["/count?since=yesterday", "/caf%C3%A9", "/nothing"])
async def test_a_reader_of_what_no_ticket_holds(deployment: Deployment, target: str) -> None:
    """Path and query are told as a URI has them, and the command takes them so."""
    await deployment.start_ac()
    uri = await deployment.start_publisher("meter")
    result = await run(deployment, await told_command(deployment, "reader", uri + target))
    assert isinstance(result.exception, ConfigurationError)
    assert f"does not offer GET on {target}, so no ticket holds it" in str(result.exception)
