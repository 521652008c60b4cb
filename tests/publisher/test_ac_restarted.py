"""An AC that was killed and runs again: it knows none of its associations, and tells nobody."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from deployment import Deployment, until
from publisher_running import client
from running_ac import served_ac
from token_client import obtain

from twoway.identity import identity_uri
from twoway.publisher.ac_link import ACLink
from twoway.publisher.watch import FIRST_PAUSE
from twoway.tickets import Confirmation, token_hash

INTERVAL = 8.0
ANSWER_TIMEOUT = 1.0
"""Shorter than in earnest, so that the test is."""
NOTICED = INTERVAL / 2 + ANSWER_TIMEOUT
"""Seconds until the next question of either kind has not been answered."""
SLACK = 1.5
"""Seconds for handshakes on a busy machine."""


@pytest.fixture
async def deployment(tmp_path: Path) -> AsyncIterator[Deployment]:
    async with Deployment(tmp_path) as deployment:
        deployment.write_ac_toml()
        yield deployment


async def obtain_tickets(deployment: Deployment) -> list[bytes]:
    identity = deployment.identity("reader")
    own = Confirmation.of_key(identity.identity.spki)
    async with client(identity) as asking:
        granted = [
            await obtain(deployment.token_uri, asking, identity_uri("meter"), "/count", req_cnf=own)
            for _ in range(3)
        ]
    return [response.access_token for response in granted]


async def revoke(deployment: Deployment, ticket: bytes) -> None:
    await deployment.records(
        lambda records: records.revoke_by_hash(token_hash(ticket), reason="lost", now=deployment.now())
    )


async def test_both_observations_begin_anew_with_the_next_question_of_either_kind_and_nothing_is_missed(
    deployment: Deployment, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setitem(ACLink.__init__.__kwdefaults__, "answer_timeout", ANSWER_TIMEOUT)
    async with served_ac(deployment.ac_toml) as ac:
        deployment.ports["ac"] = int(ac.uri.rpartition(":")[2])
        deployment.write_ac_toml()  # with its port
        before, meanwhile, afterwards = await obtain_tickets(deployment)
        started = time.monotonic()
        await deployment.start_publisher("meter", poll_interval=INTERVAL)
        await revoke(deployment, before)
        await until(lambda: len(deployment.told("tickets revoked")) == 1)
        await ac.kill()
        await revoke(deployment, meanwhile)
    async with served_ac(deployment.ac_toml):
        await until(lambda: len(deployment.told("tickets revoked")) == 2)
        assert time.monotonic() - started < NOTICED + FIRST_PAUSE + SLACK
        assert deployment.told("signing keys observation failed")
        assert deployment.told("revocation list observation failed")
        noticed = time.monotonic()
        await revoke(deployment, afterwards)
        await until(lambda: len(deployment.told("tickets revoked")) == 3)
        assert time.monotonic() - noticed < SLACK
        assert not deployment.told("revocation list question failed")
