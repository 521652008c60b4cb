"""The region of the address that the AC sees decides, all the way from the socket to the ticket."""

from __future__ import annotations

import asyncio
from pathlib import Path

import aiocoap
import pytest
from ac_world import ACWorld, request_for, scope
from running_ac import RunningAC, ask, client_of, running_ac

from twoway.ac import ask_ac, load_config
from twoway.tickets import CONTENT_FORMAT_ACE, ErrorCode, Method, TokenError

SEEN_IN_THE_NORTH = """
@id("seen-in-the-north")
permit (principal, action, resource)
when { context has region && context.region == "north" };
"""
REGIONS = '[regions]\nfile = "regions.csv"\n'
HERE, THERE = "127.0.0.1", "127.0.0.2"


@pytest.fixture
def world(tmp_path: Path) -> ACWorld:
    return ACWorld.make(tmp_path / "world", policies=SEEN_IN_THE_NORTH)


def map_regions(world: ACWorld, **regions: str) -> None:
    """Write which region each of the two addresses is in."""
    addresses = {"here": HERE, "there": THERE}
    lines = [f"{addresses[name]}/32,{region}\n" for name, region in regions.items()]
    (world.folder / "regions.csv").write_text("".join(lines))


async def asked(ac: RunningAC, world: ACWorld, host: str) -> ErrorCode | None:
    """Ask for a ticket as the tenant, from an address; return the error, None for a ticket."""
    async with client_of(world.tenant, host=host) as client:
        message = aiocoap.Message(
            code=aiocoap.POST,
            uri=ac.token_uri,
            payload=request_for(world.tenant, scope=scope(("/power", Method.GET))).encode(),
            content_format=CONTENT_FORMAT_ACE,
        )
        answer = await ask(client, message)
    return None if answer.code == aiocoap.CREATED else TokenError.parse_untrusted(answer.payload).code


async def ask_reload(ac: RunningAC) -> None:
    """``twoway ac reload``."""
    await asyncio.to_thread(ask_ac, load_config(ac.config).control, "reload")


async def test_one_subscriber_gets_a_ticket_from_one_address_and_none_from_another(world: ACWorld) -> None:
    map_regions(world, here="north", there="south")
    async with running_ac(world, more=REGIONS) as ac:
        assert await asked(ac, world, HERE) is None
        assert await asked(ac, world, THERE) is ErrorCode.INVALID_SCOPE
        granted, refused = reversed(ac.decisions())
        assert granted.policies == ("seen-in-the-north",)
        assert refused.policies == ("default-deny",)
        map_regions(world, here="south", there="north")
        assert await asked(ac, world, HERE) is None  # a table is taken when the operator says so
        await ask_reload(ac)
        assert await asked(ac, world, HERE) is ErrorCode.INVALID_SCOPE
        assert await asked(ac, world, THERE) is None


async def test_an_address_of_no_region_is_in_none(world: ACWorld) -> None:
    map_regions(world, here="north")
    async with running_ac(world, more=REGIONS) as ac:
        assert await asked(ac, world, THERE) is ErrorCode.INVALID_SCOPE


async def test_whoever_is_seen_elsewhere_than_registered_is_refused_where_both_have_to_agree(
    tmp_path: Path,
) -> None:
    world = ACWorld.make(tmp_path / "agreeing")  # where the registered regions alone would permit
    map_regions(world, here="north", there="south")
    async with running_ac(world, more=REGIONS + "require_agreement = true") as ac:
        assert await asked(ac, world, HERE) is None
        assert await asked(ac, world, THERE) is ErrorCode.INVALID_SCOPE
        (refused, _) = ac.decisions()
        assert refused.reason is not None
        assert "registered in the region north, but was seen in the region south" in refused.reason
