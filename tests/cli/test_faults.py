"""What a server says where nobody watches: faults that an operator should look at, and nothing else."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

import aiocoap
import pytest
from ac_world import ACWorld, request_for, scope
from running_ac import ask, client_of, write_config

import twoway
from twoway.cli.console import FAULTS_AT_ONCE, FAULTS_PER_SECOND, REPEAT_INTERVAL, faults_to_stderr
from twoway.clock import ManualClock
from twoway.tickets import CONTENT_FORMAT_ACE, Method
from twoway.trace import Fault, TraceEvent

PATIENCE = 20.0


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


def test_a_fault_is_a_sentence_and_other_events_are_not_told(clock, capsys):
    tell = faults_to_stderr(clock)
    tell(TraceEvent("ticket granted", "ac", {"requester": "somebody"}))
    tell(Fault("registry not refreshed", "ac", {"reason": "a line is\ntorn"}))
    shown = capsys.readouterr()
    assert shown.out == ""
    (line,) = shown.err.splitlines()
    assert line.startswith("twoway: ac: registry not refreshed: a line is")


def test_the_same_is_said_again_after_a_while_and_something_else_at_once(clock, capsys):
    tell = faults_to_stderr(clock)
    for _ in range(5):
        tell(Fault("source failed", "publisher", {"path": "/power"}))
    tell(Fault("source failed", "publisher", {"path": "/flow"}))
    assert len(capsys.readouterr().err.splitlines()) == 2
    clock.advance(REPEAT_INTERVAL)
    tell(Fault("source failed", "publisher", {"path": "/power"}))
    assert "/power" in capsys.readouterr().err


def test_a_flood_of_faults_that_differ_is_bounded(clock, capsys):
    tell = faults_to_stderr(clock)
    for number in range(1000):
        tell(Fault("payload refused", "publisher", {"reason": number}))
    assert len(capsys.readouterr().err.splitlines()) == FAULTS_AT_ONCE
    clock.advance(1 / FAULTS_PER_SECOND)
    tell(Fault("payload refused", "publisher", {"reason": "another"}))
    assert "another" in capsys.readouterr().err


async def test_a_server_says_what_its_operator_should_know(tmp_path):
    """A ledger is torn under a running AC: it goes on with what it knew, and says so."""
    world = ACWorld.make(tmp_path / "world")
    config = write_config(world)
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "twoway", "ac", "serve", str(config)),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env=os.environ | {"PYTHONPATH": str(Path(twoway.__file__).parents[1])},
    )
    try:
        _, uri = (await asyncio.wait_for(process.stdout.readline(), PATIENCE)).decode().split()
        with world.ledger.open("a") as ledger:
            ledger.write("torn\n")
        async with client_of(world.tenant) as client:
            message = aiocoap.Message(
                code=aiocoap.POST,
                uri=f"{uri}/token",
                payload=request_for(world.tenant, scope=scope(("/power", Method.GET))).encode(),
                content_format=CONTENT_FORMAT_ACE,
            )
            assert (await ask(client, message)).code is aiocoap.CREATED
        said = (await asyncio.wait_for(process.stderr.readline(), PATIENCE)).decode()
    finally:
        process.kill()
        await process.wait()
    assert said.startswith("twoway: ac: registry not refreshed: ")
