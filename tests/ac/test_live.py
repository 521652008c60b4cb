"""The picture that an AC decides on, and how it becomes another one."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from ac_world import NOW, ACWorld
from running_ac import write_config

from twoway.ac import AuditLog, Database, load_config
from twoway.ac.live import LEDGERS_INTERVAL, Files, LivePicture
from twoway.clock import ManualClock
from twoway.pki import Role


@pytest.fixture
def world(tmp_path: Path) -> ACWorld:
    return ACWorld.make(tmp_path / "world")


async def test_ledgers_are_looked_at_a_few_times_a_second_however_many_ask(world: ACWorld) -> None:
    config, clock = load_config(write_config(world)), ManualClock(NOW)
    database = Database(config.database)
    try:
        live = LivePicture(
            Files.load(config, clock=clock, entropy=os.urandom),
            database,
            AuditLog(database),
            operator="olga",
            clock=clock,
            entropy=os.urandom,
        )
        await live.service()
        world.certify(world.unknown, Role.SUBSCRIBER, {"organisation": "House", "region": "north"})
        clock.advance(LEDGERS_INTERVAL / 2)
        await live.service()
        assert live.picture.directory.requester(world.unknown.uri) is None
        clock.advance(LEDGERS_INTERVAL / 2)
        await live.service()
        assert live.picture.directory.requester(world.unknown.uri)
    finally:
        database.close()
