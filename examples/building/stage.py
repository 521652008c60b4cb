"""The stage: sets the building up, starts every server as a process of its own, and clears up."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from building import set_up
from commands import command_line
from scene import Scene
from stories import STORIES

from twoway.clock import SystemClock
from twoway.demo import Narrator
from twoway.demo.play import play
from twoway.demo.processes import Troupe

PUBLISHERS = ("meter-1", "meter-2", "boiler", "lift")


async def perform(folder: Path, narrator: Narrator) -> None:
    """Play all stories.

    Raises:
        StepFailed: a story did not come out; the sentence names it.
        TwowayError: the building could not be set up.
    """
    async with running(folder, narrator) as scene:
        await play(STORIES, scene, narrator)


@asynccontextmanager
async def running(folder: Path, narrator: Narrator) -> AsyncIterator[Scene]:
    """Set the building up in a new or empty folder and keep it running for as long as the context lasts."""
    clock = SystemClock()
    narrator.open_step(0, "The building")
    building = await asyncio.to_thread(set_up, folder, now=clock.now())
    async with command_line(folder) as commands, Troupe(folder) as troupe:
        ac = await troupe.start("ac", "ac", "serve", str(building.config("ac")))
        narrator.say(f"the access control server listens at {building.uri('ac', '')} (process {ac.pid})")
        scene = Scene(building, troupe, ac, commands, narrator, clock)
        # Before the boiler is installed, the AC makes the secret that the two will share.
        await scene.command("ac", "secret", "add", "ac.toml", "--publisher", "boiler", "--file", "boiler.hex")
        starts = (troupe.start(name, "publisher", "serve", str(building.config(name))) for name in PUBLISHERS)
        for actor in await asyncio.gather(*starts):
            narrator.say(
                f"the publisher {actor.name} listens at {building.uri(actor.name, '')} (process {actor.pid})"
            )
        yield scene
