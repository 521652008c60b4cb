"""kill -9 of a real publisher: what it told to be recorded is refused still, with no AC to ask."""

from __future__ import annotations

import asyncio
import os
import random
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import aiocoap
import pytest
import recording_process
from deployment import Deployment
from publisher_running import Client, client
from served_publisher import ServedPublisher, served_publisher
from token_client import obtain

import twoway
from twoway.identity import identity_uri
from twoway.publisher.revoked_file import RevokedFile
from twoway.tickets import Confirmation, token_hash

RARELY = 3600.0
"""A poll interval that no test lasts."""
ROUNDS = 5
LATEST = 0.05
"""Seconds of recording until the process is killed, at most."""


@pytest.fixture
async def deployment(tmp_path: Path) -> AsyncIterator[Deployment]:
    async with Deployment(tmp_path) as deployment:
        await deployment.start_ac()
        yield deployment


async def obtain_ticket(deployment: Deployment) -> bytes:
    identity = deployment.identity("reader")
    own = Confirmation.of_key(identity.identity.spki)
    async with client(identity) as asking:
        granted = await obtain(deployment.token_uri, asking, identity_uri("meter"), "/count", req_cnf=own)
    return granted.access_token


async def revoke(deployment: Deployment, ticket: bytes) -> None:
    await deployment.records(
        lambda records: records.revoke_by_hash(token_hash(ticket), reason="lost", now=deployment.now())
    )


async def upload(reader: Client, publisher: ServedPublisher, ticket: bytes) -> aiocoap.Code:
    uri = f"{publisher.uri}/authz-info"
    return (await reader.ask(aiocoap.POST, uri, payload=ticket, content_format=61)).code


async def read(reader: Client, publisher: ServedPublisher) -> aiocoap.Code:
    return (await reader.get(f"{publisher.uri}/count")).code


async def test_a_revoked_ticket_is_refused_after_kill_and_restart_without_the_ac(deployment: Deployment):
    toml = deployment.publisher_toml("meter", poll_interval=RARELY)
    ticket, other = await obtain_ticket(deployment), await obtain_ticket(deployment)
    async with served_publisher(toml) as publisher, client(deployment.identity("reader")) as reader:
        assert await upload(reader, publisher, ticket) is aiocoap.CREATED
        assert await read(reader, publisher) is aiocoap.CONTENT
        await revoke(deployment, ticket)
        await publisher.until_told("revoked tickets recorded")
        await publisher.kill()
    await deployment.stop("ac")
    async with served_publisher(toml) as publisher, client(deployment.identity("reader")) as reader:
        assert await upload(reader, publisher, ticket) is aiocoap.UNAUTHORIZED
        assert await read(reader, publisher) is aiocoap.UNAUTHORIZED
        assert await upload(reader, publisher, other) is aiocoap.CREATED
        assert await read(reader, publisher) is aiocoap.CONTENT


async def test_at_whatever_instant_it_is_killed_the_list_is_whole_and_has_what_was_acknowledged(
    tmp_path: Path,
):
    path, instants = tmp_path / "revoked", random.Random(1)
    for _ in range(ROUNDS):
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, recording_process.__file__, str(path)),
            stdout=asyncio.subprocess.PIPE,
            env=os.environ | {"PYTHONPATH": str(Path(twoway.__file__).parents[1])},
        )
        await process.stdout.readline()
        await asyncio.sleep(instants.uniform(0, LATEST))
        process.kill()
        lines = (await process.communicate())[0].split(b"\n")[:-1]  # the last one may be cut off
        file = RevokedFile(path)
        assert file.is_intact
        assert file.hashes == tuple(map(recording_process.hash_of, range(len(file.hashes))))
        assert len(file.hashes) > max(map(int, lines), default=0)
